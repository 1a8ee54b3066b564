"""What the offline teacher needs to know of household games: commands, things, and facts of play.

The offline teacher (methods plugin) is generic: it chains backwards over `parse`d commands,
counts `evidence` over episodes, and asks `phrase` to put a finding into words. Nothing here knows
which finding helps: that is decided by the episodes.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import Any

from skillbench.vocabulary import Event, Fact

from .phrases import PHRASES

TOOLS = {"clean": "sinkbasin", "heat": "microwave", "cool": "fridge"}
RANKED = {"where": ("a", "b")}  # the teacher names the best places in this order
TASKS = {
    "pick_clean_then_place_in_recep": "clean",
    "pick_heat_then_place_in_recep": "heat",
    "pick_cool_then_place_in_recep": "cool",
    "look_at_obj_in_light": "light",
    "pick_two_obj_and_place": "two",
}
GOAL_WORDS = re.compile(
    r"(?:put (?:a|some|two)(?: clean| hot| cool)?|(?:clean|heat|cool) some|find two|look at|"
    r"examine the) (\w+)"
)
ARRIVED = re.compile(r"You (?:arrive at|open the) (\w+) \d+\..*?you see (.*)", re.DOTALL)
LISTED = re.compile(r"\ba (\w+ \d+)")
GOAL_LAMP = re.compile(r"(?:under|with) the (\w+)\.")
COMMANDS = (
    (re.compile(r"go to (\w+ \d+)"), "go"),
    (re.compile(r"(open|close) (\w+ \d+)"), None),
    (re.compile(r"(take) (\w+ \d+) from (\w+ \d+)"), None),
    (re.compile(r"(?:move|put) (\w+ \d+) (?:to|in/on) (\w+ \d+)"), "put"),
    (re.compile(r"(clean|heat|cool) (\w+ \d+) with (\w+ \d+)"), None),
    (re.compile(r"(use|examine) (\w+ \d+)"), None),
    (re.compile(r"(slice) (\w+ \d+) with (\w+ \d+)"), None),
)


def parse(action: str) -> Event | None:
    """Read a command; None for look, inventory, help and for anything else."""
    for pattern, verb in COMMANDS:
        match = pattern.fullmatch(action.strip())
        if match:
            groups = match.groups()
            return Event(verb or groups[0], groups if verb else groups[1:])
    return None


def kind(entity: str) -> str:
    """Drop the instance number: "mug 2" is a "mug"."""
    return entity.rsplit(" ", 1)[0]


def evidence(episode: Any) -> Iterable[Fact]:
    """Facts of one episode (a `skillbench.Episode`), each key at most once but "where".

    Whatever was seen on the way tells where such things lie, wanted or not.
    """
    steps = [(parse(s.action), s.observation) for s in episode.steps]
    after = [s.observation for s in episode.steps[1:]] + [episode.final_observation]
    goal = GOAL_WORDS.search(episode.task.goal)
    wanted = goal[1] if goal else ""
    facts: list[Fact] = []
    facts += _search_facts(steps, after)
    facts += _sightings(steps, after)
    facts += _carry_facts(steps, after)
    facts += _procedure_facts(episode, steps, after, wanted)
    return facts


def _worked(result: str) -> bool:
    return not result.startswith("Nothing happens")


def _sightings(steps: Sequence, after: Sequence[str]) -> list[Fact]:
    """Which kinds of things lay in which kinds of places; not what the player has put there."""
    moved = {e.entities[0] for e, _ in steps if e is not None and e.verb == "take"}
    seen: dict[tuple[str, str], None] = {}
    for result in after:
        match = ARRIVED.match(result)
        if match is None:
            continue
        for thing in LISTED.findall(match[2]):
            if thing not in moved:
                seen[kind(thing), match[1]] = None
    for (event, _), result in zip(steps, after, strict=True):
        taken = event is not None and event.verb == "take" and result.startswith("You pick up")
        if taken and event.entities[0] in moved:  # where it lay at first
            moved.discard(event.entities[0])
            seen[kind(event.entities[0]), kind(event.entities[1])] = None
    return [Fact("where", True, (("o", thing), ("a", place))) for thing, place in seen]


def _search_facts(steps: Sequence, after: Sequence[str]) -> list[Fact]:
    """Revisits and closed places while nothing is held."""
    facts: list[Fact] = []
    visited: list[str] = []
    again = unopened = opened = 0
    holding, closed = False, ""
    for (event, _), result in zip(steps, after, strict=True):
        if event is None:
            continue
        if event.verb == "go" and not holding:
            if closed:
                unopened += 1
            closed = event.entities[0] if result.rstrip().endswith("is closed.") else ""
            again += event.entities[0] in visited
            visited.append(event.entities[0])
        elif event.verb == "open" and _worked(result):
            opened, closed = opened + 1, ""
        elif event.verb == "take" and _worked(result):
            holding, closed = True, ""
        elif event.verb == "put" and _worked(result):
            holding = False
    if len(visited) >= 4:
        facts.append(Fact("order", again <= len(visited) // 8))
    if opened + unopened >= 1:
        facts.append(Fact("open", unopened == 0))
    return facts


def _carry_facts(steps: Sequence, after: Sequence[str]) -> list[Fact]:
    """Whether what was held went straight on: trips between taking and using or putting."""
    holding, trips, detours, carried = False, 0, 0, 0
    for (event, _), result in zip(steps, after, strict=True):
        if event is None:
            continue
        if event.verb == "take" and _worked(result):
            holding, trips = True, 0
        elif event.verb == "go" and holding:
            trips += 1
        elif event.verb in ("put", "clean", "heat", "cool", "use") and holding:
            carried += 1
            detours += max(0, trips - 1)
            trips = 0
            holding = event.verb not in ("put",)
    if holding and trips > 3:
        carried, detours = carried + 1, detours + trips - 1
    return [Fact("direct", detours == 0)] if carried else []


def _procedure_facts(
    episode: Any, steps: Sequence, after: Sequence[str], wanted: str
) -> list[Fact]:
    key = TASKS.get(episode.task.task_type)
    if key is None:
        return []
    done = [e for (e, _), result in zip(steps, after, strict=True) if e and _worked(result)]
    verbs = [(e.verb, kind(e.entities[0])) for e in done]
    if key in TOOLS:
        puts = [i for i, v in enumerate(verbs) if v == ("put", wanted)]
        treats = [i for i, v in enumerate(verbs) if v == (key, wanted)]
        if not puts:
            return []
        return [Fact(key, bool(treats) and treats[0] < puts[0])]
    if key == "light":
        lamp = GOAL_LAMP.search(episode.task.goal)
        uses = [i for i, v in enumerate(verbs) if v[0] == "use" and lamp and v[1] == lamp[1]]
        takes = [i for i, v in enumerate(verbs) if v == ("take", wanted)]
        return [Fact(key, bool(takes) and takes[0] < uses[0])] if uses else []
    puts = [i for i, v in enumerate(verbs) if v == ("put", wanted)]
    if not puts:
        return []
    back = any(
        e.verb == "take" and e.entities[0] == done[puts[0]].entities[0] for e in done[puts[0] :]
    )
    return [Fact(key, not back)]


def phrase(key: str, slots: dict[str, str], *, good: bool = True) -> dict[str, Any] | None:
    """Put a finding into words: fields of a skill, or None where there are no words for it."""
    for entry in PHRASES:
        needs = {"a", "b"} if "{b}" in entry.wordings[0] else {"a"} if key == "where" else set()
        if entry.key == key and entry.good == good and needs == set(slots) - {"o"}:
            # Advice about a thing is of use to those whose goal names it.
            meta = {"goal_words": [slots["o"]]} if "o" in slots else {}
            return {
                "meta": meta,
                "title": entry.title,
                "principle": entry.wordings[0].format(**slots),
                "when_to_apply": "",
                "kind": "task_type" if entry.task_type else "general",
                "task_type": entry.task_type or None,
            }
    return None
