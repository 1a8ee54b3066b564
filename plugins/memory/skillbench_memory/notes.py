"""Asking a teacher for one kind of text, and showing entries of several lines.

A teacher may have `note(purpose, episodes, skills, *, limit, step)`, which returns skills for one
of PURPOSES; both first-party teachers do. One that has only the contract's `distill` and `refine`
is asked with those: what it says of successes and failures serves every purpose, and all that is
new is a rule to add.

An entry may hold several lines (one piece of advice each). Each is shown as `- line`, which is how
policies that were trained on advice read it, and no line is shown twice.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Sequence
from typing import Any

from skillbench.records import Episode, Skill

from .budget import estimate_tokens

PURPOSES = {
    "reflection": "what to do otherwise at the next attempt at the same task",
    "procedure": "how a solved task was solved, for tasks like it",
    "items": "lessons of one episode, each an entry of its own",
    "principle": "the one lesson of an episode",
    "rules": "changes to a list of rules: meta['op'] is add, edit, agree or remove",
    "file": "one file of advice from many episodes",
}


def ask(
    teacher: Any,
    purpose: str,
    episodes: Sequence[Episode],
    skills: Sequence[Skill] = (),
    *,
    limit: int = 0,
    step: int = 0,
) -> list[Skill]:
    """Have a teacher write for a purpose; `limit` bounds the number of entries (0: its choice)."""
    if teacher is None or not episodes:
        return []
    if hasattr(teacher, "note"):
        return list(teacher.note(purpose, episodes, skills, limit=limit, step=step))
    failures = [e for e in episodes if not e.success]
    if failures and (purpose == "reflection" or len(failures) == len(episodes)):
        written = list(teacher.refine(failures, skills, max_new=limit or 3, step=step)[0])
    else:
        written = list(teacher.distill(episodes, step=step))
    if purpose == "rules":
        return [dataclasses.replace(s, meta={**s.meta, "op": "add"}) for s in written]
    if purpose in ("reflection", "procedure", "file") and written:
        return [joined(written, written[0].title, step)]
    return written[:limit] if limit else written


def joined(skills: Sequence[Skill], title: str, step: int = 0, **fields: Any) -> Skill:
    """One entry with a line for each skill."""
    sources = tuple(sorted({t for s in skills for t in s.source_tasks}))
    kept = dict.fromkeys(" ".join(s.principle.split()) for s in skills)
    known: dict[str, Any] = {"author": skills[0].author if skills else "", "source_tasks": sources}
    return Skill(title, "\n".join(kept), step=step, **{**known, **fields})


def lines_of(skill: Skill) -> list[str]:
    """The lines of an entry."""
    return [" ".join(part.split()) for part in skill.principle.split("\n") if part.strip()]


def fit_lines(skills: Iterable[Skill], budget: int) -> tuple[str, list[Skill], bool]:
    """Show entries in order within `budget` tokens: (text, entries shown, whether some was cut).

    Of an entry that does not fit as a whole, its leading lines are shown. An entry counts as shown
    if some of what it says was, in its own place or as a line of an earlier entry.
    """
    text: list[str] = []
    shown: list[Skill] = []
    used, cut = 0, False
    for skill in skills:
        some = False
        for line in lines_of(skill):
            if line in text:
                some = True
                continue
            size = len(line.split()) + 1
            if estimate_tokens(used + size) > budget:
                cut = True
                break
            used += size
            text.append(line)
            some = True
        if some:
            shown.append(skill)
    return "\n".join("- " + line for line in text), shown, cut
