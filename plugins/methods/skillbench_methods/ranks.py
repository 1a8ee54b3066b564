"""One process or several: the few places of the row trainer where that makes a difference.

Several ranks (`accelerate launch`, torchrun) go through accelerate: gradients are exchanged in the
last micro-batch of a step only, sums go over all ranks. A process of its own never imports it.
"""

from __future__ import annotations

import contextlib
import os
from typing import Any


class Ranks:
    """The ranks that train together."""

    def __init__(self) -> None:
        self._accelerator: Any = None
        if int(os.environ.get("WORLD_SIZE", "1")) > 1:
            import torch
            from accelerate import Accelerator

            self._accelerator = Accelerator(cpu=not torch.cuda.is_available())

    @property
    def alone(self) -> bool:
        """Whether this process trains by itself."""
        return self._accelerator is None

    def prepare(self, module: Any) -> Any:
        """Wrap a module, so that its gradients are exchanged."""
        return module if self.alone else self._accelerator.prepare(module)

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
