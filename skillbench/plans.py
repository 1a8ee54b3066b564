"""What a plan holds, and how `run --dry-run` prints it (the planner: planning.py)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from .hardware import Fleet

FULL = 0.9  # share of a device's memory that can be used


@dataclass
class Phase:
    """One phase of one seed."""

    name: str
    role: str
    episodes: float = 0.0
    calls: float = 0.0
    tokens_in: float = 0.0
    cached: float = 0.0
    tokens_out: float = 0.0
    device_s: float = 0.0
    usd: float = 0.0


@dataclass(frozen=True)
class Plan:
    """A plan; figures of `phases` are per seed, `total` is over all seeds."""

    seeds: int
    phases: tuple[Phase, ...]
    memory: Mapping[str, float]
    fleet: Fleet | None
    usd_per_hour: float
    prices: str
    assumptions: tuple[str, ...] = field(default=())

    @property
    def device_hours(self) -> float:
        """Of all seeds."""
        return self.seeds * sum(p.device_s for p in self.phases) / 3600

    @property
    def learn_hours(self) -> float:
        """Device-hours of learning, of one seed."""
        return sum(p.device_s for p in self.phases if p.name not in ("score", "baseline")) / 3600

    @property
    def usd(self) -> float:
        """Device time at the dated prices, and what providers charge."""
        paid = self.seeds * sum(p.usd for p in self.phases)
        return paid + self.device_hours * self.usd_per_hour

    def as_dict(self) -> dict[str, Any]:
        """For --json."""
        fleet = self.fleet
        return {
            "seeds": self.seeds,
            "phases": [vars(p) for p in self.phases],
            "memory_gb_per_device": {k: round(v, 3) for k, v in self.memory.items()},
            "device": fleet.device.name if fleet else None,
            "devices": fleet.count if fleet else 0,
            "device_hours": self.device_hours,
            "usd": self.usd,
            "prices": self.prices,
            "assumptions": list(self.assumptions),
        }

    def text(self) -> Iterator[str]:
        """Lines for the terminal."""
        yield (
            "per seed       role      episodes      calls    tokens in     (cached)        out"
            "   device-h"
        )
        for p in self.phases:
            yield (
                f"{p.name:<14} {p.role:<8} {p.episodes:>9,.0f} {p.calls:>10,.0f} "
                f"{p.tokens_in:>12,.0f} {p.cached:>12,.0f} {p.tokens_out:>10,.0f} "
                f"{p.device_s / 3600:>10.3g}"
            )
        fleet = self.fleet
        if fleet is not None:
            total = sum(self.memory.values())
            parts = ", ".join(f"{k} {v:.3g}" for k, v in self.memory.items())
            there = fleet.device.memory
            fits = "fits" if total <= 1.001 * FULL * there else "DOES NOT FIT"
            yield f"memory per device: {total:.3g} of {there:g} GB ({fits}): {parts}"
            hours = self.device_hours / fleet.count
            yield (
                f"time: {self.device_hours:.3g} device-hours over {self.seeds} seed(s), "
                f"{hours:.3g} h on {fleet.count} x {fleet.device.name}"
            )
        teacher = [p for p in self.phases if p.role == "teacher"]
        if teacher:
            calls = self.seeds * sum(p.calls for p in teacher)
            usd = self.seeds * sum(p.usd for p in teacher)
            yield f"teacher: about {calls:,.0f} calls, {usd:,.2f} USD"
        yield f"price: about {self.usd:,.2f} USD (prices of {self.prices or 'nowhere'})"
        for text in self.assumptions:
            yield f"assumes: {text}"
