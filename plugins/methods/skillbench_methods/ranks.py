"""One process or several: the few places of the row trainer where that makes a difference.

Several ranks (`accelerate launch`, torchrun) go through accelerate: gradients are exchanged in the
last micro-batch of a step only, sums go over all ranks, and weights, gradients and moments are
sharded if accelerate was told so (FSDP 2). A process of its own never imports it.
"""

from __future__ import annotations

import contextlib
import os
from datetime import timedelta
from typing import Any

PATIENCE = timedelta(days=7)  # ranks wait for each other while episodes are played


class Ranks:
    """The ranks that train together."""

    def __init__(self) -> None:
        self._accelerator: Any = None
        if int(os.environ.get("WORLD_SIZE", "1")) > 1:
            import torch
            from accelerate import Accelerator, InitProcessGroupKwargs

            self._accelerator = Accelerator(
                cpu=not torch.cuda.is_available(),
                kwargs_handlers=[InitProcessGroupKwargs(timeout=PATIENCE)],
            )

    @property
    def alone(self) -> bool:
        """Whether this process trains by itself."""
        return self._accelerator is None

    @property
    def device(self) -> Any:
        """Where accelerate wants the model of this rank; None for a process of its own."""
        return None if self.alone else self._accelerator.device

    @property
    def first(self) -> bool:
        """Whether this is the rank that writes files."""
        return self.alone or bool(self._accelerator.is_main_process)

    def prepare(self, module: Any, optimizer: Any) -> tuple[Any, Any]:
        """Wrap a module and its optimiser, so that gradients are exchanged or shards are made."""
        if self.alone:
            return module, optimizer
        return self._accelerator.prepare(module, optimizer)  # sharding wants both in one call

    def forward(self, module: Any, batch: Any, *, last: bool) -> tuple[Any, Any]:
        """Score a batch; without preparing an exchange unless it is the last of the step."""
        with self._quiet(module, last):
            return module(batch.input_ids, batch.where, batch.targets)

    def backward(self, module: Any, loss: Any, *, last: bool) -> None:
        """Add the gradients of a loss that is already divided by the tokens of all ranks."""
        if self.alone:
            loss.backward()
            return
        with self._quiet(module, last):
            # Data-parallel wrappers average over ranks, and a sum is wanted.
            self._accelerator.backward(loss * self._accelerator.num_processes)

    def clip(self, parameters: Any, largest: float) -> float:
        """Scale gradients down to a norm over all ranks; return the norm that they had."""
        import torch

        norm = torch.nn.utils.clip_grad_norm_(parameters, largest)
        return float(norm.full_tensor() if hasattr(norm, "full_tensor") else norm)

    def sum(self, value: float) -> float:
        """The sum over all ranks."""
        return value if self.alone else float(self._everywhere(value).sum())

    def max(self, value: float) -> float:
        """The largest over all ranks."""
        return value if self.alone else float(self._everywhere(value).max())

    def _quiet(self, module: Any, last: bool) -> Any:
        if self.alone or last:
            return contextlib.nullcontext()
        return self._accelerator.no_sync(module)

    def _everywhere(self, value: float) -> Any:
        import torch

        mine = torch.tensor([float(value)], device=self._accelerator.device, dtype=torch.float64)
        return self._accelerator.gather(mine)
