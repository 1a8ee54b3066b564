"""Stage "grpo": reinforcement learning from groups of episodes, while the bank co-evolves.

One iteration: play T train tasks G times each with the memory's skills in the prompt; reward each
episode; advantages within the group of a task; rows; one update; hand the weights to the sampler;
every `evolve.every` iterations let the bank learn from the train failures; write a checkpoint.

The reward is success (1 or 0) minus `invalid_penalty` times the share of invalid actions. Groups
whose rewards are all equal carry no gradient: they are dropped and counted. With one optimiser step
per iteration training is exactly on-policy. What is scored at the end is the last iteration,
whatever the curve did.

Paper: SkillRL (arXiv:2602.08234, section 3.3); GRPO: arXiv:2402.03300. Differences from the
released code: a transcript is one row, not one row per step (`rows="steps"` for that); statistics
are over trajectories (`advantage_stats="steps"` for the published ones); the penalty is on the
episode, not on the step's row; rows are never duplicated to fill a batch. `backend="trl"` sends the
same rows through TRL's GRPOTrainer (trl_backend.py); `launch` lets several processes make the
update, sharded or not (launched.py).

`estimator="rloo"` and `"gigpo"` are other advantages over the same rows (credit.py). With `half`
one half of each group plays without the memory, which estimates what the memory is worth
(halves.py).

After each iteration the whole state is on disk (weights and moments as safetensors, the bank, the
evolution window, the counters as JSON). There is no hidden random state: every draw derives from
the run's seed and the step, so a killed run goes on as if nothing had happened.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from skillbench.errors import ConfigError, suggest
from skillbench.protocols import Checkpoint, LearnContext
from skillbench.records import Episode, Usage

from . import checkpoints
from .credit import training_rows
from .evolve import Evolution
from .experience import Blank, summary
from .guards import trained_model, usable
from .halves import intrinsic, memory_value
from .launched import LaunchedTrainer
from .settings import UPDATE

BACKENDS = ("torch", "trl")
DEFAULTS: dict[str, Any] = {
    "iterations": 20,  # updates of the weights
    "tasks": 16,  # of one iteration
    "group": 8,  # episodes of one task, compared with each other
    "estimator": "grpo",  # advantages: "grpo", "rloo" or "gigpo"
    "advantage_stats": "episodes",  # means over "episodes", or "steps"
    "normalise": True,  # divide by the deviation of the group
    "std_eps": 1e-6,  # added to the deviation
    "std_floor": 0.0,  # least deviation to divide by; 0 is the published formula
    "singleton": "zero",  # advantage in a group of one; "published": its raw return
    "discount": 1.0,  # < 1: each step's own return to go; with gigpo, of its step advantages
    "step_weight": 1.0,  # gigpo: weight of the step advantages
    "anchor_similarity": 1.0,  # gigpo: < 1 lets similar observations be one anchor state
    "half": False,  # half of each group plays without the memory (D2Skill)
    "intrinsic": 0.0,  # half: reward for doing better than the half without
    "invalid_penalty": 0.1,  # times the share of invalid actions, off the reward
    "rows": "transcript",  # or "steps": one row per step, the published form
    "max_row_tokens": 0,  # longer rows are left out; 0: none is
    "backend": "torch",  # or "trl": the same rows through TRL's GRPOTrainer
    "launch": "",  # accelerate's configuration of processes that train: a file, "ddp", "fsdp"
    "launch_devices": "",  # GPUs of these processes, e.g. "4,5,6,7"; "": all that are visible
    "keep": 2,  # checkpoints kept on disk
    **UPDATE,  # the optimiser and its loss
}


class Grpo:
    """Trainer of the stage; see the module's docstring."""

    trains = True

    @staticmethod
    def episodes(config: Mapping[str, Any]) -> int:
        """How many episodes a stage with this table plays at most."""
        return int(config["iterations"]) * int(config["tasks"]) * int(config["group"])

    @staticmethod
    def plan(config: Mapping[str, Any], evolve: Mapping[str, Any], types: int) -> dict[str, float]:
        """What it costs: a wave of episodes and an update per iteration, looks of the teacher.

        `old`, `reference`: whether each trained token is read forward once more for
        log-probabilities of the old weights (unless the sampler's serve) and of the reference.
        """
        iterations = int(config["iterations"])
        several = int(config["epochs"]) * int(config["minibatches"]) > 1
        old = several and config["old_logprobs"] != "sampler"
        looks = iterations // max(1, int(evolve["every"])) if evolve["enabled"] else 0
        return {
            "episodes": Grpo.episodes(config),
            "waves": iterations,
            "trained": Grpo.episodes(config) * int(config["epochs"]),
            "old": old,
            "reference": bool(config["kl_coef"]),
            "groups": True,  # only those that carry a gradient are trained on
            "teacher_calls": looks,
        }

    def fit(self, context: LearnContext) -> Checkpoint:
        """Learn for the configured iterations; go on from the last checkpoint if there is one."""
        config = {**DEFAULTS, **context.config}
        trained_model(context.policy, "grpo")
        state = _State(context, config)
        try:
            while state.iteration < int(config["iterations"]):
                state.iterate()
        finally:
            state.close()
        weights = state.last / "policy" if state.last else None
        return Checkpoint(context.directory, weights, {"curve": state.curve})


def row_trainer(backend: str) -> Any:
    """The class that updates from rows. Raises ConfigError for an unknown backend."""
    if backend == "torch":
        from .row_trainer import RowTrainer

        return RowTrainer
    if backend == "trl":
        from .trl_backend import TrlTrainer

        return TrlTrainer
    raise ConfigError(
        f"trainer.grpo.backend is {backend!r}{suggest(backend, BACKENDS)} "
        f"known: {', '.join(BACKENDS)}"
    )


class _State:
    """Everything that one iteration changes, and how it is written and read."""

    def __init__(self, context: LearnContext, config: Mapping[str, Any]) -> None:
        self.context, self.config = context, config
        learns_from = getattr(context.memory, "learns_from", "failures")
        self.evolution = Evolution(context.evolve, everything=learns_from == "episodes")
        self.iteration = 0
        self.curve: list[dict[str, Any]] = []
        self.last: Path | None = None
        found = checkpoints.latest(context.directory)
        reference = self._reference() if config["kl_coef"] else None
        if found is not None:
            self.last = found[0]
            context.policy.load(found[0] / "policy")
        if config["launch"]:
            self.trainer: Any = LaunchedTrainer(
                context.policy, config, context.directory, reference=reference
            )
        else:
            self.trainer = row_trainer(str(config["backend"]))(
                context.policy.model(), config, reference=reference
            )
        self.devices = int(getattr(self.trainer, "devices", 1))
        if found is not None:
            path, state = found
            self.iteration, self.curve = int(state["iteration"]), list(state["curve"])
            self.trainer.load(path / "optimizer")
            context.memory.load(path / "bank")
            self.evolution.load(path / "evolution")
        context.policy.sync(f"grpo-{self.iteration}")

    def iterate(self) -> None:
        """One iteration, ending with a checkpoint."""
        context, config, step = self.context, self.config, self.iteration + 1
        began = time.perf_counter()
        tasks = context.tasks(int(config["tasks"]), step=step)
        group = int(config["group"])
        bare = group // 2 if config["half"] else 0
        shown = context.rollout(tasks, repeats=group - bare, phase="rl", step=step)
        without: list[Episode] = []
        if bare:
            blank: Any = Blank()
            without = context.rollout(tasks, repeats=bare, phase="rl_bare", step=step, memory=blank)
        played = [*shown, *without]
        episodes = usable(played)
        with_memory = [e for e in shown if e.outcome != "invalid"]
        for e in with_memory:
            context.memory.observe(e)
        rolled = time.perf_counter()

        value = memory_value(with_memory, without) if bare else None
        bonus = None
        if value is not None and config["intrinsic"]:
            bonus = intrinsic(episodes, len(with_memory), value.without, config["intrinsic"])
        rows, metrics = training_rows(episodes, config, bonus)
        metrics = {**summary(with_memory), "invalid": len(played) - len(episodes), **metrics}
        if value is not None:
            metrics |= value.metrics()
        metrics.update(self.trainer.update(rows, seed=context.seed * 100_003 + step))
        trained = time.perf_counter()
        context.spend(
            "rl",
            "trainer",
            Usage(
                input_tokens=int(metrics["tokens_read"]),
                wall_s=trained - rolled,
                device_s=(trained - rolled) * self.devices,
            ),
        )
        context.policy.sync(f"grpo-{step}")
        metrics["rollout_s"], metrics["update_s"] = rolled - began, trained - rolled

        self.evolution.observe(with_memory)
        if self.evolution.due(step):
            update = self.evolution.apply(context.memory, context.teacher, step=step)
            metrics["skills_added"] = len(update.added)
            metrics["skills_changed"] = len(update.changed)
            metrics["skills_removed"] = len(update.removed)
            if update.added or update.changed or update.removed:
                context.snapshot(step)
        metrics["skills"] = len(context.memory.skills())
        self.iteration = step
        self.curve.append({"step": step, **metrics})
        context.log(step, metrics)
        self._checkpoint()

    def close(self) -> None:
        """End the processes that train, if there are any."""
        if hasattr(self.trainer, "close"):
            self.trainer.close()

    def _checkpoint(self) -> None:
        def fill(path: Path) -> None:
            self.context.policy.save(path / "policy")
            self.trainer.save(path / "optimizer")
            self.context.memory.save(path / "bank")
            self.evolution.save(path / "evolution")

        state = {"iteration": self.iteration, "curve": self.curve, "seed": self.context.seed}
        self.last = checkpoints.write(
            self.context.directory, self.iteration, state, fill, keep=int(self.config["keep"])
        )

    def _reference(self) -> Any:
        """The frozen model that the KL term refers to: the weights that the stage began with."""
        import copy

        home = self.context.directory / "reference"
        if checkpoints.latest(home) is None:
            checkpoints.write(home, 0, {}, lambda p: self.context.policy.save(p / "policy"))
        self.context.policy.load(home / "step_000000" / "policy")
        return copy.deepcopy(self.context.policy.model()).requires_grad_(False)
