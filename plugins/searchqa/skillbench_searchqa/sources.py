"""The three sources of questions, each with its own corpus.

`generated`: the encyclopedia; task types are numbers of hops. `mini`: real questions over 10,000
(or 32,156) Wikipedia passages. `official`: the seven published test sets (and NQ and HotpotQA for
training) over wiki-18. Task ids say where they are from: generated/..., mini/..., official/...

The mini set has a split of its own making, without overlap: of each set, three questions of ten (by
digest of the question) are `train`, and so are all of HotpotQA's train questions; the rest is
`test`.
"""

from __future__ import annotations

import functools
import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from skillbench.errors import DataError, UsageError, unknown_name

from . import corpus, data
from .corpus import Passage
from .encyclopedia.language import BY_NOUN, VERSION
from .encyclopedia.volume import volume
from .scoring import normalise

SPLITS = ("train", "test")
SOURCES = ("generated", "mini", "official")
TRAIN_OF_TEN = 3


@dataclass(frozen=True, slots=True)
class Item:
    """One question. `hints` are queries that find what is needed; for the oracle alone."""

    id: str
    split: str
    task_type: str
    question: str
    answers: tuple[str, ...]
    hints: tuple[str, ...] = ()
    gold_ids: tuple[str, ...] = ()  # passages that the data set's authors marked


@functools.lru_cache(maxsize=16)
def generated(split: str, count: int) -> tuple[Item, ...]:
    """Questions of the encyclopedia."""
    _check(split)
    book = volume(split)
    out = []
    for index in range(count):
        q = book.question(index)
        hints = tuple(f"{f.entity} {BY_NOUN[f.relation].key}" for f in q.path)
        id = f"generated/{q.hops}/{split}-{index:05d}"
        out.append(Item(id, split, q.hops, q.text, (q.answer,), hints))
    return tuple(out)


def _in_train(set_name: str, question: str) -> bool:
    # By the question's words, since two sets may ask the same one.
    if set_name == "hotpotqa_train":
        return True
    digest = hashlib.sha256(normalise(question).encode()).hexdigest()
    return int(digest, 16) % 10 < TRAIN_OF_TEN


@functools.lru_cache(maxsize=4)
def mini(folder: Path, split: str) -> tuple[Item, ...]:
    """Questions of the mini set. Raises DataError with how to mend the folder."""
    _check(split)
    file = folder / data.MINI_QUESTIONS
    out, seen = [], set()
    for row in data.rows(file, data.MEND_MINI):
        name, id = str(row.get("data_source") or ""), str(row["id"])
        if not name:
            raise DataError(f"{file}: question {id!r} has no data_source; {data.MEND_MINI}")
        chosen = "train" if _in_train(name, row["question"]) else "test"
        key = f"mini/{name}/{id}"
        if key in seen:
            raise DataError(f"{file}: two questions {key!r}; {data.MEND_MINI}")
        seen.add(key)
        if chosen != split:
            continue
        gold = tuple(row.get("gold_ids") or ())
        question = corpus.clean(row["question"])
        task_type = name.removesuffix("_train")
        out.append(Item(key, split, task_type, question, tuple(row["golden_answers"]), (), gold))
    return tuple(out)


@functools.lru_cache(maxsize=4)
def official(folder: Path, split: str) -> tuple[Item, ...]:
    """Questions of the published sets that are there. Raises DataError where none is."""
    _check(split)
    home = folder / data.OFFICIAL
    names = (
        [(s, f"{s}.train.jsonl") for s in data.TRAIN_SETS]
        if split == "train"
        else [(s, f"{s}.{part}.jsonl") for s, (part, _) in data.TEST_SETS.items()]
    )
    out = []
    for name, file in names:
        if not (home / file).is_file():
            continue
        for row in data.rows(home / file, f"delete it and {data.FETCH}"):
            id = f"official/{name}/{row['id']}"
            question = corpus.clean(row["question"])
            out.append(Item(id, split, name, question, tuple(row["golden_answers"])))
    if not out:
        raise DataError(
            f"no official questions of the split {split!r} in {home}; {data.FETCH}, or set "
            "SEARCHQA_DATA (or env.data) to the folder that holds `official`"
        )
    return tuple(out)


@functools.lru_cache(maxsize=4)
def passages(source: str, folder: Path, size: str, split: str) -> Sequence[Passage]:
    """The corpus of a source; of the encyclopedia, the volume of a split."""
    if source == "generated":
        return volume(split).passages
    if source == "mini":
        file = folder / f"corpus_{size}.jsonl.gz"
        try:
            return tuple(corpus.read(file))
        except DataError as error:
            raise DataError(f"{error}; {data.MEND_MINI}") from None
    file = folder / data.OFFICIAL / data.CORPUS
    try:
        return tuple(corpus.read(file))
    except DataError as error:
        raise DataError(
            f"{error}; {data.FETCH}, or search elsewhere with --set env.search=http "
            "--set env.url=URL"
        ) from None


def fingerprint(items: Sequence[Item], what: str) -> str:
    """Digest over ids, questions and answers: over everything that decides the tasks."""
    found = hashlib.sha256(f"searchqa {what} {VERSION if what == 'generated' else ''}".encode())
    for item in items:
        found.update("\x1f".join((item.id, item.question, *item.answers)).encode())
        found.update(b"\x1e")
    return found.hexdigest()


def _check(split: str) -> None:
    if split not in SPLITS:
        raise unknown_name("searchqa split", split, SPLITS)


def source_of(task: str) -> tuple[str, str]:
    """(source, the rest of the id). Raises UsageError for an id that is none."""
    source, _, rest = task.partition("/")
    if source not in SOURCES or not rest:
        raise UsageError(
            f"unknown searchqa task {task!r}: ids begin with generated/, mini/ or official/"
        )
    return source, rest
