"""Low-rank adapters on the model that is trained (LoRA, arXiv:2106.09685), by peft.

The base stays as it was loaded, in its own type; the adapters are what a trainer changes, what a
checkpoint holds (`adapter_model.safetensors`) and what the optimiser keeps moments of.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from skillbench.errors import DataError, UsageError

ADAPTER = "adapter_model.safetensors"
NAME = "default"  # peft's name of the one adapter


def adapted(model: Any, config: Mapping[str, Any]) -> Any:
    """The model with adapters, if `lora_rank` says so; they change nothing until trained."""
    rank = int(config["lora_rank"])
    if not rank:
        return model
    try:
        from peft import LoraConfig, get_peft_model
    except ImportError as error:
        raise UsageError(f"policy.lora_rank needs peft ({error}): pip install peft") from error
    targets = str(config["lora_targets"])
    try:
        made = get_peft_model(
            model,
            LoraConfig(
                r=rank,
                lora_alpha=int(config["lora_alpha"]) or 2 * rank,
                target_modules=targets if targets == "all-linear" else targets.split(","),
                task_type="CAUSAL_LM",
            ),
        )
    except ValueError as error:
        raise UsageError(f"policy.lora_targets={targets}: {error}") from error
    return made.eval()


def has_adapters(model: Any) -> bool:
    """Whether `adapted` put any there."""
    return hasattr(model, "peft_config")


def base(model: Any) -> Any:
    """The transformers model; adapters are in its layers."""
    return model.get_base_model() if has_adapters(model) else model


def load(model: Any, directory: Path, label: str) -> None:
    """Read the adapters of a checkpoint. Raises DataError where it has none, or others."""
    from peft import load_peft_weights, set_peft_model_state_dict

    if not (directory / ADAPTER).is_file():
        raise DataError(f"{directory} has no {ADAPTER}, which {label} with adapters reads")
    try:
        set_peft_model_state_dict(model, load_peft_weights(str(directory), device="cpu"))
    except RuntimeError as error:
        raise DataError(f"the adapters in {directory} do not fit {label}: {error}") from error


def merged(model: Any) -> dict[str, Any]:
    """State of the base with the adapters added, as new tensors where there are any.

    The base is left alone: adding and taking off in place would drift by rounding.
    """
    import torch

    inner = base(model)
    state = {
        name.replace(".base_layer.", "."): value
        for name, value in inner.state_dict().items()
        if ".lora_" not in name
    }
    with torch.no_grad():
        for name, module in inner.named_modules():
            if hasattr(module, "get_delta_weight") and NAME in module.lora_A:
                delta = module.get_delta_weight(NAME)
                weight = module.get_base_layer().weight
                state[f"{name}.weight"] = (weight.float() + delta.float()).to(weight.dtype)
    return state
