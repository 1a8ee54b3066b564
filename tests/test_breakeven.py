"""Break-even against cases worked out by hand, and its interval against simulated truth."""

from __future__ import annotations

import numpy as np
import pytest

from skillbench.breakeven import Bill, Priced, Side, break_even, net, sensitivity


def side(solved: int, cost: float, n: int = 10) -> Side:
    success = np.array([[1.0] * solved + [0.0] * (n - solved)])
    return Side(success, np.full((1, n), cost))


def even(ours: Side, theirs: Side, bill: float, **kw):
    return break_even(ours, theirs, [bill], against="baseline", draws=200, **kw)


def test_gain_and_cheaper() -> None:
    # 0.8 against 0.4 solved; a use costs 0.05 against 0.10; a solved task is worth 0.10 / 0.4 =
    # 0.25. A use brings 0.25 * 0.4 more and costs 0.05 less: 0.15. The bill of 15 takes 100 uses.
    out = even(side(8, 0.05), side(4, 0.10), 15.0)
    assert out["episodes"] == 100
    assert out["gain_per_use"] == pytest.approx(0.15)
    assert out["value_per_success"] == pytest.approx(0.25)


def test_gain_and_dearer() -> None:
    # A use costs 0.15 against 0.10: 0.25 * 0.4 - 0.05 = 0.05 a use; 10 takes 200 uses.
    assert even(side(8, 0.15), side(4, 0.10), 10.0)["episodes"] == 200
    # At 0.30 a use a solved task costs 0.375, more than the 0.25 without the method.
    out = even(side(8, 0.30), side(4, 0.10), 10.0)
    assert out["episodes"] is None
    assert out["reason"] == "never: a solved task costs no less with the method"
    # Unless a solved task is worth a dollar: 0.4 - 0.2 = 0.2 a use.
    assert even(side(8, 0.30), side(4, 0.10), 10.0, value=1.0)["episodes"] == 50
    low = even(side(8, 0.30), side(4, 0.10), 10.0, value=0.1)
    assert low["reason"] == "never: what it solves more is worth less than what a use costs more"


def test_no_gain() -> None:
    same = even(side(4, 0.10), side(4, 0.10), 10.0)
    assert same["episodes"] is None
    assert same["reason"] == "never: the method solves no more tasks and a use is no cheaper"
    worse = even(side(2, 0.09), side(4, 0.10), 10.0)
    assert "solves fewer tasks" in worse["reason"]
    assert "the method solved nothing" in even(side(0, 0.1), side(4, 0.1), 1.0)["reason"]
    # No more solved, but each use half the price: 0.05 a use.
    assert even(side(4, 0.05), side(4, 0.10), 10.0)["episodes"] == 200


def test_zero_learning_cost_pays_at_once() -> None:
    out = even(side(8, 0.1), side(4, 0.1), 0.0)
    assert (out["episodes"], out["ci95"]) == (0, [0, 0]) or out["ci95"][0] == 0
    assert out["reason"] == "nothing was spent on learning"


def test_a_free_teacher_leaves_the_device() -> None:
    # Provider dollars are 0; 3,600 device seconds at a dollar an hour are the bill.
    ours = Priced(side(8, 0).success, np.zeros((1, 10)), np.full((1, 10), 36.0))
    theirs = Priced(side(4, 0).success, np.zeros((1, 10)), np.full((1, 10), 36.0))
    bill, rate = Bill(usd=0.0, device_s=3600.0), 1 / 3600
    out = even(ours.at(rate), theirs.at(rate), bill.money(rate))
    # A use costs a cent, a solved task 2.5 cents; a use brings 0.4 * 0.025 = 1 cent.
    assert out["episodes"] == 100
    rows = sensitivity(ours, theirs, [bill], rate)
    assert [row["device"] for row in rows] == [0.25, 1.0, 4.0]
    assert {row["episodes"] for row in rows} == {100}  # one kind of price: it cancels
    rows = sensitivity(ours, theirs, [bill], rate, value=0.1)
    # The value stays while costs move: 0.04 a use against 0.25, 1 and 4 dollars.
    assert [row["episodes"] for row in rows] == [7, 25, 100]


def test_a_baseline_that_solves_nothing() -> None:
    out = even(side(4, 0.1), side(0, 0.1), 10.0)
    assert out["episodes"] == 0
    assert "any price pays" in out["reason"]
    assert even(side(4, 0.1), side(0, 0.1), 10.0, value=1.0)["episodes"] == 25


def test_the_bill_is_that_of_one_learning_run() -> None:
    success = np.array([[1.0] * 8 + [0.0] * 2] * 3)
    ours = Side(success, np.full((3, 10), 0.1), learned=True)
    theirs = Side(np.array([[1.0] * 4 + [0.0] * 6] * 3), np.full((3, 10), 0.1))
    out = break_even(ours, theirs, [9.0, 10.0, 11.0], against="baseline", draws=400)
    assert out["bill"] == 10.0
    assert out["episodes"] == 100


def test_the_curve_crosses_zero_at_the_break_even() -> None:
    out = even(side(8, 0.05), side(4, 0.10), 15.0)
    rows = net(out, [0, 100, 200])
    assert [round(row["net"], 6) for row in rows] == [-15.0, 0.0, 15.0]
    assert rows[2]["low"] <= 15.0 <= rows[2]["high"]
    assert net({"gain_per_use": None}, [1]) == []


@pytest.mark.slow
@pytest.mark.parametrize("seeds", [1, 3], ids=["frozen", "learned"])
def test_the_interval_covers_the_truth_of_simulated_runs(seeds: int) -> None:
    rng = np.random.default_rng(seeds)
    repeats, covered, learned = 300, 0, seeds > 1
    tasks, bill = 200, 40.0
    # s1 = 0.7, s0 = 0.4; a solved episode costs 0.06, a lost one 0.12, in both arms.
    truth = bill / (0.7 * ((0.4 * 0.06 + 0.6 * 0.12) / 0.4 - (0.7 * 0.06 + 0.3 * 0.12) / 0.7))
    for _ in range(repeats):
        easy = rng.beta(2, 3, size=tasks)
        noise = rng.normal(0, 0.05, size=(seeds, 1)) if learned else 0.0
        arms = [easy + (0.5 + noise) * (1 - easy), np.broadcast_to(easy, (seeds, tasks))]
        won = [(rng.random((seeds, tasks)) < rates).astype(float) for rates in arms]
        ours, theirs = (Side(w, np.where(w > 0, 0.06, 0.12), learned and not i)
                        for i, w in enumerate(won))  # fmt: skip
        out = break_even(ours, theirs, [bill], against="baseline", draws=400)
        low, high = out["ci95"]
        covered += low <= truth + 1 and (high is None or truth <= high)
    assert 0.91 <= covered / repeats <= 0.99
