"""Advice: its sentences, the scripted player that follows it, and what the offline teacher learns."""

import asyncio
import json
from collections import Counter
from pathlib import Path

import pytest
from skillbench_memory.none import NoMemory
from skillbench_methods.teachers.causal import Causal
from skillbench_policies.scripted import ScriptedPolicy
from skillbench_searchqa import lessons
from skillbench_searchqa.encyclopedia.language import BY_NOUN, RELATIONS, read_question
from skillbench_searchqa.env import SearchqaEnvironment
from skillbench_searchqa.phrases import FILLER, PHRASES, read
from skillbench_searchqa.player import SLOPPY, Player

from skillbench.agent import Agent
from skillbench.records import Context, Episode, Step, Task
from skillbench.rollout import Loop, Slot, play

ENV = SearchqaEnvironment()
BANKS = Path(__file__).parents[3] / "tasks" / "banks"


def test_sentences_are_read_back():
    texts = [w for p in PHRASES for w in p.wordings]
    assert len(set(texts)) == len(texts)
    for p in PHRASES:
        assert len(p.wordings) == 3
        for wording in p.wordings:
            said = read(wording.format(o="birthplace", a="born"))
            assert said is not None
            assert (said.key, said.good) == (p.key, p.good)
            if p.key == "word":
                assert (said.relation, said.word) == ("birthplace", "born")
    assert not any(map(read, FILLER))
    both = Counter(p.key for p in PHRASES)
    assert all(n == 2 for key, n in both.items() if key != "word")
    assert set(both) - {"word"} == set(SLOPPY)


def test_committed_banks_are_the_phrases():
    for name, good in (("good", True), ("harmful", False)):
        skills = json.loads((BANKS / f"searchqa-{name}.json").read_text())["skills"]
        said = [read(s["principle"]) for s in skills]
        assert {a.good for a in said} == {True} if good else {False}
        assert {a.key for a in said} == {p.key for p in PHRASES if p.good == good}
        words = {a.relation: a.word for a in said if a.key == "word"}
        assert words == ({r.noun: r.key for r in RELATIONS} if good else {})


class Lines(NoMemory):
    """Shows the lines that a function gives for a task."""

    def __init__(self, lines):
        super().__init__()
        self.lines = lines

    def context(self, task, history=(), budget=0):
        return Context("\n".join(f"- {line}" for line in self.lines(task)))


def advised(good: bool, *keys: str):
    def lines(task: Task) -> list[str]:
        out = [p.wordings[0] for p in PHRASES if p.good == good and p.key in (keys or SLOPPY)]
        if good and (not keys or "word" in keys):
            _, chain = read_question(task.goal)
            out += [f"The word for {n} is {BY_NOUN[n].key}." for n in chain]
        return out

    return lines


def episodes(lines, tasks=None, repeats: int = 1) -> list[Episode]:
    agent = Agent.make({}, "compact", temperature=0.7, top_p=1.0)
    loop = Loop(agent, ScriptedPolicy(None, {}), Lines(lines), SearchqaEnvironment)
    slots = [Slot(t, 0, "score", 0, r) for t in tasks or ENV.tasks("test") for r in range(repeats)]
    return asyncio.run(play(slots, loop))


def rate(found) -> float:
    return sum(e.success for e in found) / len(found)


def test_what_advice_is_worth_to_the_player():
    plain = rate(episodes(lambda task: []))
    assert 0.3 <= plain <= 0.45
    assert rate(episodes(lambda task: FILLER[:8])) == plain
    assert rate(episodes(advised(True))) >= 0.95
    assert rate(episodes(advised(False))) <= 0.1
    assert rate(episodes(advised(True, "word"))) > plain + 0.1


@pytest.mark.parametrize("key", sorted(SLOPPY))
def test_each_bad_line_hurts(key: str):
    types = {"one": "one_hop", "two": "two_hop", "three": "three_hop"}
    tasks = [t for t in ENV.tasks("test") if t.task_type == types.get(key, t.task_type)]
    good = advised(True)

    def spoilt(task: Task) -> list[str]:
        lines = [line for line in good(task) if read(line).key != key]
        return lines + advised(False, key)(task)

    # Where the word is known, the first passage is the right one and no search fails.
    def without_words(lines):
        return lambda task: [line for line in lines(task) if read(line).key != "word"]

    if key in ("again", "asked"):
        good, spoilt = without_words(good), without_words(spoilt)
    assert rate(episodes(spoilt, tasks)) < rate(episodes(good, tasks)) - 0.05


def test_thoughts_are_short_and_actions_readable():
    for e in episodes(lambda task: [], ENV.tasks("test")[:60]):
        for step in e.steps:
            assert step.valid
            assert len(step.response.split()) < 20
            assert step.response.startswith("<think>") and step.response.endswith("</action>")


def test_player_on_a_question_that_it_cannot_read():
    player = Player("Question: what is love", ["Answer with the whole name, all words of it."])
    import random

    assert player.decide(random.Random(0)) == ("what", "<answer></answer>")


# ---------------------------------------------------------------------- lessons


def episode(goal: str, *steps: tuple[str, str]) -> Episode:
    """Steps are (action, what it led to)."""
    task = Task("t", "searchqa", "train", "two_hop", goal)
    before = [f"Question: {goal}", *(after for _, after in steps)]
    made = tuple(Step(o, "", action) for o, (action, _) in zip(before, steps))
    return Episode(task, 0, "failure", False, made, final_observation=steps[-1][1])


GOAL = "Who is the mayor of the birthplace of Tavo Branby?"
BORN = "Doc 1: Tavo Branby plays the lute.\nDoc 2: Tavo Branby was born in Port Ashford."
MAYOR = "Doc 1: Port Ashford is governed by Risa Dorkin."


def ways(e: Episode) -> dict[str, list[bool]]:
    out: dict[str, list[bool]] = {}
    for f in lessons.evidence(e):
        if f.key != "word":
            out.setdefault(f.key, []).append(f.good)
    return out


@pytest.mark.parametrize(
    ("steps", "wanted"),
    [
        (
            [("<search> Tavo Branby born</search>", BORN), ("<search> Port Ashford</search>", MAYOR), ("<answer> Risa Dorkin</answer>", "Right.")],
            {"name": [True, True], "asked": [True, True], "two": [True], "copy": [True]},
        ),
        (
            [("<search> born</search>", BORN), ("<answer> Port</answer>", "Wrong.")],
            {"name": [False], "asked": [True], "two": [False], "copy": [False]},
        ),
        (
            [("<search> Tavo Branby</search>", MAYOR), ("<search> Tavo Branby born</search>", BORN), ("<answer> lute</answer>", "Wrong.")],
            {"name": [True, True], "again": [True], "asked": [False], "two": [False]},
        ),
        (
            [("<search> Tavo Branby</search>", MAYOR), ("<answer> Risa Dorkin</answer>", "Wrong.")],
            {"name": [True], "again": [False], "copy": [True]},
        ),
        ([("hm", "This is not an action."), ("<answer></answer>", "Wrong.")], {}),
    ],
)  # fmt: skip
def test_evidence(steps, wanted):
    assert ways(episode(GOAL, *steps)) == wanted


def test_sightings_are_the_words_of_passages():
    found = {f.slots for f in lessons.evidence(episode(GOAL, ("<search> x</search>", BORN)))}
    assert (("o", "birthplace"), ("a", "born")) in found
    assert (("o", "instrument"), ("a", "plays")) in found
    for r in RELATIONS:
        text = f"Doc 1: Tavo Branby {r.words} {'Port Ashford' if r.names else 'lute'}."
        facts = lessons.evidence(episode(GOAL, ("<search> x</search>", text)))
        assert [dict(f.slots) for f in facts if f.key == "word"] == [{"o": r.noun, "a": r.key}]


def test_nothing_to_read_in_real_questions():
    assert (
        list(lessons.evidence(episode("what is love", ("<search> x</search>", "Doc 1: y")))) == []
    )


def test_the_teacher_learns_from_real_episodes():
    """From sloppy play on train tasks: all advice that helps, nothing that harms, no wrong word."""
    train = SearchqaEnvironment(train_questions=120).tasks("train")
    skills = Causal(None, {}, environment=ENV).distill(episodes(lambda t: [], train, repeats=2))
    said = [read(s.principle) for s in skills]
    assert all(a is not None and a.good for a in said)
    assert {"name", "asked", "copy", "two", "three"} <= {a.key for a in said}
    words = {a.relation: a.word for a in said if a.key == "word"}
    assert len(words) >= 18
    assert all(BY_NOUN[noun].key == word for noun, word in words.items())
    assert {s.source_split for s in skills} == {"train"}
    for s in skills:
        if s.meta["key"] == "word":
            assert s.meta["goal_words"]
