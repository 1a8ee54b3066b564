"""`none`: the memory that shows nothing and learns nothing; the control of every comparison."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from skillbench.errors import ConfigError
from skillbench.records import Context, Episode, Skill, Task, Update

from .formats import bank_version, write_snapshot
from .guard import WriteGuard


class NoMemory(WriteGuard):
    """An empty memory that still refuses to learn from anything but train."""

    name = "none"
    version = bank_version(())

    def __init__(
        self, config: Mapping[str, Any] | None = None, *, teacher_spend: Callable | None = None
    ) -> None:
        super().__init__()
        extra = sorted(set(config or ()) - {"name"})
        if extra:
            raise ConfigError(f"memory 'none' takes no keys, and got {', '.join(extra)}")

    def context(self, task: Task, history: Sequence[Any] = (), budget: int = 0) -> Context:
        """Show nothing."""
        return Context()

    def observe(self, episode: Episode) -> None:
        """Check the episode and forget it."""
        self.check((episode,))

    def update(
        self,
        episodes: Sequence[Episode],
        teacher: Any,
        *,
        step: int = 0,
        max_new: int | None = None,
    ) -> Update:
        """Check the episodes and change nothing."""
        self.check(episodes)
        return Update()

    def prune(self, *, step: int = 0) -> Update:
        """Nothing to prune."""
        self.check()
        return Update()

    def skills(self) -> list[Skill]:
        """No entries."""
        return []

    def save(self, directory: Path) -> None:
        """Write an empty snapshot."""
        write_snapshot(Path(directory), [], {})

    def load(self, directory: Path) -> None:
        """Nothing to read."""

    def close(self) -> None:
        """Nothing to free."""
