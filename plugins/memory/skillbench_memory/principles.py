"""`principles`: one lesson of each episode, scored by what came of using it (EvolveR).

Wu et al. 2025 (arXiv:2510.16079). A principle is guiding (from a success) or cautionary (from a
failure). One that says what another says already (cosine at or above `merge`) is merged into it:
used and successful count up with the episode's outcome. Each episode that was shown a principle
counts as a use. Its score is (s + 1) / (u + 2); below `prune_below` it is dropped. The `k` nearest
to the goal are shown, equal ones by score.

Simplified: whoever is the teacher writes them (the paper: the policy itself; `--teacher
openai:MODEL` with the policy's own model is that); gold answers are never shown to it; sameness is
cosine alone, without the second opinion of a language model; they are shown from the start and not
searched for by an action.
"""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from skillbench.records import Context, Episode, Skill, Task, Update

from .base import EntryMemory
from .dedup import comparable
from .index import Index
from .notes import ask, fit_lines
from .retrieval import applies


@dataclass(frozen=True)
class Settings:
    """The `memory` table."""

    k: int = 3  # nearest principles that are shown
    share: float = 0.25  # of the episodes that are summarised
    merge: float = 0.85  # at or above this cosine two principles are one
    prune_below: float = 0.3  # a score below it drops the principle
    clean_every: int = 1  # learning steps between prunings; the paper: 10
    embedding_model: str = "words"


class Principles(EntryMemory):
    """See the module's docstring. `numbers[id]` holds `u` (uses) and `s` (successful ones)."""

    name = "principles"
    Settings = Settings
    learns_from = "episodes"  # successes, too; most memories learn from failures later on

    def __init__(self, config: Any = None, **kw: Any) -> None:
        super().__init__(config, **kw)
        self.index = Index(self.settings.embedding_model, self.book)

    def score(self, key: str) -> float:
        """(s + 1) / (u + 2)."""
        row = self.numbers[key]
        return (row["s"] + 1) / (row["u"] + 2)

    def context(self, task: Task, history: Sequence[Any] = (), budget: int = 0) -> Context:
        """The nearest principles that apply to the task."""
        fitting = [s for s in self.entries.values() if applies(s, task)]
        if not fitting or budget <= 0:
            return Context()
        near, usage = self.index.scores(task.goal, [s.principle for s in fitting])
        order = sorted(
            range(len(fitting)),
            key=lambda i: (-round(near[i], 2), -self.score(fitting[i].id), i),
        )
        text, shown, cut = fit_lines((fitting[i] for i in order[: self.settings.k]), budget)
        return Context(text, tuple(s.id for s in shown), usage, cut)

    def observe(self, episode: Episode) -> None:
        """Count a use of each principle that was shown."""
        self.check((episode,))
        if episode.outcome != "invalid":
            for key in episode.skill_ids:
                if key in self.entries:
                    self._count(key, episode.success)

    def update(
        self,
        episodes: Sequence[Episode],
        teacher: Any,
        *,
        step: int = 0,
        max_new: int | None = None,
    ) -> Update:
        """Summarise a share of the episodes; insert what is new, merge what is not."""
        added: list[str] = []
        for e in self.usable(episodes):
            if not sampled(e, step, self.settings.share):
                continue
            for skill in ask(teacher, "principle", [e], limit=1, step=step):
                skill = dataclasses.replace(skill, source_tasks=(e.task.id,))
                same = self.same(skill)
                if same is not None:
                    old = self.entries[same]
                    self.put(dataclasses.replace(old, source_tasks=(e.task.id,)), step)
                    self._count(same, e.success)
                else:
                    added.append(self.put(skill, step, u=0, s=0))
        return Update(added=tuple(added))

    def same(self, skill: Skill) -> str | None:
        """The id of the principle that says the same, if there is one."""
        if skill.id in self.entries:
            return skill.id
        others = [s for s in self.entries.values() if comparable(s, skill)]
        scores, _ = self.index.scores(skill.principle, [s.principle for s in others])
        at = max(range(len(others)), key=lambda i: scores[i], default=None)
        return others[at].id if at is not None and scores[at] >= self.settings.merge else None

    def prune(self, *, step: int = 0) -> Update:
        """Drop principles with a low score."""
        self.check()
        if self.settings.clean_every and step % self.settings.clean_every:
            return Update()
        low = [k for k in self.entries if self.score(k) < self.settings.prune_below]
        for key in low:
            self.drop(key, step, "pruned", score=round(self.score(key), 4))
        return Update(removed=tuple(low))

    def _count(self, key: str, success: bool) -> None:
        self.numbers[key]["u"] += 1
        self.numbers[key]["s"] += int(success)


def sampled(episode: Episode, step: int, share: float) -> bool:
    """Whether an episode is one of those that are summarised; a hash decides."""
    text = f"{episode.task.id}\x1f{episode.seed}\x1f{step}".encode()
    return int.from_bytes(hashlib.sha256(text).digest()[:8], "big") < share * 2**64
