"""Suites: rows from a file, what they share, going on, and the table at the end."""

from __future__ import annotations

import json

import pytest
import toy_more

from skillbench import suite as suites
from skillbench.errors import ConfigError, UsageError
from skillbench.estimate import estimate
from skillbench.layers import tasks_dir
from skillbench.reporting import Reporter
from skillbench.result import comparable
from skillbench.sharing import Shared, baseline_key, stage_key

FILE = """
title = "the toy"
[defaults]
env = "toy"
policy = "toy"
seeds = 2
set = ["score.chunk=7", "score.bootstrap=200", "trainer.learn.steps=1"]
[[row]]
name = "nothing"
method = "base"
factors = { bank = false }
[[row]]
method = "one"
factors = { bank = true }
[[row]]
method = "two"
[[row]]
name = "other table"
method = "one"
set = ["trainer.learn.steps=2"]
"""


class Told(Reporter):
    def __init__(self):
        self.titles, self.said = [], []

    def start(self, title, total=None):
        self.titles.append(title)

    def say(self, text):
        self.said.append(text)


def make(tmp_path, text=FILE, **overrides):
    file = tmp_path / "toy.toml"
    file.write_text(text)
    return suites.read(str(file), overrides, toy_more.registry())


def run(suite, directory, reporter=None):
    return suites.run(suite, directory, reporter or Told(), registry=toy_more.registry())


def test_rows_are_resolved_with_defaults_and_command_line(tmp_path):
    suite = make(tmp_path, seeds=1, set=["run.tasks=6"])
    assert [row.name for row in suite.rows] == ["nothing", "one", "two", "other table"]
    assert [row.directory for row in suite.rows][-1] == "other-table"
    assert {row.config["run"]["seeds"] for row in suite.rows} == {1}
    assert {row.config["run"]["tasks"] for row in suite.rows} == {6}
    steps = [r.config["trainer"]["learn"]["steps"] for r in suite.rows if r.config["trainer"]]
    assert steps == [1, 1, 2]  # `trainer.learn` is for rows that have the stage


def test_a_stage_and_the_baseline_are_made_once_and_every_run_is_complete(tmp_path):
    toy_more.FITTED.clear()
    suite = make(tmp_path)
    told = Told()
    found = run(suite, tmp_path / "out", told)
    # "one" and "two" learn the same first stage; another table is another stage.
    assert toy_more.FITTED == [("learn", 0), ("learn", 1), ("learn", 0), ("learn", 1)]
    assert [row["name"] for row in found["rows"] if "failed" in row] == []
    assert "4 rows" in told.said[0]
    assert any(t.startswith("[3/4 two] seed 0: learn, as learned in one") for t in told.titles)
    manifest = json.loads((tmp_path / "out" / "two" / "manifest.json").read_text())
    assert {(e["stage"], e["seed"], e["run"]) for e in manifest["shared"]} == {
        (stage, seed, "one") for stage in ("learn", "baseline") for seed in (0, 1)
    }
    # What was taken makes no difference to the result, the bill included.
    alone = toy_more.run(tmp_path / "alone", "two", "trainer.learn.steps=1", seeds=2)
    shared = json.loads((tmp_path / "out" / "two" / "result.json").read_text())
    assert comparable(shared) == comparable(alone)
    for key in ("calls", "tokens_in", "tokens_out"):
        assert shared["cost"]["learn"][key] == alone["cost"]["learn"][key]
        ours, theirs = (r["baseline"]["cost"]["per_episode"] for r in (shared, alone))
        assert ours[key] == theirs[key]


def test_a_suite_goes_on_where_it_was_and_does_nothing_when_it_is_done(tmp_path):
    suite = make(tmp_path)
    first = run(suite, tmp_path / "out")
    toy_more.FITTED.clear()
    (tmp_path / "out" / "two" / "result.json").unlink()
    told = Told()
    again = run(suite, tmp_path / "out", told)
    assert toy_more.FITTED == []
    assert all("[3/4 two]" in t for t in told.titles)
    plain = [
        {k: v for k, v in row.items() if k in ("name", "success", "delta", "group")}
        for row in again["rows"]
    ]
    assert plain == [{k: v for k, v in row.items() if k in plain[0]} for row in first["rows"]]
    stored = json.loads((tmp_path / "out" / "suite.json").read_text())
    assert stored["rows"] == again["rows"]


def test_a_row_that_fails_is_named_and_the_others_run(tmp_path):
    text = FILE + '[[row]]\nmethod = "cheating"\nset = ["trainer.cheat.how=play"]\n'
    found = run(make(tmp_path, text, seeds=1, set=["run.tasks=6"]), tmp_path / "out")
    failed = {row["name"]: row["failed"] for row in found["rows"] if "failed" in row}
    assert list(failed) == ["cheating"]
    assert "train split alone" in failed["cheating"]


def test_effects_and_tie_groups(tmp_path):
    found = run(make(tmp_path), tmp_path / "out")
    rows = {row["name"]: row for row in found["rows"]}
    gain = rows["one"]["success"]["mean"] - rows["nothing"]["success"]["mean"]
    assert gain > 0.1  # the toy's bank helps by construction
    assert found["effects"]["bank"]["mean"] == pytest.approx(gain, abs=1e-6)
    assert found["effects"]["bank"]["rows"] == [1, 1]
    best = max(rows.values(), key=lambda row: row["success"]["mean"])
    assert best["group"] == 1
    assert rows["nothing"]["group"] > 1


def test_the_estimate_counts_what_is_shared_once(tmp_path):
    suite = make(tmp_path)
    plan = estimate(suite, Shared(tmp_path / "out"), toy_more.registry())
    # learn: 12 episodes a step; one and two share it, the other table has two steps.
    assert plan.learn == 2 * (12 + 24)
    assert plan.unknown == ("again",)
    # 30 tasks, 2 seeds, 4 methods, one baseline; two rows take theirs, and "two" its stage.
    assert plan.score == 2 * 30 * 5
    assert plan.saved == 2 * 30 * 2 + 2 * 12
    assert plan.calls == (plan.learn + plan.score) * 3


def test_keys_tell_apart_what_could_differ(tmp_path):
    def config(*sets, **kw):
        return make(tmp_path, set=list(sets), **kw).rows[2].config

    base = config()
    stages = ("learn", "again")
    key = stage_key(base, stages, "learn", 0)
    assert key == stage_key(config("trainer.again.steps=3"), stages, "learn", 0)
    assert key != stage_key(config("trainer.again.steps=3"), stages, "again", 0)
    assert key != stage_key(base, stages, "learn", 1)
    for change in ("agent.budget=9", "run.max_steps=2", "trainer.learn.steps=5", "policy.fail=x"):
        assert key != stage_key(config(change), stages, "learn", 0), change
    assert baseline_key(base, 0) == baseline_key(config("score.attempts=2"), 0)
    for change in ("score.temperature=0.1", "run.tasks=3", "agent.budget=9"):
        assert baseline_key(base, 0) != baseline_key(config(change), 0), change


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[[row]]\nmethod = 'base'\n", "env is missing"),
        ("[[row]]\nmetod = 'base'\n", "did you mean 'method'"),
        ("title = 'x'\n", "no \\[\\[row\\]\\]"),
        (
            "[defaults]\nenv = 'toy'\npolicy = 'toy'\n[[row]]\nmethod = 'bas'\n",
            "did you mean 'base'",
        ),
        (FILE + "[[row]]\nmethod = 'one'\n", "two rows are called 'one'"),
        ("[[row", "cannot be read as TOML"),
    ],
)
def test_mistakes_in_a_file_are_named(tmp_path, text, said):
    with pytest.raises((ConfigError, UsageError), match=said):
        make(tmp_path, text)


def test_an_unknown_suite_names_the_known_ones(tmp_path):
    with pytest.raises(UsageError, match="did you mean 'smoke'"):
        suites.read("smok", {}, toy_more.registry())


def test_the_committed_suites_resolve():
    from skillbench.registry import get

    registry = get()
    if "skillrl" not in registry.methods or "alfworld" not in registry.environments:
        pytest.skip("the plugins are not installed")
    names = sorted(p.stem for p in (tasks_dir() / "suites").glob("*.toml"))
    assert {"contribution", "alfworld-frozen", "alfworld-trained", "smoke"} <= set(names)
    for name in names:
        suite = suites.read(name, {}, registry)
        assert len(suite.rows) > 3 or name == "positive-control"
    grid = suites.read("contribution", {}, registry)
    cells = [tuple(sorted(row.factors.items())) for row in grid.rows if row.factors]
    assert len(cells) == len(set(cells)) == 8
    assert {row.placebo for row in grid.rows} == {"", "bank", "sft+bank+rl"}
