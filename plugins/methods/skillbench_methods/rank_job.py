"""One rank of a launched update; `accelerate launch --config_file FILE -m ...rank_job JOB.json`.

The run starts this on its own machine (launched.py). Ranks of further machines are started there
with the same command, `--machine_rank N`, and the same file, once the run has written it. The first
rank listens to the run and passes its commands on; each rank trains on every n-th row.
"""

from __future__ import annotations

import copy
import json
import socket
import sys
from collections.abc import Mapping
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from skillbench.errors import SkillbenchError
from skillbench.lazy import load_target


class Commands:
    """What the run asks for, on every rank."""

    def __init__(self, address: str) -> None:
        import torch.distributed as dist

        from .ranks import PATIENCE

        self.rank, self.world = 0, 1
        self._group: Any = None
        if dist.is_initialized() and dist.get_world_size() > 1:
            self.rank, self.world = dist.get_rank(), dist.get_world_size()
            # Commands may be hours apart: a group of its own, which no device waits in.
            self._group = dist.new_group(backend="gloo", timeout=PATIENCE)
        self._pipe: Connection | None = None
        if self.rank == 0:
            mine = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
            mine.connect(address)
            self._pipe = Connection(mine.detach())

    def next(self) -> tuple[Any, ...]:
        """The next command; ("stop",) once the run is gone."""
        words: list[Any] = [("stop",)]
        if self._pipe is not None:
            try:
                words = [self._pipe.recv()]
            except (EOFError, OSError):
                pass
        if self._group is not None:
            import torch.distributed as dist

            dist.broadcast_object_list(words, src=0, group=self._group)
        return tuple(words[0])

    def answer(self, value: Any) -> None:
        """Tell the run; from the first rank."""
        if self._pipe is not None:
            self._pipe.send(value)


def serve(job: Mapping[str, Any]) -> None:
    """Make the trainer and obey until the run is gone."""
    from . import launched
    from .row_trainer import RowTrainer

    directory = Path(job["directory"])
    policy = load_target(job["factory"])(job["source"], job["policy"])
    model = policy.model()
    reference = None
    if job["reference"]:
        reference = copy.deepcopy(model).requires_grad_(False)
        launched.read(reference, directory / launched.REFERENCE)
    launched.read(model, directory / launched.WEIGHTS)
    trainer = RowTrainer(model, job["settings"], reference=reference)
    commands = Commands(job["address"])
    while True:
        what, *rest = commands.next()
        if what == "stop":
            return
        answer: Any = None
        try:
            if what == "update":
                rows, seed = rest
                answer = trainer.update(rows[commands.rank :: commands.world], seed=seed)
                if answer["optimizer_steps"]:
                    tensors = trainer.weights()  # of all ranks, where weights are sharded
                    if trainer.ranks.first:
                        launched.write(directory / launched.WEIGHTS, tensors)
            elif what == "save":
                trainer.save(Path(rest[0]))
            elif what == "load":
                trainer.load(Path(rest[0]))
        except SkillbenchError as error:  # the same on every rank: it is about sums over them
            answer = error
        commands.answer(answer)


def main(words: list[str]) -> None:
    """Command line: the job's file."""
    serve(json.loads(Path(words[0]).read_text(encoding="utf-8")))
    import torch.distributed as dist

    if dist.is_initialized():
        dist.barrier()  # a rank that leaves while another still listens may end in abort()
        dist.destroy_process_group()


if __name__ == "__main__":
    main(sys.argv[1:])
