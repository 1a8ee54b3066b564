"""The leaderboard: committed results in, the same tables out; invalid rows are named."""

from __future__ import annotations

import csv
import json

import pytest

from skillbench import leaderboard
from skillbench.commands.leaderboard import command
from skillbench.config import resolve
from skillbench.errors import DataError, RunDirError, UsageError
from skillbench.registry import get


def result(**changes):
    row = {
        "schema": 1,
        "method": "skillrl",
        "environment": "alfworld-generated",
        "panel": "unseen@abc",
        "split": "unseen",
        "profile": "quick",
        "policy": "household",
        "seeds": 3,
        "config_digest": "0123456789abcdef",
        "scores": {"success": {"mean": 0.62, "ci95": [0.55, 0.69], "n": 600}},
        "baseline": {"scores": {"success": {"mean": 0.31, "ci95": [0.25, 0.38], "n": 600}}},
        "delta": {"mean": 0.31, "ci95": [0.2, 0.4], "p": 0.0002},
        "cost": {"learn": {"tokens_out": 120000, "wall_s": 300.0}, "per_episode": {"calls": 21.5}},
        "rankable": True,
        "why_not": [],
        "provenance": {"git": {"sha": "f00dfeed" * 5, "dirty": True}},
        "secret": "not for the board",
    }
    return row | changes


@pytest.fixture
def checkout(tmp_path, monkeypatch):
    (tmp_path / "leaderboard" / "results").mkdir(parents=True)
    (tmp_path / "README.md").write_text(
        f"before\n{leaderboard.BEGIN}\nstale text\n{leaderboard.END}\nafter\n"
    )
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("SKILLBENCH_LOAD_PLUGINS", "cli_plugin")
    get.cache_clear()
    yield tmp_path
    get.cache_clear()


def run(*words):
    import argparse

    parser = argparse.ArgumentParser()
    return command(parser)(parser.parse_args(words))


def add(checkout, *words, **changes):
    directory = checkout / f"run{len(list(checkout.glob('run*')))}"
    directory.mkdir()
    (directory / "result.json").write_text(json.dumps(result(**changes)))
    config = resolve(method="base", environment="doors", sets=["env.doors=4"])
    (directory / "config.toml").write_text(config.to_toml())
    return run("add", str(directory), *words)


def test_add_writes_a_trimmed_result_and_the_tables(checkout):
    assert add(checkout, "--command", "skillbench run ...", "--note", "no SFT") == 0
    (path,) = (checkout / "leaderboard" / "results").glob("*.json")
    assert path.name == "alfworld-generated--unseen--skillrl--household--01234567.json"
    row = json.loads(path.read_text())
    assert row["command"] == "skillbench run ..."
    assert row["commit"] == "f00dfeed" * 5 + "+"
    assert "secret" not in row
    text = (checkout / "README.md").read_text()
    assert text.startswith("before\n")
    assert text.endswith("after\n")
    assert "stale text" not in text
    assert "62.0 % [55.0, 69.0] n=600" in text
    assert "+31.0 [20.0, 40.0] p<0.001" in text
    assert "no SFT" in text
    rows = list(csv.DictReader((checkout / "leaderboard" / "leaderboard.csv").open()))
    assert (rows[0]["mean"], rows[0]["n"]) == ("0.62", "600")


def test_a_row_says_how_it_was_made(checkout):
    add(checkout)
    (path,) = (checkout / "leaderboard" / "results").glob("*.json")
    row = json.loads(path.read_text())
    assert row["command"] == "skillbench run --method base --env doors --set env.doors=4"
    assert row["variant"] == "env.doors=4"


def test_check_knows_stale_from_current(checkout):
    add(checkout)
    assert run("check") == 0
    (checkout / "README.md").write_text(f"{leaderboard.BEGIN}\nhand-made\n{leaderboard.END}\n")
    with pytest.raises(
        DataError, match=r"README.md is not current; run: skillbench leaderboard build"
    ):
        run("check")
    assert run("build") == 0
    assert run("check") == 0


def test_panels_are_never_mixed_and_the_unrankable_come_last(checkout):
    best = {"success": {"mean": 0.9, "ci95": [0.8, 1.0], "n": 10}}
    add(checkout, method="lucky", scores=best, rankable=False, why_not=["leaks"])
    add(checkout)
    add(checkout, split="valid_seen", environment="alfworld", panel="valid_seen@d")
    rows = leaderboard.read_results(checkout / "leaderboard" / "results")
    tables = leaderboard.groups(rows)
    assert [[r["method"] for r in t] for t in tables.values()] == [
        ["skillrl"],
        ["skillrl", "lucky"],
    ]
    assert "lucky (not rankable)" in (checkout / "README.md").read_text()


@pytest.mark.parametrize(
    ("changes", "fault"),
    [
        ({"scores": {"success": {"mean": 62, "ci95": [55, 69]}}}, "not a share"),
        ({"scores": {"success": {"mean": 0.5, "ci95": [0.6, 0.7]}}}, "does not hold the mean"),
        ({"rankable": False}, "does not say why"),
    ],
)
def test_faulty_results_are_refused(checkout, changes, fault):
    with pytest.raises(RunDirError, match=fault):
        add(checkout, **changes)
    path = checkout / "leaderboard" / "results" / "x.json"
    path.write_text(json.dumps(result(**changes)))
    with pytest.raises(DataError, match=rf"x.json: .*{fault}"):
        run("check")


def test_broken_files_are_named(checkout):
    (checkout / "leaderboard" / "results" / "x.json").write_text("{")
    with pytest.raises(DataError, match=r"x\.json is not valid JSON"):
        run("build")
    (checkout / "leaderboard" / "results" / "x.json").write_text("[]")
    with pytest.raises(DataError, match="is not a JSON object"):
        run("build")


def test_no_markers_no_checkout(checkout, tmp_path_factory, monkeypatch):
    (checkout / "README.md").write_text("nothing\n")
    with pytest.raises(DataError, match="lacks the markers"):
        run("build")
    monkeypatch.chdir(tmp_path_factory.mktemp("elsewhere"))
    with pytest.raises(UsageError, match="inside a checkout"):
        run("build")
