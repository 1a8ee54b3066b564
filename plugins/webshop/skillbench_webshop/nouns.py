"""The nouns of product titles, which the type part of the reward compares: made once, with spaCy.

`python -m skillbench_webshop.nouns [DIR]` writes title_nouns_1000.json beside the small catalogue
(extra `nouns`: spaCy and its small English model). The environment itself never loads spaCy.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from skillbench.errors import DataError

MODEL = "en_core_web_sm"
Progress = Callable[[int, int, str], None]


def tagger() -> Any:
    """A function from titles to lists of nouns. Raises DataError without spaCy and its model."""
    try:
        import spacy

        model = spacy.load(MODEL)
    except (ImportError, OSError) as error:
        raise DataError(
            f"the nouns of the titles need spaCy and {MODEL} ({error}): "
            "`pip install 'skillbench-webshop[nouns]'`, then run the command again"
        ) from None
    names = [n for n in ("parser", "ner", "lemmatizer") if n in model.pipe_names]

    def nouns(titles: Iterable[str]) -> Iterable[list[str]]:
        for parsed in model.pipe(titles, disable=names):
            yield sorted({t.text.lower() for t in parsed if t.pos_ in ("NOUN", "PROPN")})

    return nouns


def make(root: Path, tell: Progress | None = None) -> Path:
    """Write title_nouns_1000.json for the small catalogue in `root`, unless it is there."""
    from .official import ITEMS, NOUNS, read_json

    file = root / NOUNS[0]
    if file.is_file() or not any((root / name).is_file() for name in ITEMS):
        return file
    items = read_json(root, ITEMS)
    if tell:
        tell(0, 0, f"nouns of {len(items)} titles")
    found = dict(zip((i["asin"] for i in items), tagger()(i["name"] for i in items)))
    part = file.with_suffix(".part")
    part.write_text(json.dumps(found), encoding="utf-8")
    part.replace(file)
    return file


if __name__ == "__main__":
    from .data import path

    sys.stdout.write(f"{make(path(sys.argv[1] if len(sys.argv) > 1 else ''))}\n")
