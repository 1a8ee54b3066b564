"""Environments in child processes: faults stay there, and nothing of an episode is lost."""

from __future__ import annotations

import ast
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import isolated_worlds
import pytest
import toy

from skillbench.config import resolve
from skillbench.errors import EnvironmentFault, PluginError, UsageError
from skillbench.isolation import IsolatedEnvironment, process
from skillbench.registry import Registry
from skillbench.runner import execute

SETTINGS = {
    "isolate": True,
    "interpreter": "",
    "workers": 1,
    "restart_after": 200,
    "call_timeout": 30.0,
}
SOURCE = Path(process.__file__).parent


@pytest.fixture(autouse=True)
def no_children_left() -> Any:
    yield
    for pool in process._pools.values():
        pool.close()
    process._pools.clear()


def make(**more: Any) -> IsolatedEnvironment:
    table = {k: more.pop(k) for k in ("fault", "at", "flag") if k in more}
    return IsolatedEnvironment("isolated_worlds:Doors", table, {**SETTINGS, **more})


def play(world: Any, task: str = "test-1", n: int = 3) -> list[Any]:
    seen: list[Any] = [world.reset(seed=1, options={"task": task})]
    return seen + [world.step("green") for _ in range(n)]


def registry() -> Registry:
    made = Registry()
    made.plugins.add("iso", isolated_worlds)
    made.plugins.add("toy", toy)
    return made.fill()


def run(place: Path, *sets: str) -> dict[str, Any]:
    config = resolve(
        method="base",
        environment="iso-doors",
        policy="reader",
        sets=("score.bootstrap=50", "score.baseline=false", *sets),
        registry=registry(),
    )
    return execute(config, registry=registry(), out=place)


def test_it_answers_as_the_environment_itself_does() -> None:
    inside, outside = make(), isolated_worlds.Doors()
    assert [tuple(x) for x in play(inside)] == play(outside)
    assert inside.tasks("test") == outside.tasks("test")
    assert inside.fingerprint("test") == "iso-test"
    assert (inside.name, inside.max_steps, inside.instructions) == (
        "iso-doors", 4, "Name the colour.",
    )  # fmt: skip
    assert not hasattr(inside, "compact")
    assert inside.expert(outside.tasks("test")[0]) is None
    with pytest.raises(UsageError, match="no such split"):
        inside.tasks("nowhere")


def test_what_it_prints_and_forges_does_not_reach_the_protocol() -> None:
    assert play(make(fault="print", at="1"))[2][0] == "Turn 2."
    assert play(make(fault="read", at="1"))[2][0] == "Turn 2."


def test_a_hang_is_killed_in_time() -> None:
    world = make(fault="hang", at="1", call_timeout=2.0)
    world.reset(seed=1, options={"task": "test-1"})
    world.step("green")
    child = world._child
    with pytest.raises(EnvironmentFault, match=r"no answer to 'step' within 2 s .*was killed"):
        world.step("green")
    assert child is not None
    assert child.process.poll() is not None
    assert play(world, "test-2")[3][0] == "Turn 3."  # the instance goes on in a new child


def test_a_crash_says_what_the_process_said() -> None:
    with pytest.raises(EnvironmentFault, match="its process ended on 'step'"):
        play(make(fault="crash", at="1"))
    with pytest.raises(EnvironmentFault, match="RuntimeError: the hinge broke"):
        play(make(fault="raise", at="1"))


def test_neighbours_of_a_crash_are_brought_back() -> None:
    bad, good = make(fault="crash", at="1"), make(fault="crash", at="1")
    good.reset(seed=1, options={"task": "test-0"})
    first = good.step("red")
    bad.reset(seed=1, options={"task": "test-1"})
    assert good._child is bad._child
    bad.step("green")
    with pytest.raises(EnvironmentFault):
        bad.step("green")
    assert first[0] == "Turn 1."
    assert good.step("red")[0] == "Turn 2."
    text, _, won, _, _ = good.step("red")
    assert (text, won) == ("Turn 3.", True)


def test_a_process_is_replaced_after_some_episodes() -> None:
    world = make(restart_after=2)
    pids = []
    for _ in range(5):
        play(world)
        assert world._child is not None
        pids.append(world._child.process.pid)
        world.close()
    assert pids[0] == pids[1] != pids[2] == pids[3] != pids[4]
    assert len(world._pool.retired) == 0


def test_children_die_with_a_parent_that_is_killed(tmp_path: Path) -> None:
    code = (
        "import sys, time; sys.path.insert(0, sys.argv[1])\n"
        "from test_isolation import make\n"
        "w = make(fault='hang', at='1', call_timeout=600.0)\n"
        "w.reset(seed=1, options={'task': 'test-1'}); w.step('green')\n"
        "print(w._child.process.pid, flush=True)\n"
        "w.step('green')\n"
    )
    parent = subprocess.Popen(
        [sys.executable, "-c", code, str(Path(__file__).parent)], stdout=subprocess.PIPE, text=True
    )
    assert parent.stdout is not None
    child = int(parent.stdout.readline())
    os.kill(child, 0)
    parent.kill()
    parent.wait()
    parent.stdout.close()
    deadline = time.monotonic() + 30
    while alive(child) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not alive(child)


def alive(pid: int) -> bool:
    """Whether a process runs; one that is dead and not yet reaped does not."""
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return False
    return state != "Z"


def test_an_interpreter_that_is_none_is_named() -> None:
    with pytest.raises(PluginError, match="cannot be started"):
        make(interpreter="/no/such/python").tasks("test")
    with pytest.raises(PluginError, match="No module named"):
        IsolatedEnvironment("no_such_module_x.env:Y", {}, SETTINGS).tasks("test")


@pytest.mark.parametrize("fault", ["hang", "crash", "raise", "print", "leak"])
def test_a_run_loses_no_episode_to_an_environment(fault: str, tmp_path: Path) -> None:
    """Each fault happens once per task, in 2 of 12; retried, all are played and none is a zero."""
    flag = tmp_path / "flag"
    result = run(
        tmp_path / "run", "env.isolate=true", f"env.fault={fault}", 'env.at="1,5"',
        f"env.flag={flag}", "env.call_timeout=3.0", "env.restart_after=4",
    )  # fmt: skip
    assert result["outcomes"] == {"success": 12, "failure": 0, "truncated": 0, "invalid": 0}
    lines = (tmp_path / "run/episodes.jsonl").read_text().splitlines()
    assert len(lines) == 12
    assert len(list(tmp_path.glob("flag.*"))) == 2


def test_a_fault_that_stays_is_invalid_and_hits_no_neighbour(tmp_path: Path) -> None:
    result = run(tmp_path / "run", "env.isolate=true", "env.fault=crash", 'env.at="1"')
    assert result["outcomes"] == {"success": 11, "failure": 0, "truncated": 0, "invalid": 1}
    assert not result["rankable"]


@pytest.mark.parametrize("name", ["isolation/child.py", "errors.py", "records.py"])
def test_the_child_is_python_3_8(name: str) -> None:
    text = (SOURCE.parent / name).read_text()
    tree = ast.parse(text, feature_version=(3, 8))
    allowed = sys.stdlib_module_names
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            assert {a.name.partition(".")[0] for a in node.names} <= allowed
        elif isinstance(node, ast.ImportFrom) and not node.level:
            top = (node.module or "").partition(".")[0]
            assert top in allowed or top == "skillbench"


OTHERS = [p for v in ("3.8", "3.9", "3.10", "3.12") if (p := shutil.which(f"python{v}"))]


def interpreters() -> list[str]:
    """Interpreters without skillbench, oldest first, that really start."""
    found = []
    for path in OTHERS:
        done = subprocess.run([path, "-c", "import skillbench"], capture_output=True, text=True)
        if "ModuleNotFoundError" in done.stderr:
            found.append(path)
    return found


def test_another_interpreter_without_skillbench_plays_it() -> None:
    found = interpreters()
    if not found:
        pytest.skip("no other Python on this machine")
    for path in found:
        world = make(interpreter=path)
        texts = [text for text, *_ in play(world)]
        assert texts == ["A green door.", "Turn 1.", "Turn 2.", "Turn 3."]
        assert world.tasks("test") == isolated_worlds.Doors().tasks("test")
        assert world._child is not None
        assert not world._child.version.startswith(".".join(map(str, sys.version_info[:2])))
