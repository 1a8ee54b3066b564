"""Lucene through pyserini (extra `pyserini`): BM25 with k1 = 0.9 and b = 0.4, as published.

Needs Java 11 or newer; the first search takes some ten seconds of imports. The index is built by
pyserini's own command in a process of its own.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from skillbench.errors import PluginError

from ..cache import built, tell
from ..corpus import Passage
from . import Hit

INSTALL = "pip install 'skillbench-searchqa[pyserini]' and Java 11 or newer (apt: openjdk-17-jdk)"


class Lucene:
    """A Lucene index over passages, kept in `folder`."""

    def __init__(self, passages: Sequence[Passage], folder: Path) -> None:
        try:
            from pyserini.search.lucene import LuceneSearcher
        except Exception as error:  # without Java it raises what pyjnius raises
            raise PluginError(
                f"search=pyserini cannot start ({type(error).__name__}: {error}); needs: {INSTALL}"
            ) from error
        self._passages = passages
        place = built(folder / "lucene", self._save)
        self._searcher = LuceneSearcher(str(place / "index"))
        self._searcher.set_bm25(0.9, 0.4)

    def _save(self, folder: Path) -> None:
        tell(f"indexing {len(self._passages)} passages (Lucene)")
        with tempfile.TemporaryDirectory() as source:
            with (Path(source) / "docs.jsonl").open("w", encoding="utf-8") as out:
                for number, p in enumerate(self._passages):
                    out.write(json.dumps({"id": str(number), "contents": p.contents}) + "\n")
            command = [
                *(sys.executable, "-m", "pyserini.index.lucene"),
                *("--collection", "JsonCollection", "--input", source),
                *("--index", str(folder / "index")),
                *("--generator", "DefaultLuceneDocumentGenerator", "--threads", "1"),
            ]
            done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode:
            raise PluginError(f"pyserini could not index: {done.stderr.strip()[-400:]}")

    def search(self, queries: Sequence[str], k: int) -> list[list[Hit]]:
        """See the package."""
        return [
            [Hit(self._passages[int(h.docid)], float(h.score)) for h in self._search(query, k)]
            for query in queries
        ]

    def _search(self, query: str, k: int):
        return self._searcher.search(query, k=k) if query.strip() else []
