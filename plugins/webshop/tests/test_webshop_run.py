"""WebShop through the whole harness: baselines on the panel, and the same episodes however played."""

import json
from pathlib import Path

import pytest

from skillbench.cli import main


def run(tmp_path: Path, name: str, *words: str) -> tuple[dict, list[dict]]:
    out = tmp_path / name
    code = main(["run", "--method", "base", "--env", "webshop", "--out", str(out), *words])
    assert code == 0
    lines = (out / "episodes.jsonl").read_text(encoding="utf-8").splitlines()
    return json.loads((out / "result.json").read_text(encoding="utf-8")), [
        json.loads(x) for x in lines
    ]


def played(lines: list[dict]) -> list[tuple]:
    """What was seen and done, by task; times left out."""
    rows = [
        (e["task"] if isinstance(e["task"], str) else e["task"]["id"], e["outcome"], e["score"],
         json.dumps(e["steps"]))
        for e in lines
    ]  # fmt: skip
    return sorted(rows)


def test_expert_and_random_on_the_panel(tmp_path: Path):
    result, lines = run(tmp_path, "expert", "--policy", "expert")
    assert result["panel"].startswith("webshop-generated.test.200@")
    assert len(lines) == 200
    assert result["outcomes"]["invalid"] == 0
    assert result["scores"]["success"]["mean"] >= 0.95
    assert set(result["by_task_type"]) == {"beauty", "electronics", "fashion", "garden", "grocery"}
    result, _ = run(tmp_path, "random", "--policy", "random")
    assert result["scores"]["success"]["mean"] <= 0.02
    assert result["outcomes"]["invalid"] == 0
    assert 0.0 <= result["scores"]["score"]["mean"] < 0.5


@pytest.mark.parametrize("policy", ["random", "scripted"])
def test_same_episodes_alone_and_together(tmp_path: Path, policy: str):
    some = ("--policy", policy, "--set", "run.tasks=64")
    _, alone = run(tmp_path, "alone", *some, "--set", "score.chunk=1")
    _, together = run(tmp_path, "together", *some, "--set", "score.chunk=64")
    _, again = run(tmp_path, "again", *some, "--set", "score.chunk=64")
    assert played(alone) == played(together) == played(again)
    assert len(alone) == 64


def test_official_panels(slice_1000: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("WEBSHOP_DATA", str(slice_1000))
    result, lines = run(tmp_path, "human", "--policy", "random", "--split", "human")
    assert result["panel"].startswith("webshop.human.13@")
    assert len(lines) == 13
    some = ("--policy", "expert", "--split", "small", "--set", "run.tasks=12")
    result, lines = run(tmp_path, "small", *some)
    assert result["panel"].startswith("webshop.small.500[:12]@")
    assert result["environment"] == "webshop"
    assert len(lines) == 12
