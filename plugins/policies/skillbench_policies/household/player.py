"""The scripted household player: reads advice and follows it, good and bad alike; sloppy without.

It plays from observations alone and thinks aloud in a few words, which say what it looks for or
carries, what it sees of it here, and what it decided. Its thoughts and commands are what the
embedded model is pretrained on, and, as the `scripted` policy, it calibrates the harness: what each
piece of advice is worth to it is known by construction.

For each key of advice (phrases.py) the player is advised well (True), badly (False) or not at all
(None); `SLOPPY` holds what it does by chance when it is not advised.
"""

from __future__ import annotations

import random
import re
from collections.abc import Iterable
from dataclasses import dataclass, field

from skillbench_alfworld.phrases import read

SLOPPY = {
    "return": 0.3,  # chance that a search goes back to a place that was searched
    "open": 0.45,  # chance to open a closed place while searching
    "straight": 0.6,  # chance of a step straight to where a held thing must go
    "treat": 0.3,  # chance to go for the sinkbasin, microwave or fridge first
    "take_first": 0.45,  # chance to take the thing before the lamp is used
    "second": 0.4,  # chance to go on for the second thing instead of taking the first out again
}
BAD = {"open": 0.0, "straight": 0.1, "treat": 0.0, "take_first": 0.0, "second": 0.0}
TREATMENTS = {"clean": "sinkbasin", "heat": "microwave", "cool": "fridge"}
GOALS = (
    (re.compile(r"put two (\w+) in (\w+)\."), "two"),
    (re.compile(r"find two (\w+) and put them in (\w+)\."), "two"),
    (re.compile(r"put a clean (\w+) in (\w+)\."), "clean"),
    (re.compile(r"clean some (\w+) and put it in (\w+)\."), "clean"),
    (re.compile(r"put a hot (\w+) in (\w+)\."), "heat"),
    (re.compile(r"heat some (\w+) and put it in (\w+)\."), "heat"),
    (re.compile(r"put a cool (\w+) in (\w+)\."), "cool"),
    (re.compile(r"cool some (\w+) and put it in (\w+)\."), "cool"),
    (re.compile(r"look at (\w+) under the (\w+)\."), "light"),
    (re.compile(r"examine the (\w+) with the (\w+)\."), "light"),
    (re.compile(r"put (?:a|some) (\w+) (?:in|on) (\w+)\."), "place"),
)
ITEM = re.compile(r"\ba (\w+ \d+)")
ARRIVE = re.compile(r"You (?:arrive at|open the) (\w+ \d+)\.")


@dataclass
class Player:
    """One game's player. Feed it each observation, ask it to decide, tell it what was done."""

    first: str
    advice: Iterable[str] = ()
    knobs: dict[str, bool | None] = field(default_factory=dict)
    hints: dict[str, list[str]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        room, _, task = self.first.partition("Your task is to: ")
        self.places = ITEM.findall(room)
        self.target = self.goal_place = self.kind = ""
        for pattern, kind in GOALS:
            match = pattern.search(task)
            if match:
                (self.target, self.goal_place), self.kind = match.groups(), kind
                break
        for line in self.advice:
            said = read(line)
            if said is None:
                continue
            if said.key == "where":
                self.hints.setdefault(said.object, []).extend(said.places)
            else:
                self.knobs[said.key] = said.good
        self.here = ""
        self.closed = False
        self.visible: list[str] = []
        self.held = ""
        self.treated = self.lit = False
        self.delivered: set[str] = set()
        self.visited: list[str] = []
        self.seen: dict[str, str] = {}  # wanted thing -> place where it was seen
        self._last = ""

    # ------------------------------------------------------------------ what is known

    def observe(self, text: str) -> None:
        """Take in what the last command led to."""
        last = self._last
        if text.startswith("Nothing happens"):
            if last.startswith("go to "):  # the same standing place: we are there already
                self._arrive(last[6:], None)
            return
        match = ARRIVE.match(text)
        if match:
            self.closed = text.rstrip().endswith("is closed.")
            seen = ITEM.findall(text.partition("you see ")[2]) if not self.closed else []
            self._arrive(match[1], seen)
        elif text.startswith("You pick up the "):
            self.held = last.split(" from ")[0][5:]
            self.treated = False
            self.seen.pop(self.held, None)
            self.delivered.discard(self.held)
            self.visible = [v for v in self.visible if v != self.held]
        elif text.startswith(("You move the ", "You put the ")):
            self.delivered.add(self.held)
            self.held = ""
        elif text.startswith(("You clean ", "You heat ", "You cool ")):
            self.treated = True
        elif text.startswith("You turn on "):
            self.lit = True

    def _arrive(self, place: str, seen: list[str] | None) -> None:
        self.here = place
        if place not in self.visited:
            self.visited.append(place)
        if seen is None:
            self.closed, self.visible = False, []
            return
        self.visible = seen
        lamp = self.goal_place if self.kind == "light" else ""
        for thing in seen:
            if _type(thing) in (self.target, lamp) and thing not in self.delivered:
                self.seen[thing] = place

    def acted(self, command: str) -> None:
        """Remember what was done, whoever decided it."""
        self._last = command

    # ------------------------------------------------------------------ what to do

    def decide(self, rng: random.Random) -> tuple[str, str]:
        """Return (thought, command) for the present situation."""
        if self.kind == "light":
            return self._decide_light(rng)
        if self.held:
            return self._bring(rng)
        halfway = self.kind == "two" and self.delivered and self.here == f"{self.goal_place} 1"
        if halfway and not self._chance("two", "second", rng):
            thing = sorted(self.delivered)[0]
            return f"again {thing}", f"take {thing} from {self.here}"
        return self._search("find", self.target, rng, self._take)

    def _take(self, thing: str) -> str:
        return f"take {thing} from {self.here}"

    def _decide_light(self, rng: random.Random) -> tuple[str, str]:
        lamp = self.goal_place
        if self.held and _type(self.held) == self.target:
            if not self._chance("direct", "straight", rng):
                return f"light {lamp} wander", "go to " + self._random_place(rng)
            return self._search("light", lamp, rng, lambda thing: f"use {thing}")
        lamp_here = next((v for v in self.visible if _type(v) == lamp), "")
        if lamp_here and not self.lit and not self._chance("light", "take_first", rng):
            return f"use {lamp_here}", f"use {lamp_here}"
        if self.knobs.get("light") is False:
            return self._search("light", lamp, rng, lambda thing: f"use {thing}")
        return self._search("find", self.target, rng, self._take)

    def _search(self, word, wanted, rng, found) -> tuple[str, str]:
        here = next(
            (v for v in self.visible if _type(v) == wanted and v not in self.delivered), None
        )
        if here and not self.closed:
            return f"{word} {wanted} seen", found(here)
        if self.closed and self.here and not self._last.startswith("close"):
            if self._chance("open", "open", rng):
                return f"{word} {wanted} closed open", f"open {self.here}"
            return f"{word} {wanted} closed leave", "go to " + self._next_place(wanted, rng)
        return f"{word} {wanted} none", "go to " + self._next_place(wanted, rng)

    def _bring(self, rng: random.Random) -> tuple[str, str]:
        treat = ""
        if self.kind in TREATMENTS and not self.treated:
            at_tool = _type(self.here) == TREATMENTS[self.kind]
            if at_tool or self._chance(self.kind, "treat", rng):
                treat = self.kind
        goal = f"{TREATMENTS[treat]} 1" if treat else f"{self.goal_place} 1"
        words = f"bring {self.held} {treat or 'put'} {_type(goal)}"
        if self.here != goal:
            if not self._chance("direct", "straight", rng):
                return f"{words} wander", "go to " + self._random_place(rng)
            return f"{words} away", f"go to {goal}"
        if treat:
            return f"{words} here", f"{treat} {self.held} with {goal}"
        if self.closed:
            return f"{words} closed", f"open {goal}"
        return f"{words} here", f"move {self.held} to {goal}"

    def _chance(self, key: str, what: str, rng: random.Random) -> bool:
        knob = self.knobs.get(key)
        chance = 1.0 if knob else BAD[what] if knob is False else SLOPPY[what]
        return rng.random() < chance

    # ------------------------------------------------------------------ where to go

    def _next_place(self, wanted: str, rng: random.Random) -> str:
        remembered = next(
            (p for t, p in self.seen.items() if _type(t) == wanted and p != self.here), None
        )
        if remembered and wanted != self.target or remembered and self.kind == "two":
            return remembered
        skip = {self.here, *self.visited}
        if self.delivered:
            skip.add(f"{self.goal_place} 1")
        for kind in self.hints.get(wanted, ()):
            for place in self.places:
                if _type(place) == kind and place not in skip:
                    return place
        order = self.knobs.get("order")
        if order:
            fresh = [p for p in self.places if p not in skip]
            if fresh:
                return fresh[0]
            self.visited.clear()  # all searched: begin again
            return next(p for p in self.places if p != self.here)
        if order is False and len(self.visited) > 1 and rng.random() < 0.7:
            return rng.choice([p for p in self.visited if p != self.here] or self.places)
        if order is None and len(self.visited) > 1 and rng.random() < SLOPPY["return"]:
            return rng.choice([p for p in self.visited if p != self.here])
        return self._random_place(rng)

    def _random_place(self, rng: random.Random) -> str:
        return rng.choice([p for p in self.places if p != self.here])


def _type(name: str) -> str:
    return name.rsplit(" ", 1)[0]
