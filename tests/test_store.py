"""The run directory: torn lines, locks, digests, and what a full or read-only disk says."""

from __future__ import annotations

import errno
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from skillbench.errors import RunDirError
from skillbench.store import Lines, RunDir, dumps, guarded, mend, read_lines


def test_lines_are_on_disk_when_append_returns(tmp_path: Path) -> None:
    lines = Lines(tmp_path / "a.jsonl", tmp_path)
    lines.append({"x": 1})
    assert (tmp_path / "a.jsonl").read_text() == '{"x":1}\n'
    lines.append({"y": "é\n"})
    assert [*read_lines(tmp_path / "a.jsonl")] == [{"x": 1}, {"y": "é\n"}]


@pytest.mark.parametrize("tail", [b'{"x": 3', b'{"x":3}', b"\0\0\0\n", b"\xff\xfe", b""])
def test_a_torn_last_line_is_dropped(tmp_path: Path, tail: bytes) -> None:
    path = tmp_path / "a.jsonl"
    path.write_bytes(b'{"x":1}\n{"x":2}\n' + tail)
    assert [*read_lines(path)] == [{"x": 1}, {"x": 2}]
    assert mend(path) == len(tail)
    lines = Lines(path, tmp_path)
    lines.append({"x": 3})
    assert [row["x"] for row in read_lines(path)] == [1, 2, 3]


def test_a_broken_line_in_the_middle_is_an_error(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    path.write_text('{"x":1}\noops\n{"x":2}\n')
    with pytest.raises(RunDirError, match="line 2 is not JSON"):
        list(read_lines(path))


def test_numbers_that_json_lacks_become_null() -> None:
    assert json.loads(dumps({"a": float("nan"), "b": [float("inf"), 1.5]})) == {
        "a": None,
        "b": [None, 1.5],
    }


def test_a_second_process_is_told_who_holds_the_run(toy: Any, tmp_path: Path) -> None:
    config = toy.config()
    with RunDir.create(tmp_path / "run", config):
        code = (
            "import sys; from pathlib import Path; from skillbench.store import RunDir\n"
            "import toy\n"
            "try: RunDir.resume(Path(sys.argv[1]), toy.config())\n"
            "except Exception as e: print(type(e).__name__, e)"
        )
        done = subprocess.run(
            [sys.executable, "-c", code, str(tmp_path / "run")],
            capture_output=True,
            text=True,
            check=True,
            env=os.environ
            | {"PYTHONPATH": os.pathsep.join([str(Path(__file__).parent), *sys.path])},
        )
    assert f"in use by process {os.getpid()}" in done.stdout
    RunDir.resume(tmp_path / "run", config).close()  # the lock went with the owner


def test_a_run_is_not_overwritten(toy: Any, tmp_path: Path) -> None:
    RunDir.create(tmp_path / "run", toy.config()).close()
    with pytest.raises(RunDirError, match="--resume"):
        RunDir.create(tmp_path / "run", toy.config())


def test_resume_names_the_keys_that_differ(toy: Any, tmp_path: Path) -> None:
    RunDir.create(tmp_path / "run", toy.config()).close()
    with pytest.raises(RunDirError, match=r"score\.retries: 2 -> 5"):
        RunDir.resume(tmp_path / "run", toy.config("toyskill", "score.retries=5"))


@pytest.mark.parametrize(
    ("code", "advice"),
    [
        (errno.ENOSPC, "free some space"),
        (errno.EROFS, "--out"),
        (errno.EACCES, "permission denied"),
    ],
)
def test_what_the_system_refuses_says_what_to_do(tmp_path: Path, code: int, advice: str) -> None:
    with pytest.raises(RunDirError, match=advice), guarded(tmp_path):
        raise OSError(code, os.strerror(code), str(tmp_path / "x"))


def test_a_full_disk_is_seen_through_the_errors_of_libraries(tmp_path: Path) -> None:
    with pytest.raises(RunDirError, match="free some space"), guarded(tmp_path):
        raise RuntimeError("I/O error: No space left on device (os error 28)")
    with pytest.raises(RuntimeError, match="something else"), guarded(tmp_path):
        raise RuntimeError("something else")


def test_a_file_in_the_way_is_told(toy: Any, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(RunDirError, match="--out"):
        RunDir.create(tmp_path / "file" / "run", toy.config())


def test_a_full_disk_ends_the_run_and_resume_finishes_it(
    toy: Any, execute: Any, monkeypatch: Any
) -> None:
    from skillbench import store

    count = 0

    def write(fd: int, data: bytes) -> int:
        nonlocal count
        count += 1
        if count == 60:
            raise OSError(errno.ENOSPC, "No space left on device")
        return os.write(fd, data)

    class Os:
        def __getattr__(self, name: str) -> Any:
            return write if name == "write" else getattr(os, name)

    monkeypatch.setattr(store, "os", Os())
    with pytest.raises(RunDirError, match="disk is full"):
        execute()
    monkeypatch.undo()
    result, _ = execute(resume=True)
    assert result["outcomes"]["invalid"] == 0
    assert sum(result["outcomes"].values()) == 30
