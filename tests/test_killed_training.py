"""Kill -9 inside the cold start, inside an update of the weights, inside one of the bank.

The real stages, policy and environment, each process a run of its own; what is killed goes on from
its checkpoint, and ends with the weights, the bank and the scores of the run that nobody killed.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from skillbench.result import comparable

for package in ("torch", "trl", "skillbench_policies", "skillbench_methods", "skillbench_alfworld"):
    pytest.importorskip(package)

# Ends the process at the n-th call of a function, once that is done and before anything else.
CHILD = """
import os, signal, sys
from skillbench.cli import main
where, *words = sys.argv[1:]
calls = 0
def deadly(function, n=2):
    def wrapped(*arguments, **options):
        global calls
        calls += 1
        answer = function(*arguments, **options)
        if calls == n:
            os.kill(os.getpid(), signal.SIGKILL)
        return answer
    return wrapped
if where == "sft":  # after the second step of TRL's trainer
    from trl import SFTTrainer
    SFTTrainer.training_step = deadly(SFTTrainer.training_step)
elif where == "grpo":  # between the two optimiser steps of the second update
    from skillbench_methods.row_trainer import RowTrainer
    RowTrainer._step = deadly(RowTrainer._step, 3)
elif where == "bank":  # the second time that the bank has changed, before that is on disk
    from skillbench_methods.evolve import Evolution
    Evolution.apply = deadly(Evolution.apply)
sys.exit(main(words))
"""
SETTINGS = """
run.tasks=6 trainer.experience.tasks=6 trainer.experience.repeats=1
trainer.sft.tasks=8 trainer.sft.min_rows=1 trainer.sft.batch=2 trainer.sft.epochs=2
trainer.grpo.iterations=3 trainer.grpo.tasks=4 trainer.grpo.group=2 trainer.grpo.minibatches=2
evolve.every=1 evolve.threshold=1.0 policy.workers=0 agent.budget=64
"""
BEGIN = ["run", "--method", "skillrl", "--env", "alfworld", "--policy", "household"]
BEGIN += [word for setting in SETTINGS.split() for word in ("--set", setting)]


def run(where: str, *words: str) -> int:
    return subprocess.run(
        [sys.executable, "-c", CHILD, where, *words],
        check=False,
        stdout=subprocess.DEVNULL,
        timeout=800,
        env={**os.environ, "OMP_NUM_THREADS": "1", "OMP_WAIT_POLICY": "PASSIVE"},
    ).returncode


def state(directory: Path) -> dict[str, Any]:
    """What learning has left: the curve, the bank and the weights of the last checkpoint."""
    from safetensors.torch import load_file

    last = sorted((directory / "learn/0/grpo").glob("step_*"))[-1]
    bank = json.loads((directory / "learn/0/skills/final.json").read_text())
    tensors = load_file(str(last / "policy" / "model.safetensors"))
    times = ("rollout_s", "update_s")
    curve = json.loads((last / "state.json").read_text())["curve"]
    return {
        "name": last.name,
        "curve": [{k: v for k, v in row.items() if k not in times} for row in curve],
        "bank": bank,
        "weights": {name: tensor.sum().item() for name, tensor in tensors.items()},
    }


@pytest.mark.slow
def test_training_that_is_killed_goes_on_from_its_checkpoint(tmp_path: Path) -> None:
    whole, killed = tmp_path / "whole", tmp_path / "killed"
    assert run("", *BEGIN, "--out", str(whole)) == 0
    assert run("sft", *BEGIN, "--out", str(killed)) == -signal.SIGKILL
    assert (killed / "learn/0/sft/sft_rows.jsonl").is_file()
    assert not (killed / "learn/0/grpo").exists()
    for where in ("grpo", "bank"):
        assert run(where, "run", "--resume", str(killed)) == -signal.SIGKILL
        # Weights, moments, bank and window of the last whole step lie together.
        (last,) = sorted((killed / "learn/0/grpo").glob("step_*[0-9]"))[-1:]
        names = {"policy", "optimizer", "bank", "evolution", "state.json"}
        assert {p.name for p in last.iterdir()} == names
        step = json.loads((last / "state.json").read_text())["iteration"]
        assert last.name == f"step_{step:06d}"
        assert step < 3
    assert run("", "run", "--resume", str(killed)) == 0
    assert state(killed) == state(whole)
    one, two = (json.loads((d / "result.json").read_text()) for d in (whole, killed))
    assert comparable(one) == comparable(two)
    assert two["provenance"]["resumed"] == 3
