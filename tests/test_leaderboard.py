"""The leaderboard: a run's result in, the same tables out; every kind of tampering is caught."""

from __future__ import annotations

import csv
import json
import sys
from pathlib import Path

import pytest

from skillbench import hookimpl, leaderboard, published, submission
from skillbench.commands.leaderboard import command
from skillbench.errors import DataError, RunDirError, UsageError
from skillbench.registry import get


@pytest.fixture(scope="module")
def runs(tmp_path_factory) -> dict[str, Path]:
    """Two learned toy runs and the policy as it is, on the committed toy panel."""
    sys.path.insert(0, str(Path(__file__).parent))
    import toy

    from skillbench.runner import execute

    folder = tmp_path_factory.mktemp("runs")
    for name, method, sets in (
        ("skill", "toyskill", ()),
        ("bank", "toyskill", ("trainer.toytrain=false",)),
        ("base", "base", ()),
    ):
        config = toy.config(method, *sets, "score.bootstrap=2000", seeds=2)
        execute(config, registry=toy.registry(), out=folder / name)
    return {path.name: path for path in folder.iterdir()}


@pytest.fixture
def checkout(tmp_path, monkeypatch):
    (tmp_path / "leaderboard" / "results").mkdir(parents=True)
    (tmp_path / "README.md").write_text(
        f"before\n{leaderboard.BEGIN}\nstale text\n{leaderboard.END}\nafter\n"
    )
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("SKILLBENCH_LOAD_PLUGINS", "toy")
    get.cache_clear()
    yield tmp_path
    get.cache_clear()


def run(*words):
    import argparse

    parser = argparse.ArgumentParser()
    return command(parser)(parser.parse_args([str(word) for word in words]))


def files(checkout):
    return sorted((checkout / "leaderboard" / "results").glob("*.json"))


def test_add_writes_a_trimmed_result_and_the_tables(checkout, runs):
    assert run("add", runs["skill"], "--note", "no SFT") == 0
    (path,) = files(checkout)
    assert path.name.startswith("toy--test--toyskill--toy--")
    row = json.loads(path.read_text())
    result = json.loads((runs["skill"] / "result.json").read_text())
    assert row["scores"] == result["scores"]
    assert row["command"].startswith("skillbench run --method toyskill --env toy")
    assert len(row["episodes"]["tasks"]) == 30
    assert row["episodes"]["method"]["outcomes"][0].count("S") == round(
        30 * result["scores"]["success"]["per_seed"][0]
    )
    text = (checkout / "README.md").read_text()
    assert text.startswith("before\n")
    assert text.endswith("after\n")
    assert "stale text" not in text
    assert f"{100 * result['scores']['success']['mean']:.1f} %" in text
    assert "no SFT" in text
    (line,) = csv.DictReader((checkout / "leaderboard" / "leaderboard.csv").open())
    assert float(line["mean"]) == result["scores"]["success"]["mean"]
    assert float(line["red"]) == result["by_task_type"]["red"]["mean"]
    (entry,) = json.loads((checkout / "leaderboard" / "leaderboard.json").read_text())
    assert entry["tie_group"] == 1
    assert entry["badges"] == ["leak-free"]
    assert entry["break_evens"][0]["episodes"] == result["break_even"]["episodes"]
    assert run("check") == 0


def test_no_prompt_no_path_no_key_is_in_a_file(checkout, runs):
    run("add", runs["skill"], "--command", "skillbench run --out /home/someone/secret/place")
    text = files(checkout)[0].read_text()
    for private in ("Open the door", "five doors", str(runs["skill"]), "/home/", "secret/"):
        assert private not in text


def test_tie_groups_and_the_arms_that_learning_must_repay(checkout, runs):
    for name in ("skill", "bank", "base"):
        run("add", runs[name])
    read = leaderboard.read_results(checkout / "leaderboard" / "results", _panels())
    rows = {row.data["method"] + "-" * ("toytrain" in row.name): row for row in read}
    tables = leaderboard.tables(list(rows.values()))
    (table,) = tables.values()
    assert [row.success for row in table] == sorted((r.success for r in table), reverse=True)
    base = rows["base"]
    for row in table:
        told = leaderboard.compared(table[0], row)["p"]
        assert (row.group == 1) == (row is table[0] or told >= 0.05)
    assert base.badges == []
    against = [even["against"] for even in rows["toyskill"].even]
    assert against[0] == "baseline"
    assert against[1].startswith("base (")
    assert against[1].endswith(", same policy")
    # The baseline of a run and the base run are the same episodes: so is the break-even.
    one, other = rows["toyskill"].even
    assert one["episodes"] == other["episodes"]
    assert base.even == []


def _panels():
    from skillbench.commands.leaderboard import _panels as panels

    return panels()


def test_another_machine_stands_beside_and_earns_the_badge(checkout, runs):
    run("add", runs["skill"])
    run("add", runs["skill"])  # again on the same machine: replaced
    assert len(files(checkout)) == 1
    row = json.loads(files(checkout)[0].read_text())
    row["provenance"]["hardware"]["cpu"] = "another"
    row["digest"] = submission.digest(row)
    other = files(checkout)[0].with_name("other.json")
    other.write_text(submission.dumps(row))
    assert "reproduced" in leaderboard.markdown(
        leaderboard.tables(leaderboard.read_results(other.parent, _panels())), ()
    )


def edited(checkout, change, *, sign=True):
    """Change the one file; `sign` makes its digest right again, as a careful cheat would."""
    (path,) = files(checkout)
    row = json.loads(path.read_text())
    change(row)
    if sign:
        row["digest"] = submission.digest(row)
    path.write_text(submission.dumps(row))


def _score(row):
    row["scores"]["success"]["mean"] = min(1.0, row["scores"]["success"]["mean"] + 0.1)
    row["scores"]["success"]["ci95"][1] = 1.0


def _letters(row):
    first = row["episodes"]["method"]["outcomes"]
    first[0] = "F" * len(first[0])


def _interval(row):
    low, high = row["delta"]["ci95"]
    row["delta"]["ci95"] = [low + (high - low) / 3, high]


def _missing(row):
    table = row["episodes"]
    table["tasks"].pop()
    table["types"].pop()
    for arm in ("method", "baseline"):
        table[arm] = {
            key: [line[:-1] for line in rows] for key, rows in table[arm].items()
        }  # fmt: skip


def _unplayed(row):
    first = row["episodes"]["method"]["outcomes"]
    first[0] = "-" + first[0][1:]


def _repeated(row):
    row["episodes"]["tasks"][1] = row["episodes"]["tasks"][0]


def _other_tasks(row):
    row["episodes"]["tasks"][0] = "test-777"


def _panel(row):
    row["panel"] = "toy.test.30@0123456789ab"


def _data(row):
    row["panel_info"]["fingerprint"] = "other data"


def _bank(row):
    row["learned_from"]["skills"].append("test-003")


def _rows(row):
    row["learned_from"]["rows"].append("test-003")


def _split(row):
    row["learned_from"]["splits"]["test"] = 3


def _invalid(row):
    row["episodes"]["method"]["outcomes"] = [
        "I" * 5 + r[5:] for r in row["episodes"]["method"]["outcomes"]
    ]


def _key(row):
    row["command"] += " OPENAI_API_KEY=sk-abcdefghijklmnopqrstuvwxyz"


def _path(row):
    row["command"] += " --out /home/me/runs"


def _why(row):
    row["rankable"] = False


@pytest.mark.parametrize(
    ("change", "fault"),
    [
        (_score, r"success is stated as"),
        (_letters, r"success is stated as|outcomes is stated as"),
        (_interval, r"difference is stated as"),
        (_missing, r"lacks 1 tasks of the panel, e.g. 'test-0"),
        (_unplayed, r"method: 1 episodes are missing"),
        (_repeated, r"is scored twice: each counts exactly once"),
        (_other_tasks, r"holds 1 tasks that the panel lacks, e.g. 'test-777'"),
        (_panel, r"is not the committed toy.test.30"),
        (_data, r"was scored on other data"),
        (_bank, r"skills come from 1 panel tasks, e.g. 'test-003'"),
        (_rows, r"rows come from 1 panel tasks"),
        (_split, r"was learned outside train: \{'test': 3\}"),
        (_invalid, r"only 83.3% of the episodes are valid"),
        (_key, r"looks like a key"),
        (_path, r"holds an absolute path"),
        (_why, r"does not say why"),
    ],
)
def test_tampering_is_caught_by_check(checkout, runs, change, fault):
    run("add", runs["skill"])
    edited(checkout, change)
    with pytest.raises(DataError, match=rf"toy--test.*json: .*({fault})"):
        run("check")


def test_a_careless_change_is_caught_by_the_digest(checkout, runs):
    run("add", runs["skill"])
    edited(checkout, lambda row: row.update(commit="0000000"), sign=False)
    with pytest.raises(DataError, match="its digest is another"):
        run("check")


def test_a_run_that_scored_a_task_twice_is_refused(checkout, runs, tmp_path):
    import shutil

    copy = tmp_path / "copy"
    shutil.copytree(runs["skill"], copy)
    lines = (copy / "episodes.jsonl").read_text().splitlines()
    (copy / "episodes.jsonl").write_text("\n".join([*lines, lines[0]]) + "\n")
    with pytest.raises(DataError, match="scored twice for seed 0"):
        run("add", copy)


def test_a_run_whose_result_was_edited_is_refused(checkout, runs, tmp_path):
    import shutil

    copy = tmp_path / "copy"
    shutil.copytree(runs["skill"], copy)
    result = json.loads((copy / "result.json").read_text())
    _score(result)
    (copy / "result.json").write_text(json.dumps(result))
    with pytest.raises(RunDirError, match="does not fit the leaderboard: success is stated"):
        run("add", copy)
    assert files(checkout) == []


def test_check_knows_stale_from_current(checkout, runs):
    run("add", runs["base"])
    (checkout / "README.md").write_text(f"{leaderboard.BEGIN}\nhand-made\n{leaderboard.END}\n")
    with pytest.raises(
        DataError, match=r"README.md is not current; run: skillbench leaderboard build"
    ):
        run("check")
    assert run("build") == 0
    assert run("check") == 0


def test_the_unrankable_come_last_and_are_marked(checkout, runs):
    run("add", runs["base"])
    run("add", runs["skill"])
    for path in files(checkout):
        row = json.loads(path.read_text())
        if row["method"] == "toyskill":
            row |= {"rankable": False, "why_not": ["leaks"]}
            row["digest"] = submission.digest(row)
            path.write_text(submission.dumps(row))
    run("build")
    table = next(
        iter(leaderboard.tables(leaderboard.read_results(path.parent, _panels())).values())
    )
    assert [row.data["method"] for row in table] == ["base", "toyskill"]
    assert [row.group for row in table] == [1, 0]
    assert "not rankable" in (checkout / "README.md").read_text()


def test_plugins_add_columns_and_cannot_break_the_table(checkout, runs):
    run("add", runs["base"])

    @hookimpl
    def skillbench_board_columns():
        return [("tasks", lambda r: r["panel_info"]["n"]), ("oops", lambda r: r["nothing"])]

    from types import SimpleNamespace

    get().plugins.add("mine", SimpleNamespace(skillbench_board_columns=skillbench_board_columns))
    run("build")
    text = (checkout / "README.md").read_text()
    assert "| tasks | oops |" in text
    assert "| 30 | (KeyError) |" in text


def test_broken_files_are_named(checkout):
    path = checkout / "leaderboard" / "results" / "x.json"
    path.write_text("{")
    with pytest.raises(DataError, match=r"x\.json is not valid JSON"):
        run("build")
    path.write_text("[]")
    with pytest.raises(DataError, match="is not a JSON object"):
        run("build")
    path.write_text('{"schema": 1}')
    with pytest.raises(DataError, match="lacks 'episodes'"):
        run("build")


def test_no_markers_no_checkout(checkout, tmp_path_factory, monkeypatch):
    (checkout / "README.md").write_text("nothing\n")
    with pytest.raises(DataError, match="lacks the markers"):
        run("build")
    monkeypatch.chdir(tmp_path_factory.mktemp("elsewhere"))
    with pytest.raises(UsageError, match="inside a checkout"):
        run("build")


def test_published_figures_stand_apart(checkout):
    text = '[[figure]]\nenvironment = "e"\nmethod = "m|n"\nbackbone = "b"\nsplit = "s"\nfigure = "1"\nsource = "p"\n'
    (checkout / "leaderboard" / "published.toml").write_text(text)
    run("build")
    page = (checkout / "leaderboard" / "PUBLISHED.md").read_text()
    assert "| e | m\\|n | b | s | 1 | p |  |" in page
    assert "m|n" not in (checkout / "README.md").read_text()
    (checkout / "leaderboard" / "published.toml").write_text("[[figure]]\nmethod = 3\n")
    with pytest.raises(DataError, match=r"published\.toml cannot be read"):
        published.read(checkout / "leaderboard" / "published.toml")
