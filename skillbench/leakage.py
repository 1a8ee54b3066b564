"""Did anything that was learned come from the panel? Skills, training rows, episodes are checked.

A source is a leak if it is a panel task, or if it says that it is not from the train split. Task
ids are unique within a split only, so an id that the train split has as well is no evidence.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from typing import Any

from .records import Skill

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
) -> dict[str, Any]:
    """Return {count, checked: {skills, rows, episodes}, unknown, found: [{what, ...}]}.

    `rows` are source task ids of training data, `episodes` are (split, task id) of everything that
    was played while learning. `unknown` counts skill sources that are in neither set, as those of
    imported banks; they are no leaks, but a run that used them cannot be vouched for either.
    """
    held_out, known = set(panel), set(train)
    risky = held_out - known
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
