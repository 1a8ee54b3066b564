"""`trainer.grpo.launch`: the update of the same rows, by ranks of their own (rank_job.py).

The run talks to the first rank through a socket of this machine; files in `directory`, which all
machines must see, carry weights: what is trained goes there once at the start and comes back after
each update, into the policy's module in place. Ranks keep their shards and moments in between. When
this process ends, in whatever way, the socket closes and the ranks end with it.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import socket
import subprocess
import tempfile
from collections.abc import Mapping, Sequence
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from skillbench.errors import SkillbenchError, UsageError

from . import launching
from .rows import Row
from .settings import UPDATE

END_S = 30.0  # for the ranks to end by themselves
# Files of the directory that the run and its ranks share.
WEIGHTS, REFERENCE = "weights.safetensors", "reference.safetensors"


class LaunchedTrainer:
    """As RowTrainer, on the ranks that accelerate starts. `config`: the table of the stage.

    Raises UsageError for a configuration that is missing or that cannot be used, and
    SkillbenchError, with the end of their log, where ranks die.
    """

    def __init__(
        self, policy: Any, config: Mapping[str, Any], directory: Path, *, reference: Any = None
    ) -> None:
        found = launching.configuration(str(config["launch"]), "grpo")
        self.devices, _ = launching.size(found)
        if launching.shards_itself(found):
            raise UsageError(
                f"trainer.grpo.launch={config['launch']}: DeepSpeed runs the optimiser itself, "
                "which the row trainer does, too; use launch=fsdp, which shards as much"
            )
        if str(config["backend"]) != "torch":
            raise UsageError("trainer.grpo.launch needs trainer.grpo.backend=torch")
        self.policy, self.directory = policy, directory / "ranks"
        shutil.rmtree(self.directory, ignore_errors=True)
        self.directory.mkdir(parents=True)
        write(self.directory / WEIGHTS, _trained(policy.model()))
        if reference is not None:
            write(self.directory / REFERENCE, dict(reference.named_parameters()))
        self._temporary = tempfile.TemporaryDirectory(prefix="skillbench-ranks-")
        address = f"{self._temporary.name}/socket"
        job = {
            "address": address,
            "directory": str(self.directory.resolve()),
            "factory": f"{type(policy).__module__}:{type(policy).__qualname__}",
            "source": policy.source,
            "policy": {**policy.config, "workers": 0, "device": "cpu"},  # accelerate moves it
            "settings": {k: v for k, v in config.items() if k in UPDATE},
            "reference": reference is not None,
        }
        (self.directory / "job.json").write_text(json.dumps(job), encoding="utf-8")
        self.log = directory / "ranks.log"
        with (
            socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as listener,
            self.log.open("ab") as log,
        ):
            listener.bind(address)
            listener.listen(1)
            listener.settimeout(1.0)
            self.process = subprocess.Popen(
                launching.command(
                    found, "skillbench_methods.rank_job", str(self.directory / "job.json")
                ),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env=launching.environment(found, str(config["launch_devices"])),
                start_new_session=True,  # ctrl-C is for the run: what it means is for it to say
            )
            self.pipe = self._accept(listener)

    def update(self, rows: Sequence[Row], *, seed: int = 0) -> dict[str, float]:
        """Learn from the rows; the policy's module has the new weights afterwards."""
        metrics: dict[str, float] = self._ask("update", list(rows), seed)
        if metrics["optimizer_steps"]:
            read(self.policy.model(), self.directory / WEIGHTS)
        return metrics

    def save(self, directory: Path) -> None:
        """As RowTrainer.save: the moments, gathered."""
        self._ask("save", str(directory.resolve()))

    def load(self, directory: Path) -> None:
        """As RowTrainer.load."""
        self._ask("load", str(directory.resolve()))

    def close(self) -> None:
        """End the ranks."""
        with contextlib.suppress(OSError):
            self.pipe.close()
        try:
            self.process.wait(END_S)
        except subprocess.TimeoutExpired:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()
        self._temporary.cleanup()
        shutil.rmtree(self.directory, ignore_errors=True)

    def _accept(self, listener: socket.socket) -> Connection:
        while True:
            try:
                found, _ = listener.accept()
            except TimeoutError:
                if self.process.poll() is not None:
                    raise self._died() from None
                continue
            found.setblocking(True)
            return Connection(found.detach())

    def _ask(self, *words: Any) -> Any:
        try:
            self.pipe.send(words)
            answer = self.pipe.recv()
        except (EOFError, OSError) as error:
            raise self._died() from error
        if isinstance(answer, SkillbenchError):
            raise answer
        return answer

    def _died(self) -> SkillbenchError:
        try:
            code: object = self.process.wait(END_S)
        except subprocess.TimeoutExpired:
            code = "none yet"
        return SkillbenchError(
            f"the processes that train died (exit code {code}); the end of {self.log}:\n"
            f"{launching.tail(self.log)}\nMend that and go on with --resume"
        )


def _trained(model: Any) -> dict[str, Any]:
    return {n: p for n, p in model.named_parameters() if p.requires_grad}


def write(path: Path, tensors: Mapping[str, Any]) -> None:
    """Write tensors as a file that appears when it is whole."""
    from safetensors.torch import save_file

    draft = f"{path}.new"
    save_file({k: v.detach().cpu().contiguous() for k, v in tensors.items()}, draft)
    os.replace(draft, path)


def read(model: Any, path: Path) -> None:
    """Copy the tensors of a file into the parameters of these names."""
    import torch
    from safetensors.torch import load_file

    found = load_file(str(path))
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if name in found:
                parameter.copy_(found[name])
