"""What a worker of a Ray cluster does (executors.py has the driver): one job in one directory.

A job learns one seed or scores one shard. It works in the driver's directory where that can be seen
from here, else in one of its own, whose files are its answer.
"""

from __future__ import annotations

import contextlib
import fcntl
import io
import os
import shutil
import tarfile
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from .config import Config
from .errors import SkillbenchError
from .shards import Shard, read

TOKEN = ".seen-by"


def _name(job: Mapping[str, Any]) -> str:
    if "learn" in job:
        return f"learn-{job['learn']}"
    return "shard-{}-of-{}".format(*job["shard"])


def _complete(home: Path) -> bool:
    if home.name.startswith("learn-"):
        return (home / "learn" / home.name.removeprefix("learn-") / "frozen.json").is_file()
    found = read(home) if home.is_dir() else None
    return found is not None and found[1]


def _task(config: dict[str, Any], parts: str, token: str, job: dict[str, Any]) -> dict[str, Any]:
    """One job on a worker. What cannot be mended elsewhere is an answer, not an exception."""
    import ray

    from .runner import execute as run
    from .runner import learn_only

    node = ray.get_runtime_context().get_node_id()
    with _place(Path(parts), token, _name(job)) as (home, shared), _learned(job) as learned:
        begun = _begin(home, node)
        settings = Config(config)
        how = {"resume" if (home / "config.toml").is_file() else "out": home}
        try:
            if "learn" in job:
                learn_only(settings, job["learn"], **how)  # type: ignore[arg-type]
            else:
                run(settings, shard=Shard(*job["shard"]), learned=learned, **how)  # type: ignore[arg-type]
        except SkillbenchError as error:
            return {"error": str(error)}
        return {"node": node, "begun": begun, "files": None if shared else _pack(home)}


@contextlib.contextmanager
def _place(parts: Path, token: str, name: str) -> Iterator[tuple[Path, bool]]:
    """Where to work: in the driver's directory if it can be seen from here, else in a new one."""
    with contextlib.suppress(OSError):
        if (parts / TOKEN).read_text() == token:
            home = parts / name
            _wait(home)
            yield home, True
            return
    with tempfile.TemporaryDirectory(prefix="skillbench-") as folder:
        yield Path(folder) / name, False


def _wait(home: Path) -> None:
    """Wait for an earlier attempt at the same job to be gone: its lock ends with its process."""
    if (home / ".lock").is_file():
        lock = os.open(home / ".lock", os.O_RDWR)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX)
        finally:
            os.close(lock)


def _begin(home: Path, node: str) -> int:
    """Note which node and process begin the job; returns how many times it was begun."""
    note = home.with_name(home.name + ".begun")
    with note.open("a", encoding="utf-8") as file:
        file.write(f"{node} {os.getpid()}\n")
    return len(note.read_text(encoding="utf-8").splitlines())


@contextlib.contextmanager
def _learned(job: Mapping[str, Any]) -> Iterator[dict[int, Path] | None]:
    """The directories of the seeds that the job builds on; unpacked where they came as files."""
    import ray

    if not job.get("learned"):
        yield None
        return
    with tempfile.TemporaryDirectory(prefix="skillbench-") as folder:
        out = {}
        for seed, source in job["learned"].items():
            if isinstance(source, str):
                out[seed] = Path(source)
            else:
                out[seed] = Path(folder) / f"learn-{seed}"
                _unpack(ray.get(source)["files"], out[seed])
        yield out


def _pack(home: Path) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        archive.add(home, arcname=".")
    return buffer.getvalue()


def _unpack(data: bytes, home: Path) -> None:
    """Write a packed run directory; whole, or not there."""
    draft = home.with_name(home.name + ".coming")
    shutil.rmtree(draft, ignore_errors=True)
    with tarfile.open(fileobj=io.BytesIO(data)) as archive:
        archive.extractall(draft, filter="data")
    shutil.rmtree(home, ignore_errors=True)
    draft.rename(home)
