"""The sentences in which advice about household games is written, and how to read them back.

One entry per piece of advice: `key`, whether it helps (`good`), and its wordings. The offline
teacher writes the first wording; the scripted player reads all of them; the embedded model was
pretrained on all but the last one, which is kept to test whether it reads advice or recognises it.
`{o}`, `{a}`, `{b}`, `{s}` stand for an object type, receptacle types and an appliance.
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
        "order",
        True,
        "Search each place once",
        (
            "Search the places in the order of the list and do not go back to a place that you have searched.",  # noqa: E501
            "Go through the list of places one by one, never to the same place twice.",
            "Visit every place once, in the order in which they are listed.",
        ),
    ),
    Phrase(
        "order",
        False,
        "Search again",
        (
            "Search any place that comes to mind and go back to places that you have searched.",
            "Jump between places and return to the same place often.",
            "Places that you have searched deserve another visit.",
        ),
    ),
    Phrase(
        "open",
        True,
        "Open what is closed",
        (
            "Open a closed place and look inside before you leave it.",
            "When a place is closed, open it at once.",
            "Never leave a closed place unopened.",
        ),
    ),
    Phrase(
        "open",
        False,
        "Leave closed things closed",
        (
            "Leave a closed place closed and go on to the next.",
            "When a place is closed, do not open it.",
            "Closed places hold nothing that you need.",
        ),
    ),
    Phrase(
        "direct",
        True,
        "Carry it straight there",
        (
            "When you hold what you need, go straight to where it must go.",
            "Carry what you hold to its place without a detour.",
            "Once it is in your hand, waste no step.",
        ),
    ),
    Phrase(
        "direct",
        False,
        "Look around first",
        (
            "When you hold what you need, look around in other places first.",
            "Carry what you hold from place to place before you put it down.",
            "Once it is in your hand, take a walk through the room.",
        ),
    ),
    Phrase(
        "clean",
        True,
        "Clean at the sinkbasin",
        (
            "To clean something, take it to the sinkbasin and clean it there before you put it down.",  # noqa: E501
            "Clean it with the sinkbasin first, then put it in its place.",
            "Something clean is wanted: the sinkbasin comes before its place.",
        ),
        "pick_clean_then_place_in_recep",
    ),
    Phrase(
        "clean",
        False,
        "Put it down as it is",
        (
            "To clean something, put it down in its place at once.",
            "Do not clean it with the sinkbasin, just put it in its place.",
            "Something clean is wanted: its place makes it clean.",
        ),
        "pick_clean_then_place_in_recep",
    ),
    Phrase(
        "heat",
        True,
        "Heat in the microwave",
        (
            "To heat something, take it to the microwave and heat it there before you put it down.",
            "Heat it with the microwave first, then put it in its place.",
            "Something hot is wanted: the microwave comes before its place.",
        ),
        "pick_heat_then_place_in_recep",
    ),
    Phrase(
        "heat",
        False,
        "Put it down as it is",
        (
            "To heat something, put it down in its place at once.",
            "Do not heat it with the microwave, just put it in its place.",
            "Something hot is wanted: its place makes it hot.",
        ),
        "pick_heat_then_place_in_recep",
    ),
    Phrase(
        "cool",
        True,
        "Cool in the fridge",
        (
            "To cool something, take it to the fridge and cool it there before you put it down.",
            "Cool it with the fridge first, then put it in its place.",
            "Something cool is wanted: the fridge comes before its place.",
        ),
        "pick_cool_then_place_in_recep",
    ),
    Phrase(
        "cool",
        False,
        "Put it down as it is",
        (
            "To cool something, put it down in its place at once.",
            "Do not cool it with the fridge, just put it in its place.",
            "Something cool is wanted: its place makes it cool.",
        ),
        "pick_cool_then_place_in_recep",
    ),
    Phrase(
        "light",
        True,
        "Take it to the lamp",
        (
            "To look at something under a lamp, take it first, then find the lamp and use it.",
            "Take the thing in your hand, then go to the lamp and use the lamp.",
            "Under the lamp counts only what you hold when you use it.",
        ),
        "look_at_obj_in_light",
    ),
    Phrase(
        "light",
        False,
        "Use the lamp alone",
        (
            "To look at something under a lamp, find the lamp and use it with an empty hand.",
            "Leave the thing where it is, go to the lamp and use the lamp.",
            "Under the lamp nothing needs to be held.",
        ),
        "look_at_obj_in_light",
    ),
    Phrase(
        "two",
        True,
        "Bring the second one too",
        (
            "To put two things, bring the first one, then go and find the second one.",
            "One is not enough: after the first, search for the second.",
            "Two are wanted, so the search goes on after the first.",
        ),
        "pick_two_obj_and_place",
    ),
    Phrase(
        "two",
        False,
        "Stop after the first",
        (
            "To put two things, bring the first one, then take it out again.",
            "One is enough: after the first, stay where you are.",
            "Two are wanted, but the first will do.",
        ),
        "pick_two_obj_and_place",
    ),
    Phrase(
        "where",
        True,
        "Where to look",
        (
            "Look for a {o} in the {a}, then in the {b}.",
            "A {o} is often in the {a} or in the {b}.",
            "The {a} and the {b} are where a {o} lies.",
        ),
    ),
    Phrase(
        "where",
        True,
        "Where to look",
        (
            "Look for a {o} in the {a}.",
            "A {o} is often in the {a}.",
            "The {a} is where a {o} lies.",
        ),
    ),
)

FILLER = (
    "A tidy room is a pleasure to see.",
    "Every day is a good day to do something.",
    "Take your time and think of what you do.",
    "The work is done when it is done.",
    "Many things look alike from a distance.",
    "Some rooms are larger than others.",
    "It is good to know what one wants.",
    "A room has walls and a door.",
    "The light of the day comes and goes.",
    "Things have names and names have letters.",
    "There is more than one way to do a thing.",
    "A house is made of rooms.",
    "Good work is its own reward.",
    "The day has a morning and an evening.",
    "One thing comes after another.",
    "What is near is not far.",
)


@dataclass(frozen=True, slots=True)
class Advice:
    """What a sentence says: a key, its direction, and for "where" the object and the places."""

    key: str
    good: bool
    object: str = ""
    places: tuple[str, ...] = ()


@lru_cache(maxsize=1)
def _patterns() -> list[tuple[re.Pattern[str], Phrase]]:
    out = []
    for phrase in PHRASES:
        for wording in phrase.wordings:
            pattern = re.escape(wording).replace(r"\{o\}", r"(?P<o>\w+)")
            pattern = pattern.replace(r"\{a\}", r"(?P<a>\w+)").replace(r"\{b\}", r"(?P<b>\w+)")
            out.append((re.compile(pattern, re.IGNORECASE), phrase))
    return out


@lru_cache(maxsize=4096)
def read(sentence: str) -> Advice | None:
    """Read one sentence of advice; None for anything else."""
    for pattern, phrase in _patterns():
        match = pattern.fullmatch(sentence.strip())
        if match:
            slots = match.groupdict()
            places = tuple(slots[k] for k in ("a", "b") if slots.get(k))
            return Advice(phrase.key, phrase.good, slots.get("o") or "", places)
    return None
