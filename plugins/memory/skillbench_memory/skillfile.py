"""`skillfile`: one pass over logged train episodes gives one file of advice, shown to every task.

The cheapest baseline: "Reason Wide" (arXiv:2608.07885) lets a coding agent read some 50 logged
episodes once and write 40 to 130 lines, which stay in the system prompt. Here the teacher writes
the file, from what the first update is given; later updates change nothing. All of it is shown, in
its order, as far as the token budget reaches (`agent.budget`; the paper's files take up to 2,000).
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any

from skillbench.records import Context, Episode, Task, Update

from .base import EntryMemory
from .notes import ask, fit_lines


class SkillFile(EntryMemory):
    """See the module's docstring."""

    name = "skillfile"

    def context(self, task: Task, history: Sequence[Any] = (), budget: int = 0) -> Context:
        """The file's lines, from the top."""
        text, shown, cut = fit_lines(self.entries.values(), budget)
        return Context(text, tuple(s.id for s in shown), truncated=cut)

    def update(
        self,
        episodes: Sequence[Episode],
        teacher: Any,
        *,
        step: int = 0,
        max_new: int | None = None,
    ) -> Update:
        """Write the file, if there is none yet."""
        usable = self.usable(episodes)
        if self.entries:
            return Update()
        sources = tuple(sorted({e.task.id for e in usable}))
        added = []
        for skill in ask(teacher, "file", usable, limit=1, step=step):
            skill = dataclasses.replace(skill, source_tasks=skill.source_tasks or sources)
            added.append(self.put(skill, step))
        return Update(added=tuple(added))
