"""From tokens and device seconds to dollars, at a dated table of prices.

The tables are leaderboard/prices/*.toml; the newest is used and its date goes with every figure.
What a provider has charged is on the ledger in dollars already and is taken as it is. Calls of a
model that is in the table but came without a price are priced by tokens. A second of a device costs
the hourly price of that device / 3600: a GPU by its name, else one CPU core.
"""

from __future__ import annotations

import functools
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from .errors import DataError

HERE = Path(__file__).parent
FOLDERS = (HERE.parent / "leaderboard" / "prices", HERE / "_prices")
CPU = "cpu-core"


@dataclass(frozen=True)
class Prices:
    """One dated table."""

    date: str
    devices: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    models: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)

    def device(self, hardware: Mapping[str, Any]) -> str:
        """Which row of the table a machine is: its first GPU, or a CPU core."""
        gpus = hardware.get("gpus") or ()
        if not gpus:
            return CPU
        for name in sorted(self.devices, key=len, reverse=True):
            if name != CPU and name.lower() in str(gpus[0]).lower():
                return name
        return ""

    def rate(self, device: str) -> float | None:
        """Dollars per device second; None for a device that is not in the table."""
        row = self.devices.get(device)
        return None if row is None else float(row["usd_per_hour"]) / 3600

    def tokens(self, model: str, spend: Mapping[str, Any]) -> float | None:
        """Dollars for the tokens of a model ("openai:o3" or "o3"); None where it has no price."""
        row = self.models.get(model) or self.models.get(model.partition(":")[2])
        if row is None:
            return None
        cached = float(spend.get("cached", 0) or 0)
        fresh = float(spend.get("in", 0) or 0) - cached
        out = float(spend.get("out", 0) or 0)
        rates = (row["input"], row.get("cached", row["input"]), row["output"])
        return sum(n * r for n, r in zip((fresh, cached, out), rates)) / 1e6


def read(path: Path) -> Prices:
    """Read one table. Raises DataError that names the file."""
    try:
        data = tomllib.loads(path.read_text(encoding="utf-8"))
        prices = Prices(str(data["date"]), data.get("device", {}), data.get("model", {}))
        for row in prices.devices.values():
            float(row["usd_per_hour"])
        for row in prices.models.values():
            float(row["input"]), float(row["output"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise DataError(f"price table {path} cannot be read: {error!r}") from error
    return prices


@functools.cache
def newest() -> Prices:
    """The newest table there is; an empty one where there is none."""
    found = sorted(p for folder in FOLDERS for p in folder.glob("*.toml"))
    return read(max(found, key=lambda path: path.name)) if found else Prices("")


def charged(table: Mapping[str, Any], spend: Mapping[str, Any], prices: Prices) -> float | None:
    """Dollars that whom a `policy` or `teacher` table names charges; None where it has no price.

    `spend` is {in, cached, out} in tokens. The table's own prices come before the dated ones.
    Calls that go as batches (`batch`) cost `batch_discount` of either.
    """
    rates = [float(table.get(f"usd_per_mtok_{k}", 0) or 0) for k in ("in", "out")]
    if any(rates):
        usd: float | None = sum(float(spend[k]) * r for k, r in zip(("in", "out"), rates)) / 1e6
    else:
        label = f"{table.get('name', '')}:{table.get('model', '')}"
        usd = prices.tokens(label, spend)
    if usd is not None and table.get("batch"):
        usd *= float(table.get("batch_discount", 1.0))
    return usd


@dataclass(frozen=True)
class Rates:
    """The prices that apply to one run."""

    prices: Prices
    device: str

    @property
    def per_second(self) -> float:
        """Dollars per device second; 0 where the device has no price."""
        return self.prices.rate(self.device) or 0.0

    def line(self, line: Mapping[str, Any]) -> float:
        """Dollars of one ledger line."""
        paid = float(line.get("usd", 0) or 0)
        if not paid and not line.get("device_s"):
            paid = self.prices.tokens(str(line.get("model", "")), line) or 0.0
        return paid + float(line.get("device_s", 0) or 0) * self.per_second


def rates(hardware: Mapping[str, Any], prices: Prices | None = None) -> Rates:
    """The prices for a machine as provenance describes it."""
    prices = prices or newest()
    return Rates(prices, prices.device(hardware))
