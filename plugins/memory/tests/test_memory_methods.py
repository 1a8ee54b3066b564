"""The memories of other methods, against examples worked out by hand."""

from __future__ import annotations

import dataclasses

import pytest
import skillbench_memory
from skillbench_memory.base import numbers_of
from skillbench_memory.budget import estimate_tokens
from skillbench_memory.items import Items
from skillbench_memory.memrl import MemRL, fit_constants, two_phase, z
from skillbench_memory.notes import ask, fit_lines
from skillbench_memory.principles import Principles
from skillbench_memory.reflections import Reflections
from skillbench_memory.rules import Rules
from skillbench_memory.skillfile import SkillFile

from skillbench.errors import LeakError
from skillbench.records import Skill, Step
from skillbench.registry import load_target


class Noter:
    """A teacher whose notes name their episode; `says` overrides the text of a purpose."""

    name = "noter"

    def __init__(self, **says):
        self.says, self.asked = says, []

    def note(self, purpose, episodes, skills=(), *, limit=0, step=0):
        self.asked.append((purpose, [e.task.id for e in episodes], [s.principle for s in skills]))
        text = self.says.get(purpose, f"{purpose} of {episodes[-1].task.id}")
        texts = [text] if isinstance(text, str) else list(text)
        meta = {"op": "add"} if purpose == "rules" else {}
        return [Skill(purpose, t, meta=meta) for t in texts][: limit or None]


def episode(kit, id, goal="put a mug in cabinet.", success=True, split="train", shown=()):
    made = kit.episode(kit.task(id, goal, split=split), success, shown)
    return dataclasses.replace(made, steps=(Step("a room", "go", "go to desk 1"),))


def test_lines_are_shown_once_and_whole_within_the_budget():
    a, b = Skill("a", "Open every door.\nClose it."), Skill("b", "Close it.\nGo home at once.")
    text, shown, cut = fit_lines([a, b], 100)
    assert text.splitlines() == ["- Open every door.", "- Close it.", "- Go home at once."]
    assert (shown, cut) == ([a, b], False)
    text, shown, cut = fit_lines([a, b], 10)
    assert text.splitlines() == ["- Open every door.", "- Close it."]
    assert estimate_tokens(len(text.split())) <= 10 and cut
    assert fit_lines([a], 3) == ("", [], True)


def test_a_teacher_with_the_contract_alone_serves_every_purpose(kit):
    teacher = kit.Teacher([kit.general("Open it.")], [kit.general("Close it.")])
    won, lost = episode(kit, "a"), episode(kit, "b", success=False)
    assert [s.principle for s in ask(teacher, "procedure", [won])] == ["Open it."]
    assert [s.principle for s in ask(teacher, "reflection", [lost])] == ["Close it."]
    assert [s.meta["op"] for s in ask(teacher, "rules", [won, lost])] == ["add"]
    assert ask(None, "items", [won]) == []


# ---------------------------------------------------------------------- MemRL


def test_memrl_value_moves_by_alpha_towards_the_outcome(kit):
    memory = MemRL({"alpha": 0.3})
    memory.update([episode(kit, "a")], Noter())
    (key,) = memory.entries
    assert memory.numbers[key] == {"q": 0.0, "used": 0}
    memory.observe(episode(kit, "b", success=True, shown=[key]))
    assert memory.numbers[key]["q"] == pytest.approx(0.3)  # 0 + 0.3 * (1 - 0)
    memory.observe(episode(kit, "c", success=False, shown=[key]))
    assert memory.numbers[key]["q"] == pytest.approx(-0.09)  # 0.3 + 0.3 * (-1 - 0.3)
    memory.observe(episode(kit, "d", success=False))  # was not shown it
    memory.observe(dataclasses.replace(episode(kit, "e", shown=[key]), outcome="invalid"))
    assert memory.numbers[key] == {"q": pytest.approx(-0.09), "used": 2}
    memory.close()


def test_memrl_two_phases_by_hand():
    similarity = {"a": 0.9, "b": 0.7, "c": 0.4}
    attached = {"a": ["m1", "m2"], "b": ["m3"], "c": ["m4"]}
    q = {"m1": 0.0, "m2": 1.0, "m3": -1.0, "m4": 5.0}
    constants = {"threshold": 0.5, "mean": 0.5, "std": 0.2}

    def found(**kw):
        options = {"constants": constants, "k1": 5, "k2": 3, "mix": 0.5, **kw}
        return two_phase(similarity, attached, q, **options)

    # z(similarity): a 2, b 1. z(Q) over m1..m3: 0, 1.22, -1.22. c is not near enough.
    # Scores: m1 1.0, m2 1.0 + 0.61, m3 0.5 - 0.61.
    assert found() == ["m2", "m1", "m3"]
    assert found(k2=1) == ["m2"]
    assert found(mix=0.0) == ["m1", "m2", "m3"]
    assert found(k1=1) == ["m2", "m1"]  # phase A keeps one intent
    q["m3"] = 9.0
    # Now z(Q): m1 -0.83, m2 -0.58, m3 1.41: the value beats the similarity.
    assert found() == ["m3", "m2", "m1"]
    assert found(constants={**constants, "threshold": 0.9}) == []  # strictly above
    assert (z(10.0, 0.0, 1.0), z(-10.0, 0.0, 1.0), z(1.0, 0.0, 0.0)) == (3.0, -3.0, 0.0)


def test_memrl_constants_are_fitted_to_the_intents():
    found = fit_constants([0.1, 0.2, 0.3, 0.4, 0.5])
    assert found["threshold"] == 0.4  # a fifth lies above it
    assert found["mean"] == pytest.approx(0.3)
    assert found["std"] == pytest.approx(0.02**0.5)


def test_memrl_builds_from_success_and_failure_and_retrieves_through_lancedb(kit):
    memory = MemRL({"threshold": 0.5, "k2": 2})
    teacher = Noter()
    memory.update(
        [
            episode(kit, "t1", "put a mug in cabinet."),
            episode(kit, "t2", "put a mug in cabinet.", success=False),
            episode(kit, "t3", "heat some egg and put it in fridge."),
        ],
        teacher,
    )
    assert [p for p, *_ in teacher.asked] == ["procedure", "reflection", "procedure"]
    assert {goal: len(keys) for goal, keys in memory.intents.items()} == {
        "put a mug in cabinet.": 2,
        "heat some egg and put it in fridge.": 1,
    }
    shown = memory.context(kit.task("p", "put a mug in drawer.", split="test"), (), 99)
    assert sorted(shown.text.splitlines()) == ["- procedure of t1", "- reflection of t2"]
    assert len(memory.store.ids()) == 2  # the intents lie in the table
    nothing = memory.context(kit.task("p", "wash towels", split="test"), (), 99)
    assert nothing.text == ""
    memory.close()


# ---------------------------------------------------------------------- ExpeL


def rule(text, op, parent=None):
    return Skill("Rule", text, meta={"op": op}, parent=parent, source_tasks=("t",))


def votes(memory):
    return {s.principle: memory.votes(s.id) for s in memory.entries.values()}


def test_expel_votes_by_hand():
    memory = Rules({"limit": 3})
    memory.apply([rule("Open doors.", "add"), rule("Take the key.", "add")])
    assert votes(memory) == {"Open doors.": 2, "Take the key.": 2}
    first, second = memory.entries
    memory.apply([rule("Open doors.", "agree", first), rule("Take any key.", "edit", second)])
    assert votes(memory) == {"Open doors.": 3, "Take any key.": 3}
    first, second = memory.entries
    memory.apply([rule("Open doors.", "remove", first)])
    assert votes(memory) == {"Open doors.": 2, "Take any key.": 3}
    memory.apply([rule("Go home.", "add")])  # now the list is full: remove costs three
    memory.apply([rule("Open doors.", "remove", first), rule("Take any key.", "remove", second)])
    assert votes(memory) == {"Go home.": 2}
    assert [e["event"] for e in memory.events].count("voted out") == 2


def test_expel_applies_remove_before_agree_and_add_of_a_known_rule_agrees():
    memory = Rules()
    memory.apply([rule("Open doors.", "add")])
    (key,) = memory.entries
    # 2 - 1 - 1: gone before it could be agreed with; then it is new again.
    memory.apply([rule("Open doors.", op, key) for op in ("agree", "remove", "remove")])
    assert votes(memory) == {}
    memory.apply([rule("Open doors.", "add")])
    memory.apply([rule("Open doors.", "add")])
    assert votes(memory) == {"Open doors.": 3}


def test_expel_takes_no_more_rules_than_limit_and_five_and_shows_those_with_most_votes(kit):
    memory = Rules({"limit": 2, "demos": 0})
    memory.apply([rule(f"Rule number {i}.", "add") for i in range(9)])
    assert len(memory.entries) == 7
    last = list(memory.entries)[-1]
    memory.apply([rule("Rule number 6.", "agree", last)])
    shown = memory.context(kit.task("p", split="test"), (), 99)
    assert shown.text.splitlines() == ["- Rule number 6.", "- Rule number 0."]


def test_expel_compares_pairs_and_chunks_and_shows_rules_then_demonstrations(kit):
    memory = Rules({"chunk": 2, "demos": 1})
    teacher = Noter(rules="Open doors.")
    won = [episode(kit, f"t{i}", f"put a mug in cabinet {i}.") for i in range(3)]
    memory.update([episode(kit, "t1", success=False), *won], teacher)
    assert [ids for _, ids, _ in teacher.asked] == [["t1", "t1"], ["t0", "t1"], ["t2"]]
    assert votes(memory) == {"Open doors.": 4}  # added with 2, agreed with twice
    shown = memory.context(kit.task("p", "put a mug in cabinet 2.", split="test"), (), 60)
    rules, demo = shown.text.split("\n\n")
    assert rules == "- Open doors."
    assert demo.splitlines() == ["Example: put a mug in cabinet 2.", "> go to desk 1"]
    assert len(memory.skills()) == 4  # what was learned from is known of the pool, too
    assert estimate_tokens(len(shown.text.split())) <= 60


# ---------------------------------------------------------------------- EvolveR


def test_evolver_scores_merges_and_prunes_by_hand(kit):
    memory = Principles({"share": 1.0})
    teacher = Noter(principle="Open every closed door at once.")
    memory.update([episode(kit, "t1")], teacher)
    (key,) = memory.entries
    assert memory.score(key) == 1 / 2  # nothing is known: (0 + 1) / (0 + 2)
    memory.update([episode(kit, "t2")], teacher)  # the same again, from a success: merged
    assert memory.numbers == {key: {"u": 1, "s": 1}}
    assert memory.score(key) == 2 / 3
    assert memory.entries[key].source_tasks == ("t1", "t2")
    nearly = Noter(principle="Open every closed door at once, always.")
    memory.update([episode(kit, "t3", success=False)], nearly)
    assert memory.numbers == {key: {"u": 2, "s": 1}}
    other = Noter(principle="Carry two mugs.")
    memory.update([episode(kit, "t4")], other)
    assert [memory.score(k) for k in memory.entries] == [2 / 4, 1 / 2]
    _, weak = memory.entries
    memory.observe(episode(kit, "t5", success=False, shown=[weak]))
    assert memory.score(weak) == pytest.approx(1 / 3)
    assert memory.prune(step=1).removed == ()  # 0.33 is not below 0.3
    memory.observe(episode(kit, "t6", success=False, shown=[weak]))
    assert memory.score(weak) == 1 / 4
    assert memory.prune(step=2).removed == (weak,)
    assert list(memory.entries) == [key]


def test_evolver_prunes_every_so_often_and_summarises_a_share(kit):
    memory = Principles({"share": 0.25, "clean_every": 10})
    teacher = Noter()
    memory.update([episode(kit, f"t{i}") for i in range(400)], teacher)
    assert 60 < len(teacher.asked) < 140
    for key in list(memory.entries)[:1]:
        for _ in range(3):
            memory.observe(episode(kit, "x", success=False, shown=[key]))
    assert memory.prune(step=9).removed == ()
    assert len(memory.prune(step=10).removed) == 1


def test_evolver_shows_the_nearest_principles(kit):
    memory = Principles({"share": 1.0, "k": 1})
    for id, text in (("t1", "Wash a towel in the sink."), ("t2", "A mug fits into a cabinet.")):
        memory.update([episode(kit, id)], Noter(principle=text))
    shown = memory.context(kit.task("p", "put a mug in cabinet.", split="test"), (), 99)
    assert shown.text == "- A mug fits into a cabinet."


# ---------------------------------------------------------------------- Reflexion


def test_reflexion_shows_the_last_three_of_this_task_newest_first(kit):
    memory = Reflections()
    for i in range(4):
        lost = episode(kit, "t1", success=False)
        memory.reflect([lost, episode(kit, "t2")], Noter(reflection=f"Plan {i}."), step=i)
    shown = memory.context(kit.task("t1"), (), 99)
    assert shown.text.splitlines() == ["- Plan 3.", "- Plan 2.", "- Plan 1."]
    assert memory.context(kit.task("t2"), (), 99).text == ""  # solved: nothing was written
    assert memory.context(kit.task("t1", split="test"), (), 99).text == ""
    assert [s.source_tasks for s in memory.skills()] == [("t1",)] * 4


def test_reflexion_knows_the_earlier_plans_when_it_writes_the_next(kit):
    memory, teacher = Reflections(), Noter()
    for _ in range(2):
        memory.reflect([episode(kit, "t1", success=False)], teacher)
    assert teacher.asked[1] == ("reflection", ["t1"], ["reflection of t1"])


def test_reflections_on_panel_tasks_are_a_draft_that_is_never_an_entry(kit, tmp_path):
    memory = Reflections()
    memory.freeze()
    lost = episode(kit, "p1", success=False, split="test")
    memory.reflect([lost], Noter())
    assert memory.context(lost.task, (), 99).text == "- reflection of p1"
    assert memory.skills() == []
    memory.save(tmp_path)
    again = Reflections()
    again.load(tmp_path)
    assert again.context(lost.task, (), 99).text == ""
    with pytest.raises(LeakError):
        memory.reflect([episode(kit, "t1", success=False)], Noter())


# ---------------------------------------------------------------------- items, skill file


def test_items_of_the_single_most_similar_past_task(kit):
    memory = Items()
    teacher = Noter(items=["First lesson.", "Second lesson.", "Third.", "Fourth."])
    memory.update([episode(kit, "t1", "put a mug in cabinet.")], teacher)
    memory.update([episode(kit, "t2", "heat some egg.", success=False)], Noter(items="Heat it."))
    near = memory.context(kit.task("p", "put a mug in drawer.", split="test"), (), 99)
    assert near.text.splitlines() == ["- First lesson.", "- Second lesson.", "- Third."]
    assert memory.context(kit.task("p", "heat some egg", split="test"), (), 99).text == "- Heat it."
    assert memory.context(kit.task("t2", "heat some egg."), (), 99).text != "- Heat it."


def test_skill_file_is_written_once_and_shown_from_the_top(kit):
    memory, teacher = SkillFile(), Noter(file="Line one is here.\nLine two.\nLine three.")
    memory.update([episode(kit, "t1"), episode(kit, "t2", success=False)], teacher)
    memory.update([episode(kit, "t3")], teacher)
    assert [ids for _, ids, _ in teacher.asked] == [["t1", "t2"]]
    (file,) = memory.skills()
    assert file.source_tasks == ("t1", "t2")
    shown = memory.context(kit.task("p", split="test"), (), 11)
    assert shown.text.splitlines() == ["- Line one is here.", "- Line two."]
    assert shown.truncated


# ---------------------------------------------------------------------- all of them


@pytest.mark.parametrize("name", list(skillbench_memory.OTHERS))
def test_every_memory_keeps_its_state_its_sources_and_the_rules(kit, tmp_path, name):
    target, settings = skillbench_memory.OTHERS[name]
    made = load_target(target)
    memory = made({"name": name, **numbers_of(settings)})
    won, lost = episode(kit, "t1"), episode(kit, "t2", "put a pen in drawer.", success=False)
    if hasattr(memory, "reflect"):
        memory.reflect([lost], Noter())
    memory.observe(won)
    memory.update([won, lost, *(episode(kit, f"u{i}") for i in range(9))], Noter(), step=1)
    assert memory.skills(), "it learned nothing"
    assert all(s.source_tasks and s.source_split == "train" for s in memory.skills())
    memory.save(tmp_path)
    again = made({})
    again.load(tmp_path)
    assert again.version == memory.version
    assert again.skills() == memory.skills()
    for goal in ("put a mug in cabinet.", "put a pen in drawer."):
        task = kit.task("p", goal, split="test")
        assert again.context(task, (), 99).text == memory.context(task, (), 99).text
        assert memory.context(task, (), 0).text == ""
    leak = episode(kit, "p", split="test")
    for write in (memory.observe, lambda e: memory.update([e], Noter())):
        with pytest.raises(LeakError):
            write(leak)
    memory.freeze()
    with pytest.raises(LeakError):
        memory.update([won], Noter())
    memory.close()
