"""What the small memories share: entries by id, a few numbers about each, text files, and settings.

An entry is a `Skill` with its source tasks; `numbers[id]` holds what the memory counts about it (a
learned value, votes, uses), JSON-ready. What `context` shows changes in `update`, `load` and
between rollouts only, never while episodes run.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar

from skillbench.errors import ConfigError, LeakError, suggest
from skillbench.records import Context, Episode, Skill, Task, Update

from .formats import bank_version, read_snapshot, write_snapshot
from .guard import WriteGuard


@dataclasses.dataclass(frozen=True)
class NoSettings:
    """Settings of a memory that has none."""


def read_settings(kind: Any, config: Mapping[str, Any], memory: str) -> Any:
    """Make a settings dataclass of a `memory` table. Raises ConfigError on a bad key or value."""
    known = {f.name: f for f in dataclasses.fields(kind)}
    values: dict[str, Any] = {}
    for key, value in config.items():
        if key == "name":
            continue
        if key not in known:
            raise ConfigError(
                f"memory {memory!r} has no key {key!r}{suggest(key, known)} "
                f"known: {', '.join(known) or 'none'}"
            )
        wanted: type = type(known[key].default)
        if wanted is float and type(value) is int:
            value = float(value)
        if type(value) is not wanted:
            raise ConfigError(f"memory.{key} is {value!r}; it takes {wanted.__name__}")
        if isinstance(value, int) and value < 0:
            raise ConfigError(f"memory.{key} is {value}; it cannot be negative")
        values[key] = value
    return kind(**values)


def numbers_of(kind: Any) -> dict[str, Any]:
    """The defaults of a settings dataclass, for registration."""
    return dataclasses.asdict(kind())


class EntryMemory(WriteGuard):
    """Base class; a memory overrides `context`, `update` and, where it counts, `observe`."""

    Settings: ClassVar[Any] = NoSettings

    def __init__(
        self,
        config: Mapping[str, Any] | None = None,
        *,
        teacher_spend: Callable[..., None] | None = None,
    ) -> None:
        super().__init__()
        self.settings = read_settings(self.Settings, config or {}, self.name)
        self._spend = teacher_spend
        self.entries: dict[str, Skill] = {}
        self.numbers: dict[str, dict[str, Any]] = {}
        self.events: list[dict[str, Any]] = []

    @property
    def version(self) -> str:
        """Digest of the ids present."""
        return bank_version(self.entries)

    # ------------------------------------------------------------------ the contract

    def context(self, task: Task, history: Sequence[Any] = (), budget: int = 0) -> Context:
        """What to show for a task, at most `budget` tokens."""
        raise NotImplementedError

    def observe(self, episode: Episode) -> None:
        """Check that the episode is from train; memories that count override this."""
        self.check((episode,))

    def update(
        self,
        episodes: Sequence[Episode],
        teacher: Any,
        *,
        step: int = 0,
        max_new: int | None = None,
    ) -> Update:
        """Learn from train episodes."""
        raise NotImplementedError

    def skills(self) -> list[Skill]:
        """The entries, in the order in which they joined."""
        return list(self.entries.values())

    def utilities(self) -> dict[str, dict[str, Any]]:
        """What is counted about each entry, by id."""
        return {key: dict(self.numbers.get(key, {})) for key in self.entries}

    def save(self, directory: Path) -> None:
        """Write skills.json and stats.json."""
        stats = {
            "bank": self.version,
            "skills": self.utilities(),
            "events": self.events,
            "extra": self.extra(),
        }
        write_snapshot(Path(directory), self.skills(), stats)

    def load(self, directory: Path) -> None:
        """Replace the whole state by a snapshot."""
        skills, stats = read_snapshot(Path(directory))
        self.entries = {s.id: s for s in skills}
        counted = stats.get("skills", {})
        self.numbers = {key: dict(counted.get(key, {})) for key in self.entries}
        self.events = [dict(e) for e in stats.get("events", ())]
        self.restore(stats.get("extra", {}))
        self.changed()

    def close(self) -> None:
        """Nothing to free."""

    # ------------------------------------------------------------------ for subclasses

    def extra(self) -> dict[str, Any]:
        """State beside the entries, JSON-ready."""
        return {}

    def restore(self, extra: Mapping[str, Any]) -> None:
        """Take back what `extra` gave."""

    def changed(self) -> None:
        """The entries are others now: forget what was computed from them."""

    def usable(self, episodes: Iterable[Episode]) -> list[Episode]:
        """Check the episodes and leave out those that infrastructure spoilt."""
        episodes = list(episodes)
        self.check(episodes)
        return [e for e in episodes if e.outcome != "invalid"]

    def put(self, skill: Skill, step: int, **numbers: Any) -> str:
        """Add an entry, or add the sources of one that says the same; return its id.

        Raises LeakError for an entry from outside train.
        """
        if skill.source_split != "train":
            raise LeakError(
                f"memory {self.name!r} was given {skill.title!r} made from split "
                f"{skill.source_split!r}; memories learn from the train split alone"
            )
        old = self.entries.get(skill.id)
        if old is not None:
            sources = tuple(sorted({*old.source_tasks, *skill.source_tasks}))
            self.entries[skill.id] = dataclasses.replace(old, source_tasks=sources)
            return skill.id
        self.entries[skill.id] = skill if skill.step else dataclasses.replace(skill, step=step)
        self.numbers[skill.id] = dict(numbers)
        self.note(step, "added", skill)
        return skill.id

    def drop(self, key: str, step: int, event: str, **more: Any) -> None:
        """Remove an entry and note why."""
        self.note(step, event, self.entries.pop(key), **more)
        self.numbers.pop(key, None)

    def note(self, step: int, event: str, skill: Skill, **more: Any) -> None:
        """Append to the history of the memory."""
        self.events.append(
            {"step": step, "event": event, "skill": skill.id, "title": skill.title, **more}
        )

    def book(self, phase: str, usage: Any, model: str) -> None:
        """Put what an embedding cost on the ledger, where it cost anything."""
        if self._spend is not None and usage.calls:
            self._spend(phase, "embedding", usage, model)
