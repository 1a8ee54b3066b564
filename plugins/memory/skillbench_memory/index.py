"""Cosine similarity of one text with many, each text embedded once."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from skillbench.records import Usage

from .similarity import make_embedder


class Index:
    """Vectors by text. `book(phase, usage, model)` puts what stored texts cost on the ledger."""

    def __init__(self, model: str, book: Callable[[str, Usage, str], None]) -> None:
        self.embedder = make_embedder(model)
        self._book = book
        self._vectors: dict[str, Any] = {}

    def vectors(self, texts: Sequence[str]) -> Any:
        """A float32 array (texts, dimensions) of unit vectors."""
        import numpy as np

        missing = [t for t in dict.fromkeys(texts) if t not in self._vectors]
        if missing:
            made, usage = self.embedder.encode(missing)
            self._vectors.update(zip(missing, made))
            self._book("embed", usage, self.embedder.name)
        return np.stack([self._vectors[t] for t in texts])

    def scores(self, query: str, texts: Sequence[str]) -> tuple[list[float], Usage]:
        """Cosine of the query with each text, and what embedding the query cost."""
        if not texts:
            return [], Usage()
        stored = self.vectors(texts)
        if query in self._vectors:
            vector, usage = self._vectors[query], Usage()
        else:
            made, usage = self.embedder.encode([query])
            vector = made[0]
        return [float(x) for x in stored @ vector], usage
