"""LanceDB: full-text search, MiniLM vectors, and both fused by reciprocal ranks (RRF, k = 60).

One table per corpus holds number, contents and, where they are needed, vectors. The vector search
is exact: an approximate index loses four points of recall at this size and gains little.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from skillbench.errors import PluginError

from ..cache import built, tell
from ..corpus import Passage
from . import Hit, embeddings

INSTALL = "pip install 'skillbench-searchqa[lance]'"
POOL = 50  # candidates of each half that are fused
RANK = 60  # Cormack et al. 2009: 1 / (60 + rank)
WORD = re.compile(r"\w+")


class Lance:
    """`kind` is "fts", "vector" or "hybrid"."""

    def __init__(self, passages: Sequence[Passage], folder: Path, kind: str) -> None:
        try:
            import lancedb
        except ImportError as error:
            raise PluginError(f"search={kind} needs LanceDB ({error}); run: {INSTALL}") from error
        self._passages, self._kind = passages, kind
        self._words = self._vectors = None
        if not passages:
            return
        if kind in ("fts", "hybrid"):
            place = built(folder / "lance-fts", self._save_words)
            self._words = lancedb.connect(str(place)).open_table("passages")
        if kind in ("vector", "hybrid"):
            self._rows = embeddings.vectors(passages, folder / embeddings.NAME)
            place = built(folder / "lance-vector", self._save_vectors)
            self._vectors = lancedb.connect(str(place)).open_table("passages")

    def _save_words(self, folder: Path) -> None:
        import lancedb
        from lancedb.index import FTS

        tell(f"indexing {len(self._passages)} passages (LanceDB full text)")
        rows = [{"number": i, "contents": p.contents} for i, p in enumerate(self._passages)]
        table = lancedb.connect(str(folder)).create_table("passages", rows)
        table.create_index("contents", config=FTS(stem=True, remove_stop_words=True))

    def _save_vectors(self, folder: Path) -> None:
        import lancedb
        import pyarrow as pa

        flat = pa.array(self._rows.reshape(-1), pa.float32())
        table = pa.table(
            {
                "number": pa.array(range(len(self._rows)), pa.int64()),
                "vector": pa.FixedSizeListArray.from_arrays(flat, embeddings.DIMENSIONS),
            }
        )
        lancedb.connect(str(folder)).create_table("passages", table)

    def search(self, queries: Sequence[str], k: int) -> list[list[Hit]]:
        """See the package."""
        if not self._passages or not queries:
            return [[] for _ in queries]
        rows = embeddings.encode(queries) if self._vectors is not None else [None] * len(queries)
        return [self._one(query, row, k) for query, row in zip(queries, rows)]

    def _one(self, query: str, row: Any, k: int) -> list[Hit]:
        if self._kind == "fts":
            ranked = self._by_words(query, k)
        elif self._kind == "vector":
            ranked = self._by_vector(row, k)
        else:
            ranked = fuse(self._by_words(query, POOL), self._by_vector(row, POOL))[:k]
        return [Hit(self._passages[number], score) for number, score in ranked]

    def _by_words(self, query: str, k: int) -> list[tuple[int, float]]:
        # Words alone: what a query language would read as operators is no wish of the model's.
        text = " ".join(WORD.findall(query.lower()))
        if not text or self._words is None:
            return []
        found = self._words.search(text, query_type="fts", fts_columns="contents")
        rows = found.select(["number", "_score"]).limit(k + 20).to_list()
        return _sorted([(r["number"], r["_score"]) for r in rows])[:k]

    def _by_vector(self, row: Any, k: int) -> list[tuple[int, float]]:
        if self._vectors is None:
            return []
        found = self._vectors.search(row).distance_type("cosine")
        rows = found.select(["number", "_distance"]).limit(k + 20).to_list()
        return _sorted([(r["number"], 1.0 - r["_distance"]) for r in rows])[:k]


def _sorted(rows: list[tuple[int, float]]) -> list[tuple[int, float]]:
    return sorted(rows, key=lambda row: (-row[1], row[0]))


def fuse(*rankings: Sequence[tuple[int, float]]) -> list[tuple[int, float]]:
    """Reciprocal rank fusion: (number, sum of 1 / (60 + rank)), best first, ties by number."""
    total: dict[int, float] = {}
    for ranking in rankings:
        for rank, (number, _) in enumerate(ranking, 1):
            total[number] = total.get(number, 0.0) + 1.0 / (RANK + rank)
    return _sorted(list(total.items()))
