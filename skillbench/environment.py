"""The contract of an environment; a file of its own because gymnasium is slow to import."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import gymnasium

from .records import Task


class Environment(gymnasium.Env):
    """A text environment. Same task, seed and actions give the same texts.

    `reset(seed=..., options={"task": id})` returns `(text, info)`; `step(text)` returns
    `(text, reward, terminated, truncated, info)`. `info` holds `success` (bool), `score` (float in
    [0, 1], optional), `admissible` (list of commands, or None where commands are free text) and
    `invalid_action` (bool); the last one may hold `metrics`, further scores by name (floats),
    which are averaged in the result beside success. Instances are cheap: the harness makes one per
    live episode, all of one process; heavy data is shared by the class or module.
    """

    name: str = ""
    label: str = ""  # how results are labelled, e.g. "alfworld-generated"; default is the name
    max_steps: int = 50  # may be set before `reset`: controls play with a higher limit
    instructions: str = ""  # what an instruct model is told about the actions, once

    def tasks(self, split: str) -> list[Task]:
        """All tasks of a split in a stable order. Raises UsageError for an unknown split."""
        raise NotImplementedError

    def fingerprint(self, split: str) -> str:
        """A digest over everything that decides what the tasks of the split are."""
        raise NotImplementedError

    def expert(self, task: Task) -> Iterator[str] | None:
        """Play from full knowledge: an iterator of actions, or None where there is no oracle."""
        return None

    def causal(self) -> Any:
        """Return the vocabulary.Vocabulary for the offline teacher, or None."""
        return None
