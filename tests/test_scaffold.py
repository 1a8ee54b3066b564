"""`skillbench new plugin`: what it makes passes the conformance kit unchanged, and runs."""

from __future__ import annotations

import json
from pathlib import Path

import fake_install
import pytest

from skillbench import scaffold
from skillbench.cli import main
from skillbench.errors import UsageError


@pytest.mark.parametrize("kind", scaffold.KINDS)
def test_a_new_plugin_passes_the_check_and_its_own_tests(kind: str, tmp_path: Path) -> None:
    place = tmp_path / "mine"
    assert main(["new", "plugin", "mine", "--kind", kind, "--dir", str(place)]) == 0
    fake_install.install(place)
    done = fake_install.run(place, "skillbench", "check", "mine", "--json")
    assert done.returncode == 0, done.stdout + done.stderr
    outcomes = json.loads(done.stdout)
    assert len(outcomes) >= 3
    assert {o["state"] for o in outcomes} <= {"ok", "skipped"}
    assert sum(o["state"] == "ok" for o in outcomes) >= 3
    # Inside another project, whose settings must not be taken for the plugin's own.
    (tmp_path / "pyproject.toml").write_text('[tool.pytest.ini_options]\naddopts = "--nonsense"\n')
    words = ("pytest", place.name, "-q", "--skillbench", "-p", "no:cacheprovider")
    tests = fake_install.run(place, *words, cwd=tmp_path)
    assert tests.returncode == 0, tests.stdout + tests.stderr
    assert f"{sum(o['state'] == 'ok' for o in outcomes) + own_tests(place)} passed" in tests.stdout


def own_tests(place: Path) -> int:
    return sum(p.read_text().count("\ndef test_") for p in place.glob("tests/*.py"))


def test_a_new_environment_can_be_run(tmp_path: Path) -> None:
    place = scaffold.write("counting", "environment", tmp_path / "counting")
    fake_install.install(place)
    done = fake_install.run(
        place, "skillbench", "run", "--method", "base", "--env", "counting", "--policy", "random",
        "--out", str(tmp_path / "run"), "--json",
    )  # fmt: skip
    assert done.returncode in (0, 3), done.stderr
    result = json.loads(done.stdout)
    assert result["scores"]["success"]["n"] == 30
    assert result["outcomes"]["invalid"] == 0


@pytest.mark.parametrize("name", ["Mine", "9lives", "class", "json", "../up", "a-b", ""])
def test_names_that_cannot_be_imported_are_refused(name: str, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="cannot be the name of a plugin"):
        scaffold.write(name, "environment", tmp_path / "x")


def test_a_folder_that_is_in_use_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "x").mkdir()
    (tmp_path / "x" / "kept").write_text("mine")
    with pytest.raises(UsageError, match="not empty"):
        scaffold.write("mine", "environment", tmp_path / "x")
    assert [p.name for p in (tmp_path / "x").iterdir()] == ["kept"]
