"""Small makers of tasks, episodes, skills and teachers for the memory tests."""

from __future__ import annotations

import types

import pytest

from skillbench.records import Episode, Skill, Task

PICK, HEAT, CLEAN = (
    "pick_and_place_simple",
    "pick_heat_then_place_in_recep",
    "pick_clean_then_place_in_recep",
)


class Teacher:
    """Returns what it was made with, and remembers what it was asked."""

    name = "test"

    def __init__(self, first=(), new=(), refined=()):
        self.first, self.new, self.refined, self.calls = list(first), list(new), list(refined), []

    def distill(self, episodes, *, step=0):
        self.calls.append(("distill", list(episodes), step))
        return list(self.first)

    def refine(self, failures, skills, *, max_new, step=0):
        self.calls.append(("refine", list(failures), max_new))
        return list(self.new), list(self.refined)


def task(id="t1", goal="put a mug in cabinet.", task_type=PICK, split="train"):
    return Task(id, "toy", split, task_type, goal)


def episode(task, success=True, shown=(), version="", outcome=None):
    outcome = outcome or ("success" if success else "failure")
    return Episode(task, 0, outcome, success, skill_ids=tuple(shown), bank_version=version)


def general(text, **kw):
    return Skill(text.split()[0], text, **kw)


def typed(text, task_type, **kw):
    return Skill(text.split()[0], text, kind="task_type", task_type=task_type, **kw)


def mistake(text, **kw):
    return Skill("A mistake", text, kind="mistake", **kw)


def bank_of_three_types():
    skills = [
        general("Search every place once and remember where you have been."),
        general("Open a closed place before you leave it."),
        mistake("Do not put it down before the work on it is done."),
    ]
    for task_type, what in ((PICK, "carry"), (HEAT, "warm"), (CLEAN, "wash")):
        skills += [
            typed(f"To {what} something, pick it up before anything else.", task_type),
            typed(f"After you {what} it, go on to where it must be at the end.", task_type),
        ]
    return skills


@pytest.fixture(scope="session")
def kit():
    return types.SimpleNamespace(
        PICK=PICK,
        HEAT=HEAT,
        CLEAN=CLEAN,
        Teacher=Teacher,
        task=task,
        episode=episode,
        general=general,
        typed=typed,
        mistake=mistake,
        bank_of_three_types=bank_of_three_types,
    )


@pytest.fixture
def filled(kit):
    """Make a memory of a class, filled by one distillation. Everything is closed at the end."""
    made = []

    def make(cls, skills=None, **config):
        memory = cls({"holdout": 0.0, **config})
        made.append(memory)
        teacher = kit.Teacher(kit.bank_of_three_types() if skills is None else skills)
        memory.update([kit.episode(kit.task())], teacher)
        return memory

    yield make
    for memory in made:
        memory.close()
