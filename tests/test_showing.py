"""Skills shown by chance: what is recorded, and that the estimate finds what was put in."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from skillbench import showing
from skillbench.attribution import leave_one_out, shown_effects, verdict
from skillbench.errors import ConfigError, PluginError
from skillbench.records import Context, Skill, Task
from skillbench.replaying import replay


def lines_of(place: Path) -> list[dict[str, Any]]:
    return [json.loads(x) for x in (place / "episodes.jsonl").read_text().splitlines()]


def test_chance_shows_half_and_says_what_it_left_out(toy: Any, execute: Any) -> None:
    result, place = execute("toybank", "score.show=0.5", seeds=3)
    _, plain = execute("toybank", name="plain", seeds=3)
    lines, usual = (
        sorted(lines_of(x), key=lambda e: (e["seed"], e["task"]["id"])) for x in (place, plain)
    )
    ours = [e for e in lines if e["arm"] == "method"]
    bare = [[e | {"wall_s": 0} for e in x if e["arm"] == "baseline"] for x in (lines, usual)]
    assert bare[0] == bare[1]  # the baseline is not touched
    for e, whole in zip(ours, (e for e in usual if e["arm"] == "method")):
        assert (e["seed"], e["task"]) == (whole["seed"], whole["task"])
        assert e["skill_ids"] + e["withheld"] == whole["skill_ids"]
        assert len(e["system"]) < len(whole["system"]) or not e["withheld"]
        assert "withheld" not in whole
    shown = sum(bool(e["skill_ids"]) for e in ours)
    assert 0.35 < shown / len(ours) < 0.65
    assert result["skills"]["show"] == 0.5
    # Another seed draws anew: not every task is on the same side for all of them.
    sides: dict[str, set[bool]] = {}
    for e in ours:
        sides.setdefault(e["task"]["id"], set()).add(bool(e["withheld"]))
    assert sum(len(side) == 2 for side in sides.values()) > 10
    found = replay(place, registry=toy.registry())
    assert (found["equal"], found["scores_equal"]) == (found["episodes"], True)


def test_the_toy_s_skills_help_by_themselves(toy: Any, execute: Any) -> None:
    _, place = execute("toybank", "score.show=0.5", seeds=8)
    rows = shown_effects(lines_of(place), share=0.5)
    assert {row["withheld"] for row in rows} & set(range(20, 80))
    assert [verdict(row["chance"]) for row in rows] == ["helps"] * 3
    (row,) = leave_one_out(place, [rows[0]["id"]], registry=toy.registry(), limit=10)
    assert row["worth"]["mean"] > 0  # where it was shown; what chance left out stays left out


def line(task: int, won: float, shown: str, left: str, kind: str = "x", arm: str = "method"):
    out = {
        "arm": arm,
        "seed": 0,
        "task": {"id": f"t{task}", "task_type": kind},
        "outcome": "success" if won else "failure",
        "success": bool(won),
        "skill_ids": list(shown),
    }
    return out | ({"withheld": list(left)} if arm == "method" else {})


def test_one_skill_is_a_difference_of_means() -> None:
    # 6 of 8 where it was shown, 3 of 12 where it was left out; 5 tasks it was not picked for.
    lines = [line(i, i < 6, "a", "") for i in range(8)]
    lines += [line(20 + i, i < 3, "", "a") for i in range(12)]
    (row,) = showing.effects(lines, 0.5)
    assert (row["shown"], row["withheld"]) == (8, 12)
    assert row["effect"]["mean"] == pytest.approx(6 / 8 - 3 / 12)
    # The textbook's standard error of a difference with unequal variances, in its CR1 form.
    sandwich = (6 * 0.25**2 + 2 * 0.75**2) / 8**2 + (3 * 0.75**2 + 9 * 0.25**2) / 12**2
    low, high = row["effect"]["ci95"]
    assert (high - low) / 2 == pytest.approx(2.10092 * (sandwich * 20 / 18) ** 0.5, rel=1e-4)


def test_estimates_are_within_a_task_type() -> None:
    # A type of easy tasks that shows the skill mostly, and one of hard tasks that leaves it out
    # mostly: it does nothing, though success where it was shown is far higher.
    lines = [line(i, 1, "a", "", "easy") for i in range(12)]
    lines += [line(20 + i, 1, "", "a", "easy") for i in range(4)]
    lines += [line(40 + i, 0, "", "a", "hard") for i in range(12)]
    lines += [line(60 + i, 0, "a", "", "hard") for i in range(4)]
    (row,) = showing.effects(lines, 0.5)
    assert row["effect"]["mean"] == pytest.approx(0.0, abs=1e-9)


def test_too_few_or_inseparable_episodes_give_no_number() -> None:
    few = [line(i, i % 2, "a" if i % 3 else "", "" if i % 3 else "a") for i in range(8)]
    assert showing.effects(few, 0.5)[0]["effect"]["mean"] is None
    twins = [line(i, i % 3 == 0, *(("ab", "") if i % 2 else ("", "ab"))) for i in range(60)]
    assert [row["effect"]["mean"] for row in showing.effects(twins, 0.5)] == [None, None]
    assert showing.effects([], 0.5) == []
    assert verdict(None) == verdict({"mean": None}) == "-"


def test_intervals_hold_the_truth() -> None:
    """200 runs of 120 tasks with four skills whose effects are known."""
    rng = np.random.default_rng(7)
    truth = {"a": 0.25, "b": 0.0, "c": -0.2, "d": 0.0}
    held = dict.fromkeys(truth, 0)
    runs = 200
    for _ in range(runs):
        lines = []
        for task in range(120):
            ease = 0.25 + 0.2 * rng.random()
            lines.append(line(task, rng.random() < ease, "", "", arm="baseline"))
            shown = {k for k in truth if rng.random() < 0.5}
            chance = ease + 0.2 + sum(truth[k] for k in shown)
            left = "".join(sorted(truth.keys() - shown))
            lines.append(line(task, rng.random() < chance, "".join(sorted(shown)), left))
        for row in showing.effects(lines, 0.5):
            low, high = row["effect"]["ci95"]
            held[row["id"]] += low <= truth[row["id"]] <= high
    for key, count in held.items():
        assert 0.91 <= count / runs <= 0.99, key


def test_what_cannot_be_left_out_is_refused() -> None:
    skill = Skill("a", "go left")

    class Placebo:
        def __init__(self, listed: list[Skill]) -> None:
            self.listed = listed

        def context(self, task: Task, history: Any, budget: int) -> Context:
            return Context("- something else", (skill.id,))

        def skills(self) -> list[Skill]:
            return self.listed

    tasks = [Task(f"t{i}", "e", "test", "x", "g") for i in range(20)]
    for listed, said in (([skill], "lines of its own"), ([], "does not list it")):
        memory = showing.ByChance(Placebo(listed), 0.5, 0)
        with pytest.raises(PluginError, match=said):
            [memory.context(task) for task in tasks]


@pytest.mark.parametrize(
    ("sets", "said"),
    [
        (("score.show=1.5",), "between 0 and 1"),
        (("score.show=true",), "between 0 and 1"),
        (("score.show=half",), "between 0 and 1"),
        (("score.show=0.5", "score.attempts=2"), "do not go together"),
    ],
)
def test_mistakes_in_the_setting_are_named(toy: Any, sets: tuple[str, ...], said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        toy.config("toybank", *sets)


def test_the_setting_leaves_other_configurations_as_they_were(toy: Any) -> None:
    config = toy.config("toybank")
    assert "show" not in config.to_toml()  # a run that began before the key goes on
    assert toy.config("toybank", "score.show=0.5").digest != config.digest
