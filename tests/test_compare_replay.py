"""Comparison against an independent calculation, and replay of recorded runs."""

from __future__ import annotations

import hashlib
import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy import stats as reference

from skillbench import comparison
from skillbench.errors import RunDirError, UsageError
from skillbench.replaying import replay


def grid(place: Path, seeds: int) -> np.ndarray:
    """Success by seed and task, read off episodes.jsonl with nothing of the package."""
    won: dict[tuple[int, str], float] = {}
    for line in (place / "episodes.jsonl").read_text().splitlines():
        episode = json.loads(line)
        if episode["arm"] == "method":
            won[episode["seed"], episode["task"]["id"]] = float(episode["success"])
    tasks = sorted({task for _, task in won})
    return np.array([[won[seed, task] for task in tasks] for seed in range(seeds)])


def test_the_interval_is_that_of_an_independent_calculation(execute: Any) -> None:
    _, one = execute(seeds=3, name="one")
    _, other = execute("toybank", "agent.budget=0", seeds=3, name="other")
    found = comparison.compare(comparison.load(str(one)), comparison.load(str(other)))
    a, b = grid(one, 3), grid(other, 3)
    mean = a.mean() - b.mean()
    # Random tasks (their differences of means) and random seeds (analysis of variance).
    per_task = a.mean(axis=0) - b.mean(axis=0)
    variance, below, seeds = per_task.var(ddof=1) / 30, 0.0, 0.0
    below += variance**2 / 29
    between, within = [], []
    for x in (a, b):
        rest = x - x.mean(1, keepdims=True) - x.mean(0, keepdims=True) + x.mean()
        between.append(30 * x.mean(1).var(ddof=1) / 90)
        within.append((rest**2).sum() / (2 * 29) / 90)
        seeds += between[-1] - within[-1]
    for residual in within:
        below += np.mean(between) ** 2 / 2 + residual**2 / 58
    variance += max(seeds, 0.0)
    df = min(variance**2 / below, 29)
    half = reference.t.ppf(0.975, df) * math.sqrt(variance)
    assert found["delta"]["mean"] == pytest.approx(mean, abs=1e-6)
    low, high = found["delta"]["ci95"]
    assert high - low == pytest.approx(2 * half, rel=0.05)
    assert [low, high] == pytest.approx([mean - half, mean + half], abs=0.15 * half)
    p = 2 * reference.t.sf(mean / math.sqrt(variance), df)
    assert found["delta"]["p"] == pytest.approx(p, rel=1e-3)
    welch = reference.ttest_ind(a.mean(1), b.mean(1), equal_var=False).pvalue
    assert found["welch"] == pytest.approx(welch, rel=1e-3)


def test_swapping_flips_the_sign_and_transcripts_are_linked(execute: Any) -> None:
    _, one = execute(name="one")
    _, other = execute("base", name="other")
    runs = [comparison.load(str(place)) for place in (one, other)]
    ahead, back = comparison.compare(*runs), comparison.compare(*reversed(runs))
    assert ahead["delta"]["mean"] == -back["delta"]["mean"] > 0
    assert ahead["delta"]["ci95"] == [-end for end in reversed(back["delta"]["ci95"])]
    assert ahead["delta"]["p"] == back["delta"]["p"]
    a, b = grid(one, 1)[0], grid(other, 1)[0]
    odd = ahead["discordant"]
    assert odd["only_one"] == int((a > b).sum())
    assert odd["only_other"] == int((a < b).sum())
    assert ahead["delta"]["p"] == pytest.approx(
        reference.binomtest(odd["only_one"], len(odd["tasks"])).pvalue, rel=1e-3
    )
    row = odd["tasks"][0]
    assert row["transcripts"] == [
        f"{place}/report.html#episode=method/0/{row['task']}" for place in (one, other)
    ]
    assert ahead["break_even"][0]["run"] == "one"


def test_other_panels_and_unfinished_runs_are_refused(execute: Any, tmp_path: Path) -> None:
    _, one = execute("base", name="one")
    _, other = execute("base", "run.tasks=12", name="other")
    runs = [comparison.load(str(place)) for place in (one, other)]
    with pytest.raises(UsageError, match="only runs of one panel can be compared"):
        comparison.compare(*runs)
    (other / "result.json").unlink()
    with pytest.raises(RunDirError, match="has not finished"):
        comparison.load(str(other))
    (tmp_path / "x.json").write_text("{}")
    with pytest.raises(RunDirError, match="not a leaderboard file"):
        comparison.load(str(tmp_path / "x.json"))


def contents(place: Path) -> dict[str, str]:
    files = (p for p in sorted(place.rglob("*")) if p.is_file())
    return {str(p): hashlib.sha256(p.read_bytes()).hexdigest() for p in files}


def test_a_replay_gives_the_same_episodes_and_scores(toy: Any, execute: Any) -> None:
    _, place = execute("toyskill", "policy.fail=once", seeds=2)
    before = contents(place)
    found = replay(place, registry=toy.registry())
    assert found == {
        "episodes": 120,
        "equal": 120,
        "differences": [],
        "scores_equal": True,
        "score_differences": [],
    }
    assert contents(place) == before


def test_a_replay_notices_what_was_changed(toy: Any, execute: Any) -> None:
    _, place = execute("toybank")
    lines = (place / "episodes.jsonl").read_text().splitlines()
    first = json.loads(lines[0])
    first["steps"][0]["observation"] = "A painted room."
    (place / "episodes.jsonl").write_text("\n".join([json.dumps(first), *lines[1:]]) + "\n")
    result = json.loads((place / "result.json").read_text())
    result["scores"]["success"]["mean"] += 0.01
    (place / "result.json").write_text(json.dumps(result))
    found = replay(place, registry=toy.registry())
    (row,) = found["differences"]
    assert (row["task"], row["arm"]) == (first["task"]["id"], "method")
    assert row["what"].startswith("step 0: observation was 'A painted room.', now ")
    assert found["score_differences"] == ["scores"]


def test_a_run_without_recorded_answers_cannot_be_replayed(toy: Any, execute: Any) -> None:
    _, place = execute("base", "score.record=false")
    with pytest.raises(RunDirError, match="recorded no answers"):
        replay(place, registry=toy.registry())
