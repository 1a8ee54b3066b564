"""Panels: the committed, ordered task ids on which scores count.

A panel file in tasks/panels holds {environment, split, name, n, fingerprint, ids}. The order is
stratified by task type, so that the first N tasks of a panel are a fair sample of it. Loading
checks the environment's fingerprint and that each id exists. An environment without a committed
panel is scored on its whole split; such a run is complete but not rankable.
"""

from __future__ import annotations

import hashlib
import json
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .errors import DataError, UsageError
from .records import Task
from .store import write_atomic

HERE = Path(__file__).parent
FOLDERS = (HERE.parent / "tasks" / "panels", HERE / "_tasks" / "panels")


@dataclass(frozen=True)
class Panel:
    """Tasks in the order in which they are scored."""

    name: str
    environment: str  # the label
    split: str
    fingerprint: str
    tasks: tuple[Task, ...]
    committed: bool

    @property
    def id(self) -> str:
        """Name and a digest over what is scored: equal ids mean equal panels."""
        text = "\n".join((self.environment, self.split, self.fingerprint, *self.ids))
        return f"{self.name}@{hashlib.sha256(text.encode()).hexdigest()[:12]}"

    @property
    def ids(self) -> tuple[str, ...]:
        """The task ids, in order."""
        return tuple(task.id for task in self.tasks)


def stratified(tasks: Sequence[Task]) -> list[Task]:
    """Interleave the task types so that every prefix holds them in proportion."""
    groups: dict[str, list[Task]] = {}
    for task in tasks:
        groups.setdefault(task.task_type, []).append(task)
    keyed = [
        ((place + 0.5) / len(group), kind, place, task)
        for kind, group in groups.items()
        for place, task in enumerate(group)
    ]
    return [task for *_, task in sorted(keyed, key=lambda entry: entry[:3])]


def write(environment: Any, split: str, name: str, n: int, path: Path | str) -> Panel:
    """Make a panel file of `n` tasks (0: all) of a split, to be committed.

    The tasks are the first n of the stratified split, so a smaller panel is the beginning of a
    larger one. Raises UsageError where the split is too small.
    """
    tasks = _split(environment, split)
    if n > len(tasks):
        raise UsageError(f"{environment.label or environment.name}: {split} has {len(tasks)} tasks")
    chosen = stratified(tasks)[: n or None]
    label = environment.label or environment.name
    panel = Panel(name, label, split, environment.fingerprint(split), tuple(chosen), True)
    data = {
        "schema": 1,
        "environment": label,
        "split": split,
        "name": name,
        "n": len(chosen),
        "fingerprint": panel.fingerprint,
        "ids": list(panel.ids),
    }
    write_atomic(Path(path), json.dumps(data, indent=1, ensure_ascii=False) + "\n")
    return panel


def committed(folders: Sequence[Path] = FOLDERS) -> list[dict[str, Any]]:
    """All panel files that can be found, as dicts with their `path`. Raises DataError."""
    found = []
    for path in sorted({p for folder in folders for p in folder.glob("*.json")}):
        try:
            data = json.loads(path.read_text(encoding="utf-8"))
            keys = ("environment", "split", "name", "n", "fingerprint", "ids")
            found.append({key: data[key] for key in keys} | {"path": str(path)})
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise DataError(f"panel {path} cannot be read ({error!r}): restore the file") from error
    return found


def folders_of(environment: Any) -> list[Path]:
    """Where panels of an environment may lie: the core's folders, and beside its own module."""
    module = getattr(environment, "module", type(environment).__module__)
    file = getattr(sys.modules.get(module), "__file__", None)
    beside = [Path(file).parent / "panels"] if file else []
    return [*FOLDERS, *beside]


def load(environment: Any, split: str, n: int = 0) -> Panel:
    """The panel of a split: the largest committed one, or the whole split where there is none.

    `n` takes its first tasks (0: all). Raises UsageError if it has fewer, DataError if the data
    are not those that the panel was made from.
    """
    label = environment.label or environment.name
    rows = [
        row
        for row in committed(folders_of(environment))
        if (row["environment"], row["split"]) == (label, split)
    ]
    if rows:
        row = max(rows, key=lambda row: (len(row["ids"]), row["name"]))
        panel = _open(row, environment)
    else:
        tasks = tuple(stratified(_split(environment, split)))
        if not tasks:
            raise UsageError(f"{label}: the split {split!r} has no tasks")
        name = f"{label}.{split}.all"
        panel = Panel(name, label, split, environment.fingerprint(split), tasks, False)
    if n > len(panel.tasks):
        raise UsageError(
            f"run.tasks={n}, but the panel {panel.name} has {len(panel.tasks)} tasks; "
            "0 takes them all"
        )
    if not n or n == len(panel.tasks):
        return panel
    name = f"{panel.name}[:{n}]"
    return Panel(name, label, split, panel.fingerprint, panel.tasks[:n], panel.committed)


def _open(row: dict[str, Any], environment: Any) -> Panel:
    split, label = row["split"], row["environment"]
    found = environment.fingerprint(split)
    if found != row["fingerprint"]:
        raise DataError(
            f"the {split} data of {label} are not those of the panel {row['name']} (fingerprint "
            f"{found[:12]}, panel {row['fingerprint'][:12]}): get the promised data with "
            "`skillbench data fetch`, or check them with `skillbench data verify`"
        )
    by_id = {task.id: task for task in _split(environment, split)}
    ids = row["ids"]
    missing = [i for i in ids if i not in by_id]
    if missing or len(set(ids)) != len(ids):
        what = f"{len(missing)} unknown tasks, e.g. {missing[0]!r}" if missing else "tasks twice"
        raise DataError(f"panel {row['path']} names {what}: restore the file")
    tasks = tuple(by_id[i] for i in ids)
    return Panel(row["name"], label, split, found, tasks, True)


def _split(environment: Any, split: str) -> list[Task]:
    """The tasks of a split, checked: ids must be unique, or nothing scored can be told apart."""
    tasks = list(environment.tasks(split))
    if len({task.id for task in tasks}) != len(tasks):
        name = environment.label or environment.name
        raise DataError(f"{name}: the split {split!r} has two tasks with one id")
    return tasks
