"""What a run tells whoever watches it. The default says nothing; the command line's draws progress.

The runner calls `start` when a phase begins, `advance` for each finished piece of it, `say` for a
line worth keeping, and `finish` at the end, also after an error. Reporters never change a run.
"""

from __future__ import annotations

from typing import Any


class Reporter:
    """A reporter that says nothing; sub-class it to draw progress."""

    def start(self, title: str, total: int | None = None) -> None:
        """A phase begins, e.g. "seed 0: score skillrl"; `total` pieces long where that is known."""

    def advance(self, n: int = 1, **figures: Any) -> None:
        """`n` more pieces are done; `figures` are worth showing (success=0.4, loss=1.2, ...)."""

    def say(self, text: str) -> None:
        """One line that should stay on the screen."""

    def finish(self) -> None:
        """The run is over."""
