"""What a suite found: its rows side by side, tie groups, and the effect of each factor.

Rows on one panel with equal seeds are compared task by task. Tie groups: rows are ordered by
success; a row belongs to the group of the best row from which its paired 95 % interval cannot tell
it apart, else it begins the next group. A factor's effect is the mean success of the rows that have
it minus that of the rows that have not, paired by seed and task.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from . import stats
from .store import read_lines

if TYPE_CHECKING:
    from .suite import Row, Suite


def summarize(suite: Suite, directory: Path, failed: Mapping[str, str]) -> dict[str, Any]:
    """{rows, effects} of what has finished."""
    rows: list[dict[str, Any]] = []
    scores: dict[str, np.ndarray] = {}
    learned: dict[str, bool] = {}
    for row in suite.rows:
        path = directory / row.directory
        entry: dict[str, Any] = {
            "name": row.name,
            "run": row.directory,
            "method": row.config["method"],
            "environment": row.config["environment"],
        }
        rows.append(entry)
        if row.name in failed or not (path / "result.json").is_file():
            entry["failed"] = failed.get(row.name, "not run")
            continue
        result = json.loads((path / "result.json").read_text(encoding="utf-8"))
        for key in ("policy", "panel", "seeds", "delta", "rankable", "why_not", "retries"):
            if key in result:
                entry[key] = result[key]
        entry["success"] = result["scores"]["success"]
        entry["learn"] = result["cost"]["learn"]
        entry["per_episode"] = result["cost"]["per_episode"]
        scores[row.name] = _matrix(path, result["seeds"])
        learned[row.name] = any(t["enabled"] for t in row.config["trainer"].values())
    _groups(rows, scores, learned)
    return {"rows": rows, "effects": _effects(suite.rows, scores, learned)}


def _matrix(path: Path, seeds: int) -> np.ndarray:
    """seeds x tasks of the method's success, tasks in panel order."""
    values: dict[tuple[int, str], float | None] = {}
    for line in read_lines(path / "episodes.jsonl"):
        if line["arm"] == "method":
            lost = line["outcome"] == "invalid"
            values[line["seed"], line["task"]["id"]] = None if lost else float(line["success"])
    return stats.matrix(values, range(seeds), sorted({task for _, task in values}))


def _groups(
    rows: Sequence[dict[str, Any]],
    scores: Mapping[str, np.ndarray],
    learned: Mapping[str, bool],
) -> None:
    """Write `group` (A, B, ...) into the rows of each panel and policy."""
    panels: dict[tuple[str, str], list[dict[str, Any]]] = {}
    for row in rows:
        if row["name"] in scores and row["success"]["mean"] is not None:
            panels.setdefault((row["panel"], row["policy"]), []).append(row)
    for members in panels.values():
        members.sort(key=lambda r: -r["success"]["mean"])
        best, letter = members[0], 0
        for row in members:
            if row is not best and not _tied(best["name"], row["name"], scores, learned):
                best, letter = row, letter + 1
            row["group"] = chr(ord("A") + min(letter, 25))


def _tied(a: str, b: str, scores: Mapping[str, np.ndarray], learned: Mapping[str, bool]) -> bool:
    x, y = scores[a], scores[b]
    if x.shape != y.shape:
        return True  # other seeds or tasks: nothing tells them apart
    found = stats.paired(x, y, learned=learned[a] or learned[b])
    return found["ci95"] is None or found["ci95"][0] <= 0 <= found["ci95"][1]


def _effects(
    rows: Sequence[Row], scores: Mapping[str, np.ndarray], learned: Mapping[str, bool]
) -> dict[str, Any]:
    """The main effect of each factor, over the rows that say whether they have it."""
    out: dict[str, Any] = {}
    for name in sorted({f for row in rows for f in row.factors}):
        sides: dict[bool, list[np.ndarray]] = {True: [], False: []}
        for row in rows:
            if row.name in scores and name in row.factors:
                sides[row.factors[name]].append(scores[row.name])
        shapes = {m.shape for side in sides.values() for m in side}
        if not sides[True] or not sides[False] or len(shapes) != 1:
            continue
        with_it, without = (np.mean(np.stack(sides[s]), axis=0) for s in (True, False))
        out[name] = stats.paired(with_it, without, learned=any(learned.values()))
        out[name]["rows"] = [len(sides[True]), len(sides[False])]
    return out


def print_table(suite: Mapping[str, Any], directory: Path) -> None:
    """The table for people, on stdout."""
    from rich.console import Console
    from rich.table import Table

    from .summary import cost_text, difference, share

    console = Console(highlight=False)
    table = Table(title=suite["title"], title_justify="left", box=None, pad_edge=False)
    for column in ("row", "method", "environment", "success, %", "difference", "group", "learning"):
        table.add_column(column)
    for row in suite["rows"]:
        head = (row["name"], row["method"], row["environment"])
        if "failed" in row:
            table.add_row(*head, "failed", row["failed"].splitlines()[0])
            continue
        mark = "" if row["rankable"] else " (not rankable)"
        table.add_row(
            *head,
            share(row["success"]),
            difference(row["delta"]),
            row.get("group", "") + mark,
            cost_text(row["learn"]),
        )
    console.print(table)
    for name, effect in suite["effects"].items():
        console.print(f"effect of {name}: {difference(effect)}")
    console.print(f"runs and suite.json: {directory}")
