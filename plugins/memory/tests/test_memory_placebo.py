"""Placebos learn like the bank; only what they show differs."""

from __future__ import annotations

import pytest
import skillbench_memory
from skillbench_memory.none import NoMemory
from skillbench_memory.placebo import Filler, Frozen, Shuffled, filler
from skillbench_memory.retrieval import words
from skillbench_memory.skillbank import SkillBank

from skillbench.errors import ConfigError, LeakError
from skillbench.registry import load_target


def test_filler_has_as_many_lines_and_words_and_none_of_the_content(kit, filled):
    real, placebo = filled(SkillBank), filled(Filler)
    for task_type in (kit.PICK, kit.HEAT):
        for budget in (30, 256):
            a = real.context(kit.task(task_type=task_type), (), budget)
            b = placebo.context(kit.task(task_type=task_type), (), budget)
            assert [len(x.split()) for x in a.text.splitlines()] == [
                len(x.split()) for x in b.text.splitlines()
            ]
            assert a.truncated == b.truncated
            assert not set(a.skill_ids) & set(b.skill_ids)
    content = {"search", "open", "place", "pick", "closed", "warm", "carry"}
    assert not content & words(placebo.context(kit.task(), (), 256).text)
    assert placebo.skills() == real.skills()
    assert placebo.version == real.version


@pytest.mark.parametrize("n", [1, 2, 3, 7, 8, 9, 10, 15, 40])
def test_filler_sentences_of_any_length(n):
    sentence = " ".join(["Word"] * n) + "."
    out = filler(sentence, seed="x")
    assert len(out.split()) == n
    assert out == filler(sentence, seed="x")
    assert out[0].isupper()
    assert out.endswith(".")
    assert filler(sentence.lower().rstrip("."), seed="x")[0].islower()


def test_shuffled_shows_another_types_skills_and_a_different_one_for_each_type(kit, filled):
    memory = filled(Shuffled)
    donors = {}
    by_id = {s.id: s for s in memory.skills()}
    for task_type in (kit.PICK, kit.HEAT, kit.CLEAN):
        task = kit.task(task_type=task_type, goal="put a spoon on shelf.")
        context = memory.context(task, (), 256)
        shown = [by_id[i] for i in context.skill_ids]
        assert {s.kind for s in shown} == {"task_type"}
        assert task_type not in {s.task_type for s in shown}
        assert len(shown) == 4  # the bank has four skills of other types, for five lines
        assert context == memory.context(task, (), 256)
        donors[task_type] = memory._distance(task_type)
    nearest = [next(t for t, d in away.items() if d == 1) for away in donors.values()]
    assert sorted(nearest) == sorted(donors)


def test_shuffled_leaves_out_what_names_a_word_of_the_goal(kit, filled):
    skills = [
        kit.general("Be quick."),
        kit.typed("A mug is often in the cabinet.", kit.HEAT),
        kit.typed("A towel hangs near the bath.", kit.HEAT),
    ]
    memory = filled(Shuffled, skills)
    assert "towel" in memory.context(kit.task(), (), 256).text
    assert "mug" not in memory.context(kit.task(), (), 256).text


def test_shuffled_keeps_the_budget(kit, filled):
    skills = [kit.general("Be quick."), kit.typed("word " * 40, kit.HEAT)]
    assert filled(Shuffled, skills).context(kit.task(), (), 20).text == ""


def test_frozen_keeps_the_first_bank(kit, filled, tmp_path):
    memory = filled(Frozen)
    before = memory.skills()
    teacher = kit.Teacher(new=[kit.general("Something new.")])
    assert memory.update([kit.episode(kit.task(), False)], teacher).added == ()
    assert teacher.calls == []
    assert memory.prune().removed == ()
    assert memory.skills() == before
    with pytest.raises(LeakError):
        memory.update([kit.episode(kit.task(split="seen"))], teacher)
    memory.save(tmp_path)
    imported = Frozen({"import_path": str(tmp_path)})
    assert imported.update([kit.episode(kit.task())], teacher).added == ()
    assert imported.skills() == before


def test_none_shows_and_learns_nothing(kit, tmp_path):
    memory = NoMemory({"name": "none"})
    assert memory.context(kit.task(), (), 256).text == ""
    assert memory.update([kit.episode(kit.task())], kit.Teacher()).added == ()
    with pytest.raises(LeakError):
        memory.observe(kit.episode(kit.task(split="unseen")))
    memory.save(tmp_path)
    memory.load(tmp_path)
    assert SkillBank({"import_path": str(tmp_path)}).version == memory.version
    with pytest.raises(ConfigError):
        NoMemory({"top_k": 3})


def test_everything_is_registered_and_loads(kit):
    registered = {}
    skillbench_memory.skillbench_register_memories(
        lambda name, target, *, defaults=None: registered.update({name: (target, defaults)})
    )
    assert set(registered) == {"none", *skillbench_memory.MEMORIES, *skillbench_memory.OTHERS}
    for name, (target, defaults) in registered.items():
        memory = load_target(target)({"name": name, **defaults}, teacher_spend=None)
        assert memory.name == name
        memory.freeze()
        with pytest.raises(LeakError):
            memory.update([], None)
        memory.close()
