"""Two variants of stage grpo, run to their end in the tiny world and across kills: half of each
group without the memory (D2Skill), and a memory of principles that learns from every episode
(EvolveR).
"""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))
from methods_fakes import TinyContext, TinyTeacher

torch = pytest.importorskip("torch")

from skillbench_methods.grpo import Grpo  # noqa: E402

EVOLVE = {"enabled": True, "every": 1, "threshold": 0.9, "max_new": 2, "failures": 4, "prune": True}


def context(directory, memory=None, **changes):
    config = {"iterations": 3, "tasks": 3, "group": 4, "lr": 3e-3, "invalid_penalty": 0.1}
    made = TinyContext(
        directory, config | changes, teacher=TinyTeacher(), evolve=EVOLVE, memory=memory
    )
    made.phases = []
    play = made.rollout

    def rollout(tasks, **options):
        made.phases.append((options["phase"], len(tasks) * options["repeats"]))
        return play(tasks, **options)

    made.rollout = rollout
    return made


def state(made, checkpoint):
    curve = [
        {k: v for k, v in row.items() if not k.endswith("_s")}
        for row in checkpoint.metrics["curve"]
    ]
    flat = torch.cat([p.detach().flatten() for p in made.policy.model().parameters()])
    return flat, [s.id for s in made.memory.skills()], curve


def same(a, b):
    return torch.equal(a[0], b[0]) and a[1:] == b[1:]


@pytest.mark.parametrize("intrinsic", [0.0, 1.0])
def test_half_of_each_group_plays_without_the_memory(tmp_path, intrinsic):
    made = context(tmp_path, half=True, intrinsic=intrinsic)
    curve = Grpo().fit(made).metrics["curve"]
    assert made.phases == [("rl", 6), ("rl_bare", 6)] * 3
    assert made.memory.seen == 3 * 6  # it is told of its own half alone
    assert len(made.memory.skills()) > 0
    for row in curve:
        assert -1 <= row["memory_value"] <= 1
        assert row["memory_value_se"] >= 0
        assert row["rows"] <= 12
        assert row["n"] == 6  # the curve is that of the episodes with the memory


def test_a_kill_between_the_halves_costs_nothing(tmp_path):
    straight = context(tmp_path / "a", half=True)
    expected = state(straight, Grpo().fit(straight))
    for die_at in (1, 3):  # the second half of the first, of the second iteration
        killed = context(tmp_path / f"b{die_at}", half=True)
        killed.die_at = die_at
        with pytest.raises(KeyboardInterrupt):
            Grpo().fit(killed)
        resumed = context(tmp_path / f"b{die_at}", half=True)
        assert same(expected, state(resumed, Grpo().fit(resumed)))


def principles(**settings):
    memory = pytest.importorskip("skillbench_memory.principles")
    return memory.Principles({"share": 1.0, "clean_every": 1, **settings})


def test_principles_learn_from_every_episode_and_are_scored_by_use(tmp_path):
    made = context(tmp_path, principles(prune_below=0.0))
    checkpoint = Grpo().fit(made)
    assert len(checkpoint.metrics["curve"]) == 3
    assert made.memory.learns_from == "episodes"
    skills = made.memory.skills()
    assert {s.task_type for s in skills} == {"red", "blue", "green"}
    played = {t.id for t in made.environment.tasks("train")}
    assert all(set(s.source_tasks) <= played for s in skills)
    counts = made.memory.numbers
    assert all(0 <= counts[s.id]["s"] <= counts[s.id]["u"] for s in skills)
    assert sum(counts[s.id]["u"] for s in skills) > 3  # shown from the second iteration on
    strict = context(tmp_path / "strict", principles(prune_below=1.0))
    Grpo().fit(strict)
    assert strict.memory.skills() == []  # no score reaches 1


def test_a_killed_run_with_principles_goes_on_exactly(tmp_path):
    straight = context(tmp_path / "a", principles())
    expected = state(straight, Grpo().fit(straight))
    killed = context(tmp_path / "b", principles())
    killed.die_at = 2
    with pytest.raises(KeyboardInterrupt):
        Grpo().fit(killed)
    resumed = context(tmp_path / "b", principles())
    assert same(expected, state(resumed, Grpo().fit(resumed)))
    assert resumed.memory.numbers == straight.memory.numbers
