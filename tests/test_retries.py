"""Solved within k attempts: apart from the scores, with feedback or without."""

from __future__ import annotations

import json

import pytest
import toy_more

from skillbench.errors import ConfigError, LeakError
from skillbench.schema import problems


def attempts(path):
    return [json.loads(line) for line in (path / "attempts.jsonl").read_text().splitlines()]


def test_scores_are_those_without_retries_and_feedback_beats_pass_at_k(tmp_path):
    plain = toy_more.run(tmp_path / "plain", "retrying")
    result = toy_more.run(tmp_path / "retry", "retrying", "score.attempts=3")
    assert problems(result) == []
    assert result["scores"] == plain["scores"]
    assert "retries" not in plain
    found = result["retries"]
    assert found["attempts"] == 3
    assert found["method"]["measure"] == "solved within k, with feedback"
    assert found["baseline"]["measure"] == "pass@k"
    for arm in ("method", "baseline"):
        means = [row["mean"] for row in found[arm]["within"]]
        assert means == sorted(means)
        assert means[0] == result["scores"]["success"]["mean"]
    # Told of a failure, the memory names the door, which the policy follows half of the time.
    assert found["delta"]["mean"] == pytest.approx(
        found["method"]["within"][-1]["mean"] - found["baseline"]["within"][-1]["mean"], abs=1e-6
    )
    assert found["delta"]["mean"] > 0
    assert result["cost"]["learn"]["calls"] == 0  # retries are no learning


def test_only_what_is_unsolved_is_tried_again_and_the_memory_that_is_scored_learns_nothing(
    tmp_path,
):
    toy_more.run(tmp_path / "r", "retrying", "score.attempts=2")
    lines = [json.loads(x) for x in (tmp_path / "r" / "episodes.jsonl").read_text().splitlines()]
    for arm in ("method", "baseline"):
        lost = {d["task"]["id"] for d in lines if d["arm"] == arm and not d["success"]}
        again = [d for d in attempts(tmp_path / "r") if d["arm"] == arm and "task" in d]
        assert {d["task"]["id"] for d in again} == lost
        assert len(again) == len(lost) > 0
        assert {d["feedback"] for d in again} == {arm == "method"}
        assert all(bool(d.get("skill_ids")) == (arm == "method") for d in again)
    assert not any(d.get("skill_ids") for d in lines)


def test_an_interrupted_arm_is_played_again_and_ends_in_the_same_result(tmp_path):
    from skillbench.config import load
    from skillbench.runner import execute

    whole = toy_more.run(tmp_path / "r", "retrying", "score.attempts=3")
    path = tmp_path / "r" / "attempts.jsonl"
    kept = path.read_text().splitlines(keepends=True)
    path.write_text("".join(kept[:5]))
    (tmp_path / "r" / "result.json").unlink()
    again = execute(load(tmp_path / "r"), resume=tmp_path / "r", registry=toy_more.registry())
    assert again["retries"] == whole["retries"]


def test_more_steps_are_for_the_method_alone(tmp_path):
    result = toy_more.run(tmp_path / "a", "base", "score.extra_steps=2.0")
    assert result["scores"]["steps"]["mean"] > result["baseline"]["scores"]["steps"]["mean"]
    assert result["scores"]["success"]["mean"] > result["baseline"]["scores"]["success"]["mean"]
    lines = [json.loads(x) for x in (tmp_path / "a" / "episodes.jsonl").read_text().splitlines()]
    longest = {
        arm: max(len(d["steps"]) for d in lines if d["arm"] == arm)
        for arm in ("method", "baseline")
    }
    assert longest["baseline"] == 3
    assert 3 < longest["method"] <= 9


def test_tokens_beyond_the_limit_are_spent_on_further_steps(tmp_path):
    # "<think>hm</think><action>door 1</action> Nothing behind it.": 6 words, 9 tokens by estimate.
    toy_more.run(tmp_path / "a", "base", "score.extra_tokens=10")
    lines = [json.loads(x) for x in (tmp_path / "a" / "episodes.jsonl").read_text().splitlines()]
    longest = max(len(d["steps"]) for d in lines if d["arm"] == "method")
    assert longest == 3 + 2  # the step that crosses the line is still played


@pytest.mark.parametrize("sets", ["score.attempts=0", "score.extra_steps=-1.0"])
def test_nonsense_is_refused(tmp_path, sets):
    with pytest.raises(ConfigError, match="is at least"):
        toy_more.run(tmp_path / "a", "base", sets)


# ---------------------------------------------------------------------- leaks


@pytest.mark.parametrize("how", ["play", "write"])
def test_learning_from_the_panel_is_stopped(tmp_path, how):
    with pytest.raises(LeakError):
        toy_more.run(tmp_path / "a", "cheating", f"trainer.cheat.how={how}")


def test_a_bank_that_quotes_the_panel_is_not_rankable(tmp_path):
    result = toy_more.run(tmp_path / "a", "cheating", "trainer.cheat.how=quote", environment="long")
    assert not result["rankable"]
    assert [row["what"] for row in result["leaks"]["found"]] == ["quotation"]
    assert problems(result) == []
    honest = toy_more.run(tmp_path / "b", "one", environment="long")
    assert honest["leaks"]["count"] == 0
