"""The command line from outside: exit codes, one clear message, stdout for results alone."""

from __future__ import annotations

import contextlib
import json
import os
import pty
import re
import subprocess
import sys
from pathlib import Path

import pytest

from skillbench import cli, registry

HERE = Path(__file__).parent
BASE = ("run", "--method", "base", "--env", "doors")


def skillbench(*words: str, cwd: Path, plugins: str | None = "cli_plugin", **env: str):
    """Run the command in a process of its own; returns the finished process."""
    path = os.pathsep.join([str(HERE), str(cwd), os.environ.get("PYTHONPATH", "")])
    environment = {**os.environ, "PYTHONPATH": path, "COLUMNS": "200", **env}
    environment.pop("SKILLBENCH_LOAD_PLUGINS", None)
    if plugins is not None:
        environment["SKILLBENCH_LOAD_PLUGINS"] = plugins
    command = [sys.executable, "-m", "skillbench", *words]
    return subprocess.run(command, cwd=cwd, env=environment, capture_output=True, text=True)


@pytest.fixture
def here(tmp_path, monkeypatch, capsys):
    """The same in this process, for what needs no process of its own: (words) -> ended."""
    monkeypatch.syspath_prepend(str(HERE))
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("SKILLBENCH_LOAD_PLUGINS", "cli_plugin")
    registry.get.cache_clear()

    def call(*words: str):
        code = cli.main(list(words))
        return subprocess.CompletedProcess(words, code, *capsys.readouterr())

    yield call
    registry.get.cache_clear()


def fails(done, code: int, *parts: str) -> None:
    """It ended with this code and one message, without a traceback and with nothing on stdout."""
    assert done.returncode == code, done.stderr
    assert "Traceback" not in done.stderr
    assert done.stdout == ""
    for part in parts:
        assert part in done.stderr


# ------------------------------------------------------------------ help


@pytest.mark.parametrize("command", ["", "run", "list", "show", "leaderboard", "data", "doctor"])
def test_help_imports_nothing_heavy(command, tmp_path):
    code = (
        "import sys; from skillbench.cli import main;"
        f"code = main({[command, '--help'] if command else ['--help']!r});"
        "heavy = {'torch', 'gymnasium', 'numpy', 'scipy', 'rich', 'lancedb'} & set(sys.modules);"
        "print('heavy:', sorted(heavy), code)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, cwd=tmp_path
    )
    assert done.stdout.endswith("heavy: [] 0\n"), done.stdout + done.stderr
    assert done.stdout.startswith("usage: skillbench")


def test_help_lists_commands_of_plugins(tmp_path):
    done = skillbench("--help", cwd=tmp_path)
    assert "wave" in done.stdout
    assert "wave a hand" in done.stdout
    assert skillbench("wave", "--times", "2", cwd=tmp_path).stdout == "wave wave \n"


def test_no_command_is_wrong_usage(tmp_path):
    assert skillbench(cwd=tmp_path).returncode == 2


# ------------------------------------------------------------------ wrong usage


@pytest.mark.parametrize(
    ("words", "parts"),
    [
        (("rnu",), ("unknown command 'rnu'; did you mean 'run'?",)),
        (("run",), ("--method is missing", "skillbench run --method skillrl --env alfworld")),
        (("run", "--method", "base"), ("--env is missing",)),
        ((*BASE, "--sed", "3"), ("unknown argument '--sed'; did you mean '--seeds'?",)),
        ((*BASE, "--seeds", "0"), ("--seeds", "at least 1")),
        ((*BASE, "--seeds", "many"), ("--seeds",)),
        (
            ("run", "--method", "bsae", "--env", "doors"),
            ("unknown method 'bsae'; did you mean 'base'? installed: base",),
        ),
        (
            ("run", "--method", "base", "--env", "dors"),
            ("unknown environment 'dors'; did you mean 'doors'? installed: doors",),
        ),
        ((*BASE, "--policy", "gpt"), ("unknown policy 'gpt'", "installed: household")),
        ((*BASE, "--split", "unsen"), ("unknown split 'unsen'", "did you mean 'unseen'?")),
        ((*BASE, "--profile", "quik"), ("unknown profile 'quik'; did you mean 'quick'?",)),
        ((*BASE, "--profile", "no/such.toml"), ("'no/such.toml' does not exist",)),
        ((*BASE, "--set", "env.dors=3"), ("unknown key 'env.dors'; did you mean 'doors'?",)),
        ((*BASE, "--set", "env.doors=three"), ("env.doors takes int", "'three'")),
        ((*BASE, "--out", "a", "--resume", "b"), ("exclude each other",)),
        (("list", "environmens"), ("unknown kind 'environmens'; did you mean 'environments'?",)),
        (("leaderboard", "add"), ("RUN goes with",)),
        (("data", "fetch", "doors"), ("has no official data",)),
        (("data", "fetch", "dors"), ("did you mean 'doors'?",)),
        (("data", "verify", "doors", "--url", "x"), ("--url goes with",)),
    ],
)
def test_wrong_usage_is_one_message_and_exit_2(words, parts, here, tmp_path):
    fails(here(*words), 2, *parts)
    assert not (tmp_path / "runs").exists()


def test_wrong_usage_from_outside(tmp_path):
    done = skillbench("run", "--method", "bsae", "--env", "doors", cwd=tmp_path)
    fails(done, 2)
    assert (
        done.stderr == "skillbench: unknown method 'bsae'; did you mean 'base'? installed: base\n"
    )


def test_debug_shows_where(tmp_path):
    done = skillbench("run", "--method", "bsae", "--env", "doors", "--debug", cwd=tmp_path)
    assert done.returncode == 2
    assert "Traceback" in done.stderr


@pytest.mark.parametrize("words", [("show", "no/such/run"), ("run", "--resume", "no/such/run")])
def test_a_misspelt_run_is_one_message(words, here):
    fails(here(*words), 2, "no run in 'no/such/run'")


# ------------------------------------------------------------------ plugins


def test_a_plugin_that_raises_is_skipped_and_named(tmp_path):
    (tmp_path / "sour.py").write_text("raise RuntimeError('gone off')\n")
    done = skillbench("list", "--json", cwd=tmp_path, plugins="sour,cli_plugin")
    assert done.returncode == 0
    assert done.stderr == (
        "skillbench: warning: plugin 'sour': failed to import: RuntimeError: gone off; "
        "the others go on without it\n"
    )
    assert json.loads(done.stdout)["broken"] == [
        {"name": "sour", "reason": "failed to import: RuntimeError: gone off"}
    ]
    words = ("run", "--method", "base", "--env", "sourland")
    done = skillbench(*words, cwd=tmp_path, plugins="sour,cli_plugin")
    fails(
        done,
        2,
        "unknown environment 'sourland'; installed: doors",
        "sour (failed to import: RuntimeError: gone off)",
    )
    assert done.stderr.count("gone off") == 1
    done = skillbench("doctor", cwd=tmp_path, plugins="sour,cli_plugin")
    assert done.returncode == 1
    assert "BROKEN   plugin      sour: failed to import: RuntimeError: gone off" in done.stdout


def test_a_component_whose_target_is_missing_is_one_message(tmp_path):
    source = (HERE / "cli_plugin.py").read_text().replace("cli_plugin:Doors", "absent_module:Doors")
    (tmp_path / "half.py").write_text(source)
    done = skillbench(*BASE, cwd=tmp_path, plugins="half")
    fails(
        done, 1, "environment 'doors' could not be imported", "absent_module", "skillbench doctor"
    )


# ------------------------------------------------------------------ list, doctor, dry run


def test_list_names_everything(here):
    found = json.loads(here("list", "--json").stdout)
    assert [row["name"] for row in found["environments"]] == ["doors"]
    assert found["environments"][0]["splits"] == ["train", "unseen"]
    assert found["environments"][0]["defaults"] == {"doors": 8, "broken": False}
    assert {"policies", "memories", "trainers", "teachers", "methods", "panels"} <= set(found)
    text = here("list", "methods").stdout
    assert "the policy as it is" in text
    assert "doors" not in text


def test_list_in_a_pipe_has_a_line_for_each_row(tmp_path):
    found = json.loads(skillbench("list", "--json", cwd=tmp_path, plugins=None).stdout)
    done = skillbench("list", "methods", cwd=tmp_path, plugins=None, COLUMNS="40")
    title, header, *lines = done.stdout.splitlines()
    assert (title, header.split()[0], lines.pop()) == ("methods", "name", "")
    assert [line.split()[0] for line in lines] == [row["name"] for row in found["methods"]]
    for line, row in zip(lines, found["methods"]):
        assert line.endswith(row["notes"])
        assert all(text in line for text in (row["stage"], row["paper"], *row["trainers"]))


@pytest.mark.parametrize("columns", [80, 100])
def test_list_on_a_narrow_terminal_leaves_notes_readable(tmp_path, columns):
    text = on_a_terminal("list", "methods", cwd=tmp_path, columns=columns)
    lines = text.splitlines()
    assert max(map(len, lines)) <= columns
    assert {"name", "stage", "notes"} <= set(lines[1].split())
    assert ("teacher" in lines[1]) == (columns > 80)
    starts = lines[1].index("notes")
    assert columns - starts >= 40
    notes = " ".join(line[starts:].strip() for line in lines[2:])
    assert "experience, cold-start SFT, GRPO with a co-evolving skill bank" in notes
    assert "--json show memory" in text


def on_a_terminal(*words, cwd, columns):
    """What the command writes on a terminal of that width, without its control sequences."""
    ours, theirs = pty.openpty()
    environment = {**os.environ, "COLUMNS": str(columns), "TERM": "xterm"}
    command = [sys.executable, "-m", "skillbench", *words]
    with subprocess.Popen(
        command, cwd=cwd, env=environment, stdout=theirs, stderr=subprocess.PIPE
    ) as process:
        os.close(theirs)
        data = b""
        with contextlib.suppress(OSError):  # the other end is closed: on Linux an error
            while chunk := os.read(ours, 4096):
                data += chunk
        os.close(ours)
        assert process.wait() == 0
    return re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", "", data.decode()).replace("\r\n", "\n")


def test_list_of_what_is_installed_has_no_broken_plugin(tmp_path):
    found = json.loads(skillbench("list", "--json", cwd=tmp_path, plugins=None).stdout)
    assert found["broken"] == []
    for kind, name in (
        ("environments", "alfworld"),
        ("memories", "skillbank"),
        ("methods", "skillrl"),
    ):
        assert name in [row["name"] for row in found[kind]]


def test_a_pipe_that_closes_is_no_error(tmp_path):
    command = f"{sys.executable} -m skillbench list --json | head -c 1"
    done = subprocess.run(
        ["bash", "-o", "pipefail", "-c", command], capture_output=True, text=True, cwd=tmp_path
    )
    assert done.stdout == "{"
    assert done.stderr == ""


def test_doctor_never_shows_a_key(tmp_path):
    done = skillbench("doctor", "--json", cwd=tmp_path, OPENAI_API_KEY="sk-secret")
    assert "sk-secret" not in done.stdout + done.stderr
    topics = {finding["topic"]: finding for finding in json.loads(done.stdout)}
    assert topics["endpoint"]["state"] == "ok"
    assert topics["python"]["state"] == "ok"


def test_doctor_without_plugins_says_what_to_do(tmp_path):
    done = skillbench("doctor", cwd=tmp_path, plugins="")
    assert done.returncode == 1
    assert "nothing can be run" in done.stdout
    assert "fix: make install" in done.stdout


def test_dry_run_prints_the_plan_and_writes_nothing(here, tmp_path):
    done = here(*BASE, "--seeds", "2", "--dry-run")
    assert done.returncode == 0
    assert done.stdout.startswith(
        "# plan: 2 seed(s); learn: nothing; then score base on doors/unseen"
    )
    assert 'split = "unseen"' in done.stdout
    plan = json.loads(here(*BASE, "--dry-run", "--json").stdout)
    assert plan["run"]["seeds"] == 1
    assert len(plan["digest"]) == 64
    assert list(tmp_path.iterdir()) == []


def test_without_a_method_the_policy_is_run_as_it_is(here):
    plan = json.loads(here("run", "--env", "doors", "--dry-run", "--json").stdout)
    assert (plan["method"], plan["memory"]["name"], plan["trainer"]) == ("base", "none", {})


# ------------------------------------------------------------------ run


def test_run_ends_in_a_table_and_show_repeats_it(tmp_path):
    done = skillbench(*BASE, "--out", "mine", cwd=tmp_path)
    # Six of eight doors are not black; no panel of doors is committed: not rankable.
    assert done.returncode == 3, done.stderr
    for part in ("base on doors", "75.0 [40.9, 92.9]", "warm", "cold", "NOT RANKABLE", "mine"):
        assert part in done.stdout
    assert "[00:0" in done.stderr  # progress, a line at least
    shown = skillbench("show", "mine", cwd=tmp_path)
    assert (shown.returncode, shown.stdout) == (0, done.stdout)
    again = skillbench(*BASE, "--out", "mine", cwd=tmp_path)
    fails(again, 1, "there is a run in mine already")


def test_run_json_is_the_result_and_nothing_else(tmp_path):
    done = skillbench(*BASE, "--json", cwd=tmp_path)
    result = json.loads(done.stdout)
    assert result["scores"]["success"]["mean"] == 0.75
    (directory,) = (tmp_path / "runs").iterdir()
    assert json.loads((directory / "result.json").read_text()) == result
    shown = skillbench("show", str(directory), "--json", cwd=tmp_path)
    assert json.loads(shown.stdout) == result


def test_an_interrupted_run_says_how_to_go_on(here, tmp_path):
    words = (*BASE, "--out", "cut", "--set", "policy.interrupt=true")
    done = skillbench(*words, cwd=tmp_path)
    fails(done, 130, "interrupted; go on with: skillbench run --resume cut")
    fails(here("show", "cut"), 1, "has not finished", "--resume cut")
    fails(
        here(*BASE, "--resume", "cut"),
        1, "begun with another configuration", "policy.interrupt: True -> False",
    )  # fmt: skip
    fails(here("run", "--resume", "cut", "--seeds", "2"), 2, "leave out --seeds")


def test_resume_of_a_finished_run_and_of_one_that_never_began(here, tmp_path):
    first = here(*BASE, "--out", "r", "--json")
    again = here("run", "--resume", "r", "--json")
    assert again.returncode == 3
    assert json.loads(again.stdout)["scores"] == json.loads(first.stdout)["scores"]
    assert here(*BASE, "--resume", "r", "--json").returncode == 3
    (tmp_path / "empty").mkdir()
    begun = here(*BASE, "--resume", "empty", "--json")
    assert json.loads(begun.stdout)["scores"] == json.loads(first.stdout)["scores"]


def test_faults_of_the_environment_are_invalid_and_not_rankable(here, tmp_path):
    done = here(*BASE, "--set", "env.broken=true", "--json")
    assert done.returncode == 3, done.stderr
    result = json.loads(done.stdout)
    assert result["outcomes"]["invalid"] == 8
    assert result["scores"]["success"]["mean"] is None


def test_an_unwritable_place_is_one_message(here, tmp_path):
    (tmp_path / "file").write_text("")
    fails(here(*BASE, "--out", "file/run"), 1, "cannot write", "--out")
    fails(here(*BASE, "--out", "/proc/run"), 1, "/proc/run")
