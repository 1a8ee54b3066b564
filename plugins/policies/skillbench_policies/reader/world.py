"""The encyclopedia's world for pretraining (pretraining/worlds.py says what a world is)."""

from __future__ import annotations

from pathlib import Path

import skillbench_searchqa

from .decisions import GATES, decisions
from .demos import demo, window
from .tokenizer import build as tokenizer
from .tokenizer import kin

__all__ = ["DATA", "GATES", "decisions", "demo", "kin", "sources", "tokenizer", "window"]

DATA = "scripted player on generated train volumes of the encyclopedia; no other source"


def sources() -> list[Path]:
    """The files that decide the data."""
    qa, here = Path(skillbench_searchqa.__file__).parent, Path(__file__).parent
    files = [here / n for n in ("demos.py", "tokenizer.py")]
    files += [qa / n for n in ("actions.py", "phrases.py", "player.py")]
    files += [qa / "encyclopedia" / n for n in ("language.py", "volume.py")]
    return [*files, qa / "retrievers" / "bm25.py"]
