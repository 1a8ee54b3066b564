"""Progress for whoever watches: a live bar on a terminal, a line per ten seconds of work elsewhere.

Everything goes to stderr, so that stdout holds results alone. The clock only decides when a line
is written, never what a run does.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from typing import Any, TextIO

from .reporting import Reporter

EVERY = 10.0  # seconds between lines where there is no terminal


def make_reporter(stream: TextIO | None = None) -> Reporter:
    """The reporter that fits the stream (stderr): `Live` on a terminal, else `Lines`."""
    stream = stream or sys.stderr
    return Live() if stream.isatty() else Lines(stream)


def figures_text(figures: dict[str, Any]) -> str:
    """Figures as one short text: `success 0.40, loss 1.23`."""
    parts = []
    for name, value in figures.items():
        text = f"{value:.3g}" if isinstance(value, float) else str(value)
        parts.append(f"{name} {text}")
    return ", ".join(parts)


class Lines(Reporter):
    """One line when a phase begins, one per `EVERY` seconds of work, one when it ends."""

    def __init__(self, stream: TextIO, clock: Callable[[], float] = time.monotonic) -> None:
        self.stream = stream
        self.clock = clock
        self.began = clock()
        self.title = ""
        self.total: int | None = None
        self.done = 0
        self.last = 0.0
        self.figures: dict[str, Any] = {}
        self.pending = False

    def start(self, title: str, total: int | None = None) -> None:
        self._close()
        self.title, self.total, self.done, self.figures = title, total, 0, {}
        self.last = self.clock()
        self._write(title + (f" ({total})" if total else ""))

    def advance(self, n: int = 1, **figures: Any) -> None:
        self.done += n
        self.figures |= figures
        self.pending = True
        if self.clock() - self.last >= EVERY:
            self._line()

    def say(self, text: str) -> None:
        self._write(text)

    def finish(self) -> None:
        self._close()
        self.title = ""

    def _close(self) -> None:
        if self.title and self.pending:
            self._line()

    def _line(self) -> None:
        self.last = self.clock()
        self.pending = False
        of = f"/{self.total}" if self.total else ""
        figures = f"  {figures_text(self.figures)}" if self.figures else ""
        self._write(f"{self.title}: {self.done}{of}{figures}")

    def _write(self, text: str) -> None:
        minutes, seconds = divmod(int(self.clock() - self.began), 60)
        try:
            self.stream.write(f"[{minutes:02d}:{seconds:02d}] {text}\n")
            self.stream.flush()
        except (OSError, ValueError):
            pass  # a closed stderr must not end a run


class Live(Reporter):
    """A bar per phase; finished phases stay on the screen with their last figures."""

    def __init__(self) -> None:
        from rich.console import Console
        from rich.progress import (
            BarColumn,
            MofNCompleteColumn,
            Progress,
            SpinnerColumn,
            TextColumn,
            TimeElapsedColumn,
        )

        self.bars = Progress(
            SpinnerColumn(finished_text="[green]✓[/green]"),
            TextColumn("{task.description}", markup=False),
            BarColumn(bar_width=24),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            TextColumn("{task.fields[figures]}", markup=False, style="cyan"),
            console=Console(stderr=True, highlight=False),
        )
        self.task: Any = None
        self.figures: dict[str, Any] = {}
        self.total: int | None = None

    def start(self, title: str, total: int | None = None) -> None:
        self._close()
        self.bars.start()
        self.figures, self.total = {}, total
        self.task = self.bars.add_task(title, total=total, figures="")

    def advance(self, n: int = 1, **figures: Any) -> None:
        if self.task is None:
            return
        self.figures |= figures
        self.bars.update(self.task, advance=n, figures=figures_text(self.figures))

    def say(self, text: str) -> None:
        self.bars.console.print(text, markup=False)

    def finish(self) -> None:
        self._close()
        self.bars.stop()

    def _close(self) -> None:
        if self.task is not None:
            done = self.bars.tasks[self.task].completed
            # A phase of unknown length, or one cut short, ends where it ended.
            self.bars.update(self.task, total=done if self.total is None else self.total)
            self.bars.stop_task(self.task)
            self.task = None
