"""Prices and accounts: what a token, a second and a learning run cost."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from skillbench import money, prices
from skillbench.errors import DataError
from skillbench.outcomes import Arm, Outcomes, collect

TABLE = """
date = "2026-01-02"
[device.cpu-core]
usd_per_hour = 0.036
[device.H100]
usd_per_hour = 3.6
[model.o3]
input = 2.0
cached = 0.5
output = 8.0
"""


@pytest.fixture
def table(tmp_path: Path) -> prices.Prices:
    (tmp_path / "p.toml").write_text(TABLE)
    return prices.read(tmp_path / "p.toml")


def test_tokens_and_seconds(table: prices.Prices) -> None:
    spend = {"in": 1_000_000, "cached": 400_000, "out": 100_000}
    assert table.tokens("openai:o3", spend) == pytest.approx(0.6 * 2 + 0.4 * 0.5 + 0.1 * 8)
    assert table.tokens("unknown", spend) is None
    assert table.device({"gpus": ["NVIDIA H100 80GB HBM3"]}) == "H100"
    assert table.device({"gpus": ["something else"]}) == ""
    rates = prices.rates({"cores": 2}, table)
    assert rates.per_second == pytest.approx(1e-5)
    # Paid dollars are taken as they are; a model without a price on the line is priced by tokens.
    assert rates.line({"usd": 0.5, "device_s": 100, "model": "o3"}) == pytest.approx(0.501)
    assert rates.line({"model": "o3", **spend}) == pytest.approx(2.2)


def test_the_committed_table_is_sound() -> None:
    newest = prices.newest()
    assert newest.date >= "2026"
    assert newest.rate(prices.CPU)
    assert all(row.get("source") for row in (*newest.devices.values(), *newest.models.values()))


def test_a_broken_table_is_named(tmp_path: Path) -> None:
    (tmp_path / "bad.toml").write_text('date = "x"\n[device.a]\n')
    with pytest.raises(DataError, match=r"bad\.toml cannot be read"):
        prices.read(tmp_path / "bad.toml")


def arm(letters: str, **figures: float) -> Arm:
    n = len(letters)
    return Arm((letters,), {k: np.full((1, n), v) for k, v in figures.items()})


def outcome(method: Arm, baseline: Arm | None = None, learned: bool = True) -> Outcomes:
    n = len(method.letters[0])
    return Outcomes(tuple(f"t{i}" for i in range(n)), ("x",) * n, method, baseline, learned)


def test_bills_go_to_their_learning_run(table: prices.Prices) -> None:
    lines = [
        {"phase": "rl", "role": "policy", "seed": 0, "device_s": 100.0, "wall_s": 60.0},
        {"phase": "rl", "role": "teacher", "seed": 1, "usd": 0.25, "wall_s": 5.0},
        {"phase": "distill", "role": "teacher", "usd": 0.5},  # of no seed: shared out
        {"phase": "score", "role": "policy", "seed": 0, "device_s": 999.0},
        {"phase": "score", "role": "embedding", "seed": 0, "device_s": 10.0},
    ]
    rates = prices.rates({}, table)
    bills, wall = money.bills(lines, 2, rates)
    assert [bill.usd for bill in bills] == pytest.approx([0.25, 0.5])
    assert [bill.device_s for bill in bills] == [100.0, 0.0]
    assert wall == (60.0, 5.0)
    assert money.overheads(lines, rates) == {"score.usd": 0.0, "score.device_s": 10.0}


def test_an_account_in_dollars_and_one_in_seconds(table: prices.Prices) -> None:
    found = outcome(arm("SSFF", device_s=100.0), arm("SFFF", device_s=100.0))
    rates = prices.rates({}, table)
    account = money.account(found, [money.Bill(0.0, 1000.0)], rates)
    out = account.summary()
    assert out["unit"] == "usd"
    assert out["learn"] == pytest.approx(0.01)
    assert out["per_episode"] == pytest.approx(0.001)
    assert out["per_success"] == pytest.approx(0.002)
    assert out["baseline_per_success"] == pytest.approx(0.004)
    assert account.against(draws=200)["episodes"] == 10  # 0.004 * 0.25 = a tenth of a cent a use
    unknown = prices.rates({"gpus": ["something else"]}, table)
    assert money.account(found, [money.Bill(0.0, 1000.0)], unknown).unit == "device_s"
    bare = outcome(arm("SSFF", steps=3.0), arm("SFFF", steps=3.0))
    wall = {"learn": 50.0, "score": 8.0, "baseline": 8.0}
    timed = money.account(bare, [money.Bill(0.0, 0.0)], rates, wall=wall)
    assert (timed.unit, timed.summary()["per_episode"]) == ("wall_s", 2.0)
    # Learning that used nothing is free in dollars, where scoring has a price in dollars.
    shown = [{"phase": "practice", "role": "policy", "seed": 0, "calls": 9, "wall_s": 0.1}]
    free, seconds = money.bills(shown, 1, rates)
    assert seconds == (0.0,)
    asked = money.account(found, free, rates, wall={**wall, "learn": sum(seconds)}).summary()
    assert (asked["unit"], asked["learn"], asked["per_episode"]) == ("usd", 0.0, out["per_episode"])


def test_a_provider_s_tokens_are_priced(table: prices.Prices) -> None:
    found = outcome(arm("SF", tokens_in=1e6, tokens_out=1e5), learned=False)
    account = money.account(found, [], prices.rates({}, table), policy="openai:o3")
    assert account.summary()["per_episode"] == pytest.approx(2.8)


def test_a_task_scored_twice_is_an_error() -> None:
    line = {"arm": "method", "seed": 0, "task": {"id": "t", "task_type": "x"}, "outcome": "success"}
    with pytest.raises(DataError, match="scored twice for seed 0"):
        collect([line, line], learned=False)
    with pytest.raises(DataError, match="no scored episode"):
        collect([], learned=False)
