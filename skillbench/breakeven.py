"""After how many uses has a method paid back what its learning cost?

A use is one task given to the policy. With v dollars for a solved task, success rates s and costs
per use c (1 with the method, 0 without it), each use of the method is worth

    g = v (s1 - s0) - (c1 - c0)          and          N* = L / g

uses repay the learning bill L of one learning run. Where the user sets no v (`--value-per-success`)
a solved task is worth what it costs without the method, v = c0 / s0; then g = s1 (c0/s0 - c1/s1),
and N* counts in cost per *solved* task: with several runs of learning L is their mean. The interval
comes from the same draws of tasks and seeds as the interval of the difference: success, cost and
bill are drawn together. Where g is not positive there is no N*: "never", with the reason.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from . import stats

MUCH = 1e12  # uses; beyond it nobody waits


@dataclass(frozen=True, eq=False)
class Side:
    """One arm: success and cost per episode (seeds x tasks, nan where invalid), learned or not."""

    success: np.ndarray
    cost: np.ndarray
    learned: bool = False
    _drawn: dict[tuple[int, int], tuple[np.ndarray, ...]] = field(default_factory=dict, repr=False)

    def drawn(self, arm: int, draws: int) -> tuple[np.ndarray, ...]:
        """Resampled means of success and of cost; kept, since a board compares an arm with many."""
        key = (arm, draws)
        if key not in self._drawn:
            shape, both = self.success.shape, self.learned
            many = stats.weights(*shape, seeds_too=both, draws=draws, arm=arm)
            self._drawn[key] = (many.means(self.success), many.means(self.cost))
        return self._drawn[key]

    @property
    def rate(self) -> float:
        """The success rate."""
        return stats.mean(self.success) or 0.0

    @property
    def price(self) -> float:
        """The mean cost of a use."""
        return stats.mean(self.cost) or 0.0

    @property
    def per_success(self) -> float:
        """The cost of a solved task."""
        return self.price / self.rate if self.rate else math.inf


def break_even(
    ours: Side,
    theirs: Side,
    bills: Sequence[float],
    *,
    against: str,
    unit: str = "usd",
    value: float | None = None,
    draws: int = stats.DRAWS,
) -> dict[str, Any]:
    """{episodes, ci95, against, unit, reason, gain_per_use, gain_ci95, bill, value_per_success}.

    `bills` is what each learning run cost, `value` what a solved task is worth, all in `unit`.
    """
    bill = float(np.mean(bills)) if len(bills) else 0.0
    out: dict[str, Any] = {"episodes": None, "ci95": None, "against": against, "unit": unit}
    out |= {"gain_per_use": None, "gain_ci95": None, "bill": _figure(bill)}
    out["value_per_success"] = value if value is not None else _figure(theirs.per_success)
    out["value_is"] = "given" if value is not None else "the cost of a solved task without it"
    if not ours.rate:
        return out | {"reason": "never: the method solved nothing"}
    gain = float(_gain(_rates(ours, theirs), value))
    gains, paid = _draws(ours, theirs, bills, value, draws)
    uses = _uses(paid, gains)
    low, high = np.percentile(uses, [2.5, 97.5], method="nearest")
    out["ci95"] = [_count(low), _count(high)]
    out["episodes"] = _count(float(_uses(np.array(bill), np.array(gain))))
    out["gain_per_use"] = _figure(gain)
    finite = gains[np.isfinite(gains)]
    if finite.size and math.isfinite(gain):
        out["gain_ci95"] = [_figure(v) for v in np.percentile(finite, [2.5, 97.5])]
    return out | {"reason": _reason(ours, theirs, gain, bill, value, out)}


def _draws(
    ours: Side, theirs: Side, bills: Sequence[float], value: float | None, draws: int
) -> tuple[np.ndarray, np.ndarray]:
    """Gains per use and bills, drawn together, the spread as in `stats.calibrated`."""
    (s1, c1), (s0, c0) = ours.drawn(0, draws), theirs.drawn(1, draws)
    gains = _gain((s1, c1, s0, c0), value)
    gains = np.where(np.isnan(gains), 0.0, gains)
    paid = np.full(draws, np.mean(bills) if len(bills) else 0.0)
    if len(bills) == ours.success.shape[0] > 1 and ours.learned:
        many = stats.weights(*ours.success.shape, seeds_too=True, draws=draws, arm=0)
        paid = many.seeds @ np.asarray(bills, dtype=float) / len(bills)
    if not theirs.rate and value is None:
        return gains, paid
    gain = float(_gain(_rates(ours, theirs), value))
    # The gain is nearly linear in what each episode brings; its standard error is known.
    if value is None:
        unit, ratio = theirs.per_success, ours.rate / theirs.rate
    else:
        unit, ratio = value, 1.0
    parts = (unit * ours.success - ours.cost, ratio * (unit * theirs.success - theirs.cost))
    learned = [s.learned and s.success.shape[0] > 1 for s in (ours, theirs)]
    size = stats.spread(parts, learned)
    linear = float((unit * s1 - c1 - ratio * (unit * s0 - c0)).std())
    if linear > 0 and size.se > 0 and math.isfinite(size.t):
        gains = gain + (gains - gain) * size.t * size.se / (stats.Z * linear)
    return gains, paid


def _rates(ours: Side, theirs: Side) -> list[np.ndarray]:
    """Success and cost of both arms, as arrays without axes."""
    return [np.array(x) for x in (ours.rate, ours.price, theirs.rate, theirs.price)]


def _gain(rates: Sequence[np.ndarray], value: float | None) -> np.ndarray:
    s1, c1, s0, c0 = rates
    if value is not None:
        return value * (s1 - s0) - (c1 - c0)
    with np.errstate(divide="ignore", invalid="ignore"):
        gain = c0 / s0 * (s1 - s0) - (c1 - c0)
    # Without the method no money solves a task.
    return np.where(s0 <= 0, np.where(s1 > 0, math.inf, -c1), gain)


def _uses(bill: np.ndarray, gain: np.ndarray) -> np.ndarray:
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where(gain <= 0, math.inf, bill / gain)  # an infinite gain repays at once


def _reason(
    ours: Side, theirs: Side, gain: float, bill: float, value: float | None, out: Mapping[str, Any]
) -> str | None:
    """Why there is no number, or what the number hides."""
    more = ours.rate - theirs.rate
    if out["episodes"] is None:
        if more <= 0:
            which = "solves fewer tasks" if more < 0 else "solves no more tasks"
            dearer = "no cheaper" if ours.price >= theirs.price else "not cheaper by enough"
            return f"never: the method {which} and a use is {dearer}"
        if value is not None:
            return "never: what it solves more is worth less than what a use costs more"
        return "never: a solved task costs no less with the method"
    if not theirs.rate and value is None:
        return "the baseline solved nothing: any price pays at once"
    if not bill:
        return "nothing was spent on learning"
    if out["ci95"][1] is None:
        return "the interval has no upper end: the gain may be none"
    return None


def _count(value: float) -> int | None:
    return math.ceil(value - 1e-9) if math.isfinite(value) and value < MUCH else None


def _figure(value: float) -> float | None:
    return float(f"{value:.6g}") if math.isfinite(value) else None


def net(even: Mapping[str, Any], uses: Sequence[float]) -> list[dict[str, float | None]]:
    """The curve over N: what has been won after N uses, less the bill, with its interval."""
    gain, ends = even.get("gain_per_use"), even.get("gain_ci95") or (None, None)
    if gain is None:
        return []
    bill = even.get("bill") or 0.0
    rows = []
    for n in uses:
        low, high = (None if end is None else n * end - bill for end in ends)
        rows.append({"uses": n, "net": n * gain - bill, "low": low, "high": high})
    return rows


@dataclass(frozen=True)
class Bill:
    """What learning cost one run: provider dollars and device seconds."""

    usd: float
    device_s: float

    def money(self, rate: float, api: float = 1.0) -> float:
        """Dollars at `rate` dollars a device second, provider prices times `api`."""
        return self.usd * api + self.device_s * rate


@dataclass(frozen=True, eq=False)
class Priced:
    """One arm before pricing: what the provider took and device seconds, seeds x tasks."""

    success: np.ndarray
    usd: np.ndarray
    device_s: np.ndarray
    learned: bool = False
    _sides: dict[tuple[float, float], Side] = field(default_factory=dict, repr=False)

    def at(self, rate: float, api: float = 1.0) -> Side:
        """The arm at a price."""
        if (rate, api) not in self._sides:
            cost = self.usd * api + self.device_s * rate
            cost = np.where(np.isnan(self.success), np.nan, cost)
            self._sides[rate, api] = Side(self.success, cost, self.learned)
        return self._sides[rate, api]


def sensitivity(
    ours: Priced,
    theirs: Priced,
    bills: Sequence[Bill],
    rate: float,
    *,
    value: float | None = None,
    factors: Sequence[float] = (0.25, 1.0, 4.0),
    draws: int = 500,
) -> list[dict[str, Any]]:
    """N* at other prices: device seconds times a factor, provider prices times a factor.

    Where only one of the two is spent, only that one is varied. With no `value` and one kind of
    price N* does not depend on it, which the table then shows.
    """
    any_api = bool(np.nansum(ours.usd) + np.nansum(theirs.usd) + sum(b.usd for b in bills))
    any_device = bool(
        np.nansum(ours.device_s) + np.nansum(theirs.device_s) + sum(b.device_s for b in bills)
    )
    rows = []
    for device in factors if any_device else (1.0,):
        for api in factors if any_api else (1.0,):
            even = break_even(
                ours.at(rate * device, api),
                theirs.at(rate * device, api),
                [b.money(rate * device, api) for b in bills],
                against="",
                value=value,
                draws=draws,
            )
            row = {"device": device, "provider": api}
            rows.append(row | {k: even[k] for k in ("episodes", "ci95", "reason")})
    return rows
