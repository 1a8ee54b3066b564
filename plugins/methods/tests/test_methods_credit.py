"""Advantages of episodes and steps, against examples worked out by hand."""

from __future__ import annotations

import pytest
from skillbench_methods.advantages import anchors, gigpo, grpo, returns_to_go, rloo
from skillbench_methods.credit import reward, step_advantages, step_rewards, training_rows
from skillbench_methods.grpo import DEFAULTS
from skillbench_methods.halves import intrinsic, memory_value

from skillbench.errors import ConfigError
from skillbench.records import Episode, Step, Task


def played(observations, success=False, task="t1", invalid=()):
    steps = tuple(
        Step(
            seen,
            "r",
            "a",
            valid=i not in invalid,
            prompt_ids=tuple(range(1, 2 * i + 2)),
            token_ids=(2 * i + 2,),
            logprobs=(-1.0,),
        )
        for i, seen in enumerate(observations)
    )
    outcome = "success" if success else "truncated"
    return Episode(Task(task, "tiny", "train", "red", "seek"), 0, outcome, success, steps)


def advantages_of(episodes, **options):
    config = {**DEFAULTS, "invalid_penalty": 0.0, **options}
    groups: dict[str, list[int]] = {}
    for i, e in enumerate(episodes):
        groups.setdefault(e.task.id, []).append(i)
    rewards = [step_rewards(e, 0.0) for e in episodes]
    return step_advantages(episodes, rewards, [1] * len(episodes), groups, config)


def test_both_group_statistics_by_hand():
    # Returns 1, 0, 0 over trajectories: mean 1/3, deviation sqrt(1/3).
    found = grpo([1.0, 0.0, 0.0], std_eps=0.0)
    assert found == pytest.approx([1.1547, -0.57735, -0.57735], abs=1e-4)
    # Over steps, two for the success and four for each failure: ten rows, mean 0.2,
    # variance (2 * 0.64 + 8 * 0.04) / 9 = 0.1778, deviation 0.42164.
    found = grpo([1.0, 0.0, 0.0], sizes=[2, 4, 4], stats="steps", std_eps=0.0)
    assert found == pytest.approx([1.89737, -0.47434, -0.47434], abs=1e-4)


def test_statistics_over_steps_read_the_steps_of_one_transcript():
    episodes = [played("ab", success=True), played("abcd"), played("abcd")]
    found = advantages_of(episodes, advantage_stats="steps", std_eps=0.0)
    assert [row[0] for row in found] == pytest.approx([1.89737, -0.47434, -0.47434], abs=1e-4)
    assert [len(row) for row in found] == [2, 4, 4]
    plain = advantages_of(episodes, advantage_stats="rows", std_eps=0.0)  # one row each
    assert [row[0] for row in plain] == pytest.approx([1.1547, -0.57735, -0.57735], abs=1e-4)


def test_rloo_by_hand():
    assert rloo([1.0, 0.0, 0.5]) == pytest.approx([0.75, -0.75, 0.0])
    found = advantages_of([played("ab", True), played("ab"), played("ab")], estimator="rloo")
    assert [row[0] for row in found] == pytest.approx([1.0, -0.5, -0.5])


def test_returns_to_go_by_hand():
    assert returns_to_go([0.0, 0.0, 1.0], 0.5) == [0.25, 0.5, 1.0]
    assert returns_to_go([1.0, -1.0], 1.0) == [0.0, -1.0]
    assert returns_to_go([], 0.9) == []


def test_discounted_returns_compare_all_steps_of_the_group():
    # Steps: 0.25, 0.5, 1 of the success, 0, 0 of the failure; mean 0.35, deviation 0.41833.
    episodes = [played("abc", success=True), played("ab")]
    found = advantages_of(episodes, discount=0.5, std_eps=0.0)
    assert found[0] == pytest.approx([-0.23905, 0.35857, 1.5538], abs=1e-4)
    assert found[1] == pytest.approx([-0.83666, -0.83666], abs=1e-4)
    rewards = advantages_of(episodes, discount=0.5, estimator="rloo")
    assert rewards[0][2] == pytest.approx(5 / 4 * (1 - 0.35))


def test_equal_observations_are_one_anchor_and_similar_ones_where_asked():
    assert anchors(["a", "b", "a", "c", "b"]) == [0, 1, 0, 2, 1]
    texts = ["the cat sat on the mat", "the cat sat on the hat", "no match at all"]
    assert anchors(texts) == [0, 1, 2]
    assert anchors(texts, similarity=0.9) == [0, 0, 1]


def test_gigpo_by_hand():
    # Both trajectories begin at "start"; only the first goes on by "door", the other by "wall"
    # twice. Returns 1 and 0.
    found = gigpo(
        [[0.0, 1.0], [0.0, 0.0, 0.0]],
        [["start", "door"], ["start", "wall", "wall"]],
        discount=0.5,
        std_eps=0.0,
    )
    whole = 0.70711  # (1 - 0.5) / sqrt(0.5)
    # At "start" the returns to go are 0.5 and 0: deviation 0.35355, so again +-0.70711.
    # "door" is alone, and both "wall"s lead to 0: nothing.
    assert found[0] == pytest.approx([whole + 0.70711, whole], abs=1e-4)
    assert found[1] == pytest.approx([-whole - 0.70711, -whole, -whole], abs=1e-4)
    half = gigpo(
        [[0.0, 1.0], [0.0, 0.0, 0.0]],
        [["start", "door"], ["start", "wall", "wall"]],
        discount=0.5,
        step_weight=0.5,
        normalise=False,
    )
    assert half[0] == pytest.approx([0.5 + 0.5 * 0.25, 0.5])


def test_gigpo_tells_a_short_solution_from_a_long_one():
    # All solved: the episodes do not differ, their steps from the same place do.
    episodes = [played("ab", success=True), played("axb", success=True)]
    found = advantages_of(episodes, estimator="gigpo", discount=0.5)
    assert found[0][0] > 0 > found[1][0]
    assert found[0][1] == found[1][2] == 0.0
    rows, counts = training_rows(
        episodes, {**DEFAULTS, "estimator": "gigpo", "discount": 0.5, "invalid_penalty": 0.0}
    )
    assert (len(rows), counts["kept_groups"], counts["dropped_groups"]) == (2, 1, 0)


def test_groups_are_tasks_and_a_group_without_difference_is_dropped():
    episodes = [played("ab", True, "t1"), played("ab", False, "t2"), played("ab", False, "t1")]
    episodes.append(played("ab", False, "t2"))
    for estimator in ("grpo", "rloo", "gigpo"):
        config = {**DEFAULTS, "estimator": estimator}
        rows, counts = training_rows(episodes, config)
        assert {row.task for row in rows} == {"t1"}, estimator
        assert (counts["kept_groups"], counts["dropped_groups"]) == (1, 1)


def test_rewards_of_steps_sum_up_to_the_reward_of_the_episode():
    e = played("abcd", success=True, invalid=(1, 2))
    assert step_rewards(e, 0.1) == pytest.approx([0.0, -0.025, -0.025, 1.0])
    assert sum(step_rewards(e, 0.1)) == pytest.approx(reward(e, 0.1))
    assert step_rewards(e, 0.0, bonus=0.5)[-1] == 1.5


def test_an_unknown_estimator_is_named():
    with pytest.raises(ConfigError, match="did you mean 'gigpo'"):
        advantages_of([played("a", True), played("a")], estimator="gipo")


def test_the_value_of_a_memory_is_the_mean_difference_of_the_halves():
    shown = [
        played("a", s, t) for t, s in (("t1", True), ("t1", True), ("t2", True), ("t2", False))
    ]
    bare = [
        played("a", s, t) for t, s in (("t1", False), ("t1", True), ("t2", False), ("t3", True))
    ]
    value = memory_value(shown, bare)
    assert (value.mean, value.tasks) == (0.5, 2)  # t1: 1 - 0.5, t2: 0.5 - 0; t3 has one half
    assert value.error == 0.0
    assert value.metrics() == {"memory_value": 0.5, "memory_value_se": 0.0}
    bonus = intrinsic([*shown, *bare], 4, value.without, 1.0)
    assert bonus == [0.5, 0.5, 1.0, 0.0, 0.0, 0.0, 0.0, 0.0]
