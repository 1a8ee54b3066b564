"""Stage "grpo": reinforcement learning from groups of episodes, while the bank co-evolves.

One iteration: play T train tasks G times each with the memory's skills in the prompt; reward each
episode; advantages within the group of a task; rows; one update; hand the weights to the sampler;
every `evolve.every` iterations let the bank learn from the train failures; write a checkpoint.

The reward is success (1 or 0) minus `invalid_penalty` times the share of invalid actions. Groups
whose rewards are all equal carry no gradient: they are dropped and counted. With one optimiser step
per iteration training is exactly on-policy. What is scored at the end is the last iteration,
whatever the curve did.

Paper: SkillRL (arXiv:2602.08234, section 3.3); GRPO: arXiv:2402.03300. Differences from the
released code: a transcript is one row, not one row per step; statistics are over trajectories
(`advantage_stats="rows"` for the published ones); the penalty is on the episode, not on the step's
row; rows are never duplicated to fill a batch.

After each iteration the whole state is on disk (weights and moments as safetensors, the bank, the
evolution window, the counters as JSON). There is no hidden random state: every draw derives from
the run's seed and the step, so a killed run goes on as if nothing had happened.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from skillbench.protocols import Checkpoint, LearnContext
from skillbench.records import Episode, Usage

from . import advantages, checkpoints
from .evolve import Evolution
from .experience import summary
from .guards import trained_model, usable
from .rows import Row, episode_rows
from .settings import UPDATE

DEFAULTS: dict[str, Any] = {
    "iterations": 20,
    "tasks": 16,
    "group": 8,
    "estimator": "grpo",
    "advantage_stats": "episodes",
    "normalise": True,
    "std_eps": 1e-6,
    "std_floor": 0.0,  # least deviation to divide by; 0 is the published formula
    "singleton": "zero",
    "invalid_penalty": 0.1,
    "max_row_tokens": 0,
    "keep": 2,
    **UPDATE,  # the optimiser and its loss
}


class Grpo:
    """Trainer of the stage; see the module's docstring."""

    def fit(self, context: LearnContext) -> Checkpoint:
        """Learn for the configured iterations; go on from the last checkpoint if there is one."""
        config = {**DEFAULTS, **context.config}
        trained_model(context.policy, "grpo")
        state = _State(context, config)
        while state.iteration < int(config["iterations"]):
            state.iterate()
        weights = state.last / "policy" if state.last else None
        return Checkpoint(context.directory, weights, {"curve": state.curve})


class _State:
    """Everything that one iteration changes, and how it is written and read."""

    def __init__(self, context: LearnContext, config: Mapping[str, Any]) -> None:
        from .row_trainer import RowTrainer

        self.context, self.config = context, config
        self.evolution = Evolution(context.evolve)
        self.iteration = 0
        self.curve: list[dict[str, Any]] = []
        self.last: Path | None = None
        found = checkpoints.latest(context.directory)
        reference = self._reference() if config["kl_coef"] else None
        if found is not None:
            self.last = found[0]
            context.policy.load(found[0] / "policy")
        self.trainer = RowTrainer(context.policy.model(), config, reference=reference)
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
        played = context.rollout(tasks, repeats=int(config["group"]), phase="rl", step=step)
        episodes = usable(played)
        for e in episodes:
            context.memory.observe(e)
        rolled = time.perf_counter()

        rows, metrics = training_rows(episodes, config)
        metrics = {**summary(episodes), "invalid": len(played) - len(episodes), **metrics}
        metrics.update(self.trainer.update(rows, seed=context.seed * 100_003 + step))
        trained = time.perf_counter()
        context.spend(
            "rl",
            "trainer",
            Usage(
                input_tokens=int(metrics["tokens_read"]),
                wall_s=trained - rolled,
                device_s=trained - rolled,
            ),
        )
        context.policy.sync(f"grpo-{step}")
        metrics["rollout_s"], metrics["update_s"] = rolled - began, trained - rolled

        self.evolution.observe(episodes)
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


def training_rows(
    episodes: Sequence[Episode], config: Mapping[str, Any]
) -> tuple[list[Row], dict[str, Any]]:
    """Rows with advantages of the groups that carry a gradient, and the counts.

    Episodes come grouped by task; a group may have lost invalid episodes.
    """
    groups: dict[str, list[int]] = {}
    for i, e in enumerate(episodes):
        groups.setdefault(e.task.id, []).append(i)
    limit = int(config["max_row_tokens"])
    plain = [episode_rows(e, max_tokens=limit) for e in episodes]
    rewards = [reward(e, float(config["invalid_penalty"])) for e in episodes]
    options: dict[str, Any] = {"stats": config["advantage_stats"], "singleton": config["singleton"]}
    if config["estimator"] == "grpo":
        options |= {k: config[k] for k in ("normalise", "std_eps", "std_floor")}
    result = advantages.by_group(
        [[rewards[i] for i in g] for g in groups.values()],
        estimator=str(config["estimator"]),
        sizes=[[len(plain[i]) for i in g] for g in groups.values()],
        **options,
    )
    rows: list[Row] = []
    for g, (members, values) in enumerate(zip(groups.values(), result.values)):
        for i, value in zip(members, values):
            if value:
                rows += episode_rows(episodes[i], value, index=i, group=g, max_tokens=limit)
    played = [s for e in episodes for s in e.steps if s.token_ids]
    return rows, {
        "reward": sum(rewards) / len(rewards) if rewards else 0.0,
        "kept_groups": result.kept,
        "dropped_groups": result.dropped,
        "rows_per_episode": sum(map(len, plain)) / len(plain) if plain else 0.0,
        "response_tokens": sum(len(s.token_ids or ()) for s in played) / len(played)
        if played
        else 0.0,
    }


def reward(episode: Episode, invalid_penalty: float) -> float:
    """Success minus `invalid_penalty` times the share of steps that were not valid actions."""
    invalid = sum(not s.valid for s in episode.steps) / max(1, len(episode.steps))
    return float(episode.success) - invalid_penalty * invalid
