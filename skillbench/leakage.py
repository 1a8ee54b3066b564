"""Did anything that was learned come from the panel? Skills, training rows, episodes are checked.

A source is a leak if it is a panel task, or if it says that it is not from the train split. Task
ids are unique within a split only, so an id that the train split has as well is no evidence.
A skill that quotes the goal of a panel task, word for word, leaks too, unless a train task has that
goal as well or it is too short to be a quotation.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable
from typing import Any

from .records import Skill

QUOTED = (4, 20)  # words and characters that a goal needs at least to be recognised as quoted
TRAIN = "train"
IMPORTED = "imported"  # the split of skills that came from a file, without provenance
SHOWN = 20  # leaks listed by name in result.json; all are counted


def scan(
    *,
    panel: Collection[str],
    train: Collection[str],
    skills: Iterable[Skill] = (),
    rows: Iterable[str] = (),
    episodes: Iterable[tuple[str, str]] = (),
    goals: Iterable[str] = (),
    train_goals: Iterable[str] = (),
) -> dict[str, Any]:
    """Return {count, checked: {skills, rows, episodes}, unknown, found: [{what, ...}]}.

    `goals` are those of the panel. `rows` are source task ids of training data, `episodes` are
    (split, task id) of everything that was played while learning. `unknown` counts skill sources
    that are in neither set, as those of imported banks; they are no leaks, but a run that used them
    cannot be vouched for either.
    """
    held_out, known = set(panel), set(train)
    risky = held_out - known
    own = {_plain(goal) for goal in goals} - {_plain(goal) for goal in train_goals}
    quotable = [g for g in own if len(g.split()) >= QUOTED[0] and len(g) >= QUOTED[1]]
    found: list[dict[str, Any]] = []
    checked = {"skills": 0, "rows": 0, "episodes": 0}
    unknown = 0
    for skill in skills:
        checked["skills"] += 1
        bad = sorted(set(skill.source_tasks) & risky)
        strange = [i for i in skill.source_tasks if i not in known and i not in risky]
        unknown += bool(strange) or skill.source_split == IMPORTED
        if bad or skill.source_split not in (TRAIN, IMPORTED):
            found.append(
                {"what": "skill", "id": skill.id, "split": skill.source_split, "tasks": bad}
            )
        text = _plain(f"{skill.title} {skill.principle} {skill.when_to_apply}")
        quotes = sorted(goal for goal in quotable if goal in text)
        if quotes:
            found.append({"what": "quotation", "id": skill.id, "goals": quotes[:3]})
    for source in set(rows):
        checked["rows"] += 1
        if source in risky:
            found.append({"what": "training row", "tasks": [source]})
    for split, task in set(episodes):
        checked["episodes"] += 1
        if split != TRAIN or task in risky:
            found.append({"what": "learning episode", "split": split, "tasks": [task]})
    found.sort(key=str)
    return {
        "count": len(found),
        "checked": checked,
        "unknown": unknown,
        "found": found[:SHOWN],
    }


def _plain(text: str) -> str:
    """The words of a text between single spaces, so that a quotation is found as whole words."""
    return f" {' '.join(re.findall(r'[a-z0-9]+', text.lower()))} "
