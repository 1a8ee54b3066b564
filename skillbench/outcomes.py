"""The scored episodes of a run as matrices: what comparisons, costs and the leaderboard work on.

Rows are seeds, columns are the panel's tasks in order. They come from episodes.jsonl of a run, or
from the `episodes` table of a leaderboard file, which is the same in a compact form: one letter per
episode (S success, F failure, T truncated, I invalid, - missing) and one number per episode of what
it took. A repeated task is an error, whatever the file: each counts exactly once per seed.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from .errors import DataError
from .records import OUTCOMES

LETTERS = {"success": "S", "failure": "F", "truncated": "T", "invalid": "I"}
WORDS = {letter: word for word, letter in LETTERS.items()}
MISSING = "-"
COLUMNS = ("steps", "tokens_in", "tokens_cached", "tokens_out", "calls", "usd", "device_s")
ARMS = ("method", "baseline")


@dataclass(frozen=True)
class Arm:
    """One arm: outcome letters (one string per seed), and per-episode figures, seeds x tasks."""

    letters: tuple[str, ...]
    figures: Mapping[str, np.ndarray]  # of COLUMNS, and `score` where it is not success

    @property
    def grid(self) -> np.ndarray:
        """The letters, seeds x tasks."""
        return np.array([list(row) for row in self.letters])

    @cached_property
    def success(self) -> np.ndarray:
        """1 solved, 0 not, nan invalid or missing."""
        grid = self.grid
        return np.where(np.isin(grid, ("I", MISSING)), np.nan, (grid == "S").astype(float))

    @property
    def lost(self) -> np.ndarray:
        """Success with invalid episodes as failures."""
        return np.where(self.grid == MISSING, np.nan, (self.grid == "S").astype(float))

    @property
    def counts(self) -> dict[str, int]:
        """How many episodes ended how."""
        return {word: int((self.grid == LETTERS[word]).sum()) for word in OUTCOMES}

    @property
    def valid_share(self) -> float:
        """Valid episodes over those that the panel asks for."""
        return float((~np.isnan(self.success)).mean())

    def figure(self, name: str) -> np.ndarray:
        """A figure per episode; zeros where it was not noted."""
        found = self.figures.get(name)
        return np.zeros(self.success.shape) if found is None else found

    def cost(self, rate: float, *, api: float = 1.0) -> np.ndarray:
        """Dollars per episode: what was paid, and device seconds at `rate` dollars a second."""
        return self.figure("usd") * api + self.figure("device_s") * rate


@dataclass(frozen=True)
class Outcomes:
    """The scored episodes of one run."""

    tasks: tuple[str, ...]
    types: tuple[str, ...]
    method: Arm
    baseline: Arm | None
    learned: bool

    @property
    def seeds(self) -> int:
        """How many seeds."""
        return len(self.method.letters)

    def reordered(self, order: Sequence[int]) -> Outcomes:
        """The same with the tasks in another order."""
        arms = [
            arm
            and Arm(
                tuple("".join(row[i] for i in order) for row in arm.letters),
                {name: values[:, order] for name, values in arm.figures.items()},
            )
            for arm in (self.method, self.baseline)
        ]
        assert arms[0] is not None
        names, kinds = ([values[i] for i in order] for values in (self.tasks, self.types))
        return Outcomes(tuple(names), tuple(kinds), arms[0], arms[1], self.learned)

    def columns(self, kind: str) -> list[int]:
        """The columns of a task type."""
        return [i for i, name in enumerate(self.types) if name == kind]


def collect(lines: Iterable[Mapping[str, Any]], *, learned: bool) -> Outcomes:
    """Read episode lines. Raises DataError for an episode that is there twice."""
    by_arm: dict[str, dict[tuple[int, str], Mapping[str, Any]]] = {name: {} for name in ARMS}
    types: dict[str, str] = {}
    for line in lines:
        key = (line["seed"], line["task"]["id"])
        if key in by_arm[line["arm"]]:
            raise DataError(
                f"task {key[1]!r} is scored twice for seed {key[0]} ({line['arm']}): "
                "every panel task counts exactly once"
            )
        by_arm[line["arm"]][key] = line
        types.setdefault(key[1], line["task"]["task_type"])
    if not by_arm["method"]:
        raise DataError("the run has no scored episode; go on with: skillbench run --resume RUN")
    tasks = tuple(types)
    seeds = sorted({seed for seed, _ in by_arm["method"]})
    arms = [_arm(by_arm[name], seeds, tasks) if by_arm[name] else None for name in ARMS]
    assert arms[0] is not None
    return Outcomes(tasks, tuple(types.values()), arms[0], arms[1], learned)


def _arm(
    lines: Mapping[tuple[int, str], Mapping[str, Any]], seeds: Sequence[int], tasks: Sequence[str]
) -> Arm:
    found = [[lines.get((seed, task)) for task in tasks] for seed in seeds]
    letters = tuple(
        "".join(MISSING if line is None else LETTERS[line["outcome"]] for line in row)
        for row in found
    )
    figures = {
        name: np.array([[_figure(line, name) for line in row] for row in found])
        for name in (*COLUMNS, "score")
    }
    graded = figures["score"]
    solved = np.array([[letter == "S" for letter in row] for row in letters])
    if np.array_equal(graded, solved):
        del figures["score"]
    return Arm(letters, {k: v for k, v in figures.items() if v.any()})


def _figure(line: Mapping[str, Any] | None, name: str) -> float:
    if line is None:
        return 0.0
    usage = line.get("usage") or {}
    if name == "steps":
        return float(len(line.get("steps", ())))
    if name == "score":
        return float(line.get("score", 0.0))
    keys = {"tokens_in": "input_tokens", "tokens_cached": "cached_tokens"}
    keys["tokens_out"] = "output_tokens"
    return float(usage.get(keys.get(name, name), 0.0))


def to_json(outcomes: Outcomes) -> dict[str, Any]:
    """The compact form that leaderboard files hold."""
    out: dict[str, Any] = {"tasks": list(outcomes.tasks), "types": list(outcomes.types)}
    for name, arm in (("method", outcomes.method), ("baseline", outcomes.baseline)):
        if arm is not None:
            out[name] = {"outcomes": list(arm.letters)} | {
                key: [[_short(v) for v in row] for row in values.tolist()]
                for key, values in arm.figures.items()
            }
    return out


def _short(value: float) -> float | int:
    return int(value) if value == int(value) else float(f"{value:.4g}")


def from_json(data: Mapping[str, Any], *, learned: bool) -> Outcomes:
    """Read the compact form. Raises DataError that says what is wrong with it."""
    try:
        tasks, types = tuple(data["tasks"]), tuple(data["types"])
        arms = [_read_arm(data[name], len(tasks)) if name in data else None for name in ARMS]
    except (KeyError, TypeError, ValueError) as error:
        raise DataError(f"the table of episodes cannot be read: {error!r}") from error
    repeated = sorted(task for task, n in Counter(tasks).items() if n > 1)
    if repeated:
        raise DataError(f"task {repeated[0]!r} is scored twice: each counts exactly once")
    if arms[0] is None or len(types) != len(tasks):
        raise DataError("the table of episodes lacks the method, or the types of its tasks")
    return Outcomes(tasks, types, arms[0], arms[1], learned)


def _read_arm(data: Mapping[str, Any], tasks: int) -> Arm:
    letters = tuple(data["outcomes"])
    figures = {k: np.array(v, dtype=float) for k, v in data.items() if k != "outcomes"}
    for row in letters:
        if len(row) != tasks or set(row) - {*WORDS, MISSING}:
            raise DataError(
                f"a row of outcomes has {len(row)} letters for {tasks} tasks, or unknown ones"
            )
    for name, values in figures.items():
        if values.shape != (len(letters), tasks):
            raise DataError(f"{name} is not one number per episode")
    return Arm(letters, figures)
