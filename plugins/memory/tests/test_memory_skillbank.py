"""The skill bank: what it shows, how it learns, what it refuses."""

from __future__ import annotations

import dataclasses

import pytest
from skillbench_memory.budget import estimate_tokens
from skillbench_memory.skillbank import SkillBank

from skillbench.errors import ConfigError, DataError, LeakError


def principles(memory, context):
    by_id = {s.id: s for s in memory.skills()}
    return [by_id[i].principle for i in context.skill_ids]


def test_empty_bank_and_no_budget_show_nothing(kit, filled):
    assert SkillBank().context(kit.task(), (), 256).text == ""
    assert filled(SkillBank).context(kit.task(), (), 0).skill_ids == ()


def test_context_is_one_line_per_skill_general_then_type_then_mistakes(kit, filled):
    memory = filled(SkillBank)
    context = memory.context(kit.task(task_type=kit.HEAT), (), 256)
    assert context.text.splitlines() == [f"- {p}" for p in principles(memory, context)]
    assert [p.split()[0] for p in principles(memory, context)] == [
        "Search", "Open", "To", "After", "Do",
    ]  # fmt: skip
    assert "warm" in context.text
    assert "wash" not in context.text
    assert not context.truncated


def test_budget_is_kept_skills_stay_whole_and_every_section_is_heard(kit, filled):
    memory = filled(SkillBank)
    for budget in range(1, 90, 7):
        context = memory.context(kit.task(), (), budget)
        assert estimate_tokens(len(context.text.split())) <= budget
        assert context.text.splitlines() == [f"- {p}" for p in principles(memory, context)]
        assert context.truncated == (len(context.skill_ids) < 5)
    kinds = [i[0] for i in memory.context(kit.task(), (), 50).skill_ids]
    assert kinds == ["g", "t", "m"]


def test_top_k_limits_each_section_and_zero_means_all(kit, filled):
    skills = [kit.general(f"Advice number {i} of many.") for i in range(9)]
    assert len(filled(SkillBank, skills).context(kit.task(), (), 999).skill_ids) == 6
    assert len(filled(SkillBank, skills, top_k=2).context(kit.task(), (), 999).skill_ids) == 2
    assert len(filled(SkillBank, skills, top_k=0).context(kit.task(), (), 999).skill_ids) == 9


def test_first_update_distills_later_ones_refine_from_failures_only(kit, filled):
    memory = SkillBank()
    teacher = kit.Teacher([kit.general("Open every door.")], [kit.general("Close the fridge.")])
    won, lost = kit.episode(kit.task("a")), kit.episode(kit.task("b"), success=False)
    broken = kit.episode(kit.task("c"), outcome="invalid")
    first = memory.update([won, lost, broken], teacher, step=3)
    assert teacher.calls[0] == ("distill", [won, lost], 3)
    assert first.added == tuple(s.id for s in memory.skills())
    assert memory.skills()[0].source_tasks == ("a", "b")
    assert memory.skills()[0].step == 3
    assert memory.update([won], teacher).added == ()
    second = memory.update([won, lost, broken], teacher, step=5, max_new=2)
    assert teacher.calls[1:] == [("refine", [lost], 2)]
    assert [s.principle for s in memory.skills()] == ["Open every door.", "Close the fridge."]
    assert len(second.added) == 1
    memory.close()


def test_refined_skill_takes_its_parents_place(kit, filled):
    memory = filled(SkillBank)
    old = memory.skills()[0]
    better = kit.general("Search every place once, drawers too, one by one.", parent=old.id)
    before = memory.version
    update = memory.update(
        [kit.episode(kit.task(), success=False)], kit.Teacher(refined=[better]), step=2
    )
    assert (update.changed, update.removed, update.added) == ((better.id,), (old.id,), ())
    assert memory.skills()[0].id == better.id
    assert memory.skills()[0].parent == old.id
    assert memory.version != before


def test_near_duplicates_are_refused_without_a_model(kit, filled):
    memory = filled(SkillBank)
    same = kit.general("Open a closed place, before you leave it!")
    other = kit.general("Open a closed drawer before you search it.")
    failure = kit.episode(kit.task(), success=False)
    reverse = kit.general("Before you leave it open a closed place.")
    update = memory.update([failure], kit.Teacher(new=[same, other, reverse]))
    assert update.added == (other.id, reverse.id)
    assert memory._entries.events[-3]["event"] == "duplicate"


def test_max_new_and_max_skills_bound_growth(kit, filled):
    memory = filled(SkillBank, max_skills=10)
    failure = kit.episode(kit.task(), success=False)
    many = [kit.general(f"New advice {n}") for n in "abcdef"]
    update = memory.update([failure], kit.Teacher(new=many), max_new=3)
    assert len(update.added) == 3
    assert len(update.removed) == 2
    assert len(memory.skills()) == 10
    assert {s.id for s in many[:3]} <= {s.id for s in memory.skills()}


def test_only_train_episodes_and_train_skills(kit, filled):
    memory = filled(SkillBank)
    outside = kit.episode(kit.task(split="valid_seen"), success=False)
    with pytest.raises(LeakError, match="valid_seen"):
        memory.update([outside], kit.Teacher())
    with pytest.raises(LeakError, match="train"):
        memory.observe(outside)
    leaked = kit.general("From the test set.", source_split="test")
    with pytest.raises(LeakError, match="test"):
        memory.update([kit.episode(kit.task(), False)], kit.Teacher(new=[leaked]))
    assert leaked.id not in {s.id for s in memory.skills()}


def test_frozen_memory_shows_and_refuses_to_learn(kit, filled):
    memory = filled(SkillBank)
    memory.freeze()
    assert memory.context(kit.task(), (), 256).text
    for write in (
        lambda: memory.observe(kit.episode(kit.task())),
        lambda: memory.update([kit.episode(kit.task())], kit.Teacher()),
        lambda: memory.update([], None),
        memory.prune,
    ):
        with pytest.raises(LeakError, match="frozen"):
            write()


def test_snapshot_round_trip_is_stable_text(kit, filled, tmp_path):
    memory = filled(SkillBank, holdout=0.5)
    for i in range(20):
        task = kit.task(f"t{i}")
        shown = memory.context(task, (), 256).skill_ids
        memory.observe(kit.episode(task, i % 2 == 0, shown, memory.version))
    memory.update([kit.episode(kit.task(), False)], kit.Teacher())
    memory.save(tmp_path / "a")
    other = SkillBank({"holdout": 0.5})
    other.load(tmp_path / "a")
    other.save(tmp_path / "b")
    for name in ("skills.json", "stats.json"):
        assert (tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes()
    assert other.skills() == memory.skills()
    assert other.version == memory.version
    task = kit.task("another", task_type=kit.CLEAN)
    assert other.context(task, (), 60) == memory.context(task, (), 60)
    assert sorted(p.name for p in (tmp_path / "a").iterdir()) == ["skills.json", "stats.json"]


def test_import_of_a_snapshot_keeps_provenance_and_refuses_other_splits(kit, filled, tmp_path):
    memory = filled(SkillBank)
    memory.save(tmp_path / "bank")
    again = SkillBank({"import_path": str(tmp_path / "bank" / "skills.json")})
    assert again.skills() == memory.skills()
    memory.save(tmp_path / "leaky")
    path = tmp_path / "leaky" / "skills.json"
    path.write_text(path.read_text().replace('"source_split": "train"', '"source_split": "test"'))
    with pytest.raises(LeakError, match="test"):
        SkillBank({"import_path": str(tmp_path / "leaky")})


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"general_skills": [{"title": 3}]}', "\udcff"])
def test_corrupt_banks_are_named(tmp_path, text):
    path = tmp_path / "bank.json"
    path.write_bytes(text.encode("utf-8", "surrogateescape"))
    with pytest.raises(DataError, match=r"bank\.json"):
        SkillBank({"import_path": str(path)})
    with pytest.raises(DataError, match=r"nowhere\.json"):
        SkillBank({"import_path": str(tmp_path / "nowhere.json")})


def test_settings_are_checked():
    with pytest.raises(ConfigError, match="did you mean 'top_k'"):
        SkillBank({"topk": 3})
    with pytest.raises(ConfigError, match="did you mean 'template'"):
        SkillBank({"retrieval": "templat"})
    for bad in ({"top_k": -1}, {"top_k": "6"}, {"threshold": 2}, {"top_k": True}):
        with pytest.raises(ConfigError):
            SkillBank(bad)
    assert SkillBank({"name": "skillbank", "threshold": 1}).settings.threshold == 1.0


def test_order_changes_at_updates_only(kit, filled):
    memory = filled(SkillBank, holdout=0.4)
    first = memory.skills()[0].id
    frozen_view = dataclasses.replace(kit.task(), split="unseen")
    before = memory.context(frozen_view, (), 256).skill_ids
    assert before[0] == first
    for i in range(60):
        task = kit.task(f"t{i}")
        shown = memory.context(task, (), 256).skill_ids
        memory.observe(kit.episode(task, first not in shown, shown))
    assert memory.context(frozen_view, (), 256).skill_ids == before
    memory.update([], kit.Teacher())
    assert memory.context(frozen_view, (), 256).skill_ids[0] != first


def test_context_by_type_needs_no_search_and_stays_fast(kit, filled):
    skills = [
        kit.typed(f"Advice {i} for this kind of work, and no other.", kit.PICK) for i in range(64)
    ]
    memory = filled(SkillBank, skills)
    memory._store = None  # any use of LanceDB would raise
    for i in range(200):
        memory.context(kit.task(f"t{i}", goal=f"goal {i}"), (), 256)
    memory._store = SkillBank()._store
