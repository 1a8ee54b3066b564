"""Positive control: attribution ranks a planted bank on the scripted player, whose mind is known."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from skillbench.attribution import leave_one_out, shown_effects
from skillbench.config import resolve
from skillbench.registry import get
from skillbench.runner import execute
from skillbench.store import read_lines

BANK = Path(__file__).parents[3] / "tasks" / "banks" / "household-planted.json"


@pytest.mark.slow
@pytest.mark.skipif("alfworld" not in get().environments, reason="needs the alfworld plugin")
def test_planted_skills_are_ranked(tmp_path: Path) -> None:
    config = resolve(
        method="skills",
        environment="alfworld",
        policy="scripted",
        seeds=10,
        sets=(
            "trainer.experience=false",
            "trainer.practice=false",
            f'memory.import_path="{BANK}"',
            "score.show=0.5",
            "score.record=false",
        ),
        registry=get(),
    )
    execute(config, out=tmp_path / "run")
    bank = json.loads((tmp_path / "run/learn/0/skills/final.json").read_text())["skills"]
    kinds = {skill["id"]: skill["meta"]["source_id"].partition("_")[0] for skill in bank}
    rows = shown_effects(read_lines(tmp_path / "run/episodes.jsonl"), share=0.5)
    found: dict[str, list[dict]] = {}
    for row in rows:
        found.setdefault(kinds[row["id"]], []).append(row["chance"])
    assert {kind: len(effects) for kind, effects in found.items()} == {
        "good": 3,
        "useless": 3,
        "harmful": 2,
    }
    titles = {skill["title"]: skill["id"] for skill in bank}
    chosen = (
        "Search each place once (good)",
        "Sentence 0 (useless)",
        "Use the lamp alone (harmful)",
    )
    worth = leave_one_out(tmp_path / "run", [titles[title] for title in chosen], limit=4)
    good, useless, harmful = (row["worth"]["mean"] for row in worth)
    assert good > 0 == useless > harmful  # played again without it, a game is the very same
    for effect in found["useless"]:
        assert effect["p"] > 0.05 / 3  # three of them: each may err at a third of 5 %
    for kind, sign in (("good", 1), ("harmful", -1)):
        assert all(min(sign * end for end in effect["ci95"]) > 0 for effect in found[kind])
