"""The write rule that every memory of this plugin obeys: from train episodes only, never frozen."""

from __future__ import annotations

from collections.abc import Iterable

from skillbench.errors import LeakError
from skillbench.records import Episode


class WriteGuard:
    """Base class: `freeze()`, and `check(episodes)` before anything is learned from them."""

    name = "memory"

    def __init__(self) -> None:
        self.frozen = False

    def freeze(self) -> None:
        """From here on every write raises LeakError."""
        self.frozen = True

    def check(self, episodes: Iterable[Episode] = ()) -> None:
        """Raise LeakError when the memory is frozen or an episode is not from the train split."""
        if self.frozen:
            raise LeakError(
                f"memory {self.name!r} is frozen for scoring and was asked to learn; "
                "learn before freeze(), or make a new memory and load() a snapshot into it"
            )
        for episode in episodes:
            if episode.task.split != "train":
                raise LeakError(
                    f"memory {self.name!r} was given an episode of split "
                    f"{episode.task.split!r} (task {episode.task.id!r}); memories learn from the "
                    "train split alone"
                )
