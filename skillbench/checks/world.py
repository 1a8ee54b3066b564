"""A toy world in which components are tried that need one: an environment, a player, episodes.

Each task hides one of four levers, the same for all tasks of a type. The player guesses from the
request's seed unless its prompt names the lever, so that a memory can help, and everything is
deterministic.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from typing import Any

from ..environment import Environment
from ..errors import UsageError, unknown_name
from ..hookspecs import hookimpl
from ..records import Completion, Context, Episode, Request, Skill, Step, Task, Usage

NAME = "kit-world"
LEVERS = ("pull lever 1", "pull lever 2", "pull lever 3", "pull lever 4")
TYPES = {"amber": LEVERS[2], "jade": LEVERS[0], "ruby": LEVERS[3]}
SIZES = {"train": 48, "test": 12}


class KitWorld(Environment):
    """Pull the right lever within four turns."""

    name = NAME
    max_steps = 4
    instructions = "Pull the lever that opens the gate."

    def tasks(self, split: str) -> list[Task]:
        """Tasks of the three types in turn."""
        if split not in SIZES:
            raise unknown_name("split", split, SIZES)
        kinds = sorted(TYPES)
        return [
            Task(f"{split}-{i:03d}", NAME, split, kinds[i % 3], f"open the {kinds[i % 3]} gate")
            for i in range(SIZES[split])
        ]

    def fingerprint(self, split: str) -> str:
        """The size decides."""
        return f"{NAME} 1 {split} {SIZES[split]}"

    def reset(self, *, seed: int | None = None, options: Any = None) -> tuple[str, dict[str, Any]]:
        """Stand before the gate of a task."""
        number = str((options or {}).get("task", "")).rpartition("-")[2]
        if not number.isdigit():
            raise UsageError(f"{NAME}: reset needs the id of a task")
        self._kind = sorted(TYPES)[int(number) % 3]
        return f"A {self._kind} gate and four levers.", self._info(False)

    def step(self, action: str) -> tuple[str, float, bool, bool, dict[str, Any]]:
        """Pull."""
        won = action == TYPES[self._kind]
        info = self._info(won) | {"invalid_action": action not in LEVERS}
        return "The gate opens." if won else "Nothing moves.", float(won), won, False, info

    def _info(self, won: bool) -> dict[str, Any]:
        return {"success": won, "admissible": list(LEVERS)}


class KitPlayer:
    """Does what its prompt says of the task's type, or guesses."""

    name, batching, concurrency, style, trainable = "kit-player", "gather", 16, "compact", False

    def __init__(self, model: str | None = None, config: Any = None) -> None:
        self.calls = 0
        self.stop_after: int | None = None  # calls after which it is interrupted, as by Ctrl-C

    async def generate(self, requests: Sequence[Request]) -> list[Completion]:
        """Answer each request, in order."""
        self.calls += 1
        if self.stop_after is not None and self.calls > self.stop_after:
            raise KeyboardInterrupt
        return [self._answer(request) for request in requests]

    def _answer(self, request: Request) -> Completion:
        rng = random.Random(request.params.seed)
        system = request.messages[0]["content"]
        commands = request.admissible or LEVERS
        told = [lever for lever in commands if lever in system]
        choice = told[0] if told and rng.random() < 0.7 else rng.choice(commands)
        return Completion(f"<action>{choice}</action>", Usage(8, 0, 4, 1), model=self.name)

    def release(self, episode_id: str) -> None:
        """Nothing is kept."""

    def close(self) -> None:
        """Nothing is held."""


class KitTeacher:
    """Makes one skill of each solved type, or what `write` says."""

    name = "kit-teacher"

    def __init__(self, write: Callable[[Episode], Skill] | None = None) -> None:
        self.write = write or self._plain

    @staticmethod
    def _plain(episode: Episode) -> Skill:
        kind = episode.task.task_type
        return Skill(
            title=f"The {kind} gate",
            principle=f"At a {kind} gate: {TYPES[kind]}.",
            kind="task_type",
            task_type=kind,
            source_tasks=(episode.task.id,),
            author="kit-teacher",
        )

    def distill(self, episodes: Sequence[Episode], *, step: int = 0) -> list[Skill]:
        """One skill per task type."""
        found: dict[str, Skill] = {}
        for episode in episodes:
            found.setdefault(episode.task.task_type, self.write(episode))
        return list(found.values())

    def refine(
        self, failures: Sequence[Episode], skills: Sequence[Skill], *, max_new: int, step: int = 0
    ) -> tuple[list[Skill], list[Skill]]:
        """New skills alone."""
        known = {skill.id for skill in skills}
        return [s for s in self.distill(failures) if s.id not in known][:max_new], []


class Nothing:
    """A memory for trials in which there is none."""

    name, version = "none", ""

    def __init__(self, config: Any = None, *, teacher_spend: Any = None) -> None:
        pass

    def context(self, task: Task, history: Any = (), budget: int = 0) -> Context:
        """Show nothing."""
        return Context()

    def observe(self, episode: Episode) -> None:
        """Keep nothing."""

    def update(self, episodes: Any, teacher: Any, *, step: int = 0) -> Any:
        """Keep nothing."""
        from ..records import Update

        return Update()

    def freeze(self) -> None:
        """Nothing can change."""

    def skills(self) -> list[Skill]:
        """None."""
        return []

    def save(self, directory: Any) -> None:
        """Nothing to save."""

    def load(self, directory: Any) -> None:
        """Nothing to load."""


def episode(task: Task, *, won: bool = True, text: str = "") -> Episode:
    """A finished episode of the toy world; `text` stands in for what the model wrote."""
    action = TYPES.get(task.task_type, LEVERS[0]) if won else LEVERS[1]
    step = Step(f"A {task.task_type} gate.", text or f"<action>{action}</action>", text or action)
    return Episode(
        task,
        seed=0,
        outcome="success" if won else "failure",
        success=won,
        steps=(step,),
        score=float(won),
        final_observation=text,
    )


@hookimpl
def skillbench_register_environments(register: Any) -> None:
    """The toy world."""
    register(NAME, f"{__name__}:KitWorld", splits=("train", "test"), default_split="test")


@hookimpl
def skillbench_register_policies(register: Any) -> None:
    """Its player."""
    register("kit-player", f"{__name__}:KitPlayer")


@hookimpl
def skillbench_register_memories(register: Any) -> None:
    """A memory that holds nothing."""
    register("kit-none", f"{__name__}:Nothing")
