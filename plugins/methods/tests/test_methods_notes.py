"""What teachers write for the memories of other methods, and the stage that asks for it."""

from __future__ import annotations

import asyncio
import json
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

sys.path.insert(0, str(Path(__file__).parent))
from methods_fakes import TinyContext, TinyGame

pytest.importorskip("torch")

from skillbench_methods import checkpoints
from skillbench_methods.evolve import Evolution
from skillbench_methods.practice import DEFAULTS, Expert, Practice
from skillbench_methods.teachers import llm_notes
from skillbench_methods.teachers.causal import Causal
from skillbench_methods.teachers.llm import OpenAI

from skillbench.errors import LeakError, TeacherError, UsageError
from skillbench.records import Episode, Request, Skill, Step, Task


class Words:
    """Ways of acting "neat" and "quick"; sightings "lay" of a thing at a place."""

    def __init__(self, facts):
        self.facts = facts

    def parse(self, action):
        return None

    kind = parse

    def evidence(self, episode):
        return self.facts[episode.task.id, episode.success]

    def phrase(self, key, slots):
        if key == "lay":
            text = f"Look for a {slots['o']} in the {slots['a']}."
        else:
            text = f"Be {key}."
        return {"title": key, "principle": text, "kind": "general"}


def causal(facts):
    words = Words(facts)
    return Causal(environment=SimpleNamespace(causal=lambda: words))


def episode(id, success=True, goal="put a mug on the desk", actions=("go to desk 1",)):
    task = Task(id, "house", "train", "put", goal)
    steps = tuple(Step("o", "r", a) for a in actions)
    return Episode(task, 0, "success" if success else "failure", success, steps)


FACTS = {
    ("a", True): [
        ("neat", True, {}),
        ("quick", False, {}),
        ("lay", True, {"o": "mug", "a": "box"}),
    ],
    ("a", False): [
        ("neat", False, {}),
        ("quick", True, {}),
        ("lay", True, {"o": "pen", "a": "bag"}),
    ],
    ("b", True): [("neat", True, {}), ("lay", True, {"o": "mug", "a": "box"})],
}


def text(skills):
    return [s.principle for s in skills]


def test_a_reflection_names_what_was_broken_and_a_procedure_what_was_kept():
    teacher = causal(FACTS)
    (lost,) = teacher.note("reflection", [episode("a", False)])
    assert lost.principle.split("\n") == ["Be neat.", "Look for a pen in the bag."]
    (won,) = teacher.note("procedure", [episode("a")])
    assert won.principle.split("\n") == ["Be neat.", "Look for a mug in the box."]
    assert (won.source_tasks, won.author) == (("a",), "causal")


def test_sightings_of_what_the_goal_names_are_told_alone():
    many = [("lay", True, {"o": o, "a": "box"}) for o in ("pen", "cup", "mug", "pot")]
    teacher = causal({("a", True): many})
    assert text(teacher.note("items", [episode("a")])) == ["Look for a mug in the box."]
    other = episode("a", goal="clean the room")
    assert text(teacher.note("items", [other])) == [
        "Look for a pen in the box.",
        "Look for a cup in the box.",
    ]
    assert len(teacher.note("items", [other], limit=1)) == 1


def test_rules_come_from_what_success_and_failure_of_a_task_did_differently():
    teacher = causal(FACTS)
    pair = [episode("a"), episode("a", False)]
    found = {s.principle: s.meta["op"] for s in teacher.note("rules", pair)}
    # "quick" was broken by the success and kept by the failure: no rule. One sighting is no rule.
    assert found == {"Be neat.": "add"}
    known = [Skill("r", "Be neat."), Skill("r", "Be quick.")]
    found = {s.principle: (s.meta["op"], s.parent) for s in teacher.note("rules", pair, known)}
    assert found == {
        "Be neat.": ("agree", known[0].id),
        "Be quick.": ("remove", known[1].id),
    }


def test_rules_of_a_group_of_successes_are_what_most_kept_to():
    found = causal(FACTS).note("rules", [episode("a"), episode("b")])
    assert {s.principle: s.source_tasks for s in found} == {
        "Be neat.": ("a", "b"),
        "Look for a mug in the box.": ("a", "b"),
    }


def test_a_principle_is_one_of_the_lessons_and_always_the_same():
    teacher = causal(FACTS)
    (one,) = teacher.note("principle", [episode("a")])
    assert one.principle in ("Be neat.", "Look for a mug in the box.")
    assert teacher.note("principle", [episode("a")]) == [one]


def test_the_file_has_the_lines_of_the_first_bank():
    facts = {(i, True): [("neat", True, {})] for i in "ab"} | {
        (i, False): [("neat", False, {})] for i in "cd"
    }
    episodes = [episode(i) for i in "ab"] + [episode(i, False) for i in "cd"]
    (file,) = causal(facts).note("file", episodes)
    assert file.principle == "Be neat."
    assert file.source_tasks == ("a", "b", "c", "d")
    assert causal(facts).note("file", []) == []


def test_without_a_vocabulary_every_purpose_but_rules_of_failures_has_a_text():
    teacher = Causal()
    won = episode("a", actions=["go to desk 1", "take mug 1 from desk 1", "put mug 1 on desk 2"])
    lost = episode("b", False, actions=["look", "look", "look"])
    assert text(teacher.note("procedure", [won])) == [
        "What solved it: go to desk 1, then take mug 1 from desk 1, then put mug 1 on desk 2."
    ]
    (said,) = text(teacher.note("reflection", [lost]))
    assert "'look' 3 times" in said
    for purpose in ("items", "principle"):
        assert len(teacher.note(purpose, [lost])) == 1
    assert teacher.note("rules", [lost]) == []
    with pytest.raises(ValueError, match="reflection"):
        teacher.note("poem", [won])


# ---------------------------------------------------------------------- a language model


class Scripted(OpenAI):
    """The real teacher with a model that says what it is told to."""

    def __init__(self, *answers):
        super().__init__("m", {"attempts": 2})
        self.answers, self.prompts = list(answers), []

    def _complete(self, phase, messages):
        self.prompts.append(messages[-1]["content"])
        return json.dumps(self.answers.pop(0))


def said(*principles):
    return {
        "skills": [{"title": "a title", "principle": p, "when_to_apply": ""} for p in principles]
    }


def test_a_model_is_asked_with_the_prompt_of_each_purpose():
    for purpose, success, word in (
        ("reflection", False, "very same task"),
        ("procedure", True, "as a procedure"),
        ("items", True, "which strategy worked"),
        ("items", False, "cause of the failure"),
        ("principle", True, "the one principle"),
        ("file", True, "before every task"),
    ):
        teacher = Scripted(said("Open the door first.", "Then close it again."))
        made = teacher.note(purpose, [episode("a", success)])
        assert word in teacher.prompts[0] and "put a mug on the desk" in teacher.prompts[0]
        assert "$" not in teacher.prompts[0]
        together = purpose in llm_notes.ONE_ENTRY
        assert len(made) == (1 if together or purpose == "principle" else 2)
        if together:
            assert made[0].principle == "Open the door first.\nThen close it again."
        assert {s.source_tasks for s in made} == {("a",)}


def test_rules_of_a_model_are_operations_on_the_numbered_list():
    known = [Skill("r", "Be neat always."), Skill("r", "Be quick always.")]
    ops = [
        {"op": "agree", "number": 1, "rule": ""},
        {"op": "edit", "number": 2, "rule": "Be quick when it matters."},
        {"op": "add", "number": 0, "rule": "Look before you leap."},
    ]
    wrong = {"operations": [{"op": "remove", "number": 3, "rule": ""}]}
    teacher = Scripted(wrong, {"operations": ops})
    made = teacher.note("rules", [episode("a"), episode("a", False)], known)
    assert "1. Be neat always." in teacher.prompts[0]
    assert "there is no rule number 3" in teacher.prompts[1]
    assert [(s.meta["op"], s.parent, s.principle) for s in made] == [
        ("agree", known[0].id, "Be neat always."),
        ("edit", known[1].id, "Be quick when it matters."),
        ("add", None, "Look before you leap."),
    ]
    with pytest.raises(TeacherError, match="no rule number"):
        Scripted(wrong, wrong).note("rules", [episode("a")], known)


# ---------------------------------------------------------------------- the stage


class Notes:
    """A memory that writes down what happens to it."""

    def __init__(self):
        self.log, self.entries = [], []

    def context(self, task, history, budget):
        from skillbench.records import Context

        return Context()

    def observe(self, e):
        self.log.append(("observe", e.task.id))

    def reflect(self, episodes, teacher, *, step=0):
        assert not any(e.success for e in episodes)
        self.log.append(("reflect", tuple(e.task.id for e in episodes)))

    def update(self, episodes, teacher, *, step=0):
        from skillbench.records import Update

        self.log.append(("update", step, len(episodes)))
        self.entries.append(Skill("s", f"after round {step}", source_tasks=("train-0",)))
        return Update(added=(self.entries[-1].id,))

    def skills(self):
        return list(self.entries)

    def save(self, directory):
        directory.mkdir(parents=True, exist_ok=True)
        (directory / "n").write_text(json.dumps([s.principle for s in self.entries]))

    def load(self, directory):
        rows = json.loads((directory / "n").read_text())
        self.entries = [Skill("s", t, source_tasks=("train-0",)) for t in rows]


def context(path, memory, **config):
    made = TinyContext(path, {**DEFAULTS, **config}, memory=memory)
    made.evolve = {"prune": True}
    return made


def test_practice_plays_reflects_tries_again_observes_and_updates(tmp_path):
    memory = Notes()
    made = context(tmp_path, memory, rounds=1, tasks=3, attempts=2)
    Practice().fit(made)
    kinds = [entry[0] for entry in memory.log]
    played = kinds.count("observe")
    ((_, metrics),) = made.lines
    lost = [entry[1] for entry in memory.log if entry[0] == "reflect"]
    assert played == metrics["attempts"] == 3 + sum(map(len, lost))
    assert kinds[-1] == "update" and memory.log[-1] == ("update", 0, played)
    assert metrics["solved_within"] >= metrics["success"]
    assert made.snapshots == [0]


def test_practice_goes_on_with_the_round_after_the_last_whole_one(tmp_path):
    whole = context(tmp_path / "whole", Notes(), rounds=3, tasks=3)
    end = Practice().fit(whole)
    broken = context(tmp_path / "killed", Notes(), rounds=3, tasks=3)
    broken.die_at = 1
    with pytest.raises(KeyboardInterrupt):
        Practice().fit(broken)
    again = context(tmp_path / "killed", Notes(), rounds=3, tasks=3)
    other = Practice().fit(again)
    assert [step for step, _ in again.lines] == [1, 2]
    assert again.memory.skills() == whole.memory.skills()
    assert other.metrics == end.metrics
    assert checkpoints.latest(tmp_path / "killed" / "rounds")[1]["round"] == 3


def test_practice_with_the_expert_solves_everything(tmp_path):
    made = context(tmp_path, Notes(), rounds=1, tasks=6, player="auto")
    Practice().fit(made)
    assert made.lines[0][1]["success"] == 1.0


def test_practice_without_an_expert_plays_by_itself_or_says_so(tmp_path):
    made = context(tmp_path / "a", Notes(), rounds=1, tasks=3, player="auto")
    made.environment.expert = lambda task: None
    Practice().fit(made)
    assert made.lines[0][1]["n"] == 3
    game = TinyGame()
    game.expert = lambda task: None
    request = Request("e", 0, (), task=game.tasks("train")[0])
    with pytest.raises(UsageError, match="player=policy"):
        asyncio.run(Expert(game).generate([request]))
    with pytest.raises(UsageError, match="policy, expert, auto"):
        Practice().fit(context(tmp_path / "b", Notes(), player="nobody"))


def test_practice_refuses_episodes_of_another_split(tmp_path):
    made = context(tmp_path, Notes(), rounds=1, tasks=3)
    made.tasks = lambda n, step=0: TinyGame().tasks("test")[:n]
    with pytest.raises(LeakError):
        Practice().fit(made)


def test_how_many_episodes_practice_plays_is_known_beforehand():
    assert Practice.episodes({"rounds": 2, "tasks": 5, "repeats": 3, "attempts": 2}) == 60


def test_a_memory_may_learn_from_all_episodes_of_the_window():
    window = Evolution({"enabled": True, "every": 1}, everything=True)
    window.observe([episode("a"), episode("b", False)])
    assert [e.task.id for e in window.chosen()] == ["a", "b"]
    plain = Evolution({"enabled": True, "every": 1, "threshold": 1.1})
    plain.observe([episode("a"), episode("b", False)])
    assert [e.task.id for e in plain.chosen()] == ["b"]
