"""How alike two texts are, as the cosine of unit vectors: by words, or by an embedding model.

"words" hashes the words and word pairs of a text into a vector: free, the same on every machine,
and enough where tasks are sentences of one form ("put a clean mug in a cabinet"). Words that say
nothing weigh little. Any other name is an embedding model (embeddings.py): "minilm" is the packaged
one, else a directory or a model of the local cache.
"""

from __future__ import annotations

import hashlib
import itertools
import math
from collections.abc import Sequence
from functools import lru_cache
from typing import Any

from skillbench.records import Usage

from .embeddings import Embedder
from .retrieval import COMMON, WORD

WORDS = "words"
DIMENSIONS = 512
LIGHT = 0.3  # weight of a word of COMMON, and of a pair of neighbouring words


class Words:
    """Texts to unit vectors of hashed words; no model, no cost."""

    name = WORDS

    def encode(self, texts: Sequence[str]) -> tuple[Any, Usage]:
        """Return a float32 array (texts, 512) of unit vectors; a text without words is all 0."""
        import numpy as np

        out = np.zeros((len(texts), DIMENSIONS), dtype=np.float32)
        for row, text in zip(out, texts):
            found = WORD.findall(text.lower())
            for word in found:
                _add(row, word, LIGHT if word in COMMON else 1.0)
            for pair in itertools.pairwise(found):
                _add(row, " ".join(pair), LIGHT)
            norm = math.sqrt(float(row @ row))
            if norm:
                row /= norm
        return out, Usage()


def _add(row: Any, word: str, weight: float) -> None:
    place, sign = _place(word)
    row[place] += sign * weight


@lru_cache(maxsize=65536)
def _place(word: str) -> tuple[int, float]:
    number = int.from_bytes(hashlib.blake2b(word.encode(), digest_size=4).digest(), "big")
    return number % DIMENSIONS, 1.0 if (number >> 16) & 1 else -1.0


def make_embedder(name: str) -> Words | Embedder:
    """The embedder that a setting names."""
    return Words() if name in ("", WORDS) else Embedder(name)
