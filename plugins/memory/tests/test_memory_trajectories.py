"""Raw trajectories instead of skills: what is kept, what is shown, within which budget."""

from __future__ import annotations

import dataclasses

import pytest
from skillbench_memory.budget import estimate_tokens
from skillbench_memory.trajectories import Trajectories

from skillbench.errors import ConfigError, LeakError
from skillbench.records import Step


def played(kit, id, goal, actions, *, success=True, split="train", task_type=None):
    task = kit.task(id, goal, task_type or kit.PICK, split)
    steps = tuple(Step(f"You see thing {i}, and a long room.", a, a) for i, a in enumerate(actions))
    made = kit.episode(task, success)
    return dataclasses.replace(made, steps=steps, final_observation="You win.")


def filled(kit, *extra, **config):
    memory = Trajectories(config)
    memory.update(
        [
            played(kit, "t1", "put a mug in cabinet.", ["go to desk 1", "take mug 1 from desk 1"]),
            played(kit, "t2", "put a pen in drawer.", ["go to shelf 1", "take pen 1 from shelf 1"]),
            played(kit, "t3", "put a mug in drawer.", ["look"], success=False),
            played(kit, "t4", "heat some egg.", ["go to fridge 1"], task_type=kit.HEAT),
            *extra,
        ],
        None,
        step=2,
    )
    return memory


def test_keeps_solved_episodes_with_their_source(kit):
    memory = filled(kit)
    assert [s.source_tasks for s in memory.skills()] == [("t1",), ("t2",), ("t4",)]
    assert {s.source_split for s in memory.skills()} == {"train"}
    assert {s.step for s in memory.skills()} == {2}
    assert memory.skills()[0].principle.split("\n") == [
        "> go to desk 1",
        "You see thing 1, and a long room.",
        "> take mug 1 from desk 1",
        "You win.",
    ]


def test_shows_the_nearest_goal_of_the_task_type_first(kit):
    memory = filled(kit)
    shown = memory.context(kit.task("x", "put a pen in cabinet.", split="test"), (), 256)
    assert [s.split("\n")[0] for s in shown.text.split("\n\n")] == [
        "Example: put a pen in drawer.",
        "Example: put a mug in cabinet.",
    ]
    by_id = {s.id: s.source_tasks[0] for s in memory.skills()}
    assert [by_id[i] for i in shown.skill_ids] == ["t2", "t1"]
    assert "egg" not in shown.text
    assert not shown.truncated


def test_by_type_every_task_gets_the_same_ones(kit):
    memory = filled(kit, retrieval="type", k=1)
    for goal in ("put a pen in cabinet.", "put a mug in cabinet."):
        shown = memory.context(kit.task("x", goal, split="test"), (), 256)
        assert shown.text.startswith("Example: put a mug in cabinet.")


def test_budget_is_kept_by_shortening_observations_then_leaving_out(kit):
    memory = filled(kit)
    task = kit.task("x", "put a pen in cabinet.", split="test")
    seen = set()
    for budget in range(0, 120, 3):
        shown = memory.context(task, (), budget)
        assert estimate_tokens(len(shown.text.split())) <= budget or not shown.text
        assert shown.truncated == (len(shown.skill_ids) < 2)
        assert shown.text.count("> ") == 2 * len(shown.skill_ids)  # actions are never cut
        seen.add(len(shown.skill_ids))
    assert seen == {0, 1, 2}


def test_the_solution_of_the_very_task_is_not_shown(kit):
    shown = filled(kit).context(kit.task("t1", "put a mug in cabinet."), (), 256)
    assert "mug" not in shown.text and "pen" in shown.text


def test_the_shortest_solution_of_a_task_stays_and_types_are_bounded(kit):
    longer = played(kit, "t1", "put a mug in cabinet.", ["a 1", "b 1", "c 1"])
    shorter = played(kit, "t2", "put a pen in drawer.", ["take pen 1"])
    memory = filled(kit, longer, shorter, per_type=1)
    texts = {s.source_tasks[0]: s.principle for s in memory.skills()}
    assert set(texts) == {"t2", "t4"}
    assert texts["t2"].startswith("> take pen 1")


def test_observed_successes_join_at_the_next_update_also_after_a_reload(kit, tmp_path):
    memory = filled(kit)
    memory.observe(played(kit, "t9", "put a cup in sink.", ["go to sink 1"]))
    memory.observe(played(kit, "t8", "put a cup in sink.", ["go to sink 1"], success=False))
    before = memory.version
    memory.save(tmp_path)
    again = Trajectories()
    again.load(tmp_path)
    assert again.version == before
    assert again.skills() == memory.skills()
    update = again.update([], None, step=5)
    assert [again.entries[i].source_tasks for i in update.added] == [("t9",)]
    assert again.version != before


def test_writes_from_outside_train_and_after_freezing_are_leaks(kit):
    memory = filled(kit)
    with pytest.raises(LeakError):
        memory.observe(played(kit, "p", "put a mug.", ["go"], split="test"))
    with pytest.raises(LeakError):
        memory.update([played(kit, "p", "put a mug.", ["go"], split="test")], None)
    memory.freeze()
    with pytest.raises(LeakError):
        memory.update([], None)


def test_settings_are_checked():
    with pytest.raises(ConfigError, match="goal and type"):
        Trajectories({"retrieval": "luck"})
    with pytest.raises(ConfigError, match="did you mean 'per_type'"):
        Trajectories({"per_typ": 3})
    with pytest.raises(ConfigError, match="takes int"):
        Trajectories({"k": "many"})
