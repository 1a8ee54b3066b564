"""What pretraining needs to know of a world: demonstrations as text, and a tokenizer for them.

A world is a module (or any object) with the members of `World`. `demo(index)` is a pure function of
its index, so that pretraining is seeded and resumable, and it draws from train tasks alone.
"""

from __future__ import annotations

import importlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol


@dataclass(frozen=True)
class Demo:
    """One episode: system text, (observation, response, taught) turns, and whether it was won."""

    system: str
    turns: tuple[tuple[str, str, bool], ...]
    won: bool


class World(Protocol):
    """A world that an embedded model can be made for."""

    DATA: str  # where the demonstrations come from, for provenance.json
    GATES: Mapping[str, float]  # decision -> least mean probability of the player's choice

    def tokenizer(self) -> Any:
        """The `PreTrainedTokenizerFast`, chat template included."""
        ...

    def kin(self) -> Mapping[str, str]:
        """Piece -> the plain piece that it ends with and starts beside (" a mug" -> " mug")."""
        ...

    def demo(self, index: int) -> Demo:
        """Demonstration number `index` under random advice, from train tasks."""
        ...

    def window(self, index: int) -> Demo:
        """One decision of a demonstration with what it needs, drawn evenly over kinds."""
        ...

    def decisions(self, demo: Demo) -> Iterable[tuple[int, str, str, str]]:
        """For gates: (turn, decision, the answer's text before the decided piece, the piece)."""
        ...

    def sources(self) -> list[Path]:
        """The files that decide the data, for the digest."""
        ...


def load_world(name: str) -> World:
    """A world by name (household: skillbench_policies.household.world) or module path."""
    package = __package__.rpartition(".")[0]
    path = name if "." in name else f"{package}.{name}.world"
    try:
        return importlib.import_module(path)  # type: ignore[return-value]
    except ModuleNotFoundError as error:
        raise SystemExit(f"no world {name!r}: {error}") from error


def encode(tokenizer, demo) -> tuple[list[int], list[bool]]:
    """Token ids of a demonstration and which of them are taught."""
    ids: list[int] = []
    taught: list[bool] = []

    def add(text: str, teach: bool) -> None:
        new = tokenizer(text, add_special_tokens=False)["input_ids"]
        ids.extend(new)
        taught.extend([teach] * len(new))

    if demo.system:
        add(f"<|system|>{demo.system}<|end|>", False)
    for observation, response, teach in demo.turns:
        add(f"<|user|>{observation}<|end|><|assistant|>", False)
        add(f"{response}<|end|>", teach)
    return ids, taught
