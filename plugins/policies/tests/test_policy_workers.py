"""Sampling in subprocesses: the same answers, new weights, and clean ends."""

from __future__ import annotations

import asyncio
import os
import select
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from skillbench.errors import PolicyError, UsageError
from skillbench.records import Request, SamplingParams

torch = pytest.importorskip("torch")
pytest.importorskip("transformers")

import tiny_models  # noqa: E402
from skillbench_policies.hf import HFPolicy  # noqa: E402
from skillbench_policies.workers import Workers  # noqa: E402


def requests(episodes, turn, said=None):
    made = []
    for name in episodes:
        messages = [{"role": "user", "content": f"turn 0 of {name}"}]
        for i in range(turn):
            messages.append({"role": "assistant", "content": said[name][i]})
            messages.append({"role": "user", "content": f"turn {i + 1}"})
        params = SamplingParams(max_tokens=6, seed=hash((turn, len(name))) % 1000)
        made.append(Request(name, turn, tuple(messages), params))
    return made


def play(policy, episodes=("a", "bb", "ccc", "dddd", "eeeee"), turns=2):
    said = {name: [] for name in episodes}
    log = []
    for turn in range(turns):
        for name, answer in zip(
            episodes, asyncio.run(policy.generate(requests(episodes, turn, said))), strict=True
        ):
            said[name].append(answer.text)
            log.append((answer.prompt_ids, answer.token_ids, answer.usage.cached_tokens))
    return log


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory) -> Path:
    return tiny_models.directory(tmp_path_factory.mktemp("model"))


def test_workers_answer_as_one_process_does(checkpoint):
    alone = HFPolicy(str(checkpoint), {})
    many = HFPolicy(str(checkpoint), {"workers": 2})
    try:
        assert play(many) == play(alone)
        assert sorted(many._workers.home.values()) == [0, 0, 0, 1, 1]
        many.release("a")
        many.release("ccc")
        many.release("eeeee")
        assert many._workers._home("new") == 0  # the worker with the fewest episodes

        # Trained weights reach the workers with sync, and only then.
        for policy in (alone, many):
            with torch.no_grad():
                for parameter in policy.model().parameters():
                    parameter.mul_(1.3)
            policy.sync("1")
        assert play(many, ("x", "yy")) == play(alone, ("x", "yy"))
    finally:
        many.close()


class Fake:
    """What `Workers` needs of a policy, with a factory that needs no model."""

    source, version, initial_version = "none", "0", "0"

    def __init__(self, workers=2):
        self.config = {"workers": workers, "constrained": False}


def fake_workers(name, count=2):
    made = Workers(Fake(count))
    made.factory = f"worker_fakes:{name}"
    return made


@pytest.fixture
def workers():
    made = []

    def make(name, count=2):
        made.append(fake_workers(name, count))
        return made[-1]

    yield make
    for one in made:
        one.close()


def texts(made, episodes):
    answers = asyncio.run(made.generate(requests(episodes, 0)))
    return [a if isinstance(a, PolicyError) else a.text for a in answers]


def test_episodes_stay_where_they_are(workers):
    made = workers("Echo")
    assert texts(made, "abc") == ["a of a,c", "b of b", "c of a,c"]
    assert texts(made, "cbd") == ["c of a,c", "b of b,d", "d of b,d"]
    made.release("a")
    made.release("c")
    made.release("never seen")
    assert texts(made, "e") == ["e of e"]


def test_a_worker_that_dies_fails_its_own_episodes_and_is_replaced(workers):
    made = workers("Echo")
    assert texts(made, "ab") == ["a of a", "b of b"]
    victim = made.workers[0]
    victim.process.kill()
    victim.alive = lambda: True  # it dies after the batch was begun
    failed, fine = texts(made, "ab")
    assert isinstance(failed, PolicyError) and "exit code -9" in str(failed)
    assert fine == "b of b"
    del victim.alive
    assert texts(made, "ab") == ["a of a", "b of b"]


def test_errors_cross_the_pipe(workers):
    with pytest.raises(UsageError, match="cannot load the model"):
        texts(workers("Missing", 1), "a")
    (error,) = texts(workers("Faulty", 1), "a")
    assert "ZeroDivisionError: inside" in str(error)


def test_an_answer_that_nobody_waits_for_is_dropped(workers):
    made = workers("Echo", 1)
    assert texts(made, "a") == ["a of a"]
    made.workers[0].send("generate", requests("b", 0))  # a call that was cancelled
    assert texts(made, "c") == ["c of a,b,c"]


def test_workers_end_with_their_parent():
    """The parent is killed outright: the pipe closes, and the worker goes."""
    script = textwrap.dedent(
        f"""
        import sys
        sys.path[:0] = {sys.path!r}
        from skillbench_policies.workers import Worker
        worker = Worker(0, "worker_fakes:Echo", "none", {{}})
        worker.receive(worker.send("start"))
        print(worker.process.pid, flush=True)
        sys.stdin.read()
        """
    )
    parent = subprocess.Popen(
        [sys.executable, "-c", script], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    watch = os.pidfd_open(int(parent.stdout.readline()))
    parent.kill()
    parent.wait()
    ended, _, _ = select.select([watch], [], [], 60)
    os.close(watch)
    assert ended
