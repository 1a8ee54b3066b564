"""The language of the generated encyclopedia: names, relations, sentences, questions.

It is small and regular on purpose, so that a model of a million parameters can learn to read it. A
name is two words, each from a short list of its kind; each relation has a noun, which questions
use ("the birthplace of"), and a sentence, which passages use ("was born in"). The noun of a
relation is never a word of its sentence: which word finds which relation is something to be learnt.
Every fourth pair of words is a name of the test split alone, so that test entities are new names
made of known words.
"""

from __future__ import annotations

import re
import zlib
from dataclasses import dataclass
from functools import lru_cache
from itertools import product

VERSION = 1  # of names, sentences and generator: task fingerprints hold it
HOPS = ("one_hop", "two_hop", "three_hop")
TEST_SHARE = 4  # one pair of words in so many


def _join(first: str, second: str) -> tuple[str, ...]:
    return tuple(a + b for a, b in product(first.split(), second.split()))


FIRST: dict[str, tuple[str, ...]] = {
    "person": _join("Ta Me Lo Ri Su Va Ke No", "vo rin la mir sa dek"),
    "town": tuple("Old New Upper Lower Port Fort Saint Mount Glen Lake East West".split()),
    "land": _join("Al Bor Cas Del Es Lur", "dania mark tria nia vosk zant"),
    "book": tuple(
        "Silent Golden Broken Hidden Crooked Distant Frozen Gentle Hollow Iron Lonely Merry Narrow "
        "Painted Quiet Restless Scarlet Tender Velvet Wandering".split()
    ),
    "firm": _join("Zeb Quo Yar Ux Ipp Om", "ex lin tar ova ump rick"),
}
SECOND: dict[str, tuple[str, ...]] = {
    "person": _join("Bran Dor Fel Gar Hol Jas Mor Wes", "by ton kin well ner stad"),
    "town": _join("Ash Birch Crow Dun Elm Fox Hart Kings", "ford ham wick mere bury gate"),
    "land": tuple("Republic Kingdom Isles Union Coast Empire".split()),
    "book": tuple(
        "Lantern Harbour Orchard Mirror River Candle Feather Garden Island Ladder Meadow Needle "
        "Ocean Pillow Ribbon Shadow Tower Valley Window Anchor Bridge Cradle Desert Engine".split()
    ),
    "firm": tuple("Works Mills Bank Forge Press Lines Guild Stores".split()),
}
THINGS: dict[str, tuple[str, ...]] = {
    "instrument": tuple("lute drum flute harp fiddle horn organ bagpipe zither bell".split()),
    "goods": tuple("salt wool honey glass paper silk copper cheese tea rope soap wine".split()),
    "coin": tuple("crown florin ducat penny mark thaler groat guilder".split()),
    "animal": tuple("lion eagle bear otter swan wolf stag heron fox bull".split()),
    "topic": tuple("war love winter hunger magic exile music ghosts trade justice".split()),
}
KINDS = tuple(FIRST)


@dataclass(frozen=True, slots=True)
class Relation:
    """Questions ask by `noun`, passages tell by `words`; `subject` and `value` are kinds."""

    noun: str
    subject: str
    value: str
    words: str

    @property
    def key(self) -> str:
        """The one word of the sentence that is its own: what finds it."""
        return next(w for w in self.words.split() if w in KEYS)

    @property
    def names(self) -> bool:
        """Whether its value is an entity, about which there are passages."""
        return self.value in FIRST


RELATIONS: tuple[Relation, ...] = (
    Relation("birthplace", "person", "town", "was born in"),
    Relation("employer", "person", "firm", "works for"),
    Relation("spouse", "person", "person", "is married to"),
    Relation("teacher", "person", "person", "studied under"),
    Relation("instrument", "person", "instrument", "plays the"),
    Relation("land", "town", "land", "lies in"),
    Relation("mayor", "town", "person", "is governed by"),
    Relation("builder", "town", "person", "was built by"),
    Relation("export", "town", "goods", "sells"),
    Relation("capital", "land", "town", "is led from"),
    Relation("ruler", "land", "person", "obeys"),
    Relation("currency", "land", "coin", "pays with the"),
    Relation("emblem", "land", "animal", "has on its flag the"),
    Relation("author", "book", "person", "was written by"),
    Relation("publisher", "book", "firm", "was printed by"),
    Relation("setting", "book", "town", "takes place in"),
    Relation("topic", "book", "topic", "tells about"),
    Relation("founder", "firm", "person", "was started by"),
    Relation("owner", "firm", "person", "belongs to"),
    Relation("home", "firm", "town", "has its office in"),
    Relation("product", "firm", "goods", "makes"),
)
KEYS = frozenset(
    "born works married studied plays lies governed built sells led obeys pays flag written "
    "printed place tells started belongs office makes".split()
)
BY_NOUN = {r.noun: r for r in RELATIONS}
NAME = r"[A-Z][a-z]+ [A-Z][a-z]+"
_SENTENCE = re.compile(
    rf"({NAME}) ({'|'.join(re.escape(r.words) for r in RELATIONS)}) ({NAME}|[a-z]+)\."
)
_QUESTION = re.compile(rf"(?:What|Who) is ((?:the [a-z]+ of )+)({NAME})\?")


@dataclass(frozen=True, slots=True)
class Fact:
    """What one passage tells."""

    entity: str
    relation: str  # its noun
    value: str

    @property
    def sentence(self) -> str:
        """The passage."""
        return f"{self.entity} {BY_NOUN[self.relation].words} {self.value}."


@lru_cache(maxsize=4096)
def read(text: str) -> tuple[Fact, ...]:
    """The facts that a text tells, in order; whatever else it says is passed over."""
    nouns = {r.words: r.noun for r in RELATIONS}
    return tuple(Fact(a, nouns[words], b) for a, words, b in _SENTENCE.findall(text))


def ask(entity: str, chain: tuple[str, ...]) -> str:
    """The question for relations in the order in which they are followed."""
    word = "Who" if BY_NOUN[chain[-1]].value == "person" else "What"
    middle = "".join(f"the {noun} of " for noun in reversed(chain))
    return f"{word} is {middle}{entity}?"


def read_question(text: str) -> tuple[str, tuple[str, ...]] | None:
    """(entity, relations in the order in which to follow them); None for any other question."""
    match = _QUESTION.search(text)
    if match is None:
        return None
    return match[2], tuple(re.findall(r"the ([a-z]+) of", match[1]))[::-1]


@lru_cache(maxsize=16)
def names(kind: str, test: bool) -> tuple[str, ...]:
    """All names of a kind that the test split, or every other one, may use."""
    pairs = (f"{a} {b}" for a, b in product(FIRST[kind], SECOND[kind]))
    return tuple(n for n in pairs if (zlib.crc32(f"{kind} {n}".encode()) % TEST_SHARE == 0) == test)
