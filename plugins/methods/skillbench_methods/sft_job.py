"""Supervised fine-tuning on the rows of a run, in processes of its own: for many GPUs.

    accelerate launch --config_file tasks/accelerate/fsdp.yaml -m skillbench_methods.sft_job \\
        runs/NAME/learn/0/sft/sft_rows.jsonl --model Qwen/Qwen2.5-7B-Instruct --out CHECKPOINT

reads what the stage "sft" wrote before it trained, trains with TRL's SFTTrainer under whatever
accelerate was launched with, and leaves a checkpoint for `--policy vllm:CHECKPOINT`. Rows are token
ids: the model must have the tokenizer that they were made with. `--set KEY=VALUE` are keys of the
stage (`trainer.sft.KEY` of a run). A job that was killed goes on where `save_steps` > 0.

A run with `trainer.sft.launch=fsdp` starts this by itself, for its own cold start.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

from skillbench.errors import SkillbenchError, UsageError, suggest
from skillbench.layers import parse_value

from . import launching, sft

# Keys of the stage that a job is not asked for.
OURS = ("launch", "launch_devices", "thought")


def settings(sets: list[str]) -> dict[str, Any]:
    """The stage's table. Raises UsageError for an unknown key or a value of another type."""
    table = dict(sft.DEFAULTS)
    for text in sets:
        key, equals, raw = text.partition("=")
        if not equals or key not in table:
            raise UsageError(f"--set {text}: no such key{suggest(key, table)} keys: {list(table)}")
        kind = type(table[key])
        value = parse_value(raw)
        try:
            table[key] = raw if kind is str else kind(getattr(value, "value", value))
        except (TypeError, ValueError):
            raise UsageError(f"--set {text}: {key} takes {kind.__name__}") from None
    return table


def train(rows: Path, model: str, out: Path, config: dict[str, Any], seed: int) -> dict[str, Any]:
    """Train and save; every rank calls this. Returns losses and counts."""
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer, PreTrainedTokenizerFast
    from transformers.models.auto.tokenization_auto import get_tokenizer_config

    from .trl_bridge import supervised

    found, _ = sft._read(rows)
    limit = int(config["max_length"])
    found = [r for r in found if not limit or len(r["input_ids"]) <= limit]
    if not found:
        raise UsageError(f"{rows} holds no rows to train on")
    kind = get_tokenizer_config(model).get("tokenizer_class")
    generic = kind in ("TokenizersBackend", "PreTrainedTokenizerFast")
    tokenizer = (PreTrainedTokenizerFast if generic else AutoTokenizer).from_pretrained(model)
    net = AutoModelForCausalLM.from_pretrained(model, dtype=torch.float32)
    words = int(net.get_input_embeddings().num_embeddings)
    highest = max(max(r["input_ids"]) for r in found)
    if highest >= words:
        raise UsageError(
            f"{rows} holds token {highest}, and {model} has {words} tokens: the rows were made "
            "with another tokenizer"
        )
    work = out / "trainer"
    return supervised(net, tokenizer, found, config, work, seed=seed, save_to=out)


def launch(
    policy: Any, config: dict[str, Any], rows: Path, work: Path, *, seed: int
) -> tuple[dict[str, Any], int]:
    """Train a policy's weights by a job of its own, and read them back; for the stage "sft".

    Returns losses and counts, and the number of processes. Raises UsageError for adapters, and
    SkillbenchError, with the end of the log, where the job fails.
    """
    found = launching.configuration(str(config["launch"]), "sft")
    if any(not p.requires_grad for p in policy.model().parameters()):
        raise UsageError("trainer.sft.launch trains all weights: leave out policy.lora_rank")
    begin, end, log = work / "begin", work / "end", rows.parent / "sft_job.log"
    if not (end / "trainer").is_dir():  # else a job was killed, and goes on from its checkpoint
        policy.save(begin)
    sets = [f"--set={k}={v}" for k, v in config.items() if k in sft.DEFAULTS and k not in OURS]
    words = [str(rows), "--model", str(begin), "--out", str(end), "--seed", str(seed), *sets]
    with log.open("wb") as out:
        done = subprocess.run(
            launching.command(found, "skillbench_methods.sft_job", *words),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=out,
            env=launching.environment(found, str(config["launch_devices"])),
            check=False,
        )
    lines = done.stdout.decode(errors="replace").splitlines()
    if done.returncode or not lines:
        raise SkillbenchError(
            f"the cold start's processes ended with exit code {done.returncode}; the end of "
            f"{log}:\n{launching.tail(log)}\nMend that and go on with --resume"
        )
    policy.load(end)
    shutil.rmtree(work, ignore_errors=True)
    return json.loads(lines[-1]), launching.size(found)[0]


def main(words: list[str]) -> int:
    """Command line."""
    parser = argparse.ArgumentParser(prog="skillbench_methods.sft_job", description=__doc__)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("rows", type=Path, help="sft_rows.jsonl of a run")
    parser.add_argument("--model", required=True, help="name on the hub, or a directory")
    parser.add_argument("--out", type=Path, required=True, help="the checkpoint's directory")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", dest="sets")
    given = parser.parse_args(words)
    try:
        metrics = train(given.rows, given.model, given.out, settings(given.sets), given.seed)
    except (SkillbenchError, OSError) as error:
        sys.stderr.write(f"error: {error}\n")
        return 2
    if os.environ.get("RANK", "0") == "0":
        sys.stdout.write(json.dumps(metrics) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
