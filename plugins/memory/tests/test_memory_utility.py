"""Utility: measured against held-out tasks, pruned only on evidence."""

from __future__ import annotations

import random

from skillbench_memory.skillbank import SkillBank
from skillbench_memory.utility import Tally, held_out


def test_holdout_is_a_stable_share_of_train_tasks_while_learning(kit, filled):
    memory = filled(SkillBank, holdout=0.25)
    one = memory.skills()[0].id
    tasks = [kit.task(f"t{i}") for i in range(400)]
    missing = [t for t in tasks if one not in memory.context(t, (), 256).skill_ids]
    assert 60 <= len(missing) <= 140
    assert missing == [t for t in tasks if held_out(t.id, one, 0.25)]
    assert all(
        one in memory.context(kit.task(f"t{i}", split="seen"), (), 256).skill_ids for i in range(99)
    )
    memory.freeze()
    assert all(one in memory.context(t, (), 256).skill_ids for t in tasks)


def test_effect_compares_within_task_types():
    # A type that always succeeds sees the skill often; one that never does, seldom: no effect.
    tally = Tally()
    for task_type, success, shown, hidden in (("easy", True, 40, 10), ("hard", False, 10, 40)):
        for n, is_shown in ((shown, True), (hidden, False)):
            for _ in range(n):
                tally.note(task_type, shown=is_shown, success=success)
    assert tally.effect().difference == 0
    assert not tally.harmful(min_shown=20, margin=0.1)
    assert Tally.from_json(tally.to_json()).by_type == tally.by_type


def test_prune_needs_margin_numbers_and_significance():
    def tally(shown, shown_success, hidden, hidden_success):
        t = Tally()
        for n, good, is_shown in ((shown, shown_success, True), (hidden, hidden_success, False)):
            for i in range(n):
                t.note("x", shown=is_shown, success=i < good)
        return t

    rule = {"min_shown": 20, "margin": 0.1}
    assert tally(40, 4, 20, 14).harmful(**rule)
    assert not tally(19, 0, 20, 20).harmful(**rule)  # shown too seldom
    assert not tally(400, 190, 400, 220).harmful(**rule)  # real, but within the margin
    assert not tally(30, 14, 3, 2).harmful(**rule)  # worse, and well within chance
    assert not tally(60, 0, 0, 0).harmful(**rule)  # nothing to compare with
    assert not tally(40, 30, 20, 5).harmful(**rule)  # useful


def test_a_harmful_skill_is_found_and_dropped_and_good_ones_stay(kit, filled):
    memory = filled(SkillBank, holdout=0.3)
    bad = memory.skills()[1].id
    rng = random.Random(7)
    for i in range(400):
        task = kit.task(f"t{i}", task_type=(kit.PICK, kit.HEAT, kit.CLEAN)[i % 3])
        shown = memory.context(task, (), 256).skill_ids
        success = rng.random() < (0.2 if bad in shown else 0.7)
        memory.observe(kit.episode(task, success, shown, memory.version))
    update = memory.prune(step=4)
    assert update.removed == (bad,)
    assert len(memory.skills()) == 8
    assert memory._entries.events[-1]["event"] == "pruned"
    assert memory._entries.events[-1]["effect"] < -0.3
    assert memory.prune(step=5).removed == ()


def test_no_effect_is_seldom_taken_for_harm(kit, filled):
    removed = 0
    for seed in range(20):
        memory = filled(SkillBank, holdout=0.1)
        rng = random.Random(seed)
        for i in range(200):
            task = kit.task(f"s{seed}-t{i}")
            shown = memory.context(task, (), 256).skill_ids
            memory.observe(kit.episode(task, rng.random() < 0.5, shown))
        removed += len(memory.prune().removed)
    assert removed <= 4  # of 100 skills; an exact test would take one


def test_other_banks_and_broken_episodes_count_for_nothing(kit, filled):
    memory = filled(SkillBank)
    before = memory.utilities()
    memory.observe(kit.episode(kit.task(), shown=(), version="another"))
    memory.observe(kit.episode(kit.task(), outcome="invalid", version=memory.version))
    memory.observe(kit.episode(kit.task(), shown=()))  # played without any memory
    assert memory.utilities() == before
    memory.observe(kit.episode(kit.task(), version=memory.version))
    assert memory.utilities() != before
