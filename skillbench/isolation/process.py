"""One child process, and the pool of children that the live instances of a run share.

A request has a time limit. A child that exceeds it, ends or answers with garbage is killed with
everything that it started; whoever asked gets an EnvironmentFault, and the other instances that
lived in it are brought back in a new child by playing their episodes again (see `environment.py`).
"""

from __future__ import annotations

import atexit
import collections
import contextlib
import importlib.util
import itertools
import json
import os
import select
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ..errors import DataError, EnvironmentFault, PluginError, UsageError

CHILD = Path(__file__).with_name("child.py")
START_S = 300.0  # for importing the environment; stock packages take seconds on a busy machine
LARGEST = 64 << 20  # bytes of one answer
KEPT = 4000  # bytes of what a child wrote to stderr that are kept for messages
CLASSES = {"UsageError": UsageError, "DataError": DataError, "PluginError": PluginError}


class Gone(EnvironmentFault):
    """The child is no more; instances that did not cause it may be brought back."""


class Child:
    """A process that hosts instances of one environment."""

    def __init__(self, target: str, table: Mapping[str, Any], interpreter: str) -> None:
        self.target = target
        self.interpreter = interpreter or sys.executable
        self.episodes = 0  # resets so far
        self.live: set[int] = set()
        self.left: list[int] = []  # slots to free; the child is told with the next request
        self.lock = threading.Lock()  # the loop steps environments in threads
        self.said: collections.deque[bytes] = collections.deque(maxlen=64)
        self._ids = itertools.count()
        self._buffer = b""
        life, self._life = os.pipe()
        options = {
            "life": life,
            "target": target,
            "table": dict(table),
            "package": str(Path(__file__).parent.parent),
            "paths": _paths(target),
        }
        try:
            self.process = subprocess.Popen(
                [self.interpreter, "-u", str(CHILD), json.dumps(options)],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                pass_fds=(life,),
                start_new_session=True,  # Ctrl-C is the parent's to handle; a group to kill
            )
        except OSError as error:
            os.close(self._life)
            raise PluginError(
                f"the interpreter {self.interpreter!r} of an isolated environment cannot be "
                f"started ({error.strerror or error}); set env.interpreter to one that has it"
            ) from error
        finally:
            os.close(life)
        self._reader = threading.Thread(target=self._listen, daemon=True)
        self._reader.start()
        self.version = ""

    @property
    def alive(self) -> bool:
        """Whether it still answers."""
        return self._life >= 0 and self.process.poll() is None

    def _listen(self) -> None:
        """Keep the end of what the child prints, so that its pipe never fills."""
        assert self.process.stderr is not None
        with contextlib.suppress(OSError, ValueError):
            while block := os.read(self.process.stderr.fileno(), 1 << 16):
                self.said.append(block[-KEPT:])

    def ask(self, op: str, limit: float, **given: Any) -> Any:
        """Send one request and wait for its answer. Raises Gone, EnvironmentFault, UsageError."""
        with self.lock:
            return self._ask(op, limit, given)

    def _ask(self, op: str, limit: float, given: Mapping[str, Any]) -> Any:
        if not self.alive:
            raise Gone(f"the process of {self.target} ended{self._tail()}")
        number = next(self._ids)
        gone, self.left = self.left, []
        request = {"id": number, "op": op, "with": given, "gone": gone}
        line = json.dumps(request).encode() + b"\n"
        assert self.process.stdin is not None
        deadline = time.monotonic() + limit
        try:
            self.process.stdin.write(line)
            self.process.stdin.flush()
            answer = json.loads(self._read(deadline, op, limit))
            assert answer["id"] == number
        except (OSError, ValueError, KeyError, TypeError, AssertionError) as error:
            self.kill()
            raise Gone(
                f"{self.target}: its process ended on {op!r} ({type(error).__name__}){self._tail()}"
            ) from error
        if "error" in answer:
            kind = CLASSES.get(answer["usage"], EnvironmentFault)
            raise kind(f"{self.target}: {op} raised {answer['error']}")
        return answer["ok"]

    def _read(self, deadline: float, op: str, limit: float) -> bytes:
        assert self.process.stdout is not None
        pipe = self.process.stdout.fileno()
        pieces = [self._buffer]
        size = len(self._buffer)
        while b"\n" not in pieces[-1]:
            ready, _, _ = select.select([pipe], [], [], max(0.0, deadline - time.monotonic()))
            if not ready:
                self.kill()
                raise Gone(
                    f"{self.target}: no answer to {op!r} within {limit:g} s (env.call_timeout); "
                    f"its process was killed{self._tail()}"
                )
            block = os.read(pipe, 1 << 16)
            size += len(block)
            if not block or size > LARGEST:
                raise OSError("end of pipe" if not block else "an answer without an end")
            pieces.append(block)
        line, _, self._buffer = b"".join(pieces).partition(b"\n")
        return line

    def _tail(self) -> str:
        self._reader.join(timeout=1.0 if not self.alive else 0.0)
        text = b"".join(self.said)[-KEPT:].decode(errors="replace").strip()
        return f"; it said: {text[-500:]}" if text else ""

    def kill(self) -> None:
        """End it and whatever it started, and close the pipes."""
        if self._life < 0:
            return
        life, self._life = self._life, -1
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()
        os.close(life)
        self._reader.join(timeout=5.0)
        for pipe in (self.process.stdin, self.process.stdout, self.process.stderr):
            if pipe is not None:
                with contextlib.suppress(OSError):
                    pipe.close()


def _paths(target: str) -> list[str]:
    """Where the target's top package lies, so that another interpreter finds it."""
    top = target.partition(":")[0].partition(".")[0]
    found = sys.modules.get(top)
    spec = getattr(found, "__spec__", None) or importlib.util.find_spec(top)
    places = list(getattr(spec, "submodule_search_locations", None) or ())
    if places:
        return [str(Path(place).absolute().parent) for place in places]
    origin = getattr(spec, "origin", None) or getattr(found, "__file__", None)
    return [str(Path(origin).absolute().parent)] if origin else []


class Pool:
    """The children of one environment with one table: `workers` of them take new episodes."""

    def __init__(
        self, target: str, table: Mapping[str, Any], interpreter: str, workers: int, restart: int
    ) -> None:
        self.target, self.table, self.interpreter = target, dict(table), interpreter
        self.workers, self.restart = max(1, workers), restart
        self.children: list[Child | None] = [None] * self.workers
        self.retired: list[Child] = []
        self.started = 0
        self._next = itertools.count()
        self._slots = itertools.count()
        self._lock = threading.Lock()
        atexit.register(self.close)

    def place(self) -> tuple[Child, int]:
        """A child for a new instance, and a slot in it."""
        with self._lock:
            number = next(self._next) % self.workers
            child = self.children[number]
            if child is not None and child.alive and 0 < self.restart <= child.episodes:
                self.retired.append(child)  # its live episodes end there
                child = None
            if child is None or not child.alive:
                child = self.children[number] = self._start()
            slot = next(self._slots)
            child.live.add(slot)
            self._sweep()
            return child, slot

    def leave(self, child: Child, slot: int) -> None:
        """An instance has gone."""
        with self._lock:
            child.live.discard(slot)
            child.left.append(slot)
            self._sweep()

    def _start(self) -> Child:
        child = Child(self.target, self.table, self.interpreter)
        self.started += 1
        try:
            child.version = child.ask("ping", START_S)["python"]
        except EnvironmentFault as error:
            child.kill()
            raise PluginError(
                f"{error}. {self.target} cannot be loaded by {child.interpreter}: install what it "
                "needs there, or set env.interpreter to a Python that has it"
            ) from error
        return child

    def _sweep(self) -> None:
        for child in [c for c in self.retired if not c.live or not c.alive]:
            child.kill()
            self.retired.remove(child)

    def close(self) -> None:
        """End all children."""
        with self._lock:
            for child in (*self.retired, *filter(None, self.children)):
                child.kill()
            self.retired.clear()
            self.children = [None] * self.workers


_pools: dict[str, Pool] = {}


def pool(
    target: str, table: Mapping[str, Any], interpreter: str, workers: int, restart: int
) -> Pool:
    """The pool that all instances with these settings share in this process."""
    key = json.dumps([target, dict(table), interpreter, workers, restart], sort_keys=True)
    if key not in _pools:
        _pools[key] = Pool(target, table, interpreter, workers, restart)
    return _pools[key]
