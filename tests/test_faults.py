"""Each fault is injected into a whole run: no episode is lost, counted twice, or made a zero."""

from __future__ import annotations

import errno
import http.server
import json
import os
import random
import signal
import socket
import struct
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import pytest

from skillbench import store
from skillbench.config import resolve
from skillbench.errors import RunDirError
from skillbench.runner import execute

FAULTS = ("stall", "drip", "reset", "429", "500", "garbage", "huge", "surrogate")


class Server(http.server.ThreadingHTTPServer):
    """A chat endpoint: every third request meets the fault, or every one of chosen tasks."""

    daemon_threads = True

    def __init__(self, fault: str, always: bool = False) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.fault, self.always = fault, always
        self.count, self.injected = 0, 0
        self.lock = threading.Lock()
        self.over = threading.Event()

    def handle_error(self, *_: Any) -> None:
        """A client that gave up is what these tests are about."""


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Server

    def log_message(self, *_: Any) -> None: ...

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        with self.server.lock:
            self.server.count += 1
            due = self.server.fault and (
                " green " in body["messages"][1]["content"]
                if self.server.always
                else self.server.count % 3 == 1
            )
            self.server.injected += bool(due)
        if due:
            getattr(self, "do_" + self.server.fault)()
        else:
            self.answer(reply(body))

    def answer(self, text: str, status: int = 200) -> None:
        message = {"role": "assistant", "content": text}
        data = {
            "id": "x", "object": "chat.completion", "created": 1, "model": "m",
            "choices": [{"index": 0, "finish_reason": "stop", "message": message}],
            "usage": {"prompt_tokens": 9, "completion_tokens": 3, "total_tokens": 12},
        }  # fmt: skip
        self.raw(json.dumps(data).encode(), status)

    def raw(self, data: bytes, status: int = 200) -> None:
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def do_stall(self) -> None:
        self.server.over.wait(60)
        self.close_connection = True

    def do_drip(self) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", "100000")
        self.end_headers()
        while not self.server.over.wait(0.1):
            self.wfile.write(b" ")
            self.wfile.flush()
        self.close_connection = True

    def do_reset(self) -> None:
        linger = struct.pack("ii", 1, 0)
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
        self.connection.close()
        self.close_connection = True

    def do_429(self) -> None:
        self.answer("slow down", 429)

    def do_500(self) -> None:
        self.answer("oops", 500)

    def do_garbage(self) -> None:
        self.raw(b"<html>\xff\x00 not json")

    def do_huge(self) -> None:
        try:
            self.raw(b"[" * (17 << 20))
        except OSError:
            self.close_connection = True

    def do_surrogate(self) -> None:
        self.answer("<action>\ud800\x1b[2J</action>")


def reply(body: dict[str, Any]) -> str:
    """An answer that depends on the messages alone."""
    rng = random.Random(json.dumps(body["messages"]))
    return f"<action>door {rng.randint(1, 5)}</action>"


@pytest.fixture
def serve(monkeypatch: Any) -> Any:
    servers: list[Server] = []

    def start(fault: str, always: bool = False) -> Server:
        server = Server(fault, always)
        servers.append(server)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        monkeypatch.setenv("OPENAI_BASE_URL", f"http://127.0.0.1:{server.server_port}/v1")
        monkeypatch.setenv("OPENAI_API_KEY", "sk-secret-of-the-tests")
        return server

    yield start
    for server in servers:
        server.over.set()
        server.shutdown()
        server.server_close()


def with_server(toy: Any) -> Any:
    import skillbench_policies

    registry = toy.registry()
    registry.plugins.add("policies", skillbench_policies)
    return type(registry)(registry.plugins).fill()


def score(toy: Any, place: Path, *sets: str) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    registry = with_server(toy)
    config = resolve(
        method="base",
        environment="toy",
        policy="openai:m",
        sets=(
            "run.tasks=9", "score.chunk=9", "score.bootstrap=50", "policy.timeout=1.0",
            "policy.retries=3", "policy.concurrency=9", *sets,
        ),
        registry=registry,
    )  # fmt: skip
    result = execute(config, out=place, registry=registry)
    lines = [json.loads(x) for x in (place / "episodes.jsonl").read_text().splitlines()]
    return result, lines


def story(lines: list[dict[str, Any]]) -> list[Any]:
    return sorted((x["task"]["id"], x["outcome"], [s["action"] for s in x["steps"]]) for x in lines)


@pytest.mark.parametrize("fault", FAULTS[:-1])
def test_a_policy_server_that_fails_now_and_then_changes_nothing(
    toy: Any, serve: Any, tmp_path: Path, fault: str
) -> None:
    serve("")
    _, clean = score(toy, tmp_path / "clean")
    server = serve(fault)
    result, lines = score(toy, tmp_path / "run")
    assert server.injected > 0
    assert len(lines) == 9
    assert result["outcomes"]["invalid"] == 0
    assert story(lines) == story(clean)


@pytest.mark.parametrize("fault", ["reset", "500", "garbage"])
def test_what_a_server_never_answers_is_invalid_and_the_rest_is_scored(
    toy: Any, serve: Any, tmp_path: Path, fault: str
) -> None:
    serve(fault, always=True)
    result, lines = score(toy, tmp_path / "run", "policy.retries=0", "score.retries=1")
    bad = [x for x in lines if x["outcome"] == "invalid"]
    assert {x["task"]["task_type"] for x in bad} == {"green"}
    assert len(lines) == 9 and len(bad) == 3
    assert all(x["error"] and not x["success"] for x in bad)
    assert result["scores"]["success"]["n"] == 6  # neither a zero nor dropped without a word
    assert not result["rankable"]


def test_surrogates_and_escapes_of_a_model_are_kept_as_text(
    toy: Any, serve: Any, tmp_path: Path
) -> None:
    serve("surrogate")
    result, lines = score(toy, tmp_path / "run")
    assert len(lines) == 9
    assert result["outcomes"]["invalid"] == 0


def test_the_key_is_in_no_file_of_a_run(toy: Any, serve: Any, tmp_path: Path) -> None:
    serve("500", always=True)
    score(toy, tmp_path / "run", "policy.retries=0", "score.retries=0")
    files = [p for p in (tmp_path / "run").rglob("*") if p.is_file()]
    assert len(files) >= 6
    for path in files:
        assert b"sk-secret-of-the-tests" not in path.read_bytes(), path


class Disk:
    """os, with a disk that takes so many bytes; a full one takes a part of a write, as disks do."""

    def __init__(self, room: int, code: int = errno.ENOSPC) -> None:
        self.room, self.code = room, code

    def __getattr__(self, name: str) -> Any:
        return getattr(os, name)

    def write(self, fd: int, data: bytes) -> int:
        if self.room <= 0:
            raise OSError(self.code, os.strerror(self.code))
        taken = os.write(fd, data[: self.room])
        self.room -= taken
        return taken


@pytest.mark.parametrize("room", [100, 5_000, 30_000])
def test_a_full_disk_ends_the_run_and_resume_ends_it_well(
    toy: Any, execute: Any, monkeypatch: Any, room: int
) -> None:
    whole, _ = execute("toyskill", name="whole")
    monkeypatch.setattr(store, "os", Disk(room))
    with pytest.raises(RunDirError, match="the disk is full: free some space"):
        execute("toyskill", name="run")
    monkeypatch.undo()
    again, place = execute("toyskill", name="run", resume=True)
    assert scores(again) == scores(whole)
    ids = [json.loads(x) for x in (place / "episodes.jsonl").read_text().splitlines()]
    keys = [(x["arm"], x["seed"], x["task"]["id"]) for x in ids]
    assert len(set(keys)) == len(keys) == 60


def scores(result: dict[str, Any]) -> Any:
    kept = {k: result[k] for k in ("scores", "by_task_type", "outcomes", "delta")}
    return kept | {"baseline": result["baseline"]["scores"]}


@pytest.mark.skipif(os.geteuid() != 0, reason="mounting a small file system takes root")
def test_a_file_system_that_is_really_full(toy: Any, execute: Any, tmp_path: Path) -> None:
    small = tmp_path / "run"
    small.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=48k", "tmpfs", str(small)], capture_output=True
    )
    if mounted.returncode:
        pytest.skip(f"no tmpfs may be mounted here: {mounted.stderr.decode().strip()}")
    try:
        with pytest.raises(RunDirError, match="the disk is full"):
            execute("toyskill")
        subprocess.run(["mount", "-o", "remount,size=8m", str(small)], check=True)
        result, _ = execute("toyskill", resume=(small / "config.toml").exists())
    finally:
        subprocess.run(["umount", "-l", str(small)], check=True)
    whole, _ = execute("toyskill", name="whole")
    assert scores(result) == scores(whole)


def test_a_read_only_disk_says_what_to_do(execute: Any, monkeypatch: Any) -> None:
    monkeypatch.setattr(store, "os", Disk(0, errno.EROFS))
    with pytest.raises(RunDirError, match="read-only: choose another place with --out"):
        execute("toyskill")


@pytest.mark.skipif(os.geteuid() != 0, reason="mounting a file system takes root")
def test_a_file_system_that_is_really_read_only(execute: Any, tmp_path: Path) -> None:
    place = tmp_path / "run"
    place.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "ro", "tmpfs", str(place)], capture_output=True
    )
    if mounted.returncode:
        pytest.skip(f"no tmpfs may be mounted here: {mounted.stderr.decode().strip()}")
    try:
        with pytest.raises(RunDirError, match="read-only: choose another place with --out"):
            execute("toyskill")
    finally:
        subprocess.run(["umount", "-l", str(place)], check=True)


def test_torn_lines_in_every_file_are_made_again(execute: Any) -> None:
    """What a power failure leaves: the files that scoring appends to end in half a line each."""
    whole, _ = execute("toyskill", name="whole")
    _, place = execute("toyskill", name="run")
    (place / "result.json").unlink()
    for name in ("episodes.jsonl", "completions.jsonl", "ledger.jsonl"):
        data = (place / name).read_bytes()
        (place / name).write_bytes(data[: len(data) * 2 // 3])
        assert not data[: len(data) * 2 // 3].endswith(b"\n")
    again, _ = execute("toyskill", name="run", resume=True)
    assert scores(again) == scores(whole)
    ids = [json.loads(x) for x in (place / "episodes.jsonl").read_text().splitlines()]
    keys = [(x["arm"], x["seed"], x["task"]["id"]) for x in ids]
    assert len(set(keys)) == len(keys) == 60


@pytest.mark.parametrize(
    "name", ["config.toml", "manifest.json", "learn/0/frozen.json", "learn/0/skills/final.json"]
)
def test_a_torn_document_is_named(execute: Any, name: str) -> None:
    _, place = execute("toyskill", name="run")
    (place / "result.json").unlink()
    text = (place / name).read_text()
    (place / name).write_text(text[: len(text) // 2])
    with pytest.raises(RunDirError, match="start a new run with --out") as error:
        execute("toyskill", name="run", resume=True)
    assert str(place / name) in str(error.value)


@pytest.mark.parametrize("jump", [-1e9, 1e9])
def test_a_clock_that_jumps_changes_no_result(execute: Any, monkeypatch: Any, jump: float) -> None:
    whole, _ = execute("toyskill", name="whole")
    real, calls = time.time, 0

    def jumping() -> float:
        nonlocal calls
        calls += 1
        return real() + (jump if calls % 2 else 0.0)

    monkeypatch.setattr(time, "time", jumping)
    result, place = execute("toyskill", name="run")
    assert calls > 10
    assert scores(result) == scores(whole)
    for line in (place / "episodes.jsonl").read_text().splitlines():
        assert 0 <= json.loads(line)["wall_s"] < 1000
    for line in (place / "ledger.jsonl").read_text().splitlines():
        assert 0 <= json.loads(line).get("wall_s", 0.0) < 1000


SLOW = """
import sys, asyncio, functools
sys.path.insert(0, sys.argv[1])
import toy, cli_plugin
from skillbench import registry
made = toy.registry()
registry.get = functools.cache(lambda: made)
real = toy.ToyPolicy.generate
async def slow(self, requests):
    await asyncio.sleep(0.05)
    return await real(self, requests)
toy.ToyPolicy.generate = slow
import skillbench.config
skillbench.config.get = registry.get
from skillbench.cli import main
sys.exit(main(sys.argv[2:]))
"""


@pytest.mark.parametrize(
    ("number", "interrupts"),
    [
        (signal.SIGTERM, signal.SIG_DFL),
        (signal.SIGINT, signal.SIG_DFL),
        (signal.SIGTERM, signal.SIG_IGN),  # a background job of a script
    ],
)
def test_a_signal_ends_a_run_with_130_and_it_goes_on(
    toy: Any, execute: Any, tmp_path: Path, number: int, interrupts: signal.Handlers
) -> None:
    here, place = str(Path(__file__).parent), tmp_path / "run"
    sets = [f"--set={x}" for x in ("score.chunk=7", "score.bootstrap=200")]
    words = ["run", "--method", "toyskill", "--env", "toy", "--policy", "toy", *sets]
    process = subprocess.Popen(
        [sys.executable, "-c", SLOW, here, *words, "--out", str(place)],
        stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, interrupts),
    )  # fmt: skip
    episodes = place / "episodes.jsonl"
    while process.poll() is None and not (episodes.exists() and episodes.stat().st_size):
        time.sleep(0.02)
    process.send_signal(number)
    _, said = process.communicate(timeout=120)
    assert process.returncode == 130, said
    assert f"go on with: skillbench run --resume {place}" in said
    assert "Traceback" not in said
    whole, _ = execute("toyskill", name="whole")
    result, _ = execute("toyskill", name="run", resume=True)
    assert scores(result) == scores(whole)


def test_two_processes_on_one_run_directory(toy: Any, execute: Any, tmp_path: Path) -> None:
    here, place = str(Path(__file__).parent), tmp_path / "run"
    words = ["run", "--method", "toyskill", "--env", "toy", "--policy", "toy"]
    start = [sys.executable, "-c", SLOW, here]
    sets = [f"--set={x}" for x in ("score.chunk=7", "score.bootstrap=200")]
    first = subprocess.Popen(
        [*start, *words, *sets, "--out", str(place)],
        stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True,
    )  # fmt: skip
    episodes = place / "episodes.jsonl"
    while first.poll() is None and not (episodes.exists() and episodes.stat().st_size):
        time.sleep(0.02)
    second = subprocess.run(
        [*start, "run", "--resume", str(place)], capture_output=True, text=True, timeout=120
    )
    assert second.returncode == 1
    assert f"in use by process {first.pid}" in second.stderr
    assert "Traceback" not in second.stderr
    _, said = first.communicate(timeout=300)
    assert first.returncode in (0, 3), said
    whole, _ = execute("toyskill", name="whole")
    assert scores(json.loads((place / "result.json").read_text())) == scores(whole)


def handles() -> int:
    return len(os.listdir("/proc/self/fd"))


def resident() -> int:
    import gc

    gc.collect()
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")


def test_a_soak_grows_neither_memory_nor_handles(toy: Any) -> None:
    """2,000 episodes in 20 calls of the loop; `bench/harness.py soak` does 20,000 in whole runs."""
    from test_rollout import run

    def round() -> None:
        for _ in range(4):
            run(toy, 30)

    round()
    memory, files = resident(), handles()
    for _ in range(16):
        round()
    assert handles() <= files
    assert resident() <= memory * 1.05
