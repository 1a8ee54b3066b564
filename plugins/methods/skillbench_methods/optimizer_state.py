"""AdamW's moments as safetensors, by parameter name: no pickles, and exact to the last bit."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any


def save(optimizer: Any, names: Sequence[str], steps: int, directory: Path) -> None:
    """Write optimizer.safetensors and optimizer.json; `names` are those of its parameters."""
    from safetensors.torch import save_file

    directory.mkdir(parents=True, exist_ok=True)
    tensors: dict[str, Any] = {}
    counts: dict[str, float] = {}
    for name, p in zip(names, _params(optimizer)):
        state = optimizer.state.get(p)
        if state:
            tensors[name + "/exp_avg"] = state["exp_avg"].contiguous()
            tensors[name + "/exp_avg_sq"] = state["exp_avg_sq"].contiguous()
            counts[name] = float(state["step"])
    save_file(tensors, str(directory / "optimizer.safetensors"))
    (directory / "optimizer.json").write_text(json.dumps({"steps": steps, "counts": counts}))


def load(optimizer: Any, names: Sequence[str], directory: Path) -> int:
    """Read the moments back and return how many steps were taken."""
    import torch
    from safetensors.torch import load_file

    meta = json.loads((directory / "optimizer.json").read_text())
    tensors = load_file(str(directory / "optimizer.safetensors"))
    for name, p in zip(names, _params(optimizer)):
        if name in meta["counts"]:
            optimizer.state[p] = {
                "step": torch.tensor(meta["counts"][name], dtype=torch.float32),
                "exp_avg": tensors[name + "/exp_avg"].to(p.device),
                "exp_avg_sq": tensors[name + "/exp_avg_sq"].to(p.device),
            }
    return int(meta["steps"])


def _params(optimizer: Any) -> list[Any]:
    return [p for group in optimizer.param_groups for p in group["params"]]
