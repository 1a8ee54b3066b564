"""What a suite found: its rows side by side, tie groups, and the effect of each factor.

Rows on one panel with equal seeds are compared task by task. Tie groups are those of the
leaderboard: group 1 is the best row and all that cannot be told apart from it (p >= 0.05, paired
by task), group 2 the best of the others and all that cannot be told apart from it, and so on.
Effects of factors, their interactions and placebos are those of factors.py.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from . import factors, stats
from .store import read_lines

if TYPE_CHECKING:
    from .suite import Suite


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
            "factors": dict(row.factors),
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
    known = (suite.rows, scores, learned)
    return {
        "rows": rows,
        "effects": factors.effects(*known),
        "interactions": factors.interactions(*known),
        "placebos": factors.placebos(*known),
    }


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
    """Write `group` (1, 2, ...) into the rows of each panel and policy."""
    panels: dict[tuple[str, str], list[dict[str, Any]]] = {}
    for row in rows:
        if row["name"] in scores and row["success"]["mean"] is not None:
            panels.setdefault((row["panel"], row["policy"]), []).append(row)
    for members in panels.values():
        rest, number = sorted(members, key=lambda r: -r["success"]["mean"]), 0
        while rest:
            number += 1
            best = rest[0]
            for row in rest:
                if row is best or not _differ(best["name"], row["name"], scores, learned):
                    row["group"] = number
            rest = [row for row in rest if "group" not in row]


def _differ(a: str, b: str, scores: Mapping[str, np.ndarray], learned: Mapping[str, bool]) -> bool:
    x, y = scores[a], scores[b]
    if x.shape[1] != y.shape[1]:
        return False  # other tasks: nothing tells them apart
    found = stats.compare(x, y, learned=(learned[a], learned[b]))
    return found["p"] is not None and found["p"] < 0.05


def print_table(suite: Mapping[str, Any], directory: Path) -> None:
    """The table for people, on stdout."""
    from rich.console import Console
    from rich.table import Table

    from .summary import cost_text, difference, share

    console = Console(highlight=False)
    if not console.is_terminal:
        console.width = max(console.width, 160)
    table = Table(title=suite["title"], title_justify="left", box=None, pad_edge=False)
    for column in ("row", "method", "environment", "success, %", "difference", "group", "learning"):
        table.add_column(column, overflow="fold")
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
            f"{row.get('group', '')}{mark}",
            cost_text(row["learn"]),
        )
    console.print(table)
    grid = factors.table(suite["rows"])
    if grid:
        console.print(_grid(grid))
    for name, effect in suite["effects"].items():
        console.print(f"effect of {name}: {difference(effect)}", markup=False)
    for name, effect in suite.get("interactions", {}).items():
        text = f"interaction {name}: {difference(effect)}"
        console.print(text, markup=False, soft_wrap=True)
    for row in suite.get("placebos", ()):
        text = f"{row['row']} less its placebo {row['placebo']}: {difference(row)}"
        console.print(text, markup=False, soft_wrap=True)
    console.print(f"runs, suite.json, suite.html: {directory}", markup=False, soft_wrap=True)


def _grid(rows: Sequence[Mapping[str, Any]]) -> Any:
    """Success by which factors a row has."""
    from rich.table import Table

    from .summary import share

    table = Table(title="by factor", title_justify="left", box=None, pad_edge=False)
    names = sorted({name for row in rows for name in row["factors"]})
    for name in (*names, "success, %", "row"):
        table.add_column(name)
    for row in rows:
        marks = [{True: "yes", False: "-"}.get(row["factors"].get(name), "") for name in names]
        table.add_row(*marks, share(row["success"]), row["name"])
    return table
