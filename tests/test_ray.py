"""`--executor ray` on a cluster of three nodes that is simulated on this machine."""

from __future__ import annotations

import contextlib
import json
import os
import signal
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from skillbench import executors
from skillbench.errors import PluginError, SkillbenchError, UsageError
from skillbench.executors import RayOptions, parse
from skillbench.reporting import Reporter
from skillbench.result import comparable


def test_options_of_the_executor() -> None:
    assert parse("local") is None
    assert parse("ray") == RayOptions()
    assert parse("ray:shards=16,gpus=0.5") == RayOptions(shards=16, gpus=0.5)
    for text, what in (
        ("rya", "did you mean 'ray'"),
        ("ray:shard=1", "did you mean 'shards'"),
        ("ray:shards=x", "is a number"),
        ("local:x=1", "no options"),
    ):
        with pytest.raises(UsageError, match=what):
            parse(text)


def test_without_ray_the_error_says_how_to_get_it(tmp_path: Path, monkeypatch: Any) -> None:
    import sys

    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(PluginError, match=r"pip install 'skillbench-harness\[ray\]'"):
        executors.execute(None, out=tmp_path / "out", options=RayOptions())  # type: ignore[arg-type]


def test_files_come_back_whole_where_nothing_is_shared(tmp_path: Path) -> None:
    home = tmp_path / "there" / "learn" / "0"
    home.mkdir(parents=True)
    (home / "frozen.json").write_text("{}")
    executors._unpack(executors._pack(tmp_path / "there"), tmp_path / "learn-0")
    assert executors._complete(tmp_path / "learn-0")
    (tmp_path / executors.TOKEN).write_text("a")
    with executors._place(tmp_path, "a", "shard-0-of-2") as (place, shared):
        assert (place.parent, shared) == (tmp_path, True)
    with executors._place(tmp_path, "b", "shard-0-of-2") as (place, shared):
        assert place.parent != tmp_path and not shared


@pytest.fixture
def cluster(monkeypatch: Any) -> Any:
    """Three nodes with a core each; the driver is attached to the first."""
    ray = pytest.importorskip("ray")
    utils = pytest.importorskip("ray.cluster_utils")
    monkeypatch.setenv("RAY_USAGE_STATS_ENABLED", "0")
    # Workers of Ray run at niceness 15: beside other work on this machine they would hardly run.
    monkeypatch.setenv("RAY_worker_niceness", "0")
    options = {"num_cpus": 1, "object_store_memory": 80 * 2**20, "include_dashboard": False}
    made = utils.Cluster(initialize_head=True, head_node_args=options)
    made.others = [made.add_node(num_cpus=1, object_store_memory=80 * 2**20) for _ in range(2)]
    made.wait_for_nodes()
    ray.init(address=made.address, log_to_driver=False, logging_level="ERROR")
    yield made
    ray.shutdown()
    made.shutdown()


class Killer(Reporter):
    """Kills a node once a part is done elsewhere and that node has begun one of its own."""

    def __init__(self, cluster: Any, parts: Path) -> None:
        self.cluster, self.parts = cluster, parts
        self.killed = ""
        self.said: list[str] = []

    def say(self, text: str) -> None:
        self.said.append(text)
        if self.killed:
            return
        nodes = {node.node_id: node for node in self.cluster.others}
        for note in self.parts.glob("*.begun"):
            node, process = note.read_text().split()[-2:]
            if node not in nodes or executors._complete(note.with_suffix("")):
                continue
            # A node that is lost takes its processes along; the simulated one would leave them.
            os.kill(int(process), signal.SIGSTOP)
            if executors._complete(note.with_suffix("")):  # it was faster
                os.kill(int(process), signal.SIGCONT)
                continue
            self.killed = node
            self.cluster.remove_node(nodes[node], allow_graceful=False)
            with contextlib.suppress(ProcessLookupError):
                os.kill(int(process), signal.SIGKILL)
            return


@pytest.mark.slow
def test_a_lost_node_changes_nothing(cluster: Any, tmp_path: Path) -> None:
    """134 tasks with the scripted policy over three nodes, one of which is killed on the way."""
    pytest.importorskip("skillbench_alfworld")
    pytest.importorskip("skillbench_policies")
    from skillbench.config import resolve
    from skillbench.runner import execute

    sets = ["run.tasks=134", "score.chunk=10"]
    config = resolve(method="base", environment="alfworld", policy="scripted", sets=sets)
    whole = execute(config, out=tmp_path / "whole")
    killer = Killer(cluster, tmp_path / "out.parts")
    result = executors.execute(config, out=tmp_path / "out", options=RayOptions(), reporter=killer)
    assert killer.killed
    assert any("begun 2 times" in text for text in killer.said)
    assert comparable(result) == comparable(whole)
    assert result["outcomes"]["invalid"] == 0
    lines = (tmp_path / "out" / "episodes.jsonl").read_text().splitlines()
    assert set(Counter(json.loads(x)["task"]["id"] for x in lines).values()) == {1}
    assert len(lines) == 134
    assert not (tmp_path / "out.parts").exists()


@pytest.mark.slow
def test_what_is_learned_travels_and_an_error_is_told(cluster: Any, tmp_path: Path) -> None:
    """Two seeds learn apart (no weights), four shards score them; a fault is one clear error."""
    pytest.importorskip("skillbench_memory")
    from skillbench.config import resolve
    from skillbench.runner import execute

    sets = [
        "run.tasks=12", "score.chunk=6", "trainer.experience.tasks=12",
        "trainer.practice.rounds=1", "trainer.practice.tasks=6",
    ]  # fmt: skip
    config = resolve(method="skills", environment="alfworld", policy="scripted", seeds=2, sets=sets)
    whole = execute(config, out=tmp_path / "whole")
    result = executors.execute(config, out=tmp_path / "out", options=RayOptions())
    assert comparable(result) == comparable(whole)
    assert result["cost"]["learn"]["calls"] == whole["cost"]["learn"]["calls"] > 0
    broken = resolve(method="sft", environment="alfworld", policy="scripted", sets=["run.tasks=4"])
    with pytest.raises(SkillbenchError, match="learn-0: policy 'scripted' cannot be trained"):
        executors.execute(broken, out=tmp_path / "no", options=RayOptions(shards=2))
