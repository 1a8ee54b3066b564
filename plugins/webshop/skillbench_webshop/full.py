"""The full catalogue: 1.18 million products in one SQLite file and flat arrays beside it.

`convert` reads the two large official files as streams, one product at a time, and writes
    full/products.sqlite   products by position and identifier, terms, goals
    full/docs.i32, tfs.u16, norms.u8   the search index, mapped into memory, shared by processes
so that a process holds little more than what it looks at. It is begun anew if it was interrupted,
and nothing is used before `full/done` is there.
"""

from __future__ import annotations

import json
import shutil
import sqlite3
from array import array
from collections import Counter, OrderedDict
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from typing import IO, Any

import numpy as np

from skillbench.errors import DataError

from . import goals as making
from .analysis import terms
from .bm25 import Bm25, encode_length
from .catalogue import Goal, Product, read_product
from .data import FETCH
from .shop import Shop

ITEMS, ATTRIBUTES, HUMAN = "items_shuffle.json", "items_ins_v2.json", "items_human_ins.json"
FOLDER = "full"
CHUNK = 1 << 22
BATCH = 20_000_000  # postings held in memory before they are written out, 6 bytes each
CACHED = 4096
LONGEST = 1 << 26  # characters of one entry; more is a damaged file
Progress = Callable[[int, int, str], None]
SCHEMA = """
CREATE TABLE products (position INTEGER PRIMARY KEY, asin TEXT UNIQUE, item TEXT);
CREATE TABLE terms (term TEXT PRIMARY KEY, begin INTEGER, finish INTEGER) WITHOUT ROWID;
CREATE TABLE info (name TEXT PRIMARY KEY, value TEXT);
"""
KEPT = (
    "asin", "name", "full_description", "small_description", "pricing", "product_category",
    "category", "query",
)  # fmt: skip


def present(root: Path) -> bool:
    """Whether the full catalogue has been converted."""
    return (root / FOLDER / "done").is_file()


def array_items(stream: IO[str], chunk: int = CHUNK) -> Iterator[Any]:
    """The members of a JSON array, one at a time. Raises ValueError where it is none."""
    decoder, text, at, begun = json.JSONDecoder(), "", 0, False
    while True:
        while at < len(text) and text[at] in (" \t\r\n," if begun else " \t\r\n"):
            at += 1
        if at < len(text) and not begun:
            if text[at] != "[":
                raise ValueError("it does not begin with '['")
            at, begun = at + 1, True
            continue
        if at < len(text) and text[at] == "]":
            return
        try:
            item, end = decoder.raw_decode(text, at)
            whole = text[end : end + 1] in (",", "]", " ", "\t", "\r", "\n")
        except ValueError:
            whole = False
        if not whole:  # it may go on in the next chunk
            more = stream.read(chunk)
            if not more or len(text) - at > LONGEST:
                raise ValueError("it ends in the middle of an entry")
            text, at = text[at:] + more, 0
            continue
        yield item
        text, at = (text, end) if end < CHUNK else (text[end:], 0)


class Runs:
    """Postings in more than memory: sorted runs on disk, merged at the end by term."""

    def __init__(self, folder: Path, batch: int = BATCH) -> None:
        self.folder, self.batch = folder, batch
        self.number: dict[str, int] = {}
        self.terms, self.docs, self.tfs = array("i"), array("i"), array("H")
        self.counts: list[int] = []
        self.runs: list[Path] = []

    def add(self, document: int, words: Counter[str]) -> None:
        """Add a document's terms."""
        for term, count in words.items():
            row = self.number.setdefault(term, len(self.number))
            if row == len(self.counts):
                self.counts.append(0)
            self.counts[row] += 1
            self.terms.append(row)
            self.docs.append(document)
            self.tfs.append(min(count, 65535))
        if len(self.terms) >= self.batch:
            self._flush()

    def _flush(self) -> None:
        rows = np.frombuffer(self.terms, np.int32)
        order = np.argsort(rows, kind="stable")
        run = self.folder / f"run{len(self.runs)}"
        for name, values in (("terms", rows), ("docs", np.frombuffer(self.docs, np.int32)),
                             ("tfs", np.frombuffer(self.tfs, np.uint16))):  # fmt: skip
            values[order].tofile(f"{run}.{name}")
        self.runs.append(run)
        self.terms, self.docs, self.tfs = array("i"), array("i"), array("H")

    def finish(self, docs: Path, tfs: Path) -> np.ndarray:
        """Write the arrays; returns where each term begins (and the end of the last)."""
        if len(self.terms):
            self._flush()
        offsets = np.zeros(len(self.counts) + 1, np.int64)
        np.cumsum(np.array(self.counts, np.int64), out=offsets[1:])
        size = max(1, int(offsets[-1]))
        out_docs = np.memmap(docs, np.int32, "w+", shape=(size,))
        out_tfs = np.memmap(tfs, np.uint16, "w+", shape=(size,))
        at = offsets[:-1].copy()
        for run in self.runs:  # documents rise from run to run, so each appends to its terms
            rows = np.memmap(f"{run}.terms", np.int32, "r")
            starts = np.flatnonzero(np.diff(rows, prepend=-1))
            lengths = np.diff(np.append(starts, len(rows)))
            places = np.repeat(at[rows[starts]] - starts, lengths) + np.arange(len(rows))
            out_docs[places] = np.memmap(f"{run}.docs", np.int32, "r")
            out_tfs[places] = np.memmap(f"{run}.tfs", np.uint16, "r")
            at[rows[starts]] += lengths
            for name in ("terms", "docs", "tfs"):
                Path(f"{run}.{name}").unlink()
        out_docs.flush()
        out_tfs.flush()
        return offsets


def convert(root: Path, tell: Progress | None = None, *, nouns: Any = None) -> Path:
    """Make the SQLite file and the index from the official files, unless they are there.

    `nouns` turns titles into lists of nouns (default: spaCy, see nouns.py). Raises DataError for a
    damaged file or when spaCy is missing.
    """
    folder = root / FOLDER
    if present(root):
        return folder
    from .nouns import tagger

    nouns = nouns or tagger()
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    database = sqlite3.connect(folder / "products.sqlite")
    database.executescript("PRAGMA journal_mode=OFF; PRAGMA synchronous=OFF;" + SCHEMA)
    runs, lengths = Runs(folder), array("i")
    human = _json(root / HUMAN)
    attributes = _json(root / ATTRIBUTES)
    size = (root / ITEMS).stat().st_size
    goals: list[Goal] = []
    try:
        with (root / ITEMS).open(encoding="utf-8") as stream:
            # The stream's place runs ahead of the product by a chunk; good enough to show.
            for product, item in _products(stream, attributes, nouns):
                position = len(lengths)
                words = terms(product.document)
                runs.add(position, Counter(words))
                lengths.append(len(words))
                row = (position, product.asin, json.dumps(item))
                database.execute("INSERT INTO products VALUES (?, ?, ?)", row)
                if product.asin in human:
                    goals += making.human([product], human)
                if tell and position % 10_000 == 0:
                    done = min(size, stream.buffer.tell())  # type: ignore[attr-defined]
                    tell(done, size, "converting the catalogue")
    except ValueError as error:
        raise DataError(f"{root / ITEMS} is damaged ({error}); {FETCH}") from None
    offsets = runs.finish(folder / "docs.i32", folder / "tfs.u16")
    rows = ((t, int(offsets[i]), int(offsets[i + 1])) for t, i in runs.number.items())
    database.executemany("INSERT INTO terms VALUES (?, ?, ?)", rows)
    np.array([encode_length(n) for n in lengths], np.uint8).tofile(folder / "norms.u8")
    told = {"total": str(sum(lengths)), "goals": json.dumps([_goal_row(g) for g in goals])}
    database.executemany("INSERT INTO info VALUES (?, ?)", told.items())
    database.commit()
    database.close()
    (folder / "done").write_text(f"{len(lengths)} products\n")
    return folder


def _json(file: Path) -> Any:
    try:
        return json.loads(file.read_bytes())
    except (OSError, ValueError) as error:
        raise DataError(f"{file} cannot be read ({error}); {FETCH}") from None


def _products(
    stream: IO[str], attributes: Mapping[str, Any], nouns: Any
) -> Iterator[tuple[Product, dict[str, Any]]]:
    """Products with what is kept of their entries, in order, titles tagged in batches."""
    seen: set[str] = set()
    batch: list[dict[str, Any]] = []

    def flush() -> Iterator[tuple[Product, dict[str, Any]]]:
        for item, found in zip(batch, nouns([i["name"] for i in batch])):
            item["nouns"] = list(found)
            yield _product(item), item
        batch.clear()

    for number, item in enumerate(array_items(stream)):
        try:
            asin = item["asin"]
            if asin == "nan" or len(asin) > 10 or asin in seen:
                continue
            seen.add(asin)
            small = {key: item.get(key) for key in KEPT}
            options = item.get("customization_options") or {}
            small["customization_options"] = {
                name: None if values is None else [{"value": v["value"]} for v in values]
                for name, values in options.items()
            }
            small["attributes"] = attributes.get(asin, {}).get("attributes", ["DUMMY_ATTR"])
            batch.append(small)
        except (KeyError, TypeError, AttributeError) as error:
            raise ValueError(f"entry {number} is no product: {error!r}") from None
        if len(batch) == 1000:
            yield from flush()
    yield from flush()


def _product(item: Mapping[str, Any]) -> Product:
    asin = item["asin"]
    return read_product(item, {asin: item}, {asin: item["nouns"]})


def _goal_row(goal: Goal) -> list[Any]:
    return [goal.asin, goal.text, list(goal.attributes), [v for _, v in goal.options], goal.cap]


# ---------------------------------------------------------------------- reading


class Terms(Mapping[str, tuple[int, int]]):
    """Where a term's postings are, looked up in the database."""

    def __init__(self, database: sqlite3.Connection) -> None:
        self.database = database

    def get(self, term: str, default: Any = None) -> Any:  # type: ignore[override]
        """(begin, end), or `default`."""
        query = "SELECT begin, finish FROM terms WHERE term = ?"
        return self.database.execute(query, (term,)).fetchone() or default

    def __getitem__(self, term: str) -> tuple[int, int]:
        found = self.get(term)
        if found is None:
            raise KeyError(term)
        return found

    def __iter__(self) -> Iterator[str]:
        return (row[0] for row in self.database.execute("SELECT term FROM terms"))

    def __len__(self) -> int:
        return int(self.database.execute("SELECT COUNT(*) FROM terms").fetchone()[0])


class Products(Sequence[Product], Mapping[str, Product]):  # type: ignore[misc]
    """Products by position or identifier, read when asked for; the last few thousand are kept."""

    def __init__(self, database: sqlite3.Connection) -> None:
        self.database = database
        self._kept: OrderedDict[str | int, Product] = OrderedDict()

    def __getitem__(self, key: Any) -> Any:
        product = self._kept.get(key)
        if product is None:
            column = "position" if isinstance(key, int) else "asin"
            query = f"SELECT item FROM products WHERE {column} = ?"
            row = self.database.execute(query, (key,)).fetchone()
            if row is None:
                raise KeyError(key)
            product = self._kept[key] = _product(json.loads(row[0]))
            if len(self._kept) > CACHED:
                self._kept.popitem(last=False)
        return product

    def __len__(self) -> int:
        return int(self.database.execute("SELECT COUNT(*) FROM products").fetchone()[0])

    def __iter__(self) -> Iterator[Any]:
        return (self[i] for i in range(len(self)))


@lru_cache(maxsize=2)
def _open(root: Path) -> sqlite3.Connection:
    if not present(root):
        raise DataError(
            f"no full WebShop catalogue in {root / FOLDER}; {FETCH} (5.7 GB), or set WEBSHOP_DATA "
            "to the folder that holds it"
        )
    address = f"file:{root / FOLDER / 'products.sqlite'}?mode=ro&immutable=1"
    return sqlite3.connect(address, uri=True, check_same_thread=False)


@lru_cache(maxsize=2)
def shop(root: Path) -> Shop:
    """The shop of the full catalogue. Raises DataError where it has not been converted."""
    database, folder = _open(root), root / FOLDER
    total = database.execute("SELECT value FROM info WHERE name = 'total'").fetchone()[0]
    index = Bm25(
        Terms(database),
        np.memmap(folder / "docs.i32", np.int32, "r"),
        np.memmap(folder / "tfs.u16", np.uint16, "r"),
        np.memmap(folder / "norms.u8", np.uint8, "r"),
        int(total),
    )
    products = Products(database)
    return Shop(products, index.search, products)


@lru_cache(maxsize=2)
def goals(root: Path) -> dict[str, Goal]:
    """The human goals of the full catalogue by id, in canonical order."""
    from .official import named

    rows = json.loads(
        _open(root).execute("SELECT value FROM info WHERE name = 'goals'").fetchone()[0]
    )
    products = shop(root).by_asin
    out = []
    for asin, text, attributes, options, cap in rows:
        p = products[asin]
        values = tuple(("", v) for v in options)
        out.append(
            Goal(asin, text, tuple(attributes), values, cap, p.category, p.query,
                 p.product_category, p.nouns)
        )  # fmt: skip
    return named(making.shuffled(out))
