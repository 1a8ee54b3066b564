"""Rows from episodes, and advantages: pure functions."""

from __future__ import annotations

import statistics

import pytest
from skillbench_methods.advantages import by_group, grpo, rloo
from skillbench_methods.credit import reward, training_rows
from skillbench_methods.grpo import DEFAULTS
from skillbench_methods.rows import episode_rows, micro_batches

from skillbench.errors import ConfigError
from skillbench.records import Episode, Step, Task

TASK = Task("train-1", "tiny", "train", "red", "seek red")


def step(prompt, sampled, valid=True):
    return Step(
        "o",
        "r",
        "a",
        valid=valid,
        prompt_ids=tuple(prompt),
        token_ids=tuple(sampled),
        logprobs=tuple(-float(t) for t in sampled),
    )


def episode(*steps, success=False, task=TASK):
    return Episode(
        task, 0, "success" if success else "truncated", success, steps, bank_version="b1"
    )


def test_a_growing_transcript_is_one_row_with_the_environment_masked():
    rows = episode_rows(
        episode(
            step([1, 2], [3, 4]),
            step([1, 2, 3, 4, 5, 6], [7]),
            step([1, 2, 3, 4, 5, 6, 7, 8], [9, 9]),
        ),
        0.5,
        index=3,
        group=1,
    )
    (row,) = rows
    assert row.prompt_ids == (1, 2)
    assert row.response_ids == (3, 4, 5, 6, 7, 8, 9, 9)
    assert row.mask == (1, 1, 0, 0, 1, 0, 1, 1)
    assert row.logprobs == (-3.0, -4.0, 0.0, 0.0, -7.0, 0.0, -9.0, -9.0)
    assert row.advantages == (0.5, 0.5, 0.0, 0.0, 0.5, 0.0, 0.5, 0.5)
    assert (row.task, row.split, row.episode, row.group, row.bank_version) == (
        "train-1",
        "train",
        3,
        1,
        "b1",
    )
    assert (row.length, row.trained) == (10, 5)


def test_a_rebuilt_prompt_begins_a_new_row():
    rows = episode_rows(
        episode(step([1, 2], [3]), step([1, 9], [4]), step([1, 9, 4, 5], [6])), [1, 2, 3]
    )
    assert [r.prompt_ids for r in rows] == [(1, 2), (1, 9)]
    assert [r.response_ids for r in rows] == [(3,), (4, 5, 6)]
    assert rows[1].advantages == (2.0, 0.0, 3.0)  # one advantage for each step


def test_both_forms_train_the_same_tokens():
    """A transcript and the same turns as rebuilt prompts hold the same sampled tokens, once each."""
    whole = episode(step([1], [2]), step([1, 2, 3], [4]), step([1, 2, 3, 4, 5], [6]))
    apart = episode(step([1], [2]), step([7, 3], [4]), step([7, 5], [6]))
    sampled = [
        [t for r in episode_rows(e) for t, m in zip(r.response_ids, r.mask) if m]
        for e in (whole, apart)
    ]
    assert sampled == [[2, 4, 6], [2, 4, 6]]
    assert [len(episode_rows(e)) for e in (whole, apart)] == [1, 3]


def test_one_row_per_step_has_the_same_advantages_and_reads_prompts_again():
    """`rows="steps"`: of the same episodes the same tokens, with the same advantages."""
    turns = (step([1], [2]), step([1, 2, 3], [4, 8]), step([1, 2, 3, 4, 8, 5], [6]))
    episodes = [episode(*turns, success=True), episode(*turns), episode(*turns[:2])]
    found = {}
    for form in ("transcript", "steps"):
        for estimator in ("grpo", "rloo", "gigpo"):
            config = {**DEFAULTS, "rows": form, "estimator": estimator, "discount": 0.9}
            rows, counts = training_rows(episodes, config)
            found[form, estimator] = [
                (r.episode, t, a)
                for r in rows
                for t, m, a in zip(r.response_ids, r.mask, r.advantages)
                if m
            ]
            assert counts["rows_per_episode"] == (1 if form == "transcript" else 8 / 3)
    for estimator in ("grpo", "rloo", "gigpo"):
        assert found["transcript", estimator] == found["steps", estimator]
        assert len(found["steps", estimator]) == 4 + 4 + 3
    rows = episode_rows(episodes[0], form="steps")
    assert [r.prompt_ids for r in rows] == [s.prompt_ids for s in turns]
    assert [r.response_ids for r in rows] == [s.token_ids for s in turns]
    with pytest.raises(ConfigError, match=r"rows is 'step'; did you mean 'steps'\?"):
        episode_rows(episodes[0], form="step")


def test_steps_without_tokens_give_nothing():
    assert episode_rows(episode(Step("o", "r", "a"))) == []
    assert episode_rows(episode()) == []


def test_max_tokens_ends_a_row():
    rows = episode_rows(episode(step([1, 2], [3]), step([1, 2, 3, 4, 5], [6])), max_tokens=4)
    assert [r.response_ids for r in rows] == [(3,)]


def test_micro_batches_hold_every_row_once_within_the_budget():
    rows = [
        r for n in (3, 30, 7, 7, 12, 1) for r in episode_rows(episode(step([1], range(2, 2 + n))))
    ]
    batches = micro_batches(rows, 24)
    assert sorted(i for b in batches for i in b) == list(range(6))
    for b in batches:
        assert len(b) == 1 or len(b) * max(rows[i].length for i in b) <= 24


def test_grpo_is_the_papers_formula():
    returns = [1.0, 0.0, 0.0, 1.0, 0.0]
    mean, std = statistics.mean(returns), statistics.stdev(returns)
    assert grpo(returns) == pytest.approx([(r - mean) / (std + 1e-6) for r in returns])
    assert grpo(returns, normalise=False) == pytest.approx([r - mean for r in returns])


def test_a_floor_keeps_small_differences_small():
    assert max(grpo([0.0, -0.01, 0.0, -0.02])) > 0.7
    assert max(grpo([0.0, -0.01, 0.0, -0.02], std_floor=0.1)) == pytest.approx(0.075, abs=1e-4)
    assert grpo([1.0, 0.0], std_floor=0.1) == grpo([1.0, 0.0])


def test_row_statistics_weigh_long_episodes_more():
    # Two episodes of 1 and 3 rows: as verl-agent counts, the rows are 1, 0, 0, 0.
    values = grpo([1.0, 0.0], sizes=[1, 3], stats="rows")
    rows = [1.0, 0.0, 0.0, 0.0]
    std = statistics.stdev(rows)
    assert values == pytest.approx([(1 - 0.25) / (std + 1e-6), (0 - 0.25) / (std + 1e-6)])
    assert rloo([1.0, 0.0], sizes=[1, 3], stats="rows") == pytest.approx(
        [4 / 3 * 0.75, 4 / 3 * -0.25]
    )
    with pytest.raises(ValueError, match="number of rows"):
        grpo([1.0, 0.0], stats="rows")


def test_rloo_leaves_one_out():
    assert rloo([1.0, 0.0, 0.5]) == pytest.approx([1 - 0.25, 0 - 0.75, 0.5 - 0.5])


def test_a_group_of_one():
    assert grpo([0.7]) == [0.0]
    assert grpo([0.7], singleton="published") == pytest.approx([0.7 / (1 + 1e-6)])
    assert rloo([0.7], singleton="published") == [0.7]
    assert by_group([[0.7]]).dropped == 1
    assert by_group([[0.7]], singleton="published").kept == 1
    with pytest.raises(ValueError, match="singleton"):
        grpo([1.0], singleton="other")


def test_groups_without_a_difference_are_dropped_and_counted():
    found = by_group([[1.0, 1.0], [1.0, 0.0], [], [0.1, 0.1, 0.1]])
    assert (found.kept, found.dropped) == (1, 3)
    assert found.values[0] == (0.0, 0.0)
    assert found.values[3] == (0.0, 0.0, 0.0)


def test_training_rows_come_from_kept_groups_once_each():
    other = Task("train-2", "tiny", "train", "blue", "seek blue")
    win, lose = step([1], [2, 3]), step([1], [4])
    episodes = [
        episode(win, success=True),
        episode(lose),
        episode(win, success=True),
        episode(win, success=True, task=other),
        episode(win, success=True, task=other),
    ]
    rows, counts = training_rows(episodes, {**DEFAULTS, "invalid_penalty": 0.0})
    assert [r.episode for r in rows] == [0, 1, 2]
    assert (counts["kept_groups"], counts["dropped_groups"]) == (1, 1)
    assert rows[0].advantages[0] > 0 > rows[1].advantages[0]
    assert counts["reward"] == pytest.approx(0.8)


def test_the_reward_takes_off_the_share_of_invalid_steps():
    e = episode(step([1], [2]), step([1], [2], valid=False), success=True)
    assert reward(e, 0.1) == pytest.approx(0.95)


def test_an_episode_from_outside_train_is_refused():
    from skillbench_methods.guards import usable

    from skillbench.errors import LeakError

    e = episode(step([1], [2]), task=Task("unseen-1", "tiny", "unseen", "red", ""))
    with pytest.raises(LeakError, match="unseen"):
        usable([e])
