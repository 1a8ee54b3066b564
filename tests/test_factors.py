"""Factors of a suite: a 2 x 2 x 2 grid of real runs of the toy world, and contrasts by hand."""

from __future__ import annotations

import json
from itertools import product
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import toy_more
from scipy.stats import t as student

from skillbench import factors
from skillbench import suite as suites
from skillbench.errors import ConfigError
from skillbench.reporting import Reporter

HEAD = """
title = "the toy's grid"
[defaults]
env = "toy"
policy = "toy"
seeds = 2
set = ["score.chunk=30", "score.bootstrap=200", "score.baseline=false", "score.record=false"]
"""
NAMES = ("bank", "rl", "tries")
OFF = {"bank": "agent.budget=0", "rl": "trainer.toytrain=false", "tries": "run.max_steps=1"}


def rows_text() -> str:
    text = HEAD
    for cell in product((False, True), repeat=3):
        has = dict(zip(NAMES, cell))
        sets = [OFF[name] for name in NAMES if not has[name]]
        said = ", ".join(f"{name} = {str(value).lower()}" for name, value in has.items())
        name = "+".join(n for n in NAMES if has[n]) or "nothing"
        text += f'[[row]]\nname = "{name}"\nmethod = "toyskill"\nset = {sets}\n'
        text += f"factors = {{ {said} }}\n"
    text += """[[row]]
name = "no bank, as a placebo"
method = "toyskill"
set = ["agent.budget=0"]
placebo = "bank+rl+tries"
"""
    return text


@pytest.fixture(scope="module")
def grid(tmp_path_factory: Any) -> tuple[dict[str, Any], Path]:
    folder = tmp_path_factory.mktemp("grid")
    (folder / "grid.toml").write_text(rows_text())
    suite = suites.read(str(folder / "grid.toml"), {}, toy_more.registry())
    found = suites.run(suite, folder / "out", Reporter(), registry=toy_more.registry())
    return found, folder / "out"


def means(place: Path) -> dict[tuple[bool, ...], float]:
    """Success of each cell, read off the files with nothing of the package."""
    out = {}
    for row in json.loads((place / "suite.json").read_text())["rows"]:
        if row["factors"]:
            lines = (place / row["run"] / "episodes.jsonl").read_text().splitlines()
            won = [json.loads(line)["success"] for line in lines]
            out[tuple(row["factors"][n] for n in NAMES)] = sum(won) / len(won)
    return out


def test_effects_and_interactions_are_those_of_the_cells(grid: Any) -> None:
    found, place = grid
    m = means(place)
    assert len(m) == 8
    tries = [m[1, 1, x] + m[1, 0, x] + m[0, 1, x] + m[0, 0, x] for x in (0, 1)]
    assert found["effects"]["tries"]["mean"] == pytest.approx((tries[1] - tries[0]) / 4, abs=2e-6)

    def bank(rl: int, tries: int) -> float:
        return m[1, rl, tries] - m[0, rl, tries]

    by_rl = (bank(1, 0) + bank(1, 1)) / 2 - (bank(0, 0) + bank(0, 1)) / 2
    assert found["interactions"]["bank x rl"]["mean"] == pytest.approx(by_rl, abs=1e-5)
    by_tries = (bank(0, 1) + bank(1, 1)) / 2 - (bank(0, 0) + bank(1, 0)) / 2
    assert found["interactions"]["bank x tries"]["mean"] == pytest.approx(by_tries, abs=1e-5)
    three = (bank(1, 1) - bank(0, 1)) - (bank(1, 0) - bank(0, 0))
    assert found["interactions"]["bank x rl x tries"]["mean"] == pytest.approx(three, abs=1e-5)
    assert set(found["effects"]) == set(NAMES)
    assert set(found["interactions"]) == {
        "bank x rl",
        "bank x tries",
        "rl x tries",
        "bank x rl x tries",
    }
    for entry in (*found["effects"].values(), *found["interactions"].values()):
        low, high = entry["ci95"]
        assert low < entry["mean"] < high
        assert entry["rows"] == [4, 4]
    for name in NAMES:  # each of them helps in the toy world by construction
        assert found["effects"][name]["mean"] > 0, name


def test_a_placebo_stands_beside_its_row(grid: Any) -> None:
    found, place = grid
    (row,) = found["placebos"]
    m = means(place)
    assert (row["row"], row["placebo"]) == ("bank+rl+tries", "no bank, as a placebo")
    assert row["mean"] == pytest.approx(m[1, 1, 1] - m[0, 1, 1], abs=1e-6)  # the very same cell


def test_show_prints_a_suite(grid: Any, capsys: Any) -> None:
    from skillbench.cli import main

    found, place = grid
    assert main(["show", str(place)]) == 0
    said = capsys.readouterr().out
    assert "the toy's grid" in said
    for name in (*NAMES, "bank x rl", "bank x rl x tries"):
        entry = found["effects"].get(name) or found["interactions"][name]
        kind = "effect of" if name in found["effects"] else "interaction"
        (line,) = (x for x in said.splitlines() if x.startswith(f"{kind} {name}: "))
        assert f"{100 * entry['mean']:+.1f} [" in line
    assert "bank+rl+tries less its placebo no bank, as a placebo: +" in said
    assert said.count("yes") == 12  # of 8 rows, three factors
    assert main(["show", str(place), "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == found


def test_an_interaction_s_interval_is_that_of_an_independent_calculation() -> None:
    rng = np.random.default_rng(3)
    rows, scores = [], {}
    for cell in product((False, True), repeat=2):
        name = str(cell)
        rows.append(SimpleNamespace(name=name, factors=dict(zip("ab", cell)), placebo=""))
        rate = 0.3 + 0.1 * cell[0] + 0.1 * cell[1] + 0.3 * (cell[0] and cell[1])
        scores[name] = (rng.random((3, 150)) < rate).astype(float)
    frozen = dict.fromkeys(scores, False)
    found = factors.interactions(rows, scores, frozen)["a x b"]
    m = {k: v.mean(axis=0) for k, v in scores.items()}
    each = m["(True, True)"] - m["(False, True)"] - m["(True, False)"] + m["(False, False)"]
    half = student.ppf(0.975, 149) * each.std(ddof=1) / 150**0.5
    low, high = found["ci95"]
    assert found["mean"] == pytest.approx(each.mean(), abs=1e-6)
    assert (high - low) / 2 == pytest.approx(half, rel=0.06)
    assert found["p"] == pytest.approx(
        2 * student.sf(abs(each.mean()) * 150**0.5 / each.std(ddof=1), 149), rel=1e-2
    )
    # With a combination missing there are effects and no interactions.
    assert factors.interactions(rows[:3], scores, frozen) == {}
    assert set(factors.effects(rows[:3], scores, frozen)) == {"a", "b"}


def test_a_placebo_of_no_row_is_named(tmp_path: Path) -> None:
    text = rows_text().replace('placebo = "bank+rl+tries"', 'placebo = "bank+rl+trie"')
    (tmp_path / "x.toml").write_text(text)
    with pytest.raises(ConfigError, match=r"did you mean 'bank\+rl\+tries'"):
        suites.read(str(tmp_path / "x.toml"), {}, toy_more.registry())
