"""What the offline teacher needs to know of shopping: commands, things, and facts of play.

The offline teacher (methods plugin) is generic: it counts `evidence` over episodes and asks
`phrase` to put a finding into words. Nothing here knows which finding helps: that is decided by the
episodes. Everything is read off the pages that the customer saw, the instruction and the category.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from skillbench.vocabulary import Event, Fact

from .phrases import PHRASES
from .reading import ASIN, View, Wanted, goal_of, view, wanted
from .shop import SUB_PAGES, parse_action

RANKED = {"page": ("a",)}  # of the pages on which attributes stood, the teacher names the best
BUTTONS = ("back to search", "< prev", "next >", "buy now")


def parse(action: str) -> Event | None:
    """Read a command; None for anything else."""
    name, argument = parse_action(action.strip())
    if name == "search" and argument:
        return Event("search", (argument,))
    if name != "click" or not argument:
        return None
    if argument in BUTTONS:
        return Event(argument, ())
    return Event("read" if argument in SUB_PAGES else "click", (argument,))


def kind(entity: str) -> str:
    """Drop what is an instance: an identifier is a "product"."""
    return "product" if ASIN.fullmatch(entity.upper()) else entity


@dataclass(frozen=True, slots=True)
class _Turn:
    event: Event
    before: View
    after: View


def evidence(episode: Any) -> Iterable[Fact]:
    """Facts of one episode (a `skillbench.Episode`)."""
    seen = [s.observation for s in episode.steps] + [episode.final_observation]
    want = wanted(goal_of(episode.task.goal))
    turns = [
        _Turn(event, view(seen[i]), view(seen[i + 1]))
        for i, step in enumerate(episode.steps)
        if (event := parse(step.action)) is not None and step.valid
    ]
    facts = _query_facts(turns, want) + _price_facts(turns, want)
    facts += _purchase_facts(turns, want)
    facts += _page_facts(turns, want, episode.task.task_type)
    return facts


def _words(text: str) -> set[str]:
    return set(re.findall(r"[a-z0-9]+", text.lower()))


def _query_facts(turns: Sequence[_Turn], want: Wanted) -> list[Fact]:
    """Whether the first search held most of the words of the product and its attributes."""
    first = next((t for t in turns if t.event.verb == "search"), None)
    words = _words(" ".join(want.needs) + " " + want.kind)
    if first is None or not words:
        return []
    return [Fact("query", len(words & _words(first.event.entities[0])) >= 0.8 * len(words))]


def _opened(turn: _Turn) -> str:
    """The identifier of the product that a turn opened, or ""."""
    if turn.before.place != "results" or turn.after.place != "item":
        return ""
    return turn.event.entities[0].upper() if turn.event.entities else ""


def _price_facts(turns: Sequence[_Turn], want: Wanted) -> list[Fact]:
    """Whether offers above the limit were passed over, where there were any to pass over."""
    tempted = taken = False
    for turn in turns:
        asin = _opened(turn)
        if not asin:
            continue
        offers = turn.before.offers
        place = next((i for i, o in enumerate(offers) if o.asin == asin), 0)
        tempted |= any(o.price > want.cap for o in offers[:place])
        taken |= any(o.price > want.cap for o in offers if o.asin == asin)
    return [Fact("price", not taken)] if tempted or taken else []


def _purchase_facts(turns: Sequence[_Turn], want: Wanted) -> list[Fact]:
    """What was done to the product that was bought, and to those that lacked something."""
    read = lacking = left = kept = False
    chosen: set[str] = set()
    facts: list[Fact] = []
    for turn in turns:
        verb, things = turn.event.verb, turn.event.entities
        if _opened(turn):
            read, lacking, chosen = False, False, set()
        elif verb == "read" and turn.after.place == "sub":
            text = " ".join(turn.after.parts[2:])
            told = any(need in text for need in want.needs) or ", " in text
            read = True
            lacking = told and not all(need in text for need in want.needs)
        elif verb == "click" and turn.before.place == "item" and things[0] in turn.before.values:
            chosen.add(things[0])
        elif turn.before.place == "item" and turn.after.place in ("results", "search"):
            left |= lacking
            lacking = False
        elif verb == "buy now" and turn.after.place == "done":
            kept = lacking
            facts.append(Fact("check", read))
            if want.options:
                facts.append(Fact("options", {v for _, v in want.options} <= chosen))
    if left or kept:
        facts.append(Fact("leave", not kept))
    return facts


def _page_facts(turns: Sequence[_Turn], want: Wanted, category: str) -> list[Fact]:
    """On which sub-page wanted attributes were named."""
    found: dict[str, None] = {}
    for turn in turns:
        if turn.event.verb == "read" and turn.after.place == "sub":
            text = " ".join(turn.after.parts[2:]).lower()
            if any(need in text for need in want.needs if len(need) > 3):
                found[SUB_PAGES[turn.event.entities[0]]] = None
    return [Fact("page", True, (("c", category), ("a", page))) for page in found]


def phrase(key: str, slots: dict[str, str], *, good: bool = True) -> dict[str, Any] | None:
    """Put a finding into words: fields of a skill, or None where there are no words for it."""
    needs = {"c", "a"} if key == "page" else set()
    for entry in PHRASES:
        if entry.key == key and entry.good == good and needs == set(slots):
            return {
                "title": entry.title.format(**slots),
                "principle": entry.wordings[0].format(**slots),
                "when_to_apply": "",
                "kind": "task_type" if "c" in slots else "general",
                "task_type": slots.get("c"),
            }
    return None
