"""Conformance of memories (skillbench.protocols.SkillMemory)."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

from ..agent import estimate_tokens
from ..errors import LeakError, TeacherError
from ..lazy import describe
from ..learn import digest
from ..records import Context, Episode, Skill, Task, Update
from .hostile import TEXTS
from .kit import NotApplicable, Subject, Unfit, conformance, made, need, refusing
from .world import KitTeacher, KitWorld, episode

BUDGET = 256


def new(subject: Subject) -> Any:
    """A fresh instance."""
    return made(
        subject,
        lambda: subject.entry.load()(subject.table(), teacher_spend=lambda *a, **k: None),
    )


def train(n: int = 12) -> list[Episode]:
    """Episodes of the kit's world: mostly solved, some not."""
    return [episode(t, won=i % 4 != 3) for i, t in enumerate(KitWorld().tasks("train")[:n])]


def taught(subject: Subject) -> Any:
    """A memory that has learned from `train`, in two steps."""
    memory = new(subject)
    for step, part in enumerate((train()[:6], train()[6:])):
        for one in part:
            memory.observe(one)
        memory.update(part, KitTeacher(), step=step)
    return memory


def shown(memory: Any, budget: int = BUDGET) -> list[tuple[str, tuple[str, ...]]]:
    """What it shows for some held-out tasks."""
    found = [memory.context(task, (), budget) for task in KitWorld().tasks("test")[:6]]
    for context in found:
        need(
            isinstance(context, Context) and isinstance(context.text, str),
            f"context gave {type(context).__name__}",
            why="the agent puts Context.text into the prompt",
            mend="return skillbench.Context(text, skill_ids)",
        )
    return [(c.text, tuple(c.skill_ids)) for c in found]


def ids(memory: Any) -> list[str]:
    return [skill.id for skill in memory.skills()]


@conformance("memory")
def an_empty_memory_can_be_asked(subject: Subject) -> None:
    memory = new(subject)
    listed = memory.skills()
    need(
        isinstance(listed, list) and all(isinstance(s, Skill) for s in listed),
        f"skills() gave {type(listed).__name__}",
        why="snapshots, leak checks and reports read it",
        mend="return a list of skillbench.Skill, empty where nothing was learned",
    )
    shown(memory)


@conformance("memory")
def an_update_says_what_it_changed(subject: Subject) -> None:
    memory = new(subject)
    before = set(ids(memory))
    update = memory.update(train(), KitTeacher(), step=0)
    need(
        isinstance(update, Update),
        f"update gave {type(update).__name__}",
        why="curves and histories are made of updates",
        mend="return skillbench.Update(added=..., changed=..., removed=...) of skill ids",
    )
    after = set(ids(memory))
    missing = after - before - set(update.added) - set(update.changed)
    need(
        not missing,
        f"skills() has new entries that the update does not name: {sorted(missing)}",
        why="the history of a bank would have holes",
        mend="name every new id in Update.added, or Update.changed where it refines another",
    )
    need(
        before - after <= set(update.removed) | set(update.changed),
        f"entries went without a word: {sorted(before - after - set(update.removed))}",
        why="the history of a bank would have holes",
        mend="name them in Update.removed",
    )


@conformance("memory")
def skills_are_stable_and_say_where_they_are_from(subject: Subject) -> None:
    memory = taught(subject)
    first, again = ids(memory), ids(memory)
    need(
        first == again == ids(taught(subject)),
        "skills() lists other entries, or another order, when the same was learned",
        why="a resumed run must hold the bank of an uninterrupted one",
        mend="sort the entries, and draw nothing at random without a fixed seed",
    )
    need(
        len(set(first)) == len(first),
        f"skills() lists {max(first, key=first.count) if first else ''!r} twice",
        why="ids are content hashes: equal entries are one entry",
        mend="drop an entry whose id is there already",
    )
    known = {e.task.id for e in train()}
    for skill in memory.skills():
        need(
            skill.source_tasks and set(skill.source_tasks) <= known,
            f"skill {skill.title[:40]!r} names the source tasks {skill.source_tasks!r}",
            why="a run whose bank cannot be traced to train tasks is not rankable",
            mend="set Skill.source_tasks to the ids of the episodes it was learned from",
        )


@conformance("memory")
def episodes_from_outside_train_are_refused(subject: Subject) -> None:
    why = "what was learned from a scored task would be scored on it"
    mend = "raise skillbench.errors.LeakError unless episode.task.split == 'train'"
    held_out = [episode(task) for task in KitWorld().tasks("test")[:3]]
    memory = taught(subject)
    before, state = ids(memory), shown(memory)
    with refusing(LeakError, "observe(episode of the test split)", why=why, mend=mend):
        memory.observe(held_out[0])
    with refusing(LeakError, "update(episodes of the test split)", why=why, mend=mend):
        memory.update(held_out, KitTeacher(), step=5)
    need(
        ids(memory) == before and shown(memory) == state,
        "a refused write has left something behind",
        why=why,
        mend="check all episodes before the first change",
    )


@conformance("memory")
def a_frozen_memory_learns_nothing(subject: Subject) -> None:
    why = "what is scored was fixed before scoring; a memory that goes on learning is another one"
    mend = "after `freeze`, raise skillbench.errors.LeakError in observe and update"
    memory = taught(subject)
    before = shown(memory)
    memory.freeze()
    with refusing(LeakError, "observe after freeze", why=why, mend=mend):
        memory.observe(train()[0])
    with refusing(LeakError, "update after freeze", why=why, mend=mend):
        memory.update(train(), KitTeacher(), step=9)
    need(
        shown(memory) == before == shown(memory),
        "a frozen memory shows something else than before, or when asked again",
        why="every scored episode must see the same bank",
        mend="let `context` change nothing",
    )


@conformance("memory")
def asking_writes_nothing(subject: Subject) -> None:
    memory = taught(subject)
    memory.freeze()
    one, two = subject.folder("before"), subject.folder("after")
    memory.save(one)
    for _ in range(3):
        shown(memory)
    memory.save(two)
    need(
        _content(one) == _content(two),
        "the saved state differs after the memory was asked for panel tasks",
        why="scoring must leave no trace in what is scored",
        mend="keep counters of use in `observe`, which sees train episodes alone",
    )


@conformance("memory")
def its_state_survives_the_disk(subject: Subject) -> None:
    memory = taught(subject)
    folder = subject.folder("state")
    memory.save(folder)
    for path in (p for p in folder.rglob("*") if p.is_file()):
        try:
            path.read_bytes().decode()
        except UnicodeDecodeError as error:
            raise Unfit(
                f"save wrote {path.name}, which is no text",
                why="pickles run code when they are loaded, and banks are shared and read",
                mend="write JSON; rebuild indices and tables in `load`",
            ) from error
    other = new(subject)
    other.load(folder)
    need(
        ids(other) == ids(memory) and shown(other) == shown(memory),
        "a memory that was saved and loaded lists or shows something else",
        why="what is scored is read back from disk, and so is a resumed run",
        mend="save everything that decides `skills` and `context`",
    )
    again = subject.folder("again")
    other.save(again)
    need(
        digest(folder) == digest(again) or _content(folder) == _content(again),
        "saving what was loaded writes other files",
        why="the hash of the frozen bank names what was scored",
        mend="sort keys and entries, and write no times",
    )


def _content(folder: Path) -> dict[str, bytes]:
    files = (p for p in folder.rglob("*") if p.is_file())
    return {str(p.relative_to(folder)): p.read_bytes() for p in files}


@conformance("memory")
def contexts_keep_to_their_budget(subject: Subject) -> None:
    memory = taught(subject)
    for budget in (0, 5, 40, BUDGET):
        for text, named in shown(memory, budget):
            need(
                estimate_tokens(text) <= budget,
                f"a budget of {budget} tokens got {estimate_tokens(text)}",
                why="arms of a comparison get equal budgets; the rest of the prompt needs room",
                mend="leave out whole entries until skillbench.agent.estimate_tokens fits",
            )
            need(
                bool(named) == bool(text.strip()),
                f"a context of {len(text)} characters names the skills {named!r}",
                why="which skills were shown is recorded with each episode",
                mend="return the ids of the entries in the text, and none with an empty one",
            )


def hostile_skill(text: str) -> Any:
    """A teacher's function that writes this text into every field it may."""

    def write(one: Episode) -> Skill:
        return Skill(
            title=text[:200],
            principle=text,
            when_to_apply=text[:200],
            source_tasks=(one.task.id,),
            author="kit-teacher",
        )

    return write


@conformance("memory")
def hostile_texts_do_no_harm(subject: Subject) -> None:
    memory = new(subject)
    tasks = KitWorld().tasks("train")
    for number, text in enumerate(TEXTS):
        task = dataclasses.replace(tasks[number % len(tasks)], goal=text)
        try:
            memory.observe(episode(task, text=text))
            memory.update([episode(task, text=text)], KitTeacher(hostile_skill(text)), step=number)
            context = memory.context(Task("test-000", "kit", "test", "amber", text), (), BUDGET)
        except TeacherError:
            continue  # refusing what a teacher wrote is one way to be safe
        except Exception as error:
            raise Unfit(
                f"the text {text[:40]!r} raised {describe(error)}",
                why="models and teachers may write anything",
                mend="refuse a skill that is no good with TeacherError, or store it as text",
            ) from error
        need(
            estimate_tokens(context.text) <= BUDGET,
            f"a hostile skill {text[:40]!r} broke the token budget",
            why="it would push everything else out of the prompt",
            mend="leave out entries that do not fit",
        )
    folder = subject.folder("hostile")
    memory.save(folder)
    other = new(subject)
    other.load(folder)
    need(
        ids(other) == ids(memory),
        "a bank with hostile texts does not survive the disk",
        why="the run could not be resumed",
        mend="write JSON with ensure_ascii or errors='surrogatepass'",
    )
    strays = [p.name for p in subject.directory.iterdir() if p.name != "hostile"]
    if strays:
        raise Unfit(
            f"it wrote outside its directory: {', '.join(strays)}",
            why="a title is no file name",
            mend="name files by skill id",
        )


@conformance("memory")
def updating_without_a_teacher_is_allowed(subject: Subject) -> None:
    memory = new(subject)
    try:
        memory.update(train(), None, step=0)
    except TeacherError as error:
        raise NotApplicable(f"it needs a teacher: {error}") from error
