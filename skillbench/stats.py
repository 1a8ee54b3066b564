"""Intervals and tests: item-level for frozen policies, learning seeds x tasks for trained ones.

Scores lie in a matrix of seeds (rows) by tasks (columns); an invalid episode is nan, and means are
over the valid entries. Which interval is used follows from what varies:

    one seed, nothing learned    Wilson's score interval (binary), else a bootstrap over tasks
    one seed, learned            the same; it says nothing about learning again (`note`)
    several seeds, frozen        bootstrap over tasks: each task's seeds stay together
    several seeds, learned       hierarchical: seeds and tasks are both drawn again (crossed)

The last one is needed because an interval over tasks alone, for a method whose learning varies from
run to run, is too narrow by far. Three or five seeds are few, and a plain percentile bootstrap of
few seeds is wrong in size: draws are spread to the standard error that the variance components
give, with Student's t at Satterthwaite's degrees of freedom (`spread`; docs/statistics.md has the
simulation). Differences are paired by (seed, task). p is McNemar's exact test where both arms have
one binary row, else the t test of that same standard error; `welch` is the test on run means.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

DRAWS = 2000
SEED = 20240229  # of the bootstrap: a result is a function of the episodes alone
NOTE_ONE = "one learning run: how much learning varies is unknown"
Z = 1.959963984540054  # the normal's 97.5 % point


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


def welch(ours: Sequence[float], theirs: Sequence[float]) -> float | None:
    """Two-sided p of Welch's t test on the means of runs; None with fewer than two on a side."""
    if min(len(ours), len(theirs)) < 2:
        return None
    if max(np.ptp(ours), np.ptp(theirs)) < 1e-9:  # no variation: the test has no scale
        return 1.0 if abs(ours[0] - theirs[0]) < 1e-9 else 0.0
    from scipy.stats import ttest_ind

    return float(ttest_ind(ours, theirs, equal_var=False).pvalue)


def mean(scores: np.ndarray) -> float | None:
    """The mean over valid entries, or None without any."""
    valid = scores[~np.isnan(scores)]
    return float(valid.mean()) if valid.size else None


@dataclass(frozen=True)
class Spread:
    """The standard error of a mean (or difference of means) and its degrees of freedom."""

    se: float
    df: float

    @property
    def t(self) -> float:
        """Student's 97.5 % point."""
        from scipy.special import stdtrit

        return float(stdtrit(self.df, 0.975)) if self.df > 0 else math.inf

    def p(self, value: float) -> float:
        """Two-sided p of a value against 0."""
        if self.se == 0:
            return 1.0 if value == 0 else 0.0
        from scipy.special import stdtr

        return float(2 * stdtr(self.df, -abs(value) / self.se))


def spread(arms: Sequence[np.ndarray], learned: Sequence[bool]) -> Spread:
    """Standard error of the mean of one arm, or of the difference of two, from its components.

    Tasks are random and shared by the arms; the rows of a learned arm are random too, those of a
    frozen one are repetitions. With x = task + seed + residual, the variance of the mean is that of
    the task means over T tasks (which holds the residual), plus for each learned arm that of its
    seeds, (MS_seed - MS_residual) / (K T), which is never counted as negative. Degrees of freedom
    are Satterthwaite's. Sources: Searle, Casella, McCulloch, Variance Components (1992), ch. 4.
    """
    means = [np.asarray(_nanmean(arm, axis=0)) for arm in arms]
    per_task = means[0] if len(arms) == 1 else means[0] - means[1]
    per_task = per_task[~np.isnan(per_task)]
    tasks = per_task.size
    if tasks < 2:
        return Spread(0.0, 0.0)
    variance = float(per_task.var(ddof=1)) / tasks
    below = variance**2 / (tasks - 1)
    parts = [_seed_part(arm) for arm, varies in zip(arms, learned) if varies and len(arm) > 1]
    if parts:
        variance += max(sum(part.between - part.residual for part in parts), 0.0)
        # Two arms of one size are pooled for their degrees of freedom, as in a t test: taken one
        # by one, three runs each would count as too few by chance (Welch has the same fault).
        pooled = sum(part.between for part in parts) / len(parts)
        same = len({part.rows for part in parts}) == 1
        for part in parts:
            between = pooled if same else part.between
            below += between**2 / (part.rows - 1) + part.residual**2 / part.free
    df = variance**2 / below if below > 0 else float(tasks - 1)
    return Spread(math.sqrt(variance), min(max(df, 1.0), float(tasks - 1)))


@dataclass(frozen=True)
class _Seeds:
    """What the seeds of an arm add to the variance of its mean: MS_seed and MS_residual / (K T)."""

    between: float
    residual: float
    rows: int
    free: int


def _seed_part(arm: np.ndarray) -> _Seeds:
    rows, tasks = arm.shape
    seeds, size = _nanmean(arm, axis=1), arm.size
    rest = arm - seeds[:, None] - _nanmean(arm, axis=0)[None, :] + np.nanmean(arm)
    free = max(int((~np.isnan(arm)).sum()) - rows - tasks + 1, 1)
    between = tasks * float(np.nanvar(seeds, ddof=1))
    return _Seeds(between / size, float(np.nansum(rest**2)) / free / size, rows, free)


def _nanmean(scores: np.ndarray, axis: int) -> np.ndarray:
    """Means over the valid entries along an axis; nan where there is none, without a warning."""
    count = (~np.isnan(scores)).sum(axis=axis)
    total = np.nansum(scores, axis=axis)
    return np.divide(total, count, out=np.full(total.shape, np.nan), where=count > 0)


@dataclass(frozen=True)
class Weights:
    """How often each task (draws x tasks) and each seed (draws x seeds) is in each resample."""

    tasks: np.ndarray
    seeds: np.ndarray
    resampled: bool  # whether seeds are drawn at all

    def means(self, scores: np.ndarray) -> np.ndarray:
        """Resampled means of a seeds x tasks matrix; nan where a draw holds no valid entry."""
        valid = ~np.isnan(scores)
        total = self._sums(np.where(valid, scores, 0.0))
        if valid.all():
            return total / (self.seeds.sum(axis=1) * self.tasks.shape[1])
        count = self._sums(valid.astype(float))
        out = np.full(len(total), np.nan)
        np.divide(total, count, out=out, where=count > 0)
        return out

    def _sums(self, scores: np.ndarray) -> np.ndarray:
        if not self.resampled:
            return self.tasks @ scores.sum(axis=0)
        return ((self.tasks @ scores.T) * self.seeds).sum(axis=1)  # draws x seeds: small


@functools.lru_cache(maxsize=8)
def weights(
    rows: int, columns: int, *, seeds_too: bool, draws: int = DRAWS, seed: int = SEED, arm: int = 0
) -> Weights:
    """Resampling weights. Arms of one seed share their tasks; `arm` keeps their seeds apart."""
    rng = np.random.default_rng(seed)
    by_task = rng.multinomial(columns, np.full(columns, 1 / columns), size=draws).astype(float)
    both = seeds_too and rows > 1
    if both:
        rng = rng if not arm else np.random.default_rng([seed, arm])
        by_seed = rng.multinomial(rows, np.full(rows, 1 / rows), size=draws).astype(float)
    else:
        by_seed = np.ones((draws, rows))
    return Weights(by_task, by_seed, both)


def bootstrap(
    scores: np.ndarray, *, seeds_too: bool, draws: int = DRAWS, seed: int = SEED
) -> np.ndarray:
    """Means of `draws` resamples of tasks (columns) and, if asked, of seeds (rows)."""
    drawn = weights(*scores.shape, seeds_too=seeds_too, draws=draws, seed=seed).means(scores)
    return drawn[~np.isnan(drawn)]


def interval(draws: np.ndarray) -> tuple[float, float]:
    """The central 95 % of bootstrap means."""
    low, high = np.percentile(draws, [2.5, 97.5])
    return float(low), float(high)


def calibrated(
    draws: np.ndarray, centre: float, size: Spread, bounds: tuple[float, float] | None = None
) -> tuple[float, float]:
    """The bootstrap's interval with its shape kept and its width set by `size`.

    Draws are moved away from the centre by t * se / (z * their own deviation).
    """
    deviation = float(draws.std())
    low, high = interval(draws)
    if deviation > 0 and size.se > 0 and math.isfinite(size.t):
        factor = size.t * size.se / (Z * deviation)
        low, high = centre + (low - centre) * factor, centre + (high - centre) * factor
    if bounds:
        low, high = max(low, bounds[0]), min(high, bounds[1])
    return min(low, centre), max(high, centre)


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
        drawn = bootstrap(scores, seeds_too=both, draws=draws)
        bounds = (0.0, 1.0) if binary else None
        ci = calibrated(drawn, float(valid.mean()), spread([scores], [both]), bounds)
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
    """{mean, ci95, p, n, test} of method - baseline over pairs that are valid in both.

    The baseline is frozen; `compare` is for two arms that may both have learned.
    """
    blank = np.isnan(method) | np.isnan(baseline)
    ours, theirs = np.where(blank, np.nan, method), np.where(blank, np.nan, baseline)
    return compare(ours, theirs, learned=(learned, False), draws=draws)


def compare(
    ours: np.ndarray,
    theirs: np.ndarray,
    *,
    learned: tuple[bool, bool],
    draws: int = DRAWS,
) -> dict[str, Any]:
    """{mean, ci95, p, n, test} of ours - theirs on the same tasks (columns), rows of any number.

    Swapping the arms flips the signs and nothing else. Tasks that have no valid entry in one of
    the arms are left out.
    """
    ours, theirs = _known(ours, theirs)
    if not ours.size:
        return {
            "mean": None,
            "ci95": None,
            "p": None,
            "n": 0,
            "reason": "no pair is valid in both arms",
        }
    turned = ours.tobytes() > theirs.tobytes()  # one order of the arms: swapping flips signs alone
    if turned:
        ours, theirs, learned = theirs, ours, (learned[1], learned[0])
    both = [flag and arm.shape[0] > 1 for flag, arm in zip(learned, (ours, theirs))]
    centre = float(np.nanmean(ours) - np.nanmean(theirs))
    size = spread((ours, theirs), both)
    drawn = [
        weights(*arm.shape, seeds_too=flag, draws=draws, arm=i).means(arm)
        for i, (arm, flag) in enumerate(zip((ours, theirs), both))
    ]
    difference = drawn[0] - drawn[1]
    difference = difference[~np.isnan(difference)]
    binary = _binary(ours, theirs)
    low, high = calibrated(difference, centre, size, (-1.0, 1.0) if binary else None)
    if turned:
        centre, low, high = -centre, -high, -low
    if _single(ours, theirs) and binary:
        test, p = "McNemar, exact", _mcnemar(ours, theirs)
    else:
        test, p = ("t, seeds x tasks" if any(both) else "t, tasks"), size.p(centre)
    out = {
        "mean": _round(centre),
        "ci95": [_round(low), _round(high)],
        "p": float(f"{p:.4g}"),
        "n": _pairs(ours, theirs),
        "test": test,
        "interval": "bootstrap seeds x tasks" if any(both) else "bootstrap tasks",
    }
    if any(flag and arm.shape[0] == 1 for flag, arm in zip(learned, (ours, theirs))):
        out["note"] = NOTE_ONE
    return out


def p_value(ours: np.ndarray, theirs: np.ndarray, *, learned: tuple[bool, bool]) -> float | None:
    """The p of `compare`, without the resampling that its interval needs."""
    ours, theirs = _known(ours, theirs)
    if not ours.size:
        return None
    if _single(ours, theirs) and _binary(ours, theirs):
        p = _mcnemar(ours, theirs)
    else:
        both = [flag and arm.shape[0] > 1 for flag, arm in zip(learned, (ours, theirs))]
        p = spread((ours, theirs), both).p(float(np.nanmean(ours) - np.nanmean(theirs)))
    return float(f"{p:.4g}")


def _known(ours: np.ndarray, theirs: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Both without the tasks that have no valid entry in one of them."""
    known = (~np.isnan(ours)).any(axis=0) & (~np.isnan(theirs)).any(axis=0)
    return ours[:, known], theirs[:, known]


def _single(ours: np.ndarray, theirs: np.ndarray) -> bool:
    return ours.shape[0] == theirs.shape[0] == 1


def _binary(*arms: np.ndarray) -> bool:
    return all(bool(((arm == 0.0) | (arm == 1.0) | np.isnan(arm)).all()) for arm in arms)


def _mcnemar(ours: np.ndarray, theirs: np.ndarray) -> float:
    return mcnemar(int((ours > theirs).sum()), int((ours < theirs).sum()))


def _pairs(ours: np.ndarray, theirs: np.ndarray) -> int:
    """Pairs by (seed, task) where the arms have the same seeds, else tasks that both have."""
    if ours.shape == theirs.shape:
        return int((~np.isnan(ours) & ~np.isnan(theirs)).sum())
    return int(ours.shape[1])


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
