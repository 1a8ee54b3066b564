"""The entries of a bank and how they come and go: add, refine in place, evict, drop, rank.

Pure bookkeeping, without files, models or teachers. Entries keep the order in which they joined; a
refined one takes its parent's place. Every coming and going is noted in `events`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from skillbench.records import Skill

from .dedup import duplicate_of
from .formats import bank_version
from .utility import Tally


class Entries:
    """Skills by id with their tallies; `ranked` is the order in which they are worth showing."""

    def __init__(self) -> None:
        self.skills: dict[str, Skill] = {}
        self.tallies: dict[str, Tally] = {}
        self.events: list[dict[str, Any]] = []
        self.ranked: list[Skill] = []

    @property
    def version(self) -> str:
        """Digest of the ids present."""
        return bank_version(self.skills)

    def reset(
        self,
        skills: Iterable[Skill] = (),
        tallies: Mapping[str, Tally] | None = None,
        events: Iterable[Mapping[str, Any]] = (),
    ) -> None:
        """Replace everything. The ranking follows the utilities that the tallies hold."""
        self.skills = {s.id: s for s in skills}
        self.tallies = {key: (tallies or {}).get(key) or Tally() for key in self.skills}
        self.events = [dict(e) for e in events]
        self.rank()

    def rank(self, *, measure: bool = False) -> None:
        """Order by utility, then age. `measure` first takes over what was counted since."""
        if measure:
            for tally in self.tallies.values():
                tally.utility = round(tally.effect().utility, 4)
        age = {key: i for i, key in enumerate(self.skills)}
        self.ranked = sorted(
            self.skills.values(), key=lambda s: (-self.tallies[s.id].utility, age[s.id])
        )

    def add(
        self,
        new: Iterable[Skill],
        *,
        step: int,
        threshold: float,
        vectors: Mapping[str, Any] | None = None,
        event: str = "added",
    ) -> list[str]:
        """Add skills that are not there yet, word for word or nearly; return their ids."""
        added = []
        for skill in new:
            if skill.id in self.skills:
                continue
            same = duplicate_of(skill, self.skills.values(), threshold, vectors)
            if same is not None:
                self.note(step, "duplicate", skill, of=same.id)
                continue
            self.skills[skill.id] = skill
            self.tallies[skill.id] = Tally()
            self.note(step, event, skill)
            added.append(skill.id)
        return added

    def refine(
        self,
        refined: Iterable[Skill],
        *,
        step: int,
        threshold: float,
        vectors: Mapping[str, Any] | None = None,
    ) -> tuple[list[str], list[str]]:
        """Put refined skills in their parents' places; return (ids changed, parents removed).

        What was counted for the parent is dropped: it was about another text. A refined skill whose
        parent is not here is added at the end.
        """
        changed: list[str] = []
        removed: list[str] = []
        for skill in refined:
            parent = skill.parent or ""
            if skill.id in self.skills:
                continue
            others = [s for s in self.skills.values() if s.id != parent]
            same = duplicate_of(skill, others, threshold, vectors)
            if same is not None:
                self.note(step, "duplicate", skill, of=same.id)
                continue
            if parent in self.skills:
                items = self.skills.items()
                self.skills = dict((skill.id, skill) if k == parent else (k, s) for k, s in items)
                del self.tallies[parent]
                removed.append(parent)
            else:
                self.skills[skill.id] = skill
            self.tallies[skill.id] = Tally()
            self.note(step, "refined", skill, parent=parent)
            changed.append(skill.id)
        return changed, removed

    def evict(self, limit: int, *, step: int, fresh: Sequence[str] = ()) -> list[str]:
        """Keep at most `limit` entries (0: all); return who went.

        The least useful go first, then the least shown, then the youngest; `fresh` ones last.
        """
        excess = len(self.skills) - limit
        if not limit or excess <= 0:
            return []
        age = {key: i for i, key in enumerate(self.skills)}
        kept_longest = set(fresh)

        def worth(key: str) -> tuple:
            tally = self.tallies[key]
            return (key in kept_longest, tally.effect().utility, tally.shown, -age[key])

        gone = sorted(self.skills, key=worth)[:excess]
        for key in gone:
            self.drop(key, step=step, event="evicted")
        return gone

    def drop(self, key: str, *, step: int, event: str, **more: Any) -> None:
        """Remove an entry and note why."""
        self.note(step, event, self.skills.pop(key), **more)
        del self.tallies[key]

    def note(self, step: int, event: str, skill: Skill, **more: Any) -> None:
        """Append to the history of the bank."""
        self.events.append(
            {"step": step, "event": event, "skill": skill.id, "title": skill.title, **more}
        )
