"""Chance decides what is shown, so that what a skill does can be told from what goes with it.

A memory that always shows its skills leaves nothing to compare with: success where a skill was
shown against where it was not compares different tasks. With `score.show=0.5` each skill that the
frozen memory picks for a task is shown with probability 0.5 and else left out (its place stays
empty, nothing moves up), independently for each (seed, task, skill) by a hash of the three. An
episode then says what was shown (`skill_ids`) and what was left out (`withheld`), and `effects`
estimates from both what each skill does: a randomised experiment inside of one run, many skills at
once. Only the method's arm is touched; a run scored so is another configuration, and says so.

The estimate is least squares of success on every skill at once. A skill's column is 1 - p where it
was shown, -p where it was left out (p: the share shown), and 0 where it was not picked at all, so
that it is uncorrelated with everything else by design; columns for each seed and task type, and the
baseline's success at the same task and seed where there is one, only take away noise (Lin 2013,
doi:10.1214/12-AOAS583). What comes out is a mean effect over the tasks the skill was picked for,
with the other skills shown to the share p. Errors are clustered by task (CR1), with Student's t.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from .errors import PluginError
from .records import Context, Skill, Task
from .rollout import seed_of

SPARE = 10  # episodes beyond the columns that an estimate needs at least


def take_out(text: str, skill: Skill) -> str:
    """The text without a skill's lines. Raises PluginError where no line holds its principle."""
    lines = text.split("\n")
    kept = [line for line in lines if " ".join(skill.principle.split()) not in line]
    if len(kept) == len(lines):
        raise PluginError(
            f"skill {skill.id} is shown, but no line of the prompt holds its principle: leaving "
            "skills out one by one needs a memory that shows each of them on lines of its own"
        )
    return "\n".join(kept).strip("\n")


class ByChance:
    """A frozen memory whose skills are each shown with probability `share`."""

    def __init__(self, memory: Any, share: float, seed: int) -> None:
        self._memory, self._share, self._seed = memory, share, seed
        self.version = str(getattr(memory, "version", ""))

    def context(self, task: Task, history: Any = (), budget: int = 0) -> Context:
        """What the memory shows, less what chance leaves out."""
        found = self._memory.context(task, history, budget)
        out = {i for i in found.skill_ids if not self._shown(task.id, i)}
        text = found.text
        if out:
            known = {skill.id: skill for skill in self._memory.skills()}
            for key in sorted(out):
                if key not in known:
                    raise PluginError(
                        f"skill {key} is shown, but the memory does not list it: score.show needs "
                        "a memory that shows its own entries (no placebo)"
                    )
                text = take_out(text, known[key])
        shown = tuple(i for i in found.skill_ids if i not in out)
        left = tuple(i for i in found.skill_ids if i in out)
        return replace(found, text=text, skill_ids=shown, withheld=left)

    def skills(self) -> list[Skill]:
        """All entries."""
        return self._memory.skills()

    def _shown(self, task: str, skill: str) -> bool:
        return seed_of("show", self._seed, task, skill) < self._share * 2**31


def by_chance(memory: Any, score: Mapping[str, Any], seed: int) -> Any:
    """The memory, behind `ByChance` where the `score` table asks for it."""
    share = score.get("show")
    return memory if share is None else ByChance(memory, float(share), seed)


def effects(lines: Iterable[Mapping[str, Any]], share: float) -> list[dict[str, Any]]:
    """[{id, shown, withheld, effect: {mean, ci95, p, n}}] from episode lines, most picked first.

    Rows of invalid episodes are left out. `mean` is None where there are too few episodes, or where
    two skills were always shown and withheld together.
    """
    base: dict[tuple[int, str], float] = {}
    rows: list[Mapping[str, Any]] = []
    for line in lines:
        if line["outcome"] == "invalid":
            continue
        if line["arm"] == "baseline":
            base[line["seed"], line["task"]["id"]] = float(line["success"])
        elif line.get("withheld") is not None:
            rows.append(line)
    shown = [set(line.get("skill_ids", ())) for line in rows]
    left = [set(line["withheld"]) for line in rows]
    counts = {key: [0, 0] for pair in zip(shown, left) for key in sorted(set().union(*pair))}
    for pair in zip(shown, left):
        for side, keys in enumerate(pair):
            for key in keys:
                counts[key][side] += 1
    ids = sorted(counts, key=lambda key: (-sum(counts[key]), key))
    design = np.array(
        [[(1 - share) * (k in s) - share * (k in w) for k in ids] for s, w in zip(shown, left)]
    ).reshape(len(rows), len(ids))
    won = np.array([float(line["success"]) for line in rows])
    found = _least_squares(won, np.hstack([design, _others(rows, base)]), rows, len(ids))
    return [
        {"id": key, "shown": counts[key][0], "withheld": counts[key][1], "effect": effect}
        for key, effect in zip(ids, found)
    ]


def _others(rows: list[Mapping[str, Any]], base: Mapping[tuple[int, str], float]) -> np.ndarray:
    """Columns that take away noise: one for each seed and task type, and the baseline's success."""
    cells = [(line["seed"], line["task"]["task_type"]) for line in rows]
    columns = [[float(cell == one) for cell in cells] for one in sorted(set(cells))]
    solved = [base.get((line["seed"], line["task"]["id"])) for line in rows]
    known = [value for value in solved if value is not None]
    if known and len(set(known)) > 1:
        middle = float(np.mean(known))
        columns.append([middle if value is None else value for value in solved])
    return np.array(columns).T.reshape(len(rows), len(columns))


def _least_squares(
    y: np.ndarray, x: np.ndarray, rows: list[Mapping[str, Any]], wanted: int
) -> list[dict[str, Any]]:
    """Coefficients of the first `wanted` columns with intervals, clustered by task."""
    from scipy.special import stdtr, stdtrit

    n, k = x.shape
    names = sorted({line["task"]["id"] for line in rows})
    place = {name: i for i, name in enumerate(names)}
    picked = [int((x[:, j] != 0).sum()) for j in range(wanted)]
    nothing = [{"mean": None, "ci95": None, "p": None, "n": count} for count in picked]
    groups = len(names)
    if n < k + SPARE or groups < k + 2 or np.linalg.matrix_rank(x) < k:
        return nothing
    inverse = np.linalg.inv(x.T @ x)
    beta = inverse @ x.T @ y
    scores = x * (y - x @ beta)[:, None]
    clusters = np.zeros((groups, k))
    np.add.at(clusters, [place[line["task"]["id"]] for line in rows], scores)
    factor = groups / (groups - 1) * (n - 1) / (n - k)
    covariance = factor * inverse @ (clusters.T @ clusters) @ inverse
    df = groups - k
    point = float(stdtrit(df, 0.975))
    out = []
    for j in range(wanted):
        mean, error = float(beta[j]), float(np.sqrt(max(covariance[j, j], 0.0)))
        ends = [round(mean - point * error, 6), round(mean + point * error, 6)]
        p = float(2 * stdtr(df, -abs(mean) / error)) if error else float(mean == 0)
        row = {"mean": round(mean, 6), "ci95": ends, "p": float(f"{p:.4g}"), "n": picked[j]}
        out.append(row)
    return out
