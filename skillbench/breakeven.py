"""After how many episodes has a method paid back what its learning cost?

Learning pays if a solved task then costs less than it costs the same policy without the method.
With L the cost of learning, c the mean cost of an episode and s the success rate,

    N* = L / (s_method * (c_baseline / s_baseline - c_method / s_method))        episodes

counted in the first of dollars, device seconds and wall seconds that is known for learning and for
the baseline. The interval draws the success
rates again and keeps the costs; where the saving is not positive there is no N*, and the reason is
given instead of a number.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np

from . import stats

UNITS = ("usd", "device_s", "wall_s")


def break_even(
    method: np.ndarray,
    baseline: np.ndarray,
    cost: Mapping[str, Any],
    *,
    against: str,
    learned: bool,
    draws: int = stats.DRAWS,
) -> dict[str, Any]:
    """{episodes, ci95, against, unit, reason} from success matrices and the ledger's totals.

    `cost` holds `learn`, `per_episode` and `baseline_per_episode`, each with the `UNITS`.
    """
    learn_cost, theirs_cost = cost["learn"], cost["baseline_per_episode"]
    unit = next((u for u in UNITS if learn_cost.get(u) and theirs_cost.get(u)), None)
    out: dict[str, Any] = {"episodes": None, "ci95": None, "against": against, "unit": unit}
    if unit is None:
        spent = any(learn_cost.get(k) for k in ("calls", "tokens_out", *UNITS))
        why = "price and time are unknown" if spent else "nothing was spent on learning"
        return out | {"reason": why}
    learn = float(learn_cost[unit])
    ours, theirs = (float(cost[k][unit]) for k in ("per_episode", "baseline_per_episode"))
    rate, rate0 = stats.mean(method), stats.mean(baseline)
    if not rate:
        return out | {"reason": "the method solved nothing"}
    value = _episodes(learn, ours, theirs, rate, rate0 or 0.0)
    draws_m = stats.bootstrap(method, seeds_too=learned, draws=draws)
    draws_b = stats.bootstrap(baseline, seeds_too=False, draws=draws)
    n = min(len(draws_m), len(draws_b))
    many = [_episodes(learn, ours, theirs, m, b) for m, b in zip(draws_m[:n], draws_b[:n])]
    low, high = np.percentile(many, [2.5, 97.5], method="nearest")
    out["ci95"] = [_count(low), _count(high)]
    out["episodes"] = _count(value)
    if out["episodes"] is None:
        out["reason"] = "a solved task costs no less with the method: it is never paid back"
    elif rate0 == 0:
        out["reason"] = "the baseline solved nothing: any price pays at once"
    elif out["ci95"][1] is None:
        out["reason"] = "the interval has no upper end: the saving may be none"
    else:
        out["reason"] = None
    return out


def _episodes(learn: float, ours: float, theirs: float, rate: float, rate0: float) -> float:
    if rate <= 0:
        return math.inf
    if rate0 <= 0:
        return 0.0  # without the method, no amount of money solves a task
    saving = rate * (theirs / rate0 - ours / rate)
    return learn / saving if saving > 0 else math.inf


def _count(value: float) -> int | None:
    return math.ceil(value) if math.isfinite(value) else None
