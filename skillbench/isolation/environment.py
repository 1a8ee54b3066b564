"""The parent's side of an isolated environment: an Environment whose every answer is the child's.

An instance takes its place in a child at the first call. If that child dies by the fault of
another instance (children host many), the instance is brought back in a new one: the same task,
seed and actions give the same texts, and if they do not, that is a fault of its own.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping
from typing import Any

from ..config import ISOLATION
from ..environment import Environment
from ..errors import EnvironmentFault, PluginError, UsageError
from ..lazy import load_target
from ..records import Task
from .process import START_S, Child, Gone, Pool, pool


def split(table: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """(the environment's own settings, those of the isolation)"""
    own = {k: v for k, v in table.items() if k not in ISOLATION}
    return own, {k: table.get(k, v) for k, v in ISOLATION.items()}


class IsolatedEnvironment(Environment):
    """One instance, in a slot of a child. Steps block, so the loop takes them in a thread."""

    blocking = True

    def __init__(self, target: str, table: Mapping[str, Any], settings: Mapping[str, Any]) -> None:
        if settings["call_timeout"] <= 0 or settings["workers"] < 1:
            raise UsageError("env.call_timeout and env.workers are greater than 0")
        self.target, self.limit = target, float(settings["call_timeout"])
        self.module = target.partition(":")[0]  # beside which its panels lie
        self._pool: Pool = pool(
            target,
            table,
            settings["interpreter"],
            int(settings["workers"]),
            int(settings["restart_after"]),
        )
        self._child: Child | None = None
        self._slot = -1
        self._scored = ""
        self._seen: list[str] = []  # texts of the live episode, to check a replay
        self._begun: dict[str, Any] | None = None
        self._actions: list[str] = []
        self._facts: dict[str, Any] = {}

    # ------------------------------------------------------------------ where it lives

    def _enter(self) -> Child:
        """The child that hosts this instance; a new one, with the episode replayed, if it died."""
        if self._child is not None and self._child.alive:
            return self._child
        returning = self._child is not None
        self._leave()
        child, self._slot = self._pool.place()
        self._child = child
        self._facts = child.ask("make", START_S, slot=self._slot, scored=self._scored)
        if returning and self._begun is not None:
            self._replay(child)
        return child

    def _replay(self, child: Child) -> None:
        text, _, _ = child.ask("reset", self.limit, slot=self._slot, **self._begun or {})
        texts = [text]
        for action in self._actions:
            texts.append(child.ask("step", self.limit, slot=self._slot, action=action)[0])
        if texts != self._seen:
            raise EnvironmentFault(
                f"{self.target}: its process died, and the same task, seed and actions gave other "
                "texts in a new one; `skillbench check` says more"
            )

    def _leave(self) -> None:
        child, self._child = self._child, None
        if child is not None:
            self._pool.leave(child, self._slot)

    def _ask(self, op: str, **given: Any) -> Any:
        while True:
            child = self._enter()
            with child.lock:
                if child.alive:
                    try:
                        return child._ask(op, self.limit, {"slot": self._slot, **given})
                    except Gone:
                        self._begun = None  # this very call did it: nothing to bring back
                        raise
            # Else the child fell to a neighbour's fault while this call waited for its turn.

    def _fact(self, key: str) -> Any:
        if not self._facts:
            self._enter()
        return self._facts[key]

    # ------------------------------------------------------------------ the contract

    @property
    def name(self) -> str:  # type: ignore[override]
        """The environment's name."""
        return str(self._fact("name"))

    @property
    def label(self) -> str:  # type: ignore[override]
        """How results are labelled."""
        return str(self._fact("label"))

    @property
    def max_steps(self) -> int:  # type: ignore[override]
        """Turns of an episode."""
        return int(self._fact("max_steps"))

    @property
    def instructions(self) -> str:  # type: ignore[override]
        """What an instruct model is told."""
        return str(self._fact("instructions"))

    def __getattr__(self, name: str) -> Any:
        # Present only where the environment has it: the agent asks with hasattr.
        if name == "compact" and self._fact("compact"):
            return lambda text: self._ask("compact", text=text)
        raise AttributeError(name)

    def scored_split(self, split: str) -> None:
        """Tell which split is scored."""
        self._scored = split

    def tasks(self, split: str) -> list[Task]:
        """All tasks of a split."""
        return [Task(**row) for row in self._ask("tasks", split=split)]

    def fingerprint(self, split: str) -> str:
        """A digest over the tasks of a split."""
        return str(self._ask("fingerprint", split=split))

    def expert(self, task: Task) -> Iterator[str] | None:
        """A plan from full knowledge, or None."""
        plan = self._ask("expert", task={**dataclasses.asdict(task), "meta": dict(task.meta)})
        return None if plan is None else iter(plan)

    def causal(self) -> Any:
        """The vocabulary for the offline teacher, if the environment can be imported here, too."""
        try:
            return load_target(self.target).causal(None)
        except (PluginError, AttributeError, TypeError):
            return None

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[str, dict[str, Any]]:
        """Start a task."""
        if self._child is not None and not self._child.alive:
            self._leave()
        begun = {"seed": seed, "options": dict(options or {})}
        self._begun = None  # until it has begun, there is nothing to bring back
        text, info, self._facts = self._ask("reset", **begun)
        assert self._child is not None
        self._child.episodes += 1
        self._begun, self._actions, self._seen = begun, [], [text]
        return text, info

    def step(self, action: str) -> tuple[str, float, bool, bool, dict[str, Any]]:
        """Send one command."""
        text, reward, terminated, truncated, info = self._ask("step", action=action)
        self._actions.append(action)
        self._seen.append(text)
        return text, reward, terminated, truncated, info

    def close(self) -> None:
        """Give the slot back; the child is told with its next request."""
        self._leave()
