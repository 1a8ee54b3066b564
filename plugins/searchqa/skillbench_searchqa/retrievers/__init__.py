"""Retrievers: where a search goes.

    bm25      in process, bm25s (default)
    fts       LanceDB full-text search
    vector    LanceDB over MiniLM vectors
    hybrid    both, fused by reciprocal ranks
    pyserini  Lucene (extra)
    http      any server that speaks Search-R1's /retrieve

A retriever has `search(queries, k)`, which gives the k best passages of each query with scores,
best first; equal scores keep the order of the corpus. Passages without any score are left out.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple, Protocol

from skillbench.errors import unknown_name

from ..corpus import Passage, digest

LOCAL = ("bm25", "fts", "vector", "hybrid", "pyserini")
NAMES = (*LOCAL, "http")


class Hit(NamedTuple):
    """A passage and how well it matches; scores of different retrievers do not compare."""

    passage: Passage
    score: float


class Retriever(Protocol):
    """What every retriever does."""

    def search(self, queries: Sequence[str], k: int) -> list[list[Hit]]:
        """The k best passages of each query, best first."""
        ...


def build(name: str, passages: Sequence[Passage], cache: Path | None) -> Retriever:
    """A local retriever over passages; its index is kept under `cache` (None: in memory, bm25).

    Raises UsageError for an unknown name, PluginError where its library is not installed.
    """
    if name not in LOCAL:
        raise unknown_name("searchqa retriever", name, NAMES)
    folder = cache / digest(passages)[:16] if cache is not None else None
    if name == "bm25":
        from .bm25 import Bm25

        return Bm25(passages, folder)
    if folder is None:
        raise ValueError(f"{name} needs a folder for its index")
    if name == "pyserini":
        from .lucene import Lucene

        return Lucene(passages, folder)
    from .lance import Lance

    return Lance(passages, folder, name)
