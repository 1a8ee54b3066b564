"""`reflections`: what went wrong in earlier attempts at the *same* task (Reflexion).

Shinn et al. 2023 (arXiv:2303.11366): after a failed attempt the model writes what to do otherwise;
the last three reflections are shown at the next attempt; nothing carries over to another task. So
on a panel that is played once it shows nothing, by construction; its own measure is "solved within
k attempts" with feedback between them, which `score.attempts` reports apart from the scores.

`reflect(episodes, teacher)` writes them: as entries for train tasks, and otherwise into a draft
that is never saved. The harness asks for the latter on a copy of the memory that it throws away.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from skillbench.records import Context, Episode, Skill, Task, Update

from .base import EntryMemory
from .notes import ask, fit_lines


@dataclass(frozen=True)
class Settings:
    """The `memory` table."""

    window: int = 3  # reflections shown: the last ones


class Reflections(EntryMemory):
    """See the module's docstring."""

    name = "reflections"
    Settings = Settings

    def __init__(self, config: Any = None, **kw: Any) -> None:
        super().__init__(config, **kw)
        self.draft: dict[str, list[Skill]] = {}

    def context(self, task: Task, history: Sequence[Any] = (), budget: int = 0) -> Context:
        """The last reflections on this very task, the newest first."""
        mine = self.of(task)[-self.settings.window :] if self.settings.window else []
        text, shown, cut = fit_lines(reversed(mine), budget)
        return Context(text, tuple(s.id for s in shown), truncated=cut)

    def of(self, task: Task) -> list[Skill]:
        """All reflections on a task, oldest first."""
        if task.split != "train":
            return list(self.draft.get(task.id, ()))
        return [s for s in self.entries.values() if s.source_tasks == (task.id,)]

    def reflect(self, episodes: Sequence[Episode], teacher: Any, *, step: int = 0) -> None:
        """Write a reflection on each failed episode, for further attempts at its task."""
        for e in episodes:
            if e.success or e.outcome == "invalid":
                continue
            past = self.of(e.task)
            for skill in ask(teacher, "reflection", [e], past, limit=1, step=step):
                fields: dict[str, Any] = {
                    "title": f"Attempt {len(past) + 1}: {e.task.goal}",
                    "kind": "mistake",
                    "task_type": e.task.task_type,
                    "source_tasks": (e.task.id,),
                    "source_split": e.task.split,
                    "step": step,
                }
                skill = dataclasses.replace(skill, **fields)
                if e.task.split == "train":
                    self.check((e,))
                    self.put(skill, step)
                else:
                    self.draft.setdefault(e.task.id, []).append(skill)

    def update(
        self,
        episodes: Sequence[Episode],
        teacher: Any,
        *,
        step: int = 0,
        max_new: int | None = None,
    ) -> Update:
        """Check the episodes. Reflections are written between attempts, by `reflect`."""
        self.check(episodes)
        return Update()
