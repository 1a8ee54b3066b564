"""`items`: lessons from successes and failures, those of the most similar past task are shown.

ReasoningBank (Ouyang et al. 2025, arXiv:2509.25140): each finished task yields up to three items,
by one prompt for successes and another for failures; they are appended, never changed; the items of
the single most similar past task are retrieved. Simplified: the environment says whether the task
was solved (the paper asks a language model); no parallel scaling (MaTTS).
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from skillbench.records import Context, Episode, Skill, Task, Update

from .base import EntryMemory
from .index import Index
from .notes import ask, fit_lines


@dataclass(frozen=True)
class Settings:
    """The `memory` table."""

    k: int = 1  # past tasks whose items are shown
    per_episode: int = 3  # items of one episode
    embedding_model: str = "words"


class Items(EntryMemory):
    """See the module's docstring."""

    name = "items"
    Settings = Settings

    def __init__(self, config: Any = None, **kw: Any) -> None:
        super().__init__(config, **kw)
        self.past: list[dict[str, Any]] = []  # {task, goal, items: ids}, in the order of learning
        self.index = Index(self.settings.embedding_model, self.book)

    def context(self, task: Task, history: Sequence[Any] = (), budget: int = 0) -> Context:
        """The items of the most similar past tasks; never those of this very task."""
        rows = [row for row in self.past if row["task"] != task.id]
        if not rows or not self.settings.k:
            return Context()
        scores, usage = self.index.scores(task.goal, [row["goal"] for row in rows])
        # Of equally similar tasks the latest comes first: it was learned by the better policy.
        order = sorted(range(len(rows)), key=lambda i: (-round(scores[i], 4), -i))
        found: dict[str, Skill] = {}
        for i in order[: self.settings.k]:
            found.update((key, self.entries[key]) for key in rows[i]["items"])
        text, shown, cut = fit_lines(found.values(), budget)
        return Context(text, tuple(s.id for s in shown), usage, cut)

    def update(
        self,
        episodes: Sequence[Episode],
        teacher: Any,
        *,
        step: int = 0,
        max_new: int | None = None,
    ) -> Update:
        """Append the items of each episode."""
        added = []
        for e in self.usable(episodes):
            keys = []
            for skill in ask(teacher, "items", [e], limit=self.settings.per_episode, step=step):
                before = len(self.entries)
                skill = dataclasses.replace(skill, source_tasks=(e.task.id,))
                keys.append(self.put(skill, step))
                added += keys[-1:] if len(self.entries) > before else []
            if keys:
                self.past.append({"task": e.task.id, "goal": e.task.goal, "items": keys})
        return Update(added=tuple(added))

    def extra(self) -> dict[str, Any]:
        """Which items belong to which task."""
        return {"past": self.past}

    def restore(self, extra: Any) -> None:
        """Take it back."""
        self.past = [dict(row) for row in extra.get("past", ())]
