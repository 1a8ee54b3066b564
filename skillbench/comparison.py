"""Two runs on one panel, side by side: the paired difference, where it comes from, what it costs.

`load` reads a run directory or a leaderboard file; `compare` refuses runs of different panels. The
difference is the first run's success less the other's, over the panel's tasks, with the interval
and test of stats.compare. A task is discordant where one run solved it in more of its seeds.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from . import outcomes, stats, submission
from .errors import RunDirError, UsageError
from .money import Account
from .runs import load_result


@dataclass(frozen=True)
class Run:
    """One side of a comparison: its leaderboard row, and its directory where there is one."""

    name: str
    row: Mapping[str, Any]
    directory: Path | None

    @property
    def outcomes(self) -> outcomes.Outcomes:
        """The episodes."""
        return outcomes.from_json(self.row["episodes"], learned=bool(self.row["learned"]))

    @property
    def account(self) -> Account:
        """The money."""
        return submission.account(self.row)

    def transcript(self, task: str, seed: int) -> str:
        """Where the transcript of an episode stands, as a link; empty without the run directory."""
        if self.directory is None:
            return ""
        return f"{self.directory / 'report.html'}#{anchor('method', seed, task)}"


def anchor(arm: str, seed: int, task: str) -> str:
    """The fragment that opens an episode on a run's page."""
    from urllib.parse import quote

    return f"episode={arm}/{seed}/{quote(task, safe='')}"


def load(place: str) -> Run:
    """Read a run directory or a leaderboard file. Raises RunDirError."""
    path = Path(place).expanduser()
    if path.is_file():
        try:
            row = json.loads(path.read_text(encoding="utf-8"))
            row["episodes"], row["learned"]
        except (ValueError, KeyError, TypeError) as error:
            raise RunDirError(f"{place} is not a leaderboard file: {error!r}") from error
        return Run(path.stem, row, None)
    directory, result = load_result(place)
    row = submission.make(directory, result, command="", commit="", variant="")
    return Run(directory.name, row, directory)


def names(runs: Sequence[Run]) -> list[str]:
    """What tells the runs apart: the method, and the directory's name where methods are equal."""
    methods = [str(run.row["method"]) for run in runs]
    if len(set(methods)) == len(methods):
        return methods
    return [run.name for run in runs]


def compare(one: Run, other: Run, *, value: float | None = None) -> dict[str, Any]:
    """{delta, welch, by_task_type, discordant, cost, break_even, ...}: `one` less `other`.

    Raises UsageError where the panels differ.
    """
    if one.row["panel"] != other.row["panel"]:
        raise UsageError(
            f"{one.name} was scored on {one.row['panel']} and {other.name} on "
            f"{other.row['panel']}: only runs of one panel can be compared"
        )
    left, right = one.outcomes, _aligned(other.outcomes, one.outcomes.tasks)
    learned = (left.learned, right.learned)
    a, b = left.method.success, right.method.success
    types = {}
    for kind in sorted(set(left.types)):
        columns = left.columns(kind)
        types[kind] = {
            "one": stats.summary(a[:, columns], learned=learned[0]),
            "other": stats.summary(b[:, columns], learned=learned[1]),
            "delta": stats.compare(a[:, columns], b[:, columns], learned=learned),
        }
    return {
        "panel": one.row["panel"],
        "one": {"name": one.name, "method": one.row["method"]} | _side(one, a),
        "other": {"name": other.name, "method": other.row["method"]} | _side(other, b),
        "delta": stats.compare(a, b, learned=learned),
        "welch": _welch(a, b),
        "by_task_type": types,
        "discordant": _discordant(one, other, left, a, b),
        "break_even": _break_even(one, other, value),
    }


def _aligned(found: outcomes.Outcomes, tasks: Sequence[str]) -> outcomes.Outcomes:
    place = {task: i for i, task in enumerate(found.tasks)}
    missing = [task for task in tasks if task not in place]
    if missing or len(tasks) != len(found.tasks):
        raise UsageError(
            f"the runs do not hold the same tasks, e.g. {(missing or list(found.tasks))[0]!r} is "
            "in one alone: finish both with `skillbench run --resume`"
        )
    return found.reordered([place[task] for task in tasks])


def _side(run: Run, success: np.ndarray) -> dict[str, Any]:
    figures = run.account.summary()
    keys = ("unit", "per_episode", "per_success", "learn")
    return {
        "success": stats.summary(success, learned=run.outcomes.learned),
        "seeds": int(success.shape[0]),
        **{key: figures[key] for key in keys},
    }


def _welch(a: np.ndarray, b: np.ndarray) -> float | None:
    sides = [[mean for row in side if (mean := stats.mean(row)) is not None] for side in (a, b)]
    p = stats.welch(sides[0], sides[1])
    return None if p is None else float(f"{p:.4g}")


def _discordant(
    one: Run, other: Run, found: outcomes.Outcomes, a: np.ndarray, b: np.ndarray
) -> dict[str, Any]:
    """Tasks that one run solved in more of its seeds, the clearest first, with both transcripts."""
    rows = []
    for i, task in enumerate(found.tasks):
        shares = [stats.mean(side[:, i]) for side in (a, b)]
        if None in shares or shares[0] == shares[1]:
            continue
        ours, theirs = float(shares[0] or 0.0), float(shares[1] or 0.0)
        better = ours > theirs
        seeds = (_seed(a[:, i], won=better), _seed(b[:, i], won=not better))
        rows.append(
            {
                "task": task,
                "task_type": found.types[i],
                "one": ours,
                "other": theirs,
                "transcripts": [one.transcript(task, seeds[0]), other.transcript(task, seeds[1])],
            }
        )
    rows.sort(key=lambda row: (-abs(row["one"] - row["other"]), row["task"]))
    won = sum(row["one"] > row["other"] for row in rows)
    return {"only_one": won, "only_other": len(rows) - won, "tasks": rows}


def _seed(column: np.ndarray, *, won: bool) -> int:
    """The first seed that shows what the task is listed for."""
    fitting = np.flatnonzero(column == float(won))
    return int(fitting[0]) if fitting.size else 0


def _break_even(one: Run, other: Run, value: float | None) -> list[dict[str, Any]]:
    """When each of the two that learned has repaid its bill against using the other instead."""
    out = []
    for ours, theirs in ((one, other), (other, one)):
        mine, yours = ours.account, theirs.account
        if ours.outcomes.learned and mine.unit == yours.unit:
            even = mine.against(yours.method, name=theirs.name, value=value)
            out.append({"run": ours.name, **even})
    return out
