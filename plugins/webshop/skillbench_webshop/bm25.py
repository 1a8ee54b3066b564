"""BM25 as Lucene computes it, on numpy arrays: k1 = 0.9, b = 0.4, lengths kept in one byte.

Robertson and Walker's formula in Lucene's form (no factor k1 + 1); a document's length is rounded
as `SmallFloat.intToByte4` rounds it, ties go to the earlier document. The postings are three flat
arrays, so that a large index can stay on disk (`numpy.memmap`) and be shared between processes.
"""

from __future__ import annotations

import math
from array import array
from collections import Counter
from collections.abc import Iterable, Mapping

import numpy as np

from .analysis import terms

K1, B = 0.9, 0.4
_FREE = 24  # lengths below are exact


def encode_length(length: int) -> int:
    """Lucene's byte for a document length."""
    if length < _FREE:
        return length
    rest = length - _FREE
    bits = rest.bit_length()
    if bits < 4:
        return _FREE + rest
    shift = bits - 4
    return _FREE + ((rest >> shift) & 7 | (shift + 1) << 3)


def decode_length(byte: int) -> int:
    """The length that a byte stands for."""
    if byte < _FREE:
        return byte
    bits, shift = (byte - _FREE) & 7, ((byte - _FREE) >> 3) - 1
    return _FREE + (bits if shift < 0 else (bits | 8) << shift)


class Postings:
    """Collects documents in order; `index()` gives the finished index."""

    def __init__(self) -> None:
        self.docs: dict[str, array[int]] = {}
        self.tfs: dict[str, array[int]] = {}
        self.lengths: list[int] = []

    def add(self, text: str) -> None:
        """Add the next document."""
        words = terms(text)
        number = len(self.lengths)
        for term, count in Counter(words).items():
            if term not in self.docs:
                self.docs[term], self.tfs[term] = array("i"), array("H")
            self.docs[term].append(number)
            self.tfs[term].append(min(count, 65535))
        self.lengths.append(len(words))

    def index(self) -> Bm25:
        """Finish."""
        names = list(self.docs)
        offsets = np.zeros(len(names) + 1, dtype=np.int64)
        np.cumsum([len(self.docs[n]) for n in names], out=offsets[1:])
        docs = np.concatenate([np.zeros(0, np.int32), *(np.asarray(self.docs[n]) for n in names)])
        tfs = np.concatenate([np.zeros(0, np.uint16), *(np.asarray(self.tfs[n]) for n in names)])
        norms = np.array([encode_length(n) for n in self.lengths], dtype=np.uint8)
        rows = {n: (int(offsets[i]), int(offsets[i + 1])) for i, n in enumerate(names)}
        return Bm25(rows, docs.astype(np.int32), tfs.astype(np.uint16), norms, sum(self.lengths))


class Bm25:
    """A finished index. `rows` maps a term to its (start, end) in the flat arrays.

    docs: int32, document numbers by term, rising; tfs: uint16, how often the term is there;
    norms: uint8 per document, its length as a byte; total: all terms of all documents.
    """

    def __init__(
        self,
        rows: Mapping[str, tuple[int, int]],
        docs: np.ndarray,
        tfs: np.ndarray,
        norms: np.ndarray,
        total: int,
    ) -> None:
        self.rows, self.docs, self.tfs, self.norms, self.total = rows, docs, tfs, norms, total
        n = max(1, len(norms))
        mean = max(1e-9, total / n)
        lengths = np.array([decode_length(i) for i in range(256)], dtype=np.float32)
        self._norm = (K1 * (1 - B + B * lengths / np.float32(mean))).astype(np.float32)

    @classmethod
    def build(cls, texts: Iterable[str]) -> Bm25:
        """Index texts in the order given."""
        postings = Postings()
        for text in texts:
            postings.add(text)
        return postings.index()

    def search(self, query: str, k: int = 50) -> list[int]:
        """The numbers of the `k` best documents, best first; only those that share a term."""
        counts = Counter(terms(query))
        n = len(self.norms)
        scores = np.zeros(n, dtype=np.float32)
        for term, count in counts.items():
            row = self.rows.get(term)
            if row is None:
                continue
            docs, tfs = self.docs[row[0] : row[1]], self.tfs[row[0] : row[1]].astype(np.float32)
            idf = math.log(1 + (n - len(docs) + 0.5) / (len(docs) + 0.5))
            weight = np.float32(count * idf)
            scores[docs] += weight * (tfs / (tfs + self._norm[self.norms[docs]]))
        hits = np.flatnonzero(scores)
        if len(hits) > k:
            found = scores[hits]
            cut = np.partition(found, len(hits) - k)[len(hits) - k]
            hits = hits[found >= cut]
        order = np.lexsort((hits, -scores[hits]))[:k]
        return hits[order].tolist()
