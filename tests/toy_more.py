"""More of the toy world: a memory that reflects, one that cheats, a shareable stage, their methods."""

from __future__ import annotations

import sys
from typing import Any

import toy

from skillbench import Checkpoint, Method, hookimpl
from skillbench.records import Context, Skill

FITTED: list[tuple[str, int]] = []  # (stage, seed) of each fit, for tests of sharing


class Reflecting(toy.ToyMemory):
    """Shows the right door once it has been told of a failure at the very task."""

    def __init__(self, config: Any, **kw: Any) -> None:
        super().__init__(config, **kw)
        self.told: dict[str, int] = {}

    def context(self, task: Any, history: Any, budget: int) -> Context:
        if not self.told.get(task.id):
            return Context()
        return Context(f"- {task.task_type}: {toy.TYPES[task.task_type]}", ("hint",))

    def reflect(self, episodes: Any, teacher: Any, *, step: int = 0) -> None:
        for e in episodes:
            assert not e.success
            self.told[e.task.id] = step


class Learn(toy.ToyDistill):
    """The toy's stage one; it depends on its own table alone."""

    shareable = True

    @staticmethod
    def episodes(config: Any) -> int:
        return 12 * config["steps"]

    def fit(self, context: Any) -> Checkpoint:
        FITTED.append((context.stage, context.seed))
        return super().fit(context)


class Cheat(toy.ToyDistill):
    """Tries to learn from a task of the panel, or quotes one."""

    def fit(self, context: Any) -> Checkpoint:
        panel = context.environment.tasks("test")
        how = context.config["how"]
        if how == "play":
            context.rollout(panel[:1])
        if how == "write":
            import dataclasses

            (e,) = context.rollout(context.tasks(1))
            context.memory.update([dataclasses.replace(e, task=panel[0])], None)
        if how == "quote":
            text = f"When asked to {panel[0].goal} take door 3"
            context.memory.bank["red"] = Skill("red", text, source_tasks=("train-000",))
        return Checkpoint(context.directory)


class LongGoals(toy.ToyEnvironment):
    """The toy environment with goals that are long enough to be quoted."""

    def tasks(self, split: str) -> Any:
        import dataclasses

        found = super().tasks(split)
        return [dataclasses.replace(t, goal=f"{t.goal} in {split} house {t.id}") for t in found]


class Plugin:
    """What the module registers."""

    @hookimpl
    def skillbench_register_environments(self, register):
        """The toy world with longer goals."""
        register(
            "long",
            "toy_more:LongGoals",
            splits=("train", "test"),
            default_split="test",
            defaults={"fault": "", "fault_every": 0, "blocking": False},
        )

    @hookimpl
    def skillbench_register_memories(self, register):
        """The memory that reflects."""
        register("reflecting", "toy_more:Reflecting")

    @hookimpl
    def skillbench_register_trainers(self, register):
        """A shareable stage, one that is not, and a cheat."""
        register("learn", "toy_more:Learn", defaults={"steps": 2, "poison": False})
        register("again", "toy:ToyDistill", defaults={"steps": 1, "poison": False})
        register("cheat", "toy_more:Cheat", defaults={"how": "", "steps": 1})

    @hookimpl
    def skillbench_register_methods(self, register):
        """Methods of these parts."""
        register(Method("retrying", memory="reflecting"))
        register(Method("one", memory="toy", trainers=("learn",)))
        register(Method("two", memory="toy", trainers=("learn", "again")))
        register(Method("cheating", memory="toy", trainers=("cheat",)))


def registry() -> Any:
    """The toy world and this."""
    from skillbench.registry import Registry

    made = Registry()
    made.plugins.add("toy", sys.modules["toy"])
    made.plugins.add("more", Plugin())
    filled = made.fill()
    assert not filled.broken, filled.broken
    return filled


def run(out: Any, method: str, *sets: str, environment: str = "toy", seeds: int = 1) -> Any:
    """Run a method of the toy worlds; returns its result."""
    from skillbench.config import resolve
    from skillbench.runner import execute

    config = resolve(
        method=method,
        environment=environment,
        policy="toy",
        seeds=seeds,
        sets=("score.chunk=7", "score.bootstrap=200", *sets),
        registry=registry(),
    )
    return execute(config, out=out, registry=registry())
