"""What a memory is worth while training: one half of each group plays without it (D2Skill).

arXiv:2603.28716. For each task, success with minus success without, under the same weights and in
the same iteration: a causal estimate, for it is chance alone that decides which half an episode is
in. `intrinsic` > 0 rewards an episode of the half with the memory for what it did better than the
half without (the paper: 1). The paper also credits single skills with it; here that is the memory's
own measure (the skill bank's held-out tasks).
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from skillbench.records import Episode


@dataclass(frozen=True)
class Value:
    """Mean difference over tasks with its standard error; success without the memory by task."""

    mean: float
    error: float
    tasks: int
    without: Mapping[str, float] = field(default_factory=dict)

    def metrics(self) -> dict[str, float]:
        """What is logged."""
        return {"memory_value": self.mean, "memory_value_se": self.error}


def memory_value(shown: Sequence[Episode], without: Sequence[Episode]) -> Value:
    """Compare both halves task by task; tasks with one half alone say nothing."""
    a, b = _rates(shown), _rates(without)
    differences = [a[t] - b[t] for t in a if t in b]
    n = len(differences)
    mean = sum(differences) / n if n else 0.0
    variance = sum((d - mean) ** 2 for d in differences) / (n - 1) if n > 1 else 0.0
    return Value(mean, math.sqrt(variance / n) if n else 0.0, n, b)


def intrinsic(
    episodes: Sequence[Episode], shown: int, without: Mapping[str, float], weight: float
) -> list[float]:
    """The bonus of each episode; the first `shown` ones had the memory."""
    return [
        weight * (float(e.success) - without.get(e.task.id, float(e.success))) if i < shown else 0.0
        for i, e in enumerate(episodes)
    ]


def _rates(episodes: Sequence[Episode]) -> dict[str, float]:
    won: dict[str, list[bool]] = {}
    for e in episodes:
        if e.outcome != "invalid":
            won.setdefault(e.task.id, []).append(e.success)
    return {t: sum(w) / len(w) for t, w in won.items()}
