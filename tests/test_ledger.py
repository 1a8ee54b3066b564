"""The ledger: every call once, totals by phase, learning against evaluation."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from skillbench.ledger import Ledger, summarize, total
from skillbench.records import Usage
from skillbench.store import Lines, read_lines


def test_lines_and_totals(tmp_path: Path) -> None:
    ledger = Ledger(Lines(tmp_path / "ledger.jsonl", tmp_path))
    ledger.spend(
        "distill", "teacher", Usage(input_tokens=1000, output_tokens=50, calls=2, usd=0.25)
    )
    ledger.spend("rl", "trainer", Usage(device_s=12.5, wall_s=13.0), seed=1)
    ledger.spend("score", "policy", Usage(input_tokens=70, cached_tokens=60, calls=1), model="m")
    ledger.spend("baseline", "policy", Usage(input_tokens=7, calls=1))
    lines = list(read_lines(tmp_path / "ledger.jsonl"))
    assert lines[0]["in"] == 1000
    assert "cached" not in lines[0]
    assert lines[1]["seed"] == 1
    sums = summarize(lines)
    assert sums["learn"]["usd"] == 0.25
    assert sums["learn"]["device_s"] == 12.5
    assert sums["learn"]["tokens_in"] == 1000
    assert sums["learn"]["by_phase"]["rl"]["wall_s"] == 13.0
    assert set(sums["learn"]["by_role"]) == {"teacher", "trainer"}
    assert (sums["score"]["tokens_cached"], sums["baseline"]["tokens_in"]) == (60, 7)
    assert total([])["calls"] == 0


def test_a_run_books_learning_and_both_arms(execute: Any) -> None:
    result, place = execute()
    lines = [json.loads(line) for line in (place / "ledger.jsonl").read_text().splitlines()]
    assert {line["phase"] for line in lines} == {"toydistill", "rl", "score", "baseline"}
    episodes = [json.loads(line) for line in (place / "episodes.jsonl").read_text().splitlines()]
    spent = sum(e["usage"]["output_tokens"] for e in episodes if e["arm"] == "method")
    assert sum(x.get("out", 0) for x in lines if x["phase"] == "score") == spent
    cost = result["cost"]
    assert cost["per_episode"]["tokens_out"] == pytest.approx(spent / 30)
    won = result["outcomes"]["success"]
    assert cost["per_success"]["tokens_out"] == pytest.approx(spent / won)
    assert cost["learn"]["by_role"]["trainer"]["device_s"] == pytest.approx(1.5)
    assert result["break_even"]["unit"] == "usd"  # device seconds at their dated price
