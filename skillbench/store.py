"""The run directory: append-only lines, atomic documents, one writer, and a resume that trusts it.

    config.toml     written once; a resume must have the same digest
    manifest.json   where and with what the run was made; each resume adds an entry
    *.jsonl         one JSON object per line, on disk when `append` returns; `sync` forces it down
    result.json     and other documents are replaced atomically: old or new, never half

A process may be killed at any byte. A last line without its newline is dropped when the file is
opened again, and whatever it described is redone. What the operating system refuses (full disk,
read-only directory) becomes a RunDirError that says what to do.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import json
import math
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any

from .errors import RunDirError

REMEDIES = {
    errno.ENOSPC: "the disk is full: free some space, then go on with --resume {root}",
    errno.EDQUOT: "the quota is used up: free some space, then go on with --resume {root}",
    errno.EROFS: "the file system is read-only: choose another place with --out",
    errno.EACCES: "permission denied: choose another place with --out",
    errno.EPERM: "permission denied: choose another place with --out",
    errno.EEXIST: "there is a file of that name: choose another place with --out",
    errno.ENOTDIR: "a part of the path is a file: choose another place with --out",
    errno.EIO: "the disk reports an error: copy the run elsewhere, then --resume it there",
}
FULL = ("No space left on device", "Disk quota exceeded")


@contextlib.contextmanager
def guarded(path: Path, root: Path | None = None) -> Iterator[None]:
    """Turn what the operating system refuses into a RunDirError that says what to do.

    Libraries that write checkpoints wrap a full disk in errors of their own; the text gives it
    away.
    """
    try:
        yield
    except OSError as error:
        code = error.errno or 0
        if any(text in str(error) for text in FULL):
            code = errno.ENOSPC
        if code not in REMEDIES:
            raise
        where = error.filename or path
        todo = REMEDIES[code].format(root=root or path)
        raise RunDirError(f"cannot write {where}: {todo}") from error
    except Exception as error:
        if any(text in str(error) for text in FULL):
            todo = REMEDIES[errno.ENOSPC].format(root=root or path)
            raise RunDirError(f"cannot write {path}: {todo}") from error
        raise


def dumps(value: Any) -> str:
    """One line of JSON; floats that JSON lacks (nan, inf) become null."""
    try:
        return json.dumps(value, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
    except ValueError:
        return json.dumps(finite(value), ensure_ascii=False, separators=(",", ":"))


def finite(value: Any) -> Any:
    """The same value with nan and inf replaced by None, in all depths."""
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, Mapping):
        return {key: finite(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [finite(item) for item in value]
    return value


class Lines:
    """An append-only JSONL file."""

    def __init__(self, path: Path, root: Path) -> None:
        self.path, self.root = path, root
        with guarded(path, root):
            path.parent.mkdir(parents=True, exist_ok=True)
            mend(path)
            self._fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)

    def append(self, value: Any) -> None:
        """Add one line; it is with the operating system when this returns."""
        data = (dumps(value) + "\n").encode(errors="replace")  # lone surrogates
        with guarded(self.path, self.root):
            while data:
                data = data[os.write(self._fd, data) :]

    def sync(self) -> None:
        """Force what was appended onto the disk."""
        with guarded(self.path, self.root):
            os.fsync(self._fd)

    def close(self) -> None:
        """Close the file."""
        os.close(self._fd)


def mend(path: Path) -> int:
    """Drop a torn last line (no newline, or not JSON); return how many bytes were dropped."""
    if not path.exists():
        return 0
    with path.open("r+b") as file:
        size = file.seek(0, os.SEEK_END)
        end = _last_newline(file, size)
        # After a power failure the tail may be a line of zero bytes: whole, but not JSON.
        while end > 0:
            begin = _last_newline(file, end - 1)
            file.seek(begin)
            if _is_json(file.read(end - begin)):
                break
            end = begin
        if end < size:
            file.truncate(end)
        return size - end


def _last_newline(file: Any, end: int) -> int:
    """The offset just after the last newline before `end`, or 0."""
    block = 1 << 16
    while end > 0:
        begin = max(0, end - block)
        file.seek(begin)
        found = file.read(end - begin).rfind(b"\n")
        if found >= 0:
            return begin + found + 1
        end = begin
    return 0


def _is_json(line: bytes) -> bool:
    try:
        json.loads(line)
    except ValueError:
        return False
    return True


def read_lines(path: Path) -> Iterator[dict[str, Any]]:
    """Read a JSONL file; a torn last line is left out, a broken line before it is an error."""
    if not path.exists():
        return
    pending: tuple[int, str] | None = None
    with path.open(encoding="utf-8", errors="replace") as file:
        for number, line in enumerate(file, 1):
            if pending is not None:
                raise RunDirError(
                    f"{path}, line {pending[0]} is not JSON ({pending[1]}): the file was changed "
                    "by something else; restore it, or start a new run with --out"
                )
            try:
                value = json.loads(line)
                if not line.endswith("\n"):
                    return
            except ValueError as error:
                pending = (number, str(error))
                continue
            yield value


def write_atomic(path: Path, text: str, root: Path | None = None) -> None:
    """Replace a document: readers see the old one or the new one, also after a crash."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    with guarded(path, root):
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            with temporary.open("w", encoding="utf-8", errors="replace") as file:
                file.write(text)
                file.flush()
                os.fsync(file.fileno())
            os.replace(temporary, path)
        finally:
            temporary.unlink(missing_ok=True)


class RunDir:
    """An open, locked run directory. Use `create` or `resume`, and close it."""

    def __init__(self, path: Path) -> None:
        self.path = path.absolute()
        self._lines: dict[str, Lines] = {}
        self._lock: int | None = None

    @classmethod
    def create(cls, path: Path, config: Any) -> RunDir:
        """Make a new run directory. Raises RunDirError if there is a run in it already."""
        run = cls(Path(path))
        with guarded(run.path):
            run.path.mkdir(parents=True, exist_ok=True)
        run._take_lock()
        if (run.path / "config.toml").exists():
            run.close()
            raise RunDirError(
                f"there is a run in {path} already: go on with --resume {path}, "
                "or choose another place with --out"
            )
        run.write("config.toml", config.to_toml())
        return run

    @classmethod
    def resume(cls, path: Path, config: Any) -> RunDir:
        """Open an existing run. Raises RunDirError if it was made with other settings."""
        from .config import load

        run = cls(Path(path))
        old = load(run.path)
        if old.digest != config.digest:
            keys = "\n  ".join(old.differences(config)) or "(the digest alone)"
            raise RunDirError(
                f"the run in {path} has other settings (its own -> the ones given):\n  {keys}\n"
                "resume it without these options, or start a new run with --out"
            )
        run._take_lock()
        return run

    def _take_lock(self) -> None:
        path = self.path / ".lock"
        with guarded(path, self.path):
            lock = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            owner = os.read(lock, 32).decode(errors="replace").strip()
            os.close(lock)
            raise RunDirError(
                f"the run in {self.path} is in use by process {owner or '(unknown)'}: "
                "wait until it ends, or stop it; the lock goes with the process"
            ) from error
        with guarded(path, self.path):
            os.ftruncate(lock, 0)
            os.pwrite(lock, str(os.getpid()).encode(), 0)
        self._lock = lock

    def lines(self, name: str) -> Lines:
        """The append-only file of that name, opened (and mended) at the first use."""
        if name not in self._lines:
            self._lines[name] = Lines(self.path / name, self.path)
        return self._lines[name]

    def read(self, name: str) -> Iterator[dict[str, Any]]:
        """The lines of a JSONL file; none if it does not exist."""
        return read_lines(self.path / name)

    def write(self, name: str, text: str) -> None:
        """Replace a document atomically."""
        write_atomic(self.path / name, text, self.path)

    def write_json(self, name: str, value: Any) -> None:
        """Replace a JSON document atomically."""
        self.write(name, json.dumps(finite(value), ensure_ascii=False, indent=1) + "\n")

    def load_json(self, name: str) -> Any:
        """Read a JSON document, or None where there is none. Raises RunDirError if it is broken."""
        path = self.path / name
        if not path.exists():
            return None
        try:
            return json.loads(path.read_text(encoding="utf-8"))
        except (OSError, ValueError) as error:
            raise RunDirError(
                f"{path} cannot be read as JSON ({error}): it is damaged; restore it, or start a "
                "new run with --out"
            ) from error

    def discard(self) -> None:
        """Remove a new run in which nothing has happened yet, so that its place is free again."""
        names = ["config.toml", "manifest.json", "shard.json", "ledger.jsonl", "episodes.jsonl"]
        names.append(".lock")
        found = list(self.path.iterdir())
        if any(p.name not in names or (p.suffix == ".jsonl" and p.stat().st_size) for p in found):
            return
        for path in found:
            path.unlink()
        with contextlib.suppress(OSError):
            self.path.rmdir()

    def sync(self) -> None:
        """Force all appended lines onto the disk."""
        for lines in self._lines.values():
            lines.sync()

    def close(self) -> None:
        """Close all files and give the lock back."""
        for lines in self._lines.values():
            lines.close()
        self._lines.clear()
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None

    def __enter__(self) -> RunDir:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()
