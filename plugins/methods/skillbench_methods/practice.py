"""Stage "practice": learning with frozen weights, in rounds on train tasks.

A round plays some train tasks with what the memory shows by now; then the memory observes each
episode and learns from all of them, successes and failures. So what is logged per round is the
online success curve that memory methods are defined by. With `attempts` > 1 a failed task is tried
again in the same round; a memory that reflects (`reflect(episodes, teacher, step=...)`) does so in
between (Reflexion, and the gathering of ExpeL). With `player="expert"` the environment's expert
plays instead of the policy: a pool of its solutions is what there is to learn from.

Every round ends with the memory on disk, so a stage that was killed goes on with the next one.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from skillbench.errors import UsageError
from skillbench.protocols import Checkpoint, LearnContext
from skillbench.records import Completion, Episode, Request, Usage

from . import checkpoints
from .experience import summary
from .guards import usable

DEFAULTS: dict[str, Any] = {
    "rounds": 4,  # the memory learns after each
    "tasks": 30,  # of one round
    "repeats": 1,  # episodes of each task
    "attempts": 1,  # at a task, until it is solved
    "temperature": 1.0,  # of the play
    "player": "policy",  # "expert"; "auto": the expert where the environment has one
}


PLAYERS = ("policy", "expert", "auto")


class Practice:
    """Trainer of the stage; see the module's docstring."""

    shareable = True  # it depends on its own table alone

    @staticmethod
    def episodes(config: Mapping[str, Any]) -> int:
        """How many episodes a stage with this table plays at most."""
        round_ = int(config["tasks"]) * int(config["repeats"]) * int(config["attempts"])
        return int(config["rounds"]) * round_

    @staticmethod
    def plan(config: Mapping[str, Any], evolve: Mapping[str, Any], types: int) -> dict[str, float]:
        """What it costs: a wave of episodes per attempt, and the teacher about once per type."""
        rounds = int(config["rounds"])
        return {
            "episodes": Practice.episodes(config),
            "waves": rounds * int(config["attempts"]),
            "teacher_calls": rounds * (types + 2),
        }

    def fit(self, context: LearnContext) -> Checkpoint:
        """Play and learn, round by round."""
        config = {**DEFAULTS, **context.config}
        player = config["player"]
        if player not in PLAYERS:
            raise UsageError(
                f"trainer.practice.player is one of {', '.join(PLAYERS)}, not {player!r}"
            )
        if player == "auto":
            first_task = context.tasks(1, step=0)[0]
            known = context.environment.expert(first_task) is not None
            config["player"] = "expert" if known else "policy"
        metrics: dict[str, Any] = {}
        first = 0
        found = checkpoints.latest(context.directory / "rounds")
        if found is not None:
            path, state = found
            first, metrics = int(state["round"]), dict(state["metrics"])
            context.memory.load(path / "memory")
        for number in range(first, int(config["rounds"])):
            metrics = self._round(context, config, number)
            state = {"round": number + 1, "metrics": metrics}
            checkpoints.write(
                context.directory / "rounds",
                number + 1,
                state,
                lambda p: context.memory.save(p / "memory"),
                keep=1,
            )
        return Checkpoint(context.directory, None, metrics)

    def _round(self, context: LearnContext, config: Any, number: int) -> dict[str, Any]:
        """One round; returns what was logged."""
        tasks = context.tasks(int(config["tasks"]), step=number)
        played = self._play(context, config, tasks, "practice", number)
        first = usable(played)
        episodes = list(first)
        reflect = getattr(context.memory, "reflect", None)
        for attempt in range(2, int(config["attempts"]) + 1):
            solved = {e.task.id for e in episodes if e.success}
            left = [t for t in tasks if t.id not in solved]
            if not left:
                break
            if reflect is not None:
                latest = {e.task.id: e for e in episodes if e.task.id not in solved}
                reflect(list(latest.values()), context.teacher, step=number)
            again = self._play(context, config, left, f"attempt{attempt}", number)
            episodes += [e for e in again if e.outcome != "invalid"]
        for e in episodes:
            context.memory.observe(e)
        update = context.memory.update(episodes, context.teacher, step=number)
        prune = getattr(context.memory, "prune", None)
        removed = list(update.removed)
        if prune is not None and context.evolve["prune"]:
            removed += prune(step=number).removed
        context.snapshot(number)
        metrics = {
            **summary(first),
            "attempts": len(episodes),
            "invalid": len(played) - len(first),
            "skills_added": len(update.added),
            "skills_removed": len(removed),
        }
        if int(config["attempts"]) > 1:
            solved = {e.task.id for e in episodes if e.success}
            metrics["solved_within"] = len(solved) / len(tasks)
        context.log(number, metrics)
        return metrics

    def _play(
        self, context: LearnContext, config: Any, tasks: Sequence[Any], phase: str, number: int
    ) -> list[Episode]:
        policy = Expert(context.environment) if config["player"] == "expert" else None
        return context.rollout(
            tasks,
            repeats=int(config["repeats"]),
            phase=phase,
            step=number,
            tokens=False,
            policy=policy,
        )


class Expert:
    """The environment's expert as a player of train tasks; costs nothing, says nothing of why."""

    name, batching, concurrency, trainable, style = "expert", "gather", 1, False, ""

    def __init__(self, environment: Any) -> None:
        self.environment = environment
        self._plans: dict[str, Iterator[str]] = {}

    async def generate(self, requests: Sequence[Request]) -> list[Completion]:
        """The next action of each episode's plan; nothing once a plan has ended."""
        return [self._answer(r) for r in requests]

    def _answer(self, request: Request) -> Completion:
        if request.episode_id not in self._plans:
            plan = self.environment.expert(request.task)
            if plan is None:
                raise UsageError(
                    f"environment {self.environment.name!r} has no expert; "
                    "use --set trainer.practice.player=policy"
                )
            self._plans[request.episode_id] = iter(plan)
        action = next(self._plans[request.episode_id], "")
        return Completion(f"<action>{action}</action>", Usage(calls=1), model="expert")

    def release(self, episode_id: str) -> None:
        """Forget an episode."""
        self._plans.pop(episode_id, None)

    def close(self) -> None:
        """Nothing to free."""
