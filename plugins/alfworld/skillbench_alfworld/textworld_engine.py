"""The stock engine (TextWorld behind alfworld's demangler) with the interface of `engine.World`.

It serves `--set env.engine=textworld`, the parity tool and the benchmark. All games of a process
live in one worker process (`_stock_worker.py`), since the stock code keeps state in module globals
and in a shared library. The worker runs under `python`, any interpreter that has the `alfworld`
package: by default this one, or the one that SKILLBENCH_TEXTWORLD_PYTHON names.
"""

from __future__ import annotations

import atexit
import itertools
import json
import os
import select
import subprocess
import sys
import tempfile
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from skillbench.errors import EnvironmentFault, PluginError

from .export import export_game
from .game import Game

WORKER = Path(__file__).with_name("_stock_worker.py")
RECYCLE = 200  # games after which an idle worker is replaced: the stock code leaks some memory
TIMEOUT_S = 600.0  # a load takes up to 3 s on a quiet machine


def default_python() -> str:
    """The interpreter that is expected to have the `alfworld` package."""
    return os.environ.get("SKILLBENCH_TEXTWORLD_PYTHON") or sys.executable


def available(python: str = "") -> bool:
    """Whether the stock packages can be imported by that interpreter."""
    code = (
        "import sys, importlib.util as u;"
        "sys.exit(not all(u.find_spec(n) for n in ('alfworld', 'textworld', 'fast_downward')))"
    )
    try:
        done = subprocess.run([python or default_python(), "-c", code], capture_output=True)
    except OSError:
        return False
    return done.returncode == 0


class Worker:
    """One worker process. `cpu_s` is the CPU time that it spent on the last request."""

    def __init__(self, python: str = "", *, memo: bool = False) -> None:
        self.python = python or default_python()
        self.loads = self.live = 0
        self.cpu_s = 0.0
        self._memo = memo
        self._slots = itertools.count()
        self._process: subprocess.Popen[bytes] | None = None
        self._stderr: Any = None
        self._lock = threading.Lock()  # the loop steps blocking environments in threads

    def _start(self) -> subprocess.Popen[bytes]:
        if not available(self.python):
            raise PluginError(
                f"the stock engine is not installed for {self.python}; run "
                "`pip install 'skillbench-alfworld[reference]'` (it compiles for minutes), or name "
                "an interpreter that has alfworld in SKILLBENCH_TEXTWORLD_PYTHON, or leave "
                "env.engine at 'native', which plays the same texts"
            )
        self._stderr = tempfile.TemporaryFile()  # noqa: SIM115 - lives as long as the process
        self._process = subprocess.Popen(
            [self.python, str(WORKER), *(["--memo"] if self._memo else [])],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._stderr,
        )
        self.loads = 0
        return self._process

    def ask(self, op: str, **more: Any) -> dict[str, Any]:
        """Send one request and wait for its answer. Raises EnvironmentFault."""
        with self._lock:
            return self._ask(op, more)

    def _ask(self, op: str, more: Mapping[str, Any]) -> dict[str, Any]:
        process = self._process or self._start()
        assert process.stdin is not None
        assert process.stdout is not None
        try:
            process.stdin.write(json.dumps({"op": op, **more}).encode() + b"\n")
            process.stdin.flush()
            ready, _, _ = select.select([process.stdout], [], [], TIMEOUT_S)
            line = process.stdout.readline() if ready else b""
        except OSError:
            line = b""
        if not line:
            self._stderr.seek(0)
            tail = self._stderr.read()[-500:].decode(errors="replace").strip()
            self.close()
            raise EnvironmentFault(f"the stock TextWorld process ended or hung on {op!r}: {tail}")
        answer: dict[str, Any] = json.loads(line)
        self.cpu_s = answer.pop("cpu_s")
        if "error" in answer:
            raise EnvironmentFault(f"stock TextWorld failed to {op}: {answer['error']}")
        return answer

    def load(self, path: str | Path) -> int:
        """Load a game file and return its slot."""
        if self.loads >= RECYCLE and not self.live:
            self.close()
        slot = next(self._slots)
        self.ask("load", slot=slot, path=str(path))
        self.loads += 1
        self.live += 1
        return slot

    def free(self, slot: int) -> None:
        """Give a slot back."""
        if self._process is not None:
            self.ask("free", slot=slot)
            self.live -= 1

    def close(self) -> None:
        """End the process."""
        process, self._process = self._process, None
        self.live = 0
        if process is not None:
            process.kill()
            process.wait()
            for pipe in (process.stdin, process.stdout):
                if pipe is not None:
                    try:
                        pipe.close()
                    except OSError:
                        pass
            self._stderr.close()


_workers: dict[str, Worker] = {}


def shared_worker(python: str = "") -> Worker:
    """The worker that all stock games of this process share."""
    key = python or default_python()
    if key not in _workers:
        _workers[key] = worker = Worker(key)
        atexit.register(worker.close)
    return _workers[key]


class StockWorld:
    """One live game in the stock engine. `source` is a game file or a generated `Game`."""

    def __init__(self, source: str | Path | Game, worker: Worker | None = None) -> None:
        self._worker = worker or shared_worker()
        self._slot: int | None = None
        self._state: Mapping[str, Any] = {}
        if isinstance(source, Game):
            logic = self._worker.ask("logic")
            with tempfile.TemporaryDirectory() as folder:
                path = Path(folder) / "game.tw-pddl"
                path.write_text(json.dumps(export_game(source, logic["domain"], logic["grammar"])))
                self._slot = self._worker.load(path)
        else:
            self._slot = self._worker.load(source)
        self._process = self._worker._process

    def reset(self) -> str:
        """Start over and return the first observation."""
        self._state = self._worker.ask("reset", slot=self._slot)
        return self._state["text"]

    def step(self, command: str) -> str:
        """Carry out a command and return the feedback."""
        self._state = self._worker.ask("step", slot=self._slot, do=command)
        return self._state["text"]

    def admissible(self) -> list[str]:
        """All commands that do something now, sorted as strings."""
        return list(self._state["admissible"])

    def won(self) -> bool:
        """Whether the goal holds now."""
        return self._state["won"]

    def close(self) -> None:
        """Give the game's slot in the worker back."""
        slot, self._slot = self._slot, None
        if slot is not None and self._worker._process is self._process:
            self._worker.free(slot)
