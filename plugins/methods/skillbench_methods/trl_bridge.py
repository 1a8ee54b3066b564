"""Supervised fine-tuning with TRL's SFTTrainer (trl_backend.py has its GRPOTrainer).

Rows come tokenised, with `labels` -100 on everything that is not learned, so TRL prepares nothing:
which tokens count is decided in rows.py, for SFT as for RL. Importing trl costs some five seconds,
which is why this happens inside the function.

TRL replaces the model's `forward` by one with a fused language-model head; it is put back, so that
the policy goes on with the model that it was given.
"""

from __future__ import annotations

import contextlib
import copy
import os
import shutil
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

_TOKENS = ("bos_token_id", "eos_token_id", "pad_token_id")


def supervised(
    model: Any,
    tokenizer: Any,
    rows: Sequence[Mapping[str, Any]],
    config: Mapping[str, Any],
    directory: Path,
    *,
    seed: int = 0,
    save_to: Path | None = None,
) -> dict[str, Any]:
    """Train `model` in place on rows of `input_ids` and `labels`; return losses and counts.

    `config` is the table of the stage "sft". With `save_steps` > 0 the trainer keeps checkpoints in
    `directory` and goes on from the last one; otherwise it starts over and leaves nothing there.
    Several ranks (`accelerate launch`) train together; the model is then sharded, and `save_to` is
    where the whole of it goes, with the tokenizer.
    """
    import torch
    from datasets import Dataset
    from transformers import PrinterCallback, ProgressCallback
    from trl import SFTConfig, SFTTrainer

    gpu = torch.cuda.is_available()
    save = int(config["save_steps"])
    ranks = int(os.environ.get("WORLD_SIZE", "1"))
    share = max(1, int(config["batch"]) // ranks)  # of a batch, that is each rank's
    micro = min(share, int(config["micro_batch"]))
    steps = -(-len(rows) // max(1, int(config["batch"]))) * float(config["epochs"])
    arguments = SFTConfig(
        output_dir=str(directory),
        num_train_epochs=float(config["epochs"]),
        learning_rate=float(config["lr"]),
        lr_scheduler_type=str(config["scheduler"]),
        warmup_steps=int(steps * float(config["warmup_ratio"])),
        weight_decay=float(config["weight_decay"]),
        max_grad_norm=float(config["grad_clip"]),
        per_device_train_batch_size=micro,
        gradient_accumulation_steps=max(1, share // micro),
        train_sampling_strategy="group_by_length",
        max_length=None,
        dataset_kwargs={"skip_prepare_dataset": True},
        use_cpu=not gpu,
        bf16=bool(config["bf16"]),  # of the computation: weights are float32 (guards.py)
        gradient_checkpointing=bool(config["gradient_checkpointing"]),
        dataloader_pin_memory=gpu,
        report_to="none",
        disable_tqdm=True,
        logging_steps=1,
        save_strategy="steps" if save else "no",
        save_steps=save or 500,
        save_total_limit=1,
        seed=seed,
    )
    data = Dataset.from_dict(
        {
            "input_ids": [list(r["input_ids"]) for r in rows],
            "labels": [list(r["labels"]) for r in rows],
        }
    )
    with as_it_was(model):
        trainer = SFTTrainer(
            model=model, args=arguments, train_dataset=data, processing_class=tokenizer
        )
        for callback in (PrinterCallback, ProgressCallback):  # stdout belongs to the command line
            trainer.remove_callback(callback)
        last = save and any(directory.glob("checkpoint-*"))
        trainer.train(resume_from_checkpoint=True if last else None)
        if save_to is not None:
            trainer.save_model(str(save_to))  # gathers what is sharded
    losses = [entry["loss"] for entry in trainer.state.log_history if "loss" in entry]
    trainer.accelerator.free_memory()
    if not save and trainer.accelerator.is_main_process:
        shutil.rmtree(directory, ignore_errors=True)
    epochs = float(config["epochs"])
    return {
        "loss_first": losses[0] if losses else None,
        "loss_last": losses[-1] if losses else None,
        "optimizer_steps": int(trainer.state.global_step),
        "tokens_read": int(epochs * sum(len(r["input_ids"]) for r in rows)),
        "tokens_trained": int(epochs * sum(t != -100 for r in rows for t in r["labels"])),
    }


@contextlib.contextmanager
def as_it_was(model: Any) -> Iterator[None]:
    """Undo what TRL and transformers' Trainer change on a model besides its weights."""
    from transformers.utils import logging

    core = model.get_base_model() if hasattr(model, "get_base_model") else model
    own = core.__dict__.get("forward")
    config = core.config.get_text_config()
    tokens = {n: getattr(config, n, None) for n in _TOKENS}
    generation = copy.deepcopy(core.generation_config)
    training, verbosity = model.training, logging.get_verbosity()
    logging.set_verbosity_error()
    try:
        yield
    finally:
        logging.set_verbosity(verbosity)
        if own is None:
            core.__dict__.pop("forward", None)
        else:
            core.forward = own
        for name, value in tokens.items():
            setattr(config, name, value)
        core.generation_config = generation
        model.zero_grad(set_to_none=True)
        model.train(training)
