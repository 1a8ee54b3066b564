"""`rules`: a list of rules with votes, and the most similar solved train episodes (ExpeL).

Zhao et al. 2023 (arXiv:2308.10144). Insights come from a success and a failure of the same task,
and from groups of `chunk` successes of different tasks; the teacher answers with operations on the
numbered list, which are applied in the order remove, agree, edit, add:

    add     a new rule, with 2 votes
    agree   +1
    edit    the rule is reworded, +1
    remove  -1, or -3 where the list is full (`limit`)

A list of `limit` + 5 takes no new rule, and the `limit` with most votes are shown.
A rule without votes is dropped. At test the rules are shown, then demonstrations (`demos`) with
what the token budget leaves. In the gathering phase failed tasks are tried again with reflections
(`trainer.practice.attempts`). Simplified: both kinds of insight in one question each, no
oversampling of demonstrations, the shortest solution of each task.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from skillbench.records import Context, Episode, Skill, Task, Update

from .base import EntryMemory
from .budget import estimate_tokens
from .notes import ask, fit_lines
from .reflections import Reflections
from .trajectories import Trajectories, render

ORDER = ("remove", "agree", "edit", "add")
NEW, FULL_PENALTY, SOFT = 2, 3, 5


@dataclass(frozen=True)
class Settings:
    """The `memory` table."""

    limit: int = 20  # rules; a list this long makes `remove` cost three votes
    chunk: int = 8  # successes of different tasks that are compared at once
    demos: int = 2  # retrieved successes
    embedding_model: str = "words"


class Rules(EntryMemory):
    """See the module's docstring. `numbers[id]["votes"]` are the votes."""

    name = "rules"
    Settings = Settings

    def __init__(self, config: Any = None, **kw: Any) -> None:
        super().__init__(config, **kw)
        table = {"k": self.settings.demos, "embedding_model": self.settings.embedding_model}
        self.pool = Trajectories(table)
        self.attempts = Reflections()

    def context(self, task: Task, history: Sequence[Any] = (), budget: int = 0) -> Context:
        """Rules by votes, then demonstrations; while gathering, reflections on the same task."""
        ranked = sorted(self.entries.values(), key=lambda s: -self.votes(s.id))
        ranked = ranked[: self.settings.limit]
        past = self.attempts.of(task)[-3:]
        text, shown, cut = fit_lines([*reversed(past), *ranked], budget)
        parts, ids = [text] if text else [], [s.id for s in shown]
        used = estimate_tokens(len(text.split()))
        found, usage = self.pool.nearest(task)
        demos, more = render(found[: self.settings.demos], budget - used - 1)
        parts += [text for _, text in demos]
        ids += [skill.id for skill, _ in demos]
        return Context("\n\n".join(parts), tuple(ids), usage, cut or more)

    def votes(self, key: str) -> int:
        """The votes of a rule."""
        return int(self.numbers[key]["votes"])

    def reflect(self, episodes: Sequence[Episode], teacher: Any, *, step: int = 0) -> None:
        """Write reflections for further attempts at the same tasks (see reflections.py)."""
        self.check([e for e in episodes if e.task.split == "train"])
        self.attempts.reflect(episodes, teacher, step=step)

    def update(
        self,
        episodes: Sequence[Episode],
        teacher: Any,
        *,
        step: int = 0,
        max_new: int | None = None,
    ) -> Update:
        """Compare pairs and groups, and change the rules; solved episodes join the pool."""
        usable = self.usable(episodes)
        before = set(self.entries)
        solved = [e for e in usable if e.success]
        self.pool.update(solved, None, step=step)
        first: dict[str, Episode] = {}
        for e in solved:
            first.setdefault(e.task.id, e)
        for lost in (e for e in usable if not e.success):
            if lost.task.id in first:
                self._ask([first[lost.task.id], lost], teacher, step)
        groups = list(first.values())
        for start in range(0, len(groups), max(1, self.settings.chunk)):
            self._ask(groups[start : start + self.settings.chunk], teacher, step)
        self.attempts = Reflections()
        after = set(self.entries)
        return Update(
            added=tuple(k for k in self.entries if k not in before),
            removed=tuple(sorted(before - after)),
        )

    def _ask(self, episodes: Sequence[Episode], teacher: Any, step: int) -> None:
        found = ask(teacher, "rules", episodes, list(self.entries.values()), step=step)
        sources = tuple(sorted({e.task.id for e in episodes}))
        known = [dataclasses.replace(s, source_tasks=s.source_tasks or sources) for s in found]
        self.apply(known, step)

    def apply(self, operations: Sequence[Skill], step: int = 0) -> None:
        """Apply operations to the list; `meta["op"]` says which, `parent` names the old rule."""
        cost = FULL_PENALTY if len(self.entries) >= self.settings.limit else 1
        for op in ORDER:
            for skill in (s for s in operations if s.meta.get("op") == op):
                key = skill.parent if skill.parent in self.entries else skill.id
                old = self.entries.get(key)
                if op == "remove" and old is not None:
                    self._vote(key, -cost, step)
                elif op in ("agree", "add") and old is not None:
                    self.put(dataclasses.replace(old, source_tasks=skill.source_tasks), step)
                    self._vote(key, 1, step)
                elif op == "edit" and old is not None and skill.id not in self.entries:
                    self._edit(key, skill, step)
                elif op == "add" and len(self.entries) < self.settings.limit + SOFT:
                    fresh = dataclasses.replace(skill, meta={}, parent=None)
                    self.put(fresh, step, votes=NEW)

    def _vote(self, key: str, change: int, step: int) -> None:
        self.numbers[key]["votes"] += change
        if self.votes(key) <= 0:
            self.drop(key, step, "voted out")

    def _edit(self, key: str, skill: Skill, step: int) -> None:
        old, votes = self.entries[key], self.votes(key) + 1
        sources = tuple(sorted({*old.source_tasks, *skill.source_tasks}))
        fresh = dataclasses.replace(skill, parent=key, source_tasks=sources, meta={}, step=step)
        items = self.entries.items()
        self.entries = dict((fresh.id, fresh) if k == key else (k, s) for k, s in items)
        del self.numbers[key]
        self.numbers[fresh.id] = {"votes": votes}
        self.note(step, "edited", fresh, parent=key)

    def skills(self) -> list[Skill]:
        """The rules, then the solved episodes: everything that was learned from something."""
        return [*self.entries.values(), *self.pool.skills()]

    def changed(self) -> None:
        """After loading: rules have votes, the others are the pool's."""
        pool = {k: s for k, s in self.entries.items() if "votes" not in self.numbers.get(k, {})}
        self.entries = {k: s for k, s in self.entries.items() if k not in pool}
        self.pool.entries = pool
