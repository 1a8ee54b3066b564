"""What the offline teacher writes for the memories of other methods: see `note` of causal.py.

It reads an episode as facts (evidence.py): ways of acting that were kept to or broken, and things
seen. What a success kept to is how it was solved; what a failure broke is what to do otherwise. In
an environment without a vocabulary the backward causal chain of a success is its procedure, and a
failure can only say how it ended.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from skillbench.records import Episode, Skill

from .chain import chain_of
from .evidence import facts_of

FEW = 2  # sightings that are told where the goal names none of them
PURPOSES = ("reflection", "procedure", "items", "principle", "rules", "file")


@dataclass(frozen=True)
class Lesson:
    """One fact of an episode that the vocabulary has words for."""

    key: str
    good: bool
    world: bool  # something seen, not a way of acting
    fields: Mapping[str, Any]
    named: bool = False  # the task's goal names what it is about


def write(
    teacher: Any,
    purpose: str,
    episodes: Sequence[Episode],
    skills: Sequence[Skill] = (),
    *,
    limit: int = 0,
    step: int = 0,
) -> list[Skill]:
    """Entries for a purpose, at most `limit` (0: all). Raises ValueError for an unknown purpose."""
    if purpose not in PURPOSES:
        raise ValueError(f"a note is written for one of {', '.join(PURPOSES)}, not {purpose!r}")
    if not episodes:
        return []
    if purpose == "rules":
        return _rules(teacher, episodes, skills, step)
    if purpose == "file":
        return _file(teacher, episodes, step)
    last = episodes[-1]
    found = _telling(teacher, last)
    if purpose == "items":
        made = [_skill(lesson.fields, [last], step) for lesson in found]
        return (made or [_plain(teacher, last, step)])[: limit or None]
    if purpose == "principle":
        if not found:
            return [_plain(teacher, last, step)]
        # One of them; which one is decided by the task, so that all get their turn.
        digest = hashlib.sha256(f"{last.task.id}\x1f{last.seed}".encode()).digest()
        return [_skill(found[digest[0] % len(found)].fields, [last], step)]
    if not found:
        return [_plain(teacher, last, step)]
    lines = dict.fromkeys(lesson.fields["principle"] for lesson in found)
    title = "How it was solved" if last.success else "What to do otherwise"
    return [_text(title, "\n".join(lines), [last], step)]


def lessons(vocabulary: Any, episode: Episode) -> list[Lesson]:
    """The facts of an episode that can be put into words, in order, each text once."""
    out: dict[str, Lesson] = {}
    goal = set(re.findall(r"\w+", episode.task.goal.lower()))
    for key, good, slots in facts_of(vocabulary, episode):
        fields = vocabulary.phrase(key, dict(slots))
        if fields:
            named = any(set(re.findall(r"\w+", value.lower())) <= goal for _, value in slots)
            lesson = Lesson(key, good, bool(slots), fields, named)
            out.setdefault(fields["principle"], lesson)
    return list(out.values())


def _telling(teacher: Any, episode: Episode) -> list[Lesson]:
    """What an episode teaches: the ways a success kept to, or a failure broke; then what was seen.

    Sightings are those of what the goal names, or else the first few.
    """
    if teacher.vocabulary is None:
        return []
    found = lessons(teacher.vocabulary, episode)
    ways = [x for x in found if not x.world and x.good == episode.success]
    seen = [x for x in found if x.world and x.good]
    return ways + ([x for x in seen if x.named] or seen[:FEW])


def _rules(
    teacher: Any, episodes: Sequence[Episode], skills: Sequence[Skill], step: int
) -> list[Skill]:
    """Operations: what successes kept to and failures did not is added or agreed with."""
    if teacher.vocabulary is None:
        solved = [e for e in episodes if e.success]
        made = [_plain(teacher, e, step) for e in solved[:1]] if len(solved) == 1 else []
        return [_operation(s, "add") for s in made]
    told = [(e, lessons(teacher.vocabulary, e)) for e in episodes]
    votes: dict[str, int] = {}
    first: dict[str, tuple[Lesson, list[Episode]]] = {}
    contrast = len({e.success for e in episodes}) > 1
    for e, found in told:
        for lesson in found:
            text = lesson.fields["principle"]
            first.setdefault(text, (lesson, []))[1].append(e)
            votes[text] = votes.get(text, 0) + (1 if lesson.good == e.success else -1)
    known = {s.principle: s for s in skills}
    out = []
    # Ways of acting come first: a list of rules is short, and there is much to be seen.
    for text, (lesson, sources) in sorted(first.items(), key=lambda item: item[1][0].world):
        ways = {(e.success, x.good) for e, xs in told for x in xs if x.fields["principle"] == text}
        if contrast and not lesson.world and not {(True, True), (False, False)} <= ways:
            needed = {(True, False), (False, True)} <= ways  # the failure kept to it
            if text in known and needed:
                out.append(_operation(known[text], "remove", sources))
            continue
        if votes[text] > 0 and (not lesson.world or (lesson.named and len(sources) > 1)):
            op = "agree" if text in known else "add"
            base = known.get(text) or _skill(lesson.fields, sources, step)
            out.append(_operation(base, op, sources))
        elif votes[text] < 0 and text in known:
            out.append(_operation(known[text], "remove", sources))
    return out


def _operation(skill: Skill, op: str, sources: Sequence[Episode] = ()) -> Skill:
    import dataclasses

    tasks = tuple(sorted({e.task.id for e in sources})) or skill.source_tasks
    parent = skill.id if op != "add" else None
    return dataclasses.replace(skill, meta={"op": op}, parent=parent, source_tasks=tasks)


def _file(teacher: Any, episodes: Sequence[Episode], step: int) -> list[Skill]:
    made = teacher.distill(episodes, step=step)
    if not made:
        return []
    lines = dict.fromkeys(s.principle for s in made)
    return [_text("Skill file", "\n".join(lines), episodes, step)]


def _plain(teacher: Any, episode: Episode, step: int) -> Skill:
    """What can be said of an episode without words of the environment's own."""
    if episode.success:
        plan = ", then ".join(chain_of(episode, teacher.parser))
        return _text("How it was solved", f"What solved it: {plan}.", [episode], step)
    actions = [s.action for s in episode.steps]
    if not actions:
        return _text("Nothing was done", "Give an action at every turn.", [episode], step)
    again = max(actions.count(a) for a in actions)
    text = (
        f"An attempt with {len(actions)} actions that ended with {actions[-1]!r} did not solve it"
    )
    if again > 2:
        most = max(dict.fromkeys(actions), key=actions.count)
        text += f"; it gave {most!r} {again} times, which led nowhere"
    return _text("What to do otherwise", text + ": go another way.", [episode], step)


def _skill(fields: Mapping[str, Any], episodes: Sequence[Episode], step: int) -> Skill:
    return Skill(
        title=fields["title"],
        principle=fields["principle"],
        when_to_apply=fields.get("when_to_apply", ""),
        kind=fields.get("kind", "general"),
        task_type=fields.get("task_type") or None,
        source_tasks=tuple(sorted({e.task.id for e in episodes})),
        step=step,
        author="causal",
        meta=dict(fields.get("meta", {})),
    )


def _text(title: str, text: str, episodes: Sequence[Episode], step: int) -> Skill:
    sources = tuple(sorted({e.task.id for e in episodes}))
    return Skill(title, text, source_tasks=sources, step=step, author="causal")
