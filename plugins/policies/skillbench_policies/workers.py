"""Subprocesses that sample side by side, each with the model and the caches of its own episodes.

Small models gain nothing from threads (their matrices are too small to split), but episodes are
independent. `generate` therefore splits its requests by episode: an episode goes to the worker with
the fewest live ones when it first appears, and stays there, where its cache is. The split depends
on the order of calls alone, so a repeated run repeats exactly.

A worker is `python -m skillbench_policies.workers` with one end of a pipe: it imports nothing of
the program that started it, sees end-of-file when that program dies in whatever way, and ends.
Weights travel as a safetensors file in a temporary directory.
"""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import json
import os
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Mapping, Sequence
from multiprocessing import connection
from pathlib import Path
from typing import Any

from skillbench.errors import PolicyError, SkillbenchError
from skillbench.records import Completion, Request

START_S = 300.0  # a worker must have loaded its model by then
END_S = 5.0  # and have ended by then once told to


class Worker:
    """One subprocess and the pipe to it."""

    def __init__(self, number: int, factory: str, source: str, config: Mapping[str, Any]) -> None:
        self.number = number
        self.serial = 0
        self._sending = threading.Lock()
        self.pipe, theirs = connection.Pipe()
        job = {"fd": theirs.fileno(), "factory": factory, "source": source, "config": dict(config)}
        threads = str(config.get("threads") or 1)
        environment = {
            **os.environ,
            "OMP_NUM_THREADS": threads,
            # Idle threads must not spin: the other workers need the cores.
            "OMP_WAIT_POLICY": "PASSIVE",
            "TOKENIZERS_PARALLELISM": "false",
            # The same modules as here, however this process came by them.
            "PYTHONPATH": os.pathsep.join(p for p in sys.path if p),
        }
        self.process = subprocess.Popen(
            [sys.executable, "-m", "skillbench_policies.workers", json.dumps(job)],
            pass_fds=[theirs.fileno()],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,  # stdout belongs to `run --json`
            env=environment,
        )
        theirs.close()

    def send(self, what: str, *arguments: Any) -> int:
        """Send a command; return its serial number. Raises PolicyError if the worker is gone."""
        with self._sending:  # an episode may be released while another thread asks
            self.serial += 1
            serial = self.serial
            try:
                self.pipe.send((serial, what, arguments))
            except OSError as error:
                raise self._gone() from error
        return serial

    def receive(self, serial: int, timeout: float | None = None) -> Any:
        """Wait for the answer to a command; older answers, of calls given up, are dropped."""
        try:
            while True:
                if timeout is not None and not self.pipe.poll(timeout):
                    raise PolicyError(f"sampling worker {self.number} did not start in {timeout} s")
                number, answer = self.pipe.recv()
                if number == serial:
                    break
        except (EOFError, OSError) as error:
            raise self._gone() from error
        if isinstance(answer, SkillbenchError):
            raise answer
        return answer

    def alive(self) -> bool:
        """Whether the process runs."""
        return self.process.poll() is None

    def end(self) -> None:
        """Close the pipe, which ends the process, and collect it."""
        with contextlib.suppress(OSError):
            self.pipe.close()
        try:
            self.process.wait(END_S)
        except subprocess.TimeoutExpired:  # in the middle of a long forward
            self.process.kill()
            self.process.wait()

    def _gone(self) -> PolicyError:
        try:
            code: object = self.process.wait(1.0)
        except subprocess.TimeoutExpired:
            code = "none yet"
        return PolicyError(
            f"sampling worker {self.number} died (exit code {code}; -9 is often the kernel's "
            "answer to memory running out); the episodes it played are played again"
        )


class Workers:
    """The workers of one policy."""

    def __init__(self, policy: Any) -> None:
        self.config = {**policy.config, "workers": 0}
        self.count = int(policy.config["workers"])
        self.factory = f"{type(policy).__module__}:{type(policy).__qualname__}"
        self.source = policy.source
        self.workers: list[Worker | None] = [None] * self.count
        self.home: dict[str, int] = {}  # episode -> worker
        self._files = tempfile.TemporaryDirectory(prefix="skillbench-weights-")
        self._version = ""
        if policy.version != policy.initial_version:
            self.sync(policy.model(), policy.version)

    async def generate(self, requests: Sequence[Request]) -> list[Any]:
        """Answer each request, in order; a list entry is a PolicyError where a worker died."""
        parts: dict[int, list[int]] = {}
        for i, request in enumerate(requests):
            parts.setdefault(self._home(request.episode_id), []).append(i)
        constrained = bool(self.config["constrained"])
        lean = [
            request
            if constrained
            else dataclasses.replace(request, admissible=None, task=None)  # less to pickle
            for request in requests
        ]
        numbers = sorted(parts)
        answers: list[Any] = [None] * len(requests)
        self._start(numbers)
        replies = await asyncio.gather(
            *(
                asyncio.to_thread(self._ask, number, [lean[i] for i in parts[number]])
                for number in numbers
            ),
            return_exceptions=True,
        )
        for number, reply in zip(numbers, replies, strict=True):
            if isinstance(reply, BaseException) and not isinstance(reply, PolicyError):
                raise reply
            for at, i in enumerate(parts[number]):
                answers[i] = reply if isinstance(reply, PolicyError) else reply[at]
        return answers

    def sync(self, model: Any, version: str) -> None:
        """Write the module's weights where workers read them, and have every worker read them."""
        from safetensors.torch import save_model

        path = Path(self._files.name) / "weights.safetensors"
        save_model(model, str(path) + ".new")
        os.replace(str(path) + ".new", path)
        self._version = version
        live = [worker for worker in self.workers if worker is not None and worker.alive()]
        serials = [(worker, worker.send("read", str(path), version)) for worker in live]
        for worker, serial in serials:
            worker.receive(serial)

    def release(self, episode_id: str) -> None:
        """Let the episode's worker forget it."""
        number = self.home.pop(episode_id, None)
        worker = self.workers[number] if number is not None else None
        if worker is not None and worker.alive():
            with contextlib.suppress(PolicyError):
                worker.send("release", episode_id)

    def close(self) -> None:
        """End the workers and remove the weights file."""
        for worker in self.workers:
            if worker is not None:
                worker.end()
        self.workers = [None] * self.count
        self.home.clear()
        self._files.cleanup()

    def _home(self, episode_id: str) -> int:
        if episode_id not in self.home:
            load = [0] * self.count
            for number in self.home.values():
                load[number] += 1
            self.home[episode_id] = load.index(min(load))
        return self.home[episode_id]

    def _start(self, numbers: Sequence[int]) -> None:
        """Start the workers that are missing, all at once, and give them the present weights."""
        fresh: list[tuple[Worker, int]] = []
        for number in numbers:
            worker = self.workers[number]
            if worker is not None and worker.alive():
                continue
            if worker is not None:
                worker.end()
            started = Worker(number, self.factory, self.source, self.config)
            self.workers[number] = started
            fresh.append((started, started.send("start")))
        for started, serial in fresh:
            started.receive(serial, START_S)
            if self._version:
                path = Path(self._files.name) / "weights.safetensors"
                started.receive(started.send("read", str(path), self._version))

    def _ask(self, number: int, requests: list[Request]) -> list[Completion]:
        worker = self.workers[number]
        assert worker is not None
        return worker.receive(worker.send("generate", requests))


def serve(job: Mapping[str, Any]) -> None:
    """The worker's side: obey until the pipe closes."""
    from skillbench.registry import load_target

    # Ctrl-C reaches the whole group; what it means is for the parent to say.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    pipe = connection.Connection(job["fd"])
    policy: Any = None
    while True:
        try:
            serial, what, arguments = pipe.recv()
        except (EOFError, OSError):
            return
        answer: Any = None
        try:
            if what == "start":
                policy = load_target(job["factory"])(job["source"], job["config"])
                policy.model()
            elif what == "generate":
                answer = policy.answer(*arguments)
            elif what == "release":
                policy.release(*arguments)
                continue  # nobody waits for an answer
            elif what == "read":
                read_weights(policy, *arguments)
        except SkillbenchError as error:
            answer = error
        except Exception as error:
            answer = PolicyError(f"sampling worker: {type(error).__name__}: {error}")
        try:
            pipe.send((serial, answer))
        except (BrokenPipeError, OSError):
            return


def read_weights(policy: Any, path: str, version: str) -> None:
    """Replace the weights of a policy by those of a file, in place."""
    from safetensors.torch import load_model

    try:
        load_model(policy.model(), path)
    except RuntimeError as error:
        raise PolicyError(
            f"the trained module does not have the weights that {policy.label} began with "
            f"({error}); adapters must be merged before sampling, or set policy.workers=0"
        ) from error
    policy.sync(version)


if __name__ == "__main__":
    serve(json.loads(sys.argv[1]))
