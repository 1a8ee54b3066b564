"""Killed at any moment, a run goes on and ends in the result it would have had."""

from __future__ import annotations

import asyncio
import json
import random
import signal
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import Any

from skillbench.result import comparable

CHILD = """
import sys
from pathlib import Path
sys.path.insert(0, sys.argv[1])
import toy
from skillbench.runner import execute
if kill := int(sys.argv[4]):
    toy.die_at(kill)
execute(toy.config(seeds=2), registry=toy.registry(), **{sys.argv[3]: Path(sys.argv[2])})
"""


def run(out: Path, *, resume: bool = False, kill: int = 0) -> int:
    """Run in an interpreter of its own; return its exit code (negative: the signal that ended it).

    Not in a fork of this process: after other tests it has threads, and their locks would stay shut.
    """
    place = ["resume" if resume else "out", str(kill)]
    command = [sys.executable, "-c", CHILD, str(Path(__file__).parent), str(out), *place]
    return subprocess.run(command, check=False, timeout=300).returncode


def lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def result(run_dir: Path) -> dict[str, Any]:
    return json.loads((run_dir / "result.json").read_text())


def test_kill_nine_at_random_moments_changes_nothing(tmp_path: Path) -> None:
    assert run(tmp_path / "whole") == 0
    rng = random.Random(20)
    kills = 0
    # Early, in learning, between stages, in scoring: each time some writes further on.
    for kill in [3, *(rng.randrange(20, 90) for _ in range(9))]:
        begun = (tmp_path / "killed" / "config.toml").exists()
        code = run(tmp_path / "killed", resume=begun, kill=kill)
        if code == 0:
            break
        assert code == -signal.SIGKILL
        kills += 1
    assert kills >= 5
    assert run(tmp_path / "killed", resume=True) == 0
    one, two = result(tmp_path / "whole"), result(tmp_path / "killed")
    assert comparable(one) == comparable(two)
    assert two["provenance"]["resumed"] >= 5
    assert one["provenance"]["frozen"] == two["provenance"]["frozen"]  # weights and bank
    for name in ("whole", "killed"):
        keys = Counter(
            (e["arm"], e["seed"], e["task"]["id"])
            for e in lines(tmp_path / name / "episodes.jsonl")
        )
        assert set(keys.values()) == {1}
        assert len(keys) == 2 * 2 * 30
    for seed in (0, 1):
        runs = [lines(tmp_path / n / f"learn/{seed}/episodes.jsonl") for n in ("whole", "killed")]
        assert len(runs[0]) == len(runs[1])


def test_resume_of_a_finished_run_plays_nothing(toy: Any, execute: Any, monkeypatch: Any) -> None:
    first, place = execute()
    before = (place / "episodes.jsonl").read_bytes()

    async def generate(self: Any, requests: Any) -> Any:
        raise AssertionError("nothing is left to play")

    monkeypatch.setattr(toy.ToyPolicy, "generate", generate)
    again, _ = execute(resume=True)
    assert comparable(first) == comparable(again)
    assert (place / "episodes.jsonl").read_bytes() == before


def test_a_torn_episode_is_redone(execute: Any) -> None:
    first, place = execute()
    path = place / "episodes.jsonl"
    whole = path.read_bytes()
    path.write_bytes(whole[:-40])
    again, _ = execute(resume=True)
    assert comparable(first) == comparable(again)
    assert len(path.read_bytes().splitlines()) == len(whole.splitlines())
    records = [(r["arm"], r["seed"], r["task"]) for r in lines(place / "completions.jsonl")]
    assert len(records) == len(set(records)) == 60


def test_an_interrupted_chunk_is_played_whole(execute: Any, sizes: list[int]) -> None:
    _, place = execute("toybank")
    path = place / "episodes.jsonl"
    rows = path.read_text().splitlines(keepends=True)
    path.write_text("".join(rows[:3]))  # three of the first chunk of seven
    sizes.clear()
    execute("toybank", resume=True)
    assert sizes[0] == 7
    assert len(path.read_text().splitlines()) == len(rows)


def test_a_policy_that_streams_plays_what_is_missing_alone(
    toy: Any, execute: Any, monkeypatch: Any
) -> None:
    """Chunks bound how many episodes are open at a time, and nobody waits for the end of one."""
    _, batched = execute("toybank", name="batched")
    streaming = ("policy.batching=stream", "run.live=0")
    _, place = execute("toybank", *streaming, name="streamed")
    actions = [
        {
            (e["arm"], e["task"]["id"]): [s["action"] for s in e["steps"]]
            for e in lines(run / "episodes.jsonl")
        }
        for run in (batched, place)
    ]
    assert actions[0] == actions[1]
    path = place / "episodes.jsonl"
    rows = path.read_text().splitlines(keepends=True)
    path.write_text("".join(rows[:3]))
    ended: list[str] = []
    now: set[str] = set()
    most: list[int] = []
    generate, release = toy.ToyPolicy.generate, toy.ToyPolicy.release

    async def watched(self: Any, requests: Any) -> Any:
        now.update(r.episode_id for r in requests)
        most.append(len(now))
        await asyncio.sleep(0)  # others ask in between
        return await generate(self, requests)

    def released(self: Any, episode_id: str) -> None:
        now.discard(episode_id)
        ended.append(episode_id)
        release(self, episode_id)

    monkeypatch.setattr(toy.ToyPolicy, "generate", watched)
    monkeypatch.setattr(toy.ToyPolicy, "release", released)
    execute("toybank", *streaming, name="streamed", resume=True)
    assert len(ended) == len(rows) - 3
    assert max(most) <= 7
    assert len(path.read_text().splitlines()) == len(rows)
