"""What an environment may tell the offline teacher: how actions read, and what episodes show.

`Environment.causal()` returns a `Vocabulary`, usually a module with these functions. The teacher is
generic: it chains backwards over `parse`d actions, counts `evidence` over episodes, and asks
`phrase` to put a finding into words. Which finding helps is decided by the episodes, never here.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from .records import Episode


@dataclass(frozen=True, slots=True)
class Event:
    """A parsed action: what is done, to which things or with which words."""

    verb: str
    entities: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Fact:
    """One thing an episode shows: `key` was done well (`good`) or not; `slots` fill its phrase."""

    key: str
    good: bool
    slots: tuple[tuple[str, str], ...] = ()


class Vocabulary(Protocol):
    """The functions of a vocabulary.

    A vocabulary may also have `RANKED`, {key: slots}: of sightings that compete (the places of a
    mug), the best, the second best, ... fill these slots of one phrase.
    """

    def parse(self, action: str) -> Event | None:
        """Read an action; None for one without effect."""
        ...

    def kind(self, entity: str) -> str:
        """Return the entity without its instance ("mug 2" -> "mug")."""
        ...

    def evidence(self, episode: Episode) -> Iterable[Fact]:
        """Facts of one episode, read off what the player saw and did."""
        ...

    def phrase(
        self, key: str, slots: dict[str, str], *, good: bool = True
    ) -> Mapping[str, Any] | None:
        """Put a finding into words: fields of a skill, or None where there are no words for it."""
        ...
