"""Intervals and tests: item-level for frozen policies, learning seeds x tasks for trained ones.

Scores lie in a matrix of seeds (rows) by tasks (columns); an invalid episode is nan, and means are
over the valid entries. Which interval is used follows from what varies:

    one seed, nothing learned    Wilson's score interval (binary), else a bootstrap over tasks
    one seed, learned            the same; it says nothing about learning again (`note`)
    several seeds, frozen        bootstrap over tasks: each task's seeds stay together
    several seeds, learned       hierarchical: seeds and tasks are both drawn again (crossed)

The last one is needed because an interval over tasks alone, for a method whose learning varies from
run to run, is too narrow by far. Differences are paired by (seed, task). p is McNemar's exact test
where both arms have one binary row, else the share of bootstrap draws on the far side of 0, twice.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

DRAWS = 2000
SEED = 20240229  # of the bootstrap: a result is a function of the episodes alone
NOTE_ONE = "one learning run: how much learning varies is unknown"


def wilson(successes: int, n: int) -> tuple[float, float]:
    """Wilson's 95 % interval of a proportion; (0, 1) without data."""
    if n == 0:
        return 0.0, 1.0
    from scipy.stats import binomtest

    interval = binomtest(successes, n).proportion_ci(0.95, method="wilson")
    return float(interval.low), float(interval.high)


def mcnemar(only_method: int, only_baseline: int) -> float:
    """Exact two-sided p of McNemar's test on the discordant pairs."""
    n = only_method + only_baseline
    if n == 0:
        return 1.0
    from scipy.stats import binomtest

    return float(binomtest(only_method, n, 0.5).pvalue)


def mean(scores: np.ndarray) -> float | None:
    """The mean over valid entries, or None without any."""
    valid = scores[~np.isnan(scores)]
    return float(valid.mean()) if valid.size else None


def bootstrap(
    scores: np.ndarray, *, seeds_too: bool, draws: int = DRAWS, seed: int = SEED
) -> np.ndarray:
    """Means of `draws` resamples of tasks (columns) and, if asked, of seeds (rows)."""
    rows, columns = scores.shape
    rng = np.random.default_rng(seed)
    valid = ~np.isnan(scores)
    filled = np.where(valid, scores, 0.0)
    by_task = rng.multinomial(columns, np.full(columns, 1 / columns), size=draws)
    if seeds_too and rows > 1:
        by_seed = rng.multinomial(rows, np.full(rows, 1 / rows), size=draws)
    else:
        by_seed = np.ones((draws, rows), dtype=np.int64)
    total = ((by_seed @ filled) * by_task).sum(axis=1)
    count = ((by_seed @ valid.astype(float)) * by_task).sum(axis=1)
    out = np.full(draws, np.nan)
    np.divide(total, count, out=out, where=count > 0)
    return out[~np.isnan(out)]


def interval(draws: np.ndarray) -> tuple[float, float]:
    """The central 95 % of bootstrap means."""
    low, high = np.percentile(draws, [2.5, 97.5])
    return float(low), float(high)


def summary(scores: np.ndarray, *, learned: bool, draws: int = DRAWS) -> dict[str, Any]:
    """{mean, ci95, n, valid, interval} of a matrix; n counts valid episodes."""
    valid = scores[~np.isnan(scores)]
    if not valid.size:
        return {"mean": None, "ci95": None, "n": 0, "interval": "none"}
    rows = scores.shape[0]
    binary = bool(np.isin(valid, (0.0, 1.0)).all())
    if rows == 1 and binary:
        how, ci = "wilson", wilson(int(valid.sum()), valid.size)
    else:
        both = learned and rows > 1
        how = "bootstrap seeds x tasks" if both else "bootstrap tasks"
        ci = interval(bootstrap(scores, seeds_too=both, draws=draws))
        if binary and ci[0] == ci[1]:
            # All solved or none: no draw differs, which is no reason to be certain. Tasks are what
            # is independent, whatever the number of seeds.
            tasks = int((~np.isnan(scores)).any(axis=0).sum())
            how, ci = "wilson over tasks (no variation)", wilson(round(valid.mean()) * tasks, tasks)
    out: dict[str, Any] = {
        "mean": _round(float(valid.mean())),
        "ci95": [_round(ci[0]), _round(ci[1])],
        "n": int(valid.size),
        "interval": how,
    }
    if rows > 1:
        out["per_seed"] = [_round(mean(row)) for row in scores]
    if learned and rows == 1:
        out["note"] = NOTE_ONE
    return out


def paired(
    method: np.ndarray, baseline: np.ndarray, *, learned: bool, draws: int = DRAWS
) -> dict[str, Any]:
    """{mean, ci95, p, n, test} of method - baseline over pairs that are valid in both."""
    difference = method - baseline
    valid = difference[~np.isnan(difference)]
    if not valid.size:
        return {
            "mean": None,
            "ci95": None,
            "p": None,
            "n": 0,
            "reason": "no pair is valid in both arms",
        }
    rows = difference.shape[0]
    both = learned and rows > 1
    resampled = bootstrap(difference, seeds_too=both, draws=draws)
    low, high = interval(resampled)
    pairs = [(m, b) for m, b in zip(method.ravel(), baseline.ravel()) if not math.isnan(m - b)]
    if rows == 1 and all(value in (0.0, 1.0) for pair in pairs for value in pair):
        test, p = "McNemar, exact", mcnemar(pairs.count((1.0, 0.0)), pairs.count((0.0, 1.0)))
    else:
        test, p = "bootstrap", bootstrap_p(resampled)
    out = {
        "mean": _round(float(valid.mean())),
        "ci95": [_round(low), _round(high)],
        "p": float(f"{p:.4g}"),
        "n": int(valid.size),
        "test": test,
        "interval": "bootstrap seeds x tasks" if both else "bootstrap tasks",
    }
    if learned and rows == 1:
        out["note"] = NOTE_ONE
    return out


def bootstrap_p(draws: np.ndarray) -> float:
    """Two-sided p that the mean is 0; never 0, since the draws are finite."""
    n = len(draws)
    far = min(int((draws <= 0).sum()), int((draws >= 0).sum()))
    return min(1.0, 2 * (far + 1) / (n + 1))


def by_group(
    scores: np.ndarray, groups: Sequence[str], *, learned: bool, draws: int = DRAWS
) -> dict[str, dict[str, Any]]:
    """`summary` for the columns of each group (task type)."""
    out = {}
    for group in sorted(set(groups)):
        columns = [i for i, name in enumerate(groups) if name == group]
        out[group] = summary(scores[:, columns], learned=learned, draws=draws)
    return out


def matrix(
    values: Mapping[tuple[int, str], float | None], seeds: Sequence[int], tasks: Sequence[str]
) -> np.ndarray:
    """Lay values keyed by (seed, task id) out as seeds x tasks; missing or None is nan."""
    out = np.full((len(seeds), len(tasks)), np.nan)
    for i, seed in enumerate(seeds):
        for j, task in enumerate(tasks):
            value = values.get((seed, task))
            if value is not None:
                out[i, j] = value
    return out


def _round(value: float | None) -> float | None:
    return None if value is None else round(value, 6)
