"""BM25 in process: bm25s on numpy, Lucene's formula with k1 = 0.9 and b = 0.4, Porter stems.

These are pyserini's parameters. Words are runs of letters and digits, lower-cased, without Lucene's
stop words and the "s" of the genitive; with that, recall on the mini set equals Lucene's (README).
"""

from __future__ import annotations

import functools
import json
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from skillbench.errors import DataError

from ..cache import built, tell
from ..corpus import Passage
from . import Hit

K1, B = 0.9, 0.4
VERSION = 2  # of the analysis below: a changed one makes a new index
WORD = re.compile(r"\w+")
STOP = frozenset(
    "a an and are as at be but by for if in into is it no not of on or such that the their then "
    "there these they this to was will with s".split()
)


@functools.lru_cache(maxsize=1)
def _stemmer() -> Any:
    import Stemmer

    return Stemmer.Stemmer("porter", 100_000)


def analyse(text: str) -> list[str]:
    """The terms of a text."""
    words = [w for w in WORD.findall(text.lower()) if w not in STOP]
    return _stemmer().stemWords(words)


class Bm25:
    """An index over passages; kept in `folder`, or only in memory where that is None."""

    def __init__(self, passages: Sequence[Passage], folder: Path | None = None) -> None:
        import bm25s

        self._passages = passages
        self._index: Any = None
        if not passages:
            return
        if folder is None:
            self._index = self._build()
        else:
            place = built(folder / f"bm25-{VERSION}", self._save)
            try:
                self._index = bm25s.BM25.load(str(place), show_progress=False)
            except (OSError, ValueError, KeyError, json.JSONDecodeError) as error:
                raise DataError(
                    f"the index {place} is damaged ({error}); delete it and run again"
                ) from None
        self._terms: dict[str, int] = self._index.vocab_dict

    def _build(self) -> Any:
        import bm25s

        if len(self._passages) > 5000:
            tell(f"indexing {len(self._passages)} passages (BM25)")
        index = bm25s.BM25(k1=K1, b=B, method="lucene", backend="numpy")
        terms = [analyse(p.contents) for p in self._passages]
        index.index(terms, show_progress=len(terms) > 100_000)
        return index

    def _save(self, folder: Path) -> None:
        self._build().save(str(folder), show_progress=False)

    def search(self, queries: Sequence[str], k: int) -> list[list[Hit]]:
        """See the package."""
        return [self._one(query, k) for query in queries]

    def _one(self, query: str, k: int) -> list[Hit]:
        if self._index is None:
            return []
        terms = [self._terms[t] for t in analyse(query) if t in self._terms]
        if not terms:
            return []
        scores = self._index.get_scores_from_ids(terms)
        k = min(k, len(scores))
        least = np.partition(scores, len(scores) - k)[len(scores) - k]
        found = np.flatnonzero(scores >= max(least, 1e-9))
        order = found[np.lexsort((found, -scores[found]))][:k]
        return [Hit(self._passages[int(i)], float(scores[i])) for i in order]
