"""Advantages of episodes within a group (episodes of one task under one policy). Pure functions.

`grpo` takes mean and standard deviation over the trajectories of the group, which is the papers'
formula (DeepSeekMath, arXiv:2402.03300, eq. 3; SkillRL, arXiv:2602.08234). The released code of
verl-agent and SkillRL takes them over all *step rows* of the group, so that long episodes, which
are mostly failures, weigh more; `stats="rows"` reproduces that, `sizes` being the rows of each
trajectory, and `stats="steps"` does where a whole transcript is one row, `sizes` being its steps.
`gigpo` adds advantages of steps that began at the same place. Standard deviations are unbiased
(torch's default) and `std_eps` is added to them.

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


def returns_to_go(rewards: Sequence[float], discount: float) -> list[float]:
    """G_t = r_t + discount * G_{t+1} of one trajectory."""
    out, ahead = [], 0.0
    for reward in reversed(rewards):
        ahead = reward + discount * ahead
        out.append(ahead)
    return out[::-1]


def anchors(observations: Sequence[str], similarity: float = 1.0) -> list[int]:
    """Which anchor state each observation is: equal ones are one state (GiGPO).

    With `similarity` < 1 an observation joins the first state whose first member it resembles at
    least that much (difflib's ratio), as GiGPO does where texts are retrieved documents.
    """
    import difflib

    firsts: list[str] = []
    known: dict[str, int] = {}
    out = []
    for text in observations:
        at = known.get(text)
        if at is None and similarity < 1.0:
            for i, first in enumerate(firsts):
                if difflib.SequenceMatcher(None, first, text).ratio() >= similarity:
                    at = i
                    break
        if at is None:
            at = len(firsts)
            firsts.append(text)
        known[text] = at
        out.append(at)
    return out


def gigpo(
    rewards: Sequence[Sequence[float]],
    observations: Sequence[Sequence[str]],
    *,
    discount: float = 0.95,
    step_weight: float = 1.0,
    similarity: float = 1.0,
    normalise: bool = True,
    std_eps: float = STD_EPS,
    **episode: Any,
) -> list[list[float]]:
    """Advantages of the steps of one group: A_episode + step_weight * A_step (arXiv:2505.10978).

    `rewards` and `observations` are per trajectory and step. A_episode is `grpo` of the sums;
    A_step compares the discounted returns to go of all steps of the group that began with the same
    observation, and is 0 where there is one such step. `episode`: further options of `grpo`.
    """
    totals = [sum(r) for r in rewards]
    whole = _spread_only(totals, normalise=normalise, std_eps=std_eps, **episode)
    states = anchors([text for row in observations for text in row], similarity)
    goes = [g for row in rewards for g in returns_to_go(row, discount)]
    members: dict[int, list[int]] = {}
    for place, state in enumerate(states):
        members.setdefault(state, []).append(place)
    local = [0.0] * len(goes)
    for places in members.values():
        values = _spread_only([goes[i] for i in places], normalise=normalise, std_eps=std_eps)
        for i, value in zip(places, values):
            local[i] = value
    out, at = [], 0
    for base, row in zip(whole, rewards):
        out.append([base + step_weight * local[at + t] for t in range(len(row))])
        at += len(row)
    return out


def _spread_only(returns: Sequence[float], **options: Any) -> list[float]:
    """`grpo`, but exactly 0 where returns are equal up to rounding."""
    if len(returns) > 1 and max(returns) - min(returns) < 1e-9:
        return [0.0] * len(returns)
    return grpo(returns, **options)


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
    if stats not in ("rows", "steps"):
        raise ValueError(f"stats must be 'episodes', 'rows' or 'steps', not {stats!r}")
    if sizes is None or len(sizes) != len(returns):
        raise ValueError(f"stats={stats!r} needs the number of {stats} of each trajectory")
    return list(sizes)


def _lonely(returns: Sequence[float], singleton: str, eps: float | None) -> list[float]:
    if singleton == "zero":
        return [0.0] * len(returns)
    if singleton == "published":
        return [r if eps is None else r / (1.0 + eps) for r in returns]
    raise ValueError(f"singleton must be 'zero' or 'published', not {singleton!r}")
