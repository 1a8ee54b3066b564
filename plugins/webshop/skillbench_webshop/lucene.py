"""Lucene itself as the search engine (`env.search=pyserini`), and the oracle of the parity test.

It is the engine of pyserini 0.22.1 (its Java library, Java 11 to 17), called through pyjnius
without importing pyserini, whose imports take ten seconds and want torch and faiss. The library is
found in an installed pyserini, or where SKILLBENCH_ANSERINI_JAR points (the wheel's
pyserini/resources/jars/anserini-0.22.1-fatjar.jar).

    python -m skillbench_webshop.lucene [--queries 500]     overlap with the native engine
"""

from __future__ import annotations

import argparse
import importlib.util
import os
import random
import sys
from collections.abc import Iterable
from functools import lru_cache
from pathlib import Path
from typing import Any

from skillbench.errors import UsageError

from .bm25 import K1, B

JAR = "anserini-0.22.1-fatjar.jar"


def jar() -> Path | None:
    """Where the Java library lies, if anywhere."""
    named = os.environ.get("SKILLBENCH_ANSERINI_JAR", "")
    if named:
        return Path(named) if Path(named).is_file() else None
    found = importlib.util.find_spec("pyserini")
    for place in (found.submodule_search_locations or []) if found else []:
        file = Path(place) / "resources" / "jars" / JAR
        if file.is_file():
            return file
    return None


def available() -> bool:
    """Whether Lucene can be used here."""
    return jar() is not None and importlib.util.find_spec("jnius") is not None


@lru_cache(maxsize=1)
def _java() -> Any:
    """A function from Java class names to classes. Raises UsageError where there is no Lucene."""
    where = jar()
    if where is None or importlib.util.find_spec("jnius") is None:
        raise UsageError(
            "env.search=pyserini needs pyserini 0.22.1 and Java 11 to 17: "
            "`pip install 'skillbench-webshop[pyserini]'`"
        )
    try:
        import jnius_config

        if not jnius_config.vm_running:
            jnius_config.set_classpath(str(where))
            jnius_config.add_options("-Xmx1g")
        from jnius import autoclass

        autoclass("io.anserini.analysis.DefaultEnglishAnalyzer")
    except Exception as error:  # pyjnius raises whatever the search for a Java ends with
        raise UsageError(f"env.search=pyserini: Java does not start ({error})") from None
    return autoclass


class Lucene:
    """An in-memory Lucene index with pyserini's analyser and parameters."""

    def __init__(self, texts: Iterable[str]) -> None:
        java = _java()
        self._analyzer = java("io.anserini.analysis.DefaultEnglishAnalyzer").newDefaultInstance()
        self._query = java("io.anserini.search.query.BagOfWordsQueryGenerator")()
        similarity = java("org.apache.lucene.search.similarities.BM25Similarity")(K1, B)
        directory = java("org.apache.lucene.store.ByteBuffersDirectory")()
        config = java("org.apache.lucene.index.IndexWriterConfig")(self._analyzer)
        config.setSimilarity(similarity)
        writer = java("org.apache.lucene.index.IndexWriter")(directory, config)
        document, text_field = (
            java("org.apache.lucene.document.Document"),
            java("org.apache.lucene.document.TextField"),
        )
        no = java("org.apache.lucene.document.Field$Store").NO
        for text in texts:
            entry = document()
            entry.add(text_field("contents", text, no))
            writer.addDocument(entry)
        writer.forceMerge(1)
        writer.commit()
        writer.close()
        reader = java("org.apache.lucene.index.DirectoryReader").open(directory)
        self._searcher = java("org.apache.lucene.search.IndexSearcher")(
            reader, signature="(Lorg/apache/lucene/index/IndexReader;)V"
        )
        self._searcher.setSimilarity(similarity)

    def search(self, query: str, k: int = 50) -> list[int]:
        """The numbers of the `k` best documents, best first."""
        built = self._query.buildQuery("contents", self._analyzer, query)
        return [hit.doc for hit in self._searcher.search(built, k).scoreDocs]


def overlap(native: Any, lucene: Any, queries: Iterable[str]) -> dict[str, float]:
    """Mean share of Lucene's first 1, 10 and 50 hits that the native engine has there too."""
    sums, n = {"top1": 0.0, "overlap10": 0.0, "overlap50": 0.0, "same10": 0.0}, 0
    for query in queries:
        ours, theirs = native(query, 50), lucene(query, 50)
        if not theirs:
            continue
        n += 1
        sums["top1"] += ours[:1] == theirs[:1]
        for k in (10, 50):
            sums[f"overlap{k}"] += len({*ours[:k]} & {*theirs[:k]}) / len(theirs[:k])
        sums["same10"] += ours[:10] == theirs[:10]
    return {**{name: total / max(1, n) for name, total in sums.items()}, "n": n}


def main(argv: list[str] | None = None) -> int:
    """Command line."""
    from . import official
    from .bm25 import Bm25

    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--queries", type=int, default=500)
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args(argv)
    root = official.path()
    products, synthetic, human = official.small(root)
    texts = [p.document for p in products]
    rng = random.Random(args.seed)
    pool = sorted({g.text for g in synthetic.values()})
    titles = [p.title for p in products]
    queries = [g.text for g in human.values()]
    queries += rng.sample(pool, min(len(pool), args.queries // 2))
    queries += rng.sample(titles, min(len(titles), args.queries - len(queries)))
    found = overlap(Bm25.build(texts).search, Lucene(texts).search, queries)
    sys.stdout.write(" ".join(f"{k}={v:.4f}" for k, v in found.items()) + "\n")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
