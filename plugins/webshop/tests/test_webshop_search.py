"""Lucene's analysis and BM25 on numpy: hand-worked cases, and Lucene itself where it is installed."""

import math
import random
from pathlib import Path

import pytest
from skillbench_webshop import lucene, official
from skillbench_webshop.analysis import terms
from skillbench_webshop.bm25 import Bm25, decode_length, encode_length
from skillbench_webshop.porter import stem


@pytest.mark.parametrize(
    ("word", "expected"),
    [
        ("caresses", "caress"),
        ("ponies", "poni"),
        ("cats", "cat"),
        ("agreed", "agre"),
        ("plastered", "plaster"),
        ("motoring", "motor"),
        ("sing", "sing"),
        ("conflated", "conflat"),
        ("hopping", "hop"),
        ("falling", "fall"),
        ("filing", "file"),
        ("happy", "happi"),
        ("relational", "relat"),
        ("possibly", "possibl"),  # bli -> ble, Martin Porter's later change
        ("archaeology", "archaeolog"),  # logi -> log
        ("electricity", "electr"),
        ("hopefulness", "hope"),
        ("adjustment", "adjust"),
        ("adoption", "adopt"),
        ("rate", "rate"),
        ("controlling", "control"),
        ("be", "be"),
    ],
)
def test_stems(word: str, expected: str):
    assert stem(word) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("The Quick-Brown fox's 3.5mm jack", ["quick", "brown", "fox", "3.5mm", "jack"]),
        ("women\u2019s shoes", ["women", "shoe"]),
        ("a,b 1,000 x.y 4x6", ["b", "1,000", "x.y", "4x6"]),
        ("color: red|blue", ["color", "red", "blue"]),
        ("\u6bdb\u5dfe towel", ["\u6bdb", "\u5dfe", "towel"]),
        ("snack_bar __ 5\u00b2", ["snack_bar", "5"]),
        ("love \u2764\ufe0f it's", ["love", "\u2764\ufe0f"]),
        ("", []),
    ],
)
def test_terms(text: str, expected: list[str]):
    assert terms(text) == expected


def test_long_tokens_are_cut():
    assert [len(t) for t in terms("x" * 600)] == [255, 255, 90]


def test_lengths_in_a_byte():
    assert [decode_length(encode_length(n)) for n in (0, 1, 23, 24, 39, 40)] == [
        0,
        1,
        23,
        24,
        39,
        40,
    ]
    assert decode_length(encode_length(41)) == 40
    assert all(decode_length(encode_length(n)) <= n for n in range(5000))
    assert max(encode_length(n) for n in (10**6, 2**31 - 1)) <= 255


def test_scores_are_bm25():
    """Three documents of three terms each, by hand."""
    index = Bm25.build(["red mug cup", "red red lamp", "blue sofa chair"])
    assert index.search("red") == [1, 0]  # twice beats once
    assert index.search("mug red") == [0, 1]
    assert index.search("nothing") == index.search("the of") == []
    assert index.search("sofa sofa red", k=1) == [2]
    idf = math.log(1 + (3 - 1 + 0.5) / 1.5)
    assert idf > math.log(1 + (3 - 2 + 0.5) / 2.5)
    assert index.search("lamp mug") == [0, 1]  # equal scores: the earlier document


def test_lucene_agrees(slice_1000: Path):
    """Overlap with Lucene on 500 queries; the figure in the README is made the same way."""
    if not lucene.available():
        pytest.skip("no pyserini here: pip install 'skillbench-webshop[pyserini]'")
    products, synthetic, _ = official.small(slice_1000)
    texts = [p.document for p in products]
    queries = random.Random(0).sample(sorted({g.text for g in synthetic.values()}), 500)
    found = lucene.overlap(Bm25.build(texts).search, lucene.Lucene(texts).search, queries)
    assert found["n"] == 500
    assert found["overlap10"] >= 0.99
    assert found["top1"] >= 0.99
