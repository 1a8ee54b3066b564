"""The sentences in which advice about questions is written, and how to read them back.

One entry per piece of advice: `key`, whether it helps (`good`), and its wordings. The offline
teacher writes the first wording; the scripted player reads all of them; the embedded model is
pretrained on all but the last one, which is kept to test whether it reads advice or recognises it.
`{o}` stands for a relation, `{a}` for the word by which passages tell it.
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
    task_type: str = ""


PHRASES: tuple[Phrase, ...] = (
    Phrase(
        "name",
        True,
        "Search for the name",
        (
            "Search for the whole name that you ask about.",
            "Put the full name into each search.",
            "A search needs the whole name.",
        ),
    ),
    Phrase(
        "name",
        False,
        "Search without a name",
        (
            "Search for a word alone, without the name.",
            "Leave the name out of each search.",
            "A search needs no name.",
        ),
    ),
    Phrase(
        "asked",
        True,
        "Take what is asked for",
        (
            "Take what the question asks for, not the first thing in the passages.",
            "Read on until a passage tells what is asked.",
            "Only the passage that tells what is asked counts.",
        ),
    ),
    Phrase(
        "asked",
        False,
        "Take the first thing",
        (
            "Take the first thing in the passages, whatever it is.",
            "Do not read on after the first passage.",
            "The first passage counts, whatever it tells.",
        ),
    ),
    Phrase(
        "again",
        True,
        "Search again",
        (
            "When no passage tells it, search again with another word.",
            "If it is not told, try one more search.",
            "Do not answer before a passage tells it.",
        ),
    ),
    Phrase(
        "again",
        False,
        "Guess",
        (
            "When no passage tells it, answer with any name.",
            "If it is not told, guess at once.",
            "Answer even before a passage tells it.",
        ),
    ),
    Phrase(
        "copy",
        True,
        "Answer with the whole name",
        (
            "Answer with the whole name, all words of it.",
            "Copy both words of a name into the answer.",
            "An answer keeps the whole name.",
        ),
    ),
    Phrase(
        "copy",
        False,
        "Answer with one word",
        (
            "Answer with one word of the name, no more.",
            "Copy only one word of a name into the answer.",
            "An answer drops a part of the name.",
        ),
    ),
    Phrase(
        "one",
        True,
        "One step is enough",
        (
            "One step: answer as soon as a passage tells it.",
            "After the first thing you are done, so answer.",
            "The first thing found is the answer.",
        ),
        "one_hop",
    ),
    Phrase(
        "one",
        False,
        "Look further",
        (
            "One step is not enough: search for what you found, too.",
            "After the first thing go on and search for it.",
            "The first thing found is never the answer.",
        ),
        "one_hop",
    ),
    Phrase(
        "two",
        True,
        "Two steps",
        (
            "Two steps: find the first thing, then search for its name.",
            "After the first thing go on to the second, then answer.",
            "The second thing found is the answer.",
        ),
        "two_hop",
    ),
    Phrase(
        "two",
        False,
        "Stop after one step",
        (
            "Two steps are too many: answer with the first thing.",
            "After the first thing stop and answer with it.",
            "There is no need for a second thing.",
        ),
        "two_hop",
    ),
    Phrase(
        "three",
        True,
        "Three steps",
        (
            "Three steps: search for each name that you find, up to the third thing.",
            "After the second thing go on to the third, then answer.",
            "The third thing found is the answer.",
        ),
        "three_hop",
    ),
    Phrase(
        "three",
        False,
        "Stop early",
        (
            "Three steps are too many: answer with what you find before.",
            "After the first or second thing stop and answer with it.",
            "There is no need for a third thing.",
        ),
        "three_hop",
    ),
    Phrase(
        "word",
        True,
        "Which word to search for",
        (
            "The word for {o} is {a}.",
            "Find the {o} with {a}.",
            "Search for {a} to find the {o}.",
        ),
    ),
)

FILLER = (
    "A good book is a good friend.",
    "Every question was new once.",
    "Take your time and read with care.",
    "A library is a quiet place.",
    "Some names are longer than others.",
    "It is good to know many things.",
    "A page has two sides.",
    "The night is long and the day is short.",
    "Words are made of letters.",
    "There is more than one way to say a thing.",
    "The world is large.",
    "Good work is its own reward.",
    "One page comes after another.",
    "What is near is not far.",
    "Paper is made of wood.",
    "Old books smell of dust.",
)


@dataclass(frozen=True, slots=True)
class Advice:
    """What a sentence says: a key, its direction, and for "word" the relation and the word."""

    key: str
    good: bool
    relation: str = ""
    word: str = ""


@lru_cache(maxsize=1)
def _patterns() -> list[tuple[re.Pattern[str], Phrase]]:
    out = []
    for phrase in PHRASES:
        for wording in phrase.wordings:
            pattern = re.escape(wording).replace(r"\{o\}", r"(?P<o>[a-z]+)")
            out.append((re.compile(pattern.replace(r"\{a\}", r"(?P<a>[a-z]+)"), re.I), phrase))
    return out


@lru_cache(maxsize=4096)
def read(sentence: str) -> Advice | None:
    """Read one sentence of advice; None for anything else."""
    for pattern, phrase in _patterns():
        match = pattern.fullmatch(sentence.strip())
        if match:
            slots = match.groupdict()
            return Advice(phrase.key, phrase.good, slots.get("o") or "", slots.get("a") or "")
    return None
