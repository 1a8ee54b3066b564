"""Advantages of episodes within a group (episodes of one task under one policy). Pure functions.

`grpo` takes mean and standard deviation over the trajectories of the group, which is the papers'
formula (DeepSeekMath, arXiv:2402.03300, eq. 3; SkillRL, arXiv:2602.08234). The released code of
verl-agent and SkillRL takes them over all *step rows* of the group, so that long episodes, which
are mostly failures, weigh more; `stats="rows"` reproduces that, `sizes` being the rows of each
trajectory. Standard deviations are unbiased (torch's default) and `std_eps` is added to them.

A group of one has nothing to be compared with: its advantage is 0 and it is dropped. The published
code gives a single row its raw return instead (mean 0, deviation 1); `singleton="published"`.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

STD_EPS = 1e-6  # verl's constant; TRL adds 1e-4


def grpo(
    returns: Sequence[float],
    *,
    sizes: Sequence[int] | None = None,
    stats: str = "episodes",
    normalise: bool = True,
    std_eps: float = STD_EPS,
    std_floor: float = 0.0,
    singleton: str = "zero",
) -> list[float]:
    """Group-relative advantages `(R - mean) / (std + std_eps)`, one for each return.

    `std_floor` > 0 keeps a group that differs in little (all failed, some with more invalid
    actions) from weighing as much as one in which some episodes solved the task.
    """
    weights = _weights(returns, sizes, stats)
    n = sum(weights)
    if n <= 1:
        return _lonely(returns, singleton, std_eps if normalise else None)
    mean = sum(w * r for w, r in zip(weights, returns)) / n
    if not normalise:
        return [r - mean for r in returns]
    variance = sum(w * (r - mean) ** 2 for w, r in zip(weights, returns)) / (n - 1)
    std = max(math.sqrt(variance), std_floor)
    return [(r - mean) / (std + std_eps) for r in returns]


def rloo(
    returns: Sequence[float],
    *,
    sizes: Sequence[int] | None = None,
    stats: str = "episodes",
    singleton: str = "zero",
) -> list[float]:
    """Leave-one-out advantages `R - mean(others)` = N / (N - 1) * (R - mean) (arXiv:2402.14740).

    With `stats="rows"` N and the mean count step rows, as verl-agent does.
    """
    weights = _weights(returns, sizes, stats)
    n = sum(weights)
    if n <= 1:
        return _lonely(returns, singleton, None)
    mean = sum(w * r for w, r in zip(weights, returns)) / n
    return [n / (n - 1) * (r - mean) for r in returns]


ESTIMATORS: dict[str, Callable[..., list[float]]] = {"grpo": grpo, "rloo": rloo}


@dataclass(frozen=True)
class Advantages:
    """One advantage for each return, and what became of the groups."""

    values: tuple[tuple[float, ...], ...]
    kept: int
    dropped: int  # groups whose returns are all equal: they carry no gradient


def by_group(
    groups: Sequence[Sequence[float]],
    *,
    estimator: str = "grpo",
    sizes: Sequence[Sequence[int]] | None = None,
    **options: Any,
) -> Advantages:
    """Apply an estimator to each group; one without any difference gets zeros and is counted."""
    function = ESTIMATORS[estimator]
    values, kept = [], 0
    for g, returns in enumerate(groups):
        counts = sizes[g] if sizes is not None else None
        row = function(returns, sizes=counts, **options) if returns else []
        spread = max(returns) - min(returns) if returns else 0.0
        alone = len(returns) == 1 and any(row)  # only under singleton="published"
        if spread < 1e-9 and not alone:
            row = [0.0] * len(returns)
        else:
            kept += 1
        values.append(tuple(row))
    return Advantages(tuple(values), kept, len(groups) - kept)


def _weights(returns: Sequence[float], sizes: Sequence[int] | None, stats: str) -> list[int]:
    if stats == "episodes":
        return [1] * len(returns)
    if stats != "rows":
        raise ValueError(f"stats must be 'episodes' or 'rows', not {stats!r}")
    if sizes is None or len(sizes) != len(returns):
        raise ValueError("stats='rows' needs the number of rows of each trajectory")
    return list(sizes)


def _lonely(returns: Sequence[float], singleton: str, eps: float | None) -> list[float]:
    if singleton == "zero":
        return [0.0] * len(returns)
    if singleton == "published":
        return [r if eps is None else r / (1.0 + eps) for r in returns]
    raise ValueError(f"singleton must be 'zero' or 'published', not {singleton!r}")
