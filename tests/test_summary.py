"""What a run ends with: the table, the figures below it, and progress on the way."""

from __future__ import annotations

import io
import re
from pathlib import Path

import pytest
from rich.console import Console

from skillbench import summary
from skillbench.progress import EVERY, Lines, Live, figures_text, make_reporter


def share(mean, low, high, n=200):
    return {"mean": mean, "ci95": [low, high], "n": n}


RESULT = {
    "method": "skillrl",
    "environment": "alfworld-generated",
    "panel": "unseen.200@abc",
    "panel_info": {"n": 200},
    "policy": "household",
    "seeds": 3,
    "profile": "quick",
    "scores": {
        "success": share(0.62, 0.55, 0.69),
        "success_invalid_as_failure": share(0.62, 0.55, 0.69),
        "steps": share(21.25, 20.0, 23.0),
        "valid": share(1.0, 0.98, 1.0),
    },
    "by_task_type": {"pick_clean": share(0.5, 0.3, 0.7, 40)},
    "outcomes": {"success": 124, "failure": 0, "truncated": 76, "invalid": 0},
    "baseline": {
        "scores": {"success": share(0.31, 0.25, 0.38), "steps": share(38, 36, 40)},
        "by_task_type": {"pick_clean": share(0.25, 0.1, 0.4, 40)},
        "outcomes": {"success": 62, "failure": 0, "truncated": 138, "invalid": 0},
        "cost": {"per_episode": {"tokens_out": 1234.5}},
    },
    "delta": share(0.31, 0.22, 0.4)
    | {"p": 0.0001, "by_task_type": {"pick_clean": share(0.25, 0.05, 0.45) | {"p": 0.021}}},
    "cost": {
        "learn": {"tokens_in": 1_200_000, "calls": 900, "wall_s": 240.4, "usd": 0, "by_phase": {}},
        "per_episode": {"tokens_out": 812.5, "steps": 21.25},
        "per_success": {"tokens_out": 1310.0},
    },
    "break_even": {"episodes": 1200, "ci95": [800, None], "unit": "device_s", "reason": None},
    "skills": {
        "initial": 12,
        "final": 19,
        "by_kind": {"general": 8, "mistake": 11},
        "tokens_per_episode": 180,
    },
    "curve": [{"step": i, "success": i / 10} for i in range(11)],
    "rankable": False,
    "why_not": ["no committed panel", "scored on the train split"],
}


def printed(result, directory=Path("runs/x")) -> str:
    stream = io.StringIO()
    summary.print_summary(result, directory, console=Console(file=stream, width=120))
    return stream.getvalue()


def test_everything_that_a_run_promises_to_print_is_there():
    text = printed(RESULT)
    for part in (
        "skillrl on alfworld-generated, panel unseen.200@abc of 200 tasks, policy household, 3 seeds",
        "success, %",
        "62.0 [55.0, 69.0]",
        "31.0 [25.0, 38.0]",
        "+31.0 [22.0, 40.0] p<0.001",
        "pick_clean",
        "+25.0 [5.0, 45.0]",
        "21.2 [20.0, 23.0]",
        "success 124, failure 0, truncated 76, invalid 0",
        "0: 0 %",
        "10: 100 %",
        "12 -> 19 (general 8, mistake 11), 180 tokens per episode",
        "cost of learning 1,200,000 tokens in, 900 calls, 240 s",
        "cost per episode 812 tokens out, 21.2 steps",
        "after 1,200 uses [800, never], counted in device_s",
        "NOT RANKABLE     no committed panel; scored on the train split",
        "run              runs/x",
    ):
        assert part in text
    assert "invalid as failure" not in text  # says nothing new without invalid episodes


def test_invalid_episodes_bring_their_rows():
    result = RESULT | {"outcomes": RESULT["outcomes"] | {"invalid": 3}}
    text = printed(result)
    assert "success invalid as failure" in text
    assert "valid" in text


def test_a_run_without_baseline_or_episodes_prints_what_there_is():
    bare = {
        "method": "base",
        "environment": "doors",
        "scores": {"success": {"mean": None, "ci95": None, "n": 0}},
    }
    text = printed(bare | {"baseline": {"reason": "switched off"}, "rankable": True})
    assert "not scored: switched off" in text
    assert "difference" not in text
    assert printed(bare)


@pytest.mark.parametrize("points", [[], [{"step": 0, "success": None}]])
def test_no_curve_without_points(points):
    assert summary.curve_text(points) == ""


# ------------------------------------------------------------------ progress


class Clock:
    now = 0.0

    def __call__(self):
        return self.now


def test_lines_come_at_the_begin_and_end_and_every_ten_seconds():
    clock, stream = Clock(), io.StringIO()
    lines = Lines(stream, clock)
    lines.start("seed 0: score", 200)
    for _ in range(200):
        clock.now += 0.25
        lines.advance(1, success=clock.now / 100)
    lines.say("a word")
    lines.finish()
    found = stream.getvalue().splitlines()
    assert found[0] == "[00:00] seed 0: score (200)"
    assert len(found) == 1 + 50 // EVERY + 1
    assert found[1] == "[00:10] seed 0: score: 40/200  success 0.1"
    assert "[00:50] a word" in found


def test_a_closed_stderr_ends_nothing():
    stream = io.StringIO()
    lines = Lines(stream)
    stream.close()
    lines.start("x")
    lines.finish()


def test_live_bars_take_any_order_of_calls():
    live = Live()
    live.advance(1, loss=0.1)
    live.start("a", 3)
    live.advance(2, loss=0.123456)
    live.start("b")
    live.advance(5)
    live.say("[not markup]")
    live.finish()
    live.finish()


def test_the_reporter_fits_the_stream():
    assert isinstance(make_reporter(io.StringIO()), Lines)
    assert figures_text({"success": 0.41234, "n": 3}) == "success 0.412, n 3"


@pytest.mark.parametrize(
    ("method", "sets", "said"),
    [
        ("toyskill", (), r"after [\d,]+ uses \[[\d,]+, ([\d,]+|never)\], counted in usd"),
        ("toyskill", ("policy.fail=all",), "never: the method solved nothing"),
        ("base", (), "the method is the policy as it is: it is its own baseline"),
        ("toybank", ("score.baseline=false",), r"switched off \(score.baseline=false\)"),
    ],
)
def test_each_run_prints_when_learning_is_repaid_or_why_never(execute, method, sets, said):
    result, place = execute(method, *sets)
    (line,) = (x for x in printed(result, place).splitlines() if x.startswith("break even"))
    assert re.match(rf"break even +{said}", line), line
