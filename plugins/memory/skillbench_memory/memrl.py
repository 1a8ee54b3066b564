"""`memrl`: experiences with a learned value, retrieved in two phases (MemRL).

Arxiv:2601.03192. A triplet is an intent (the task's goal), an experience (a script of a success, or
what a failure taught) and a value Q. For a task

A. the intents whose cosine with the goal exceeds `threshold`, at most `k1`; their experiences are
   the candidates; without any, nothing is shown;
B. score = (1 - mix) * z(similarity) + mix * z(Q); the best `k2` are shown.

z(similarity) uses constants of the intents that were learned from, z(Q) the candidates' mean and
deviation, both clipped to +-3. Each experience that was shown moves towards what came of it:
Q <- Q + alpha * (r - Q), with r = 1 for a success and -1 otherwise, and no look ahead.

`threshold=0` fits it as the paper does, to the top fifth of pairwise similarities (its ALFWorld
value for text-embedding-3-large is 0.62; the released runner reads another key and uses 0.5).
Simplified: the experience is the script alone, without the trajectory that it came from; no fixed
demonstration beside it. The intents lie in LanceDB.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from skillbench.records import Context, Episode, Skill, Task, Update

from .base import EntryMemory
from .index import Index
from .notes import ask, fit_lines
from .store import Store

CLIP = 3.0
UNFITTED = {"threshold": 0.5, "mean": 0.0, "std": 1.0}  # until there are two intents to compare


@dataclass(frozen=True)
class Settings:
    """The `memory` table."""

    alpha: float = 0.3  # step of the value towards what came of an experience
    mix: float = 0.5  # weight of the value in phase B; 0 is retrieval by similarity alone
    q0: float = 0.0  # value of a new entry
    threshold: float = 0.0  # least similarity in phase A; 0: fitted
    k1: int = 5  # nearest intents that are looked at
    k2: int = 3  # experiences that are shown
    same: float = 0.9  # at or above this cosine a task belongs to an intent that is there already
    embedding_model: str = "words"
    directory: str = ""  # where the LanceDB table lies; "" = a temporary directory


def z(value: float, mean: float, std: float) -> float:
    """Standard score, clipped; 0 where nothing varies."""
    return max(-CLIP, min(CLIP, (value - mean) / std)) if std > 1e-9 else 0.0


def fit_constants(similarities: Sequence[float]) -> dict[str, float]:
    """Mean, deviation and upper fifth of pairwise similarities between intents."""
    if not similarities:
        return dict(UNFITTED)
    n = len(similarities)
    mean = sum(similarities) / n
    std = math.sqrt(sum((x - mean) ** 2 for x in similarities) / n)
    ranked = sorted(similarities)
    return {"threshold": ranked[min(n - 1, math.ceil(0.8 * n) - 1)], "mean": mean, "std": std}


def two_phase(
    similarity: Mapping[str, float],
    attached: Mapping[str, Sequence[str]],
    q: Mapping[str, float],
    *,
    constants: Mapping[str, float],
    k1: int,
    k2: int,
    mix: float,
) -> list[str]:
    """Ids of the experiences to show, best first. `similarity` is by intent, `q` by experience."""
    close = [i for i, s in similarity.items() if s > constants["threshold"]]
    close = sorted(close, key=lambda i: (-similarity[i], i))[:k1]
    best: dict[str, float] = {}
    for intent in close:
        for key in attached[intent]:
            best[key] = max(best.get(key, -1.0), similarity[intent])
    if not best:
        return []
    values = [q[key] for key in best]
    mean = sum(values) / len(values)
    std = math.sqrt(sum((v - mean) ** 2 for v in values) / len(values))

    def score(key: str) -> float:
        near = z(best[key], constants["mean"], constants["std"])
        return (1 - mix) * near + mix * z(q[key], mean, std)

    return sorted(best, key=lambda key: (-round(score(key), 6), key))[:k2]


class MemRL(EntryMemory):
    """See the module's docstring. `numbers[id]` holds `q` and how often it was `used`."""

    name = "memrl"
    Settings = Settings

    def __init__(self, config: Any = None, **kw: Any) -> None:
        super().__init__(config, **kw)
        self.intents: dict[str, list[str]] = {}  # goal -> ids of its experiences
        self.constants: dict[str, float] = dict(UNFITTED)
        self.index = Index(self.settings.embedding_model, self.book)
        self.store = Store(self.settings.directory)
        self._stored = True

    def context(self, task: Task, history: Sequence[Any] = (), budget: int = 0) -> Context:
        """The experiences that both phases leave, within the budget."""
        if not self.intents or budget <= 0:
            return Context()
        similarity, usage = self.similar(task.goal)
        q = {key: float(self.numbers[key]["q"]) for key in self.entries}
        keys = two_phase(
            similarity,
            self.intents,
            q,
            constants=self.constants,
            k1=self.settings.k1,
            k2=self.settings.k2,
            mix=self.settings.mix,
        )
        text, shown, cut = fit_lines((self.entries[k] for k in keys), budget)
        return Context(text, tuple(s.id for s in shown), usage, cut)

    def similar(self, goal: str) -> tuple[dict[str, float], Any]:
        """Cosine of a goal with each intent, by LanceDB, and what embedding the goal cost."""
        self._sync()
        vectors, usage = self.index.embedder.encode([goal])
        if not vectors.any():
            return {}, usage
        by_id = self.store.search_vector(vectors[0], len(self.intents))
        ids = {_row(goal).id: goal for goal in self.intents}
        return {ids[i]: round(s, 6) for i, s in by_id.items()}, usage

    def observe(self, episode: Episode) -> None:
        """Move the values of what the episode was shown."""
        self.check((episode,))
        if episode.outcome == "invalid":
            return
        reward = 1.0 if episode.success else -1.0
        for key in episode.skill_ids:
            if key in self.entries:
                row = self.numbers[key]
                row["q"] += self.settings.alpha * (reward - row["q"])
                row["used"] += 1

    def update(
        self,
        episodes: Sequence[Episode],
        teacher: Any,
        *,
        step: int = 0,
        max_new: int | None = None,
    ) -> Update:
        """Write an experience of each episode, success or failure, under its intent."""
        added = []
        for e in self.usable(episodes):
            how = "procedure" if e.success else "reflection"
            for skill in ask(teacher, how, [e], limit=1, step=step):
                fields: dict[str, Any] = {
                    "title": f"{'Solved' if e.success else 'Failed'}: {e.task.goal}",
                    "kind": "task_type" if e.success else "mistake",
                    "task_type": e.task.task_type,
                    "source_tasks": (e.task.id,),
                }
                before = len(self.entries)
                key = self.put(
                    dataclasses.replace(skill, **fields), step, q=self.settings.q0, used=0
                )
                self._attach(e.task.goal, key)
                added += [key] if len(self.entries) > before else []
        self._fit()
        self._stored = False
        return Update(added=tuple(added))

    def _attach(self, goal: str, key: str) -> None:
        goals = list(self.intents)
        scores, _ = self.index.scores(goal, goals)
        at = max(range(len(goals)), key=lambda i: scores[i], default=None)
        name = goals[at] if at is not None and scores[at] >= self.settings.same else goal
        attached = self.intents.setdefault(name, [])
        if key not in attached:
            attached.append(key)

    def _fit(self) -> None:
        goals = list(self.intents)
        pairs: list[float] = []
        if len(goals) > 1:
            vectors = self.index.vectors(goals)
            table = vectors @ vectors.T
            pairs = [float(table[i, j]) for i in range(len(goals)) for j in range(i)]
        self.constants = {k: round(v, 6) for k, v in fit_constants(pairs).items()}
        if self.settings.threshold:
            self.constants["threshold"] = self.settings.threshold

    def _sync(self) -> None:
        if self._stored:
            return
        rows = [_row(goal) for goal in self.intents]
        vectors = self.index.vectors(list(self.intents))
        self.store.sync(rows, {row.id: v for row, v in zip(rows, vectors)})
        self._stored = True

    def extra(self) -> dict[str, Any]:
        """Intents and fitted constants."""
        return {"intents": self.intents, "constants": self.constants}

    def restore(self, extra: Any) -> None:
        """Take them back."""
        self.intents = {goal: list(keys) for goal, keys in extra.get("intents", {}).items()}
        self.constants = dict(extra.get("constants", UNFITTED))
        self._stored = False

    def close(self) -> None:
        """Remove the table if it lies in a temporary directory."""
        self.store.close()


def _row(goal: str) -> Skill:
    """How an intent lies in the store."""
    return Skill(title="intent", principle=goal)
