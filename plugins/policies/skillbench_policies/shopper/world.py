"""The generated shops as a world for pretraining (pretraining/worlds.py says what a world is)."""

from __future__ import annotations

from pathlib import Path

import skillbench_webshop

from .decisions import GATES, decisions
from .demos import demo, window
from .tokenizer import build as tokenizer
from .tokenizer import kin

__all__ = ["DATA", "GATES", "decisions", "demo", "kin", "sources", "tokenizer", "window"]

DATA = "scripted customer in generated train shops; no other source"


def sources() -> list[Path]:
    """The files that decide the data."""
    shop, here = Path(skillbench_webshop.__file__).parent, Path(__file__).parent
    names = ("generator", "words", "phrases", "player", "reading", "shop", "bm25", "analysis")
    files = [here / n for n in ("demos.py", "tokenizer.py")]
    return files + [shop / f"{name}.py" for name in names]
