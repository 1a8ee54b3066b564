"""Statistics against closed forms and hand-computed values."""

from __future__ import annotations

import math

import numpy as np
import pytest

from skillbench import stats


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


def test_swapping_the_arms_flips_the_signs_and_nothing_else() -> None:
    rng = np.random.default_rng(4)
    ours, theirs = (rng.random((k, 60)) < p for k, p in ((3, 0.7), (5, 0.5)))
    ours, theirs = ours.astype(float), theirs.astype(float)
    one = stats.compare(ours, theirs, learned=(True, False))
    other = stats.compare(theirs, ours, learned=(False, True))
    assert one["mean"] == -other["mean"]
    assert one["ci95"] == [-other["ci95"][1], -other["ci95"][0]]
    assert (one["p"], one["n"], one["test"]) == (other["p"], other["n"], other["test"])


def test_the_spread_is_that_of_the_variance_components() -> None:
    rng = np.random.default_rng(2)
    scores = rng.normal(size=(4, 30)) + rng.normal(size=(4, 1))
    # Independently: the two-way analysis of variance, term by term.
    centre, rows, columns = scores.mean(), scores.mean(axis=1), scores.mean(axis=0)
    seeds = 30 * ((rows - centre) ** 2).sum() / 3
    tasks = 4 * ((columns - centre) ** 2).sum() / 29
    rest = scores - rows[:, None] - columns[None, :] + centre
    residual = (rest**2).sum() / (3 * 29)
    got = stats.spread([scores], [True])
    assert got.se == pytest.approx(math.sqrt((seeds + tasks - residual) / 120))
    assert 2.5 <= got.df <= 10  # four seeds decide
    frozen = stats.spread([scores], [False])
    assert frozen.se == pytest.approx(math.sqrt(tasks / 120))
    assert frozen.df == pytest.approx(29)


def test_one_frozen_row_has_the_interval_of_the_t_test() -> None:
    from scipy.stats import ttest_rel

    rng = np.random.default_rng(5)
    ours, theirs = rng.random((1, 80)), rng.random((1, 80))
    row = stats.compare(ours, theirs, learned=(False, False))
    other = ttest_rel(ours[0], theirs[0])
    low, high = other.confidence_interval(0.95)
    assert row["p"] == pytest.approx(other.pvalue, rel=1e-3)
    assert row["ci95"] == pytest.approx([low, high], abs=0.01)


def test_welch_is_the_test_on_run_means() -> None:
    from scipy.stats import ttest_ind

    ours, theirs = [0.61, 0.65, 0.58], [0.5, 0.55, 0.49, 0.52]
    assert stats.welch(ours, theirs) == pytest.approx(
        ttest_ind(ours, theirs, equal_var=False).pvalue
    )
    assert stats.welch([0.5], theirs) is None
    assert stats.welch([0.5, 0.5], [0.5, 0.5]) == 1.0
