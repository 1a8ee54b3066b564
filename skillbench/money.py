"""What a run cost in dollars: each learning run's bill, each episode, and when the bill is repaid.

Dollars are what providers charged plus device seconds at the price of the device (prices.py). Where
neither is known for learning or for scoring, wall seconds stand in, and `unit` says so.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from . import stats
from .breakeven import Bill, Priced, break_even
from .ledger import EVALUATION
from .outcomes import Arm, Outcomes
from .prices import Rates


@dataclass(frozen=True)
class Account:
    """Bills and per-episode costs of a run, before pricing."""

    method: Priced
    baseline: Priced | None
    bills: tuple[Bill, ...]  # one per learning run; empty where nothing was learned
    rate: float  # dollars (or seconds) per device second
    unit: str
    device: str
    date: str

    def summary(self) -> dict[str, Any]:
        """{unit, prices, device, learn, learn_per_seed, per_episode, per_success, baseline...}."""
        side = self.method.at(self.rate)
        bills = [bill.money(self.rate) for bill in self.bills]
        out = {
            "unit": self.unit,
            "prices": self.date,
            "device": self.device,
            "usd_per_device_s": _short(self.rate) if self.unit == "usd" else None,
            "learn": _short(float(np.mean(bills))) if bills else 0.0,
            "learn_per_seed": [_short(bill) for bill in bills],
            "per_episode": _short(side.price),
            "per_success": _short(side.per_success),
        }
        if self.baseline is not None:
            other = self.baseline.at(self.rate)
            out["baseline_per_episode"] = _short(other.price)
            out["baseline_per_success"] = _short(other.per_success)
        return out

    def against(
        self,
        other: Priced | None = None,
        *,
        name: str = "baseline",
        value: float | None = None,
        draws: int = stats.DRAWS,
    ) -> dict[str, Any]:
        """Break-even against another arm (the baseline unless one is given)."""
        other = other or self.baseline
        if other is None:
            raise ValueError("there is nothing to compare with")
        bills = [bill.money(self.rate) for bill in self.bills]
        return break_even(
            self.method.at(self.rate),
            other.at(self.rate),
            bills,
            against=name,
            unit=self.unit,
            value=value,
            draws=draws,
        )


def _short(value: float) -> float | None:
    return float(f"{value:.6g}") if np.isfinite(value) else None


def bills(
    lines: Iterable[Mapping[str, Any]], seeds: int, rates: Rates
) -> tuple[tuple[Bill, ...], tuple[float, ...]]:
    """(bill, wall seconds) per learning run, from the ledger; spend of no seed is shared out.

    What used no tokens and no device (an expert of the environment) cost nothing: no wall seconds.
    """
    usd, device, wall = np.zeros(seeds), np.zeros(seeds), np.zeros(seeds)
    for line in lines:
        if line["phase"] in EVALUATION:
            continue
        seed, seconds = line.get("seed"), float(line.get("device_s", 0) or 0)
        share = np.full(seeds, 1 / seeds)
        if isinstance(seed, int) and 0 <= seed < seeds:
            share = np.eye(seeds)[seed]
        usd += share * (rates.line(line) - seconds * rates.per_second)
        device += share * seconds
        if any(line.get(key) for key in ("in", "out", "device_s", "usd")):
            wall += share * float(line.get("wall_s", 0) or 0)
    rows = tuple(Bill(float(u), float(d)) for u, d in zip(usd, device))
    return rows, tuple(float(w) for w in wall)


def overheads(lines: Iterable[Mapping[str, Any]], rates: Rates) -> dict[str, float]:
    """Dollars and device seconds of scoring that no episode holds (retrieval), per phase."""
    out: dict[str, float] = {}
    for line in lines:
        if line["phase"] in EVALUATION and line["role"] != "policy":
            seconds = float(line.get("device_s", 0) or 0)
            paid = rates.line(line) - seconds * rates.per_second
            for key, value in (("usd", paid), ("device_s", seconds)):
                out[f"{line['phase']}.{key}"] = out.get(f"{line['phase']}.{key}", 0.0) + value
    return out


def account(
    outcomes: Outcomes,
    learning: Sequence[Bill],
    rates: Rates,
    *,
    policy: str = "",
    extra: Mapping[str, float] | None = None,
    wall: Mapping[str, float] | None = None,
) -> Account:
    """Price a run. `extra` are `overheads`, `wall` seconds {learn (per run), score, baseline}."""
    arms: dict[str, Priced | None] = {"score": None, "baseline": None}
    for phase, arm in (("score", outcomes.method), ("baseline", outcomes.baseline)):
        if arm is not None:
            learned = outcomes.learned and phase == "score"
            arms[phase] = _priced(arm, learned, rates, policy, phase, extra or {})
    method = arms["score"]
    assert method is not None
    unit, rate = "usd", rates.per_second
    known = any(bill.money(rate) for bill in learning) or not outcomes.learned
    known = known or (wall is not None and not wall.get("learn"))  # nothing was spent
    if not known or not np.nansum(method.at(rate).cost):
        if any(bill.device_s for bill in learning) and np.nansum(method.device_s):
            unit, rate = "device_s", 1.0
        elif wall:
            return _by_wall(outcomes, method, arms["baseline"], wall, rates)
    kept = tuple(learning) if outcomes.learned else ()
    return Account(method, arms["baseline"], kept, rate, unit, rates.device, rates.prices.date)


def _priced(
    arm: Arm, learned: bool, rates: Rates, policy: str, phase: str, extra: Mapping[str, float]
) -> Priced:
    usd, device = arm.figure("usd").copy(), arm.figure("device_s").copy()
    if not usd.any() and not device.any():
        each = {
            "in": arm.figure("tokens_in"),
            "cached": arm.figure("tokens_cached"),
            "out": arm.figure("tokens_out"),
        }
        for place in np.ndindex(usd.shape):
            spend = {key: values[place] for key, values in each.items()}
            usd[place] = rates.prices.tokens(policy, spend) or 0.0
    usd += extra.get(f"{phase}.usd", 0.0) / usd.size
    device += extra.get(f"{phase}.device_s", 0.0) / device.size
    return Priced(arm.success, usd, device, learned)


def _by_wall(
    outcomes: Outcomes,
    method: Priced,
    baseline: Priced | None,
    wall: Mapping[str, float],
    rates: Rates,
) -> Account:
    """Everything in wall seconds: of learning per run, of scoring evenly over the episodes."""

    def flat(arm: Priced, phase: str) -> Priced:
        each = wall.get(phase, 0.0) / arm.success.size
        blank = np.zeros(arm.success.shape)
        return Priced(arm.success, blank + each, blank, arm.learned)

    runs = method.success.shape[0]
    learning = (Bill(wall.get("learn", 0.0) / runs, 0.0),) * runs if outcomes.learned else ()
    other = None if baseline is None else flat(baseline, "baseline")
    date = rates.prices.date
    return Account(flat(method, "score"), other, learning, 0.0, "wall_s", rates.device, date)
