"""AdamW's moments as safetensors, by parameter name: no pickles, and exact to the last bit.

Moments that are sharded over ranks are gathered first and spread again when read, so a checkpoint
says nothing of how many ranks there were.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any


def save(
    optimizer: Any, names: Sequence[str], steps: int, directory: Path, *, write: bool = True
) -> None:
    """Write optimizer.safetensors and optimizer.json; `names` are those of its parameters.

    Sharded moments: every rank calls this, and one of them with `write`.
    """
    from safetensors.torch import save_file

    tensors: dict[str, Any] = {}
    counts: dict[str, float] = {}
    for name, p in zip(names, parameters(optimizer)):
        state = optimizer.state.get(p)
        if state:
            tensors[name + "/exp_avg"] = whole(state["exp_avg"]).contiguous()
            tensors[name + "/exp_avg_sq"] = whole(state["exp_avg_sq"]).contiguous()
            counts[name] = float(whole(state["step"]))
    if not write:
        return
    directory.mkdir(parents=True, exist_ok=True)
    save_file(tensors, str(directory / "optimizer.safetensors"))
    (directory / "optimizer.json").write_text(json.dumps({"steps": steps, "counts": counts}))


def load(optimizer: Any, names: Sequence[str], directory: Path) -> int:
    """Read the moments back and return how many steps were taken."""
    import torch
    from safetensors.torch import load_file

    meta = json.loads((directory / "optimizer.json").read_text())
    tensors = load_file(str(directory / "optimizer.safetensors"))
    for name, p in zip(names, parameters(optimizer)):
        if name in meta["counts"]:
            optimizer.state[p] = {
                "step": torch.tensor(meta["counts"][name], dtype=torch.float32),
                "exp_avg": like(tensors[name + "/exp_avg"], p),
                "exp_avg_sq": like(tensors[name + "/exp_avg_sq"], p),
            }
    return int(meta["steps"])


def parameters(optimizer: Any) -> list[Any]:
    """Its parameters, in the order that they were given to it in."""
    return [p for group in optimizer.param_groups for p in group["params"]]


def whole(tensor: Any) -> Any:
    """The tensor on this rank, gathered from all of them where it is sharded."""
    tensor = tensor.detach()
    return tensor.full_tensor() if hasattr(tensor, "full_tensor") else tensor


def like(tensor: Any, other: Any) -> Any:
    """A whole tensor where `other` is: on its device, sharded as it is."""
    tensor = tensor.to(other.device)
    if not hasattr(other, "full_tensor"):
        return tensor
    from torch.distributed.tensor import distribute_tensor

    return distribute_tensor(tensor, other.device_mesh, other.placements)
