"""Statistics against closed forms and hand-computed values."""

from __future__ import annotations

import math

import numpy as np
import pytest

from skillbench import stats
from skillbench.breakeven import break_even


def test_wilson_matches_the_formula() -> None:
    won, n, z = 41, 50, 1.959963984540054
    p = won / n
    centre = (p + z * z / (2 * n)) / (1 + z * z / n)
    half = z / (1 + z * z / n) * math.sqrt(p * (1 - p) / n + z * z / (4 * n * n))
    assert stats.wilson(won, n) == pytest.approx((centre - half, centre + half), abs=1e-9)
    assert stats.wilson(0, 0) == (0.0, 1.0)
    assert stats.wilson(0, 10)[0] == 0.0


def test_mcnemar_by_hand() -> None:
    # 1 against 5 discordant pairs: 2 * (C(6,0) + C(6,1)) / 2^6 = 14/64
    assert stats.mcnemar(1, 5) == pytest.approx(14 / 64)
    assert stats.mcnemar(0, 0) == 1.0
    assert stats.mcnemar(3, 3) == 1.0


def test_bootstrap_over_tasks_has_the_standard_error_of_the_mean() -> None:
    scores = np.array([[1.0] * 30 + [0.0] * 70])
    draws = stats.bootstrap(scores, seeds_too=False, draws=20_000)
    assert draws.mean() == pytest.approx(0.3, abs=0.002)
    assert draws.std() == pytest.approx(math.sqrt(0.3 * 0.7 / 100), rel=0.03)


def test_hierarchical_bootstrap_adds_the_variance_of_seeds() -> None:
    # Three learning runs, each constant over tasks: tasks vary not at all, seeds do.
    scores = np.repeat([[0.2], [0.5], [0.8]], 40, axis=1)
    flat = stats.bootstrap(scores, seeds_too=False, draws=4000)
    both = stats.bootstrap(scores, seeds_too=True, draws=4000)
    assert flat.std() == pytest.approx(0.0, abs=1e-12)
    # Var of the mean of 3 drawn with replacement = population variance / 3 = 0.06 / 3
    assert both.std() == pytest.approx(math.sqrt(0.02), rel=0.05)
    assert both.mean() == pytest.approx(0.5, abs=0.01)


def test_invalid_entries_are_left_out_of_means() -> None:
    scores = np.array([[1.0, 0.0, np.nan, 1.0]])
    row = stats.summary(scores, learned=False)
    assert (row["mean"], row["n"]) == (pytest.approx(2 / 3, abs=1e-6), 3)
    assert row["interval"] == "wilson"
    assert stats.summary(np.array([[np.nan]]), learned=False)["mean"] is None


def test_which_interval_is_used() -> None:
    one, many = np.array([[1.0, 0.0] * 10]), np.array([[1.0, 0.0] * 10, [0.0, 0.0] * 10])
    assert "note" not in stats.summary(one, learned=False)
    assert stats.summary(one, learned=True)["note"] == stats.NOTE_ONE
    assert stats.summary(many, learned=False)["interval"] == "bootstrap tasks"
    assert stats.summary(many, learned=True)["interval"] == "bootstrap seeds x tasks"
    assert stats.summary(many, learned=True)["per_seed"] == [0.5, 0.0]
    perfect = stats.summary(np.ones((3, 10)), learned=True)
    assert perfect["ci95"][0] == pytest.approx(stats.wilson(10, 10)[0], abs=1e-6)


def test_paired_difference_of_one_seed() -> None:
    ours = np.array([[1, 1, 1, 1, 1, 1, 0, 0, 1, 0]], dtype=float)
    theirs = np.array([[0, 0, 0, 0, 0, 1, 1, 0, 1, 0]], dtype=float)
    delta = stats.paired(ours, theirs, learned=False)
    assert delta["mean"] == pytest.approx(0.4)
    assert delta["p"] == pytest.approx(14 / 64, abs=1e-3)  # 5 against 1
    assert (delta["n"], delta["test"]) == (10, "McNemar, exact")


def test_pairs_need_both_arms() -> None:
    ours, theirs = np.array([[1.0, np.nan, 1.0]]), np.array([[0.0, 1.0, np.nan]])
    assert stats.paired(ours, theirs, learned=False)["n"] == 1
    none = stats.paired(ours[:, 1:], theirs[:, 1:], learned=False)
    assert none["mean"] is None
    assert none["reason"]


def test_bootstrap_p_is_two_sided_and_never_zero() -> None:
    assert stats.bootstrap_p(np.full(999, 0.5)) == pytest.approx(2 / 1000)
    assert stats.bootstrap_p(np.array([-1.0, 1.0, -1.0, 1.0])) == 1.0


def test_false_positives_stay_rare_where_learning_varies() -> None:
    """Two equal methods whose learning runs differ by 3 points: about 1 in 20 may differ."""
    rng = np.random.default_rng(1)
    naive = hierarchical = 0
    for _ in range(80):
        arms = []
        for _ in range(2):
            rates = np.clip(0.8 + rng.normal(0, 0.06, size=(5, 1)), 0, 1)
            arms.append((rng.random((5, 140)) < rates).astype(float))
        difference = arms[0] - arms[1]
        for both in (False, True):
            low, high = stats.interval(stats.bootstrap(difference, seeds_too=both, draws=300))
            wrong = low > 0 or high < 0
            naive, hierarchical = naive + (wrong and not both), hierarchical + (wrong and both)
    assert hierarchical / 80 <= 0.1
    assert naive > 2 * hierarchical


def test_by_group_splits_columns() -> None:
    rows = stats.by_group(np.array([[1.0, 0.0, 1.0]]), ["a", "b", "a"], learned=False)
    assert rows["a"]["mean"] == 1.0
    assert rows["b"]["n"] == 1


def test_break_even_by_hand() -> None:
    # Learning costs 10 dollars. An episode costs 0.1 in both arms; solved 0.8 against 0.4: a solved
    # task costs 0.125 against 0.25, so an episode of the method saves 0.8 * 0.125 = 0.1.
    ours, theirs = np.array([[1.0] * 8 + [0.0] * 2]), np.array([[1.0] * 4 + [0.0] * 6])
    cost = {
        "learn": {"usd": 10.0},
        "per_episode": {"usd": 0.1},
        "baseline_per_episode": {"usd": 0.1},
    }
    even = break_even(ours, theirs, cost, against="baseline", learned=False)
    assert even["episodes"] == 100
    assert even["unit"] == "usd"
    worse = break_even(theirs, ours, cost, against="baseline", learned=False)
    assert worse["episodes"] is None
    assert "never" in worse["reason"]
    free = break_even(ours, theirs, cost | {"learn": {}}, against="baseline", learned=False)
    assert "nothing was spent" in free["reason"]
