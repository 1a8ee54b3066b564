"""The sentences in which advice about shopping is written, and how to read them back.

One entry per piece of advice: `key`, whether it helps (`good`), and its wordings. The offline
teacher writes the first wording; the scripted player reads all of them; the embedded model was
pretrained on all but the last one, which is kept to test whether it reads advice or recognises it.
`{c}` and `{a}` stand for a category and a sub-page.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache


@dataclass(frozen=True, slots=True)
class Phrase:
    """One piece of advice. `good` False is its opposite: what a harmful bank would say."""

    key: str
    good: bool
    title: str
    wordings: tuple[str, ...]


PHRASES: tuple[Phrase, ...] = (
    Phrase(
        "query",
        True,
        "Search for all of it",
        (
            "Search for the product and the attributes that you need.",
            "Put the attributes and the product into one search.",
            "A search names both the product and what it must have.",
        ),
    ),
    Phrase(
        "query",
        False,
        "Search for little",
        (
            "Search for an attribute alone and leave the product out.",
            "Put no product into a search, just an attribute.",
            "A search for one attribute is enough.",
        ),
    ),
    Phrase(
        "price",
        True,
        "Mind the price",
        (
            "Pick an offer only if its price is below the limit.",
            "Compare each price with the limit and pass over what costs more.",
            "Whatever is dearer than the limit is no offer for you.",
        ),
    ),
    Phrase(
        "price",
        False,
        "Never mind the price",
        (
            "Pick the first offer whatever its price is.",
            "Do not compare prices with the limit.",
            "The limit is not meant in earnest.",
        ),
    ),
    Phrase(
        "check",
        True,
        "Read before buying",
        (
            "Read about a product before you buy it.",
            "Look at the details of a product first, then buy it.",
            "Never buy a product that you have not read about.",
        ),
    ),
    Phrase(
        "check",
        False,
        "Buy unread",
        (
            "Buy a product without reading about it.",
            "Do not look at the details of a product.",
            "Reading about a product is a waste of time.",
        ),
    ),
    Phrase(
        "leave",
        True,
        "Leave what does not fit",
        (
            "If an attribute is missing, go back and take another product.",
            "When the details lack an attribute, leave the product.",
            "A product without a needed attribute is not the right one.",
        ),
    ),
    Phrase(
        "leave",
        False,
        "Keep what does not fit",
        (
            "If an attribute is missing, buy the product all the same.",
            "When the details lack an attribute, keep the product.",
            "A missing attribute does not matter.",
        ),
    ),
    Phrase(
        "options",
        True,
        "Choose the options",
        (
            "Click every option that is asked for before you buy.",
            "Choose the options first, then buy; leave a product that lacks one.",
            "No purchase is right without its options.",
        ),
    ),
    Phrase(
        "options",
        False,
        "Choose no options",
        (
            "Buy at once and choose no option.",
            "Do not click options, just buy.",
            "Options choose themselves.",
        ),
    ),
    Phrase(
        "page",
        True,
        "Where the attributes of {c} stand",
        (
            "For {c} read the {a} page.",
            "The attributes of {c} stand on the {a} page.",
            "What {c} has is told under {a}.",
        ),
    ),
)
FILLER = (
    "A shop has many products.",
    "Prices are in dollars.",
    "Every product has a name.",
    "Shopping takes time.",
    "Some products come in many colors.",
    "The first page is the first page.",
    "A product is a product.",
    "Think of what you need.",
    "Offers stand in a list.",
    "Be kind to the shop.",
)


@dataclass(frozen=True, slots=True)
class Advice:
    """A sentence that was read: `category` and `page` for the key "page", else empty."""

    key: str
    good: bool
    category: str = ""
    page: str = ""


@lru_cache(maxsize=1)
def _patterns() -> list[tuple[re.Pattern[str], Phrase]]:
    out = []
    for phrase in PHRASES:
        for wording in phrase.wordings:
            pattern = re.escape(wording).replace(r"\{c\}", r"(?P<c>\w+)")
            pattern = pattern.replace(r"\{a\}", r"(?P<a>\w+)")
            out.append((re.compile(pattern, re.IGNORECASE), phrase))
    return out


@lru_cache(maxsize=4096)
def read(sentence: str) -> Advice | None:
    """Read one sentence of advice; None for anything else."""
    for pattern, phrase in _patterns():
        match = pattern.fullmatch(sentence.strip())
        if match:
            slots = match.groupdict()
            return Advice(phrase.key, phrase.good, slots.get("c") or "", slots.get("a") or "")
    return None
