"""The household world for pretraining (pretraining/worlds.py says what a world is)."""

from __future__ import annotations

from pathlib import Path

import skillbench_alfworld

from .decisions import GATES, decisions
from .demos import demo, window
from .tokenizer import build as tokenizer
from .tokenizer import kin

__all__ = ["DATA", "GATES", "decisions", "demo", "kin", "sources", "tokenizer", "window"]

DATA = "scripted player on generated train games; no other source"


def sources() -> list[Path]:
    """The files that decide the data."""
    alfworld, here = Path(skillbench_alfworld.__file__).parent, Path(__file__).parent
    files = [here / n for n in ("demos.py", "player.py", "tokenizer.py")]
    return files + [alfworld / n for n in ("generator.py", "layouts.py", "phrases.py", "engine.py")]
