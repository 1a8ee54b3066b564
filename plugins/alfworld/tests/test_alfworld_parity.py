"""A small sample of the parity run; it needs the stock package (extra `reference`)."""

import json
from pathlib import Path

import pytest
from skillbench_alfworld import parity, textworld_engine
from skillbench_alfworld.env import AlfworldEnvironment
from skillbench_alfworld.export import problem_text
from skillbench_alfworld.generator import generate

from skillbench.errors import PluginError

NEEDS = "the stock package is not installed (extra `reference`)"


@pytest.fixture(scope="module")
def stock():
    if not textworld_engine.available():
        pytest.skip(NEEDS)


@pytest.mark.slow
def test_generated_games_in_both_engines(stock, capsys: pytest.CaptureFixture[str]):
    assert parity.main(["--games", "0", "--generated", "2", "--steps", "24", "--memo"]) == 0
    report = json.loads(capsys.readouterr().out)
    assert (report["games"], report["steps"], report["n_differences"]) == (2, 24, 0)


@pytest.mark.slow
def test_official_games_in_both_engines(stock, official: Path, capsys: pytest.CaptureFixture[str]):
    args = ["--games", "1", "--splits", "train", "--steps", "12", "--data", str(official)]
    assert parity.main(args) == 0
    assert json.loads(capsys.readouterr().out)["differences"] == []


@pytest.mark.slow
def test_environment_in_the_stock_engine(stock):
    env = AlfworldEnvironment(engine="textworld", unseen_games=1)
    native = AlfworldEnvironment(unseen_games=1)
    task = env.tasks("unseen")[0]
    options = {"task": task.id}
    assert env.reset(options=options) == native.reset(options=options)
    for command in ("dance", *env.expert(task)):
        assert env.step(command) == native.step(command)
    env.close()
    env.close()


def test_without_the_stock_package(tmp_path: Path):
    python = tmp_path / "python"
    python.write_text("#!/bin/sh\nexit 1\n")
    python.chmod(0o755)
    assert not textworld_engine.available(str(python))
    assert not textworld_engine.available(str(tmp_path / "nothing"))
    env = AlfworldEnvironment(engine="textworld", python=str(python))
    task = AlfworldEnvironment(unseen_games=1).tasks("unseen")[0]
    with pytest.raises(PluginError, match="reference"):
        env.reset(options={"task": task.id})


def test_exported_problem_declares_what_it_uses():
    text = problem_text(generate("train", 3))
    head, _, facts = text.partition("(:init")
    declared = {line.split()[0] for line in head.splitlines() if " - " in line}
    used = {
        w.strip("()")
        for w in facts.partition("(:goal")[0].split()
        if w.strip("()") and not w.startswith("(")
    }
    assert used <= declared
