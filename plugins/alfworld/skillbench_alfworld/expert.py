"""A household expert that knows no more than a player is told: it reads observations and searches.

It remembers what it saw where, searches the likeliest unvisited place first (how often an object
type lies in a receptacle type, from the statistics in layouts.py, per place and per command that a
look costs), and then does what the task sentence asks. What it has delivered it never picks up
again, under either grammar ("move X to Y", "put X in/on Y"). It is a reference player and a source
of demonstrations; no full knowledge of the game enters.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import lru_cache

from . import layouts as L

TASKS = (  # how many, in which words: thing (o), destination (r), lamp (l), state (s)
    (1, r"(?:look at|examine the) (?P<o>\w+) (?:under|with) the (?P<l>\w+)"),
    (2, r"(?:put|find) two (?P<o>\w+) (?:in|and put them in) (?P<r>\w+)"),
    (1, r"put a (?P<s>clean|hot|cool) (?P<o>\w+) in (?P<r>\w+)"),
    (1, r"(?P<s>clean|heat|cool) some (?P<o>\w+) and put it in (?P<r>\w+)"),
    (1, r"put (?:a|some) (?P<o>\w+) (?:in|on) (?P<r>\w+)"),
)
VERB = {"hot": "heat", "heat": "heat", "clean": "clean", "cool": "cool"}
TOOLS = {
    "heat": ("microwave",),
    "cool": ("fridge",),
    "clean": ("sinkbasin", "bathtubbasin"),
}
SEEN = re.compile(r"(?:On the ([\w ]+?), you see|The ([\w ]+?) is open\. In it, you see) ([^.]*)\.")
CLOSED = re.compile(r"The ([\w]+ \d+) is closed\.")
TAKEN = re.compile(r"You pick up the (.+?) from the (.+?)\.")
PUT = re.compile(r"You (?:move|put) the (.+?) (?:to|in/on) the (.+?)\.")
TREATED = re.compile(r"You (heat|cool|clean) the (.+?) using")
THING = re.compile(r"\ba (\w+ \d+)")


def kind(name: str) -> str:
    """ "mug 2" as "mug"."""
    return name.rsplit(" ", 1)[0]


@lru_cache(maxsize=4)
def likely(room: str) -> dict[str, dict[str, float]]:
    """Per object type, the shares of the receptacle types in which it lies in such a room."""
    return {
        name: {t: float(share) for t, share in (item.split(":") for item in where.split())}
        for name, _, _, where in L.OBJECTS[room]
    }


def room_of(receptacles: Sequence[str]) -> str:
    """Guess the kind of room from its furniture."""
    types = {kind(r) for r in receptacles}
    if types & {"stoveburner", "fridge", "microwave", "toaster"}:
        return "kitchen"
    if types & {"toilet", "bathtubbasin", "handtowelholder"}:
        return "bathroom"
    return "bedroom" if "bed" in types else "living"


class Expert:
    """Plays one episode: `act` takes what was last seen and returns the next command."""

    def __init__(self, first_observation: str) -> None:
        room, _, task = first_observation.partition("Your task is to:")
        self.receptacles = THING.findall(room)
        self.thing = self.destination = self.lamp = self.verb = ""
        self.count = 1
        for count, pattern in TASKS:
            match = re.search(pattern, task)
            if match:
                found = match.groupdict()
                self.thing, self.count = found["o"], count
                self.destination, self.lamp = found.get("r") or "", found.get("l") or ""
                self.verb = VERB.get(found.get("s") or "", "")
                break
        self.room = room_of(self.receptacles)
        self.contents: dict[str, set[str]] = {}  # what was seen where
        self.closed: set[str] = set()
        self.delivered: set[str] = set()
        self.treated: set[str] = set()
        self.holding = ""
        self.home = ""  # the destination that was chosen: two things must lie together
        self.full: set[str] = set()  # destinations that took nothing
        self.at = ""

    # ------------------------------------------------------------------ seeing

    def _see(self, text: str) -> None:
        for on, inside, what in SEEN.findall(text):
            self.at = on or inside
            self.contents[self.at] = set(THING.findall(what))
            self.closed.discard(self.at)
        for name in CLOSED.findall(text):
            self.at = name
            self.closed.add(name)
        if match := TAKEN.match(text):
            self.holding = match[1]
            self.contents.get(match[2], set()).discard(match[1])
        elif match := PUT.match(text):
            self.holding = ""
            self.contents.setdefault(match[2], set()).add(match[1])
            self.delivered.add(match[1])
            if kind(match[2]) == self.destination:
                self.home = match[2]
        elif match := TREATED.match(text):
            self.treated.add(match[2])

    # ------------------------------------------------------------------ acting

    def act(self, observation: str, admissible: Sequence[str]) -> str:
        """The next command, always one of `admissible` (unless that is empty)."""
        self._see(observation)
        if not admissible:  # only told what happened
            return "look"
        commands = set(admissible)
        choice = self._carry(commands) if self.holding else self._fetch(commands)
        if choice not in commands:
            choice = "look" if "look" in commands else admissible[0]
        return choice

    def _fetch(self, commands: set[str]) -> str:
        """Take the wanted thing if it is here, else go where it was seen, else search."""
        takes = sorted(c for c in commands if c.startswith(f"take {self.thing} "))
        for command in takes:
            name, _, place = command.removeprefix("take ").partition(" from ")
            if self._wanted(name, place):
                return command
        known = [
            r for r, inside in self.contents.items() if any(self._wanted(o, r) for o in inside)
        ]
        for place in known:
            step = self._approach(place, commands)
            if step:
                return step
        return self._search(self.thing, commands)

    def _wanted(self, name: str, place: str) -> bool:
        if kind(name) != self.thing or name in self.delivered:
            return False
        if self.verb or not self.destination or kind(place) != self.destination:
            return True
        if self.count == 1:
            return False  # it lies where it has to lie
        # Of two that must lie together one may lie there already; then the other is brought to it.
        self.home = self.home or place
        return place != self.home

    def _carry(self, commands: set[str]) -> str:
        """Heat, light or put down what is in the hand."""
        name = self.holding
        if self.lamp:
            uses = sorted(c for c in commands if c.startswith(f"use {self.lamp} "))
            if uses:
                return uses[0]
            for place, inside in self.contents.items():
                if any(kind(o) == self.lamp for o in inside):
                    step = self._approach(place, commands)
                    if step:
                        return step
            return self._search(self.lamp, commands)
        if self.verb and name not in self.treated:
            done = sorted(c for c in commands if c.startswith(f"{self.verb} {name} with "))
            if done:
                return done[0]
            for tool in TOOLS[self.verb]:
                for place in self.receptacles:
                    if kind(place) == tool and "go to " + place in commands:
                        return "go to " + place
        return self._put_down(name, commands)

    def _put_down(self, name: str, commands: set[str]) -> str:
        puts = {}
        for command in sorted(commands):  # sets have no order of their own
            for verb, joint in (("move ", " to "), ("put ", " in/on ")):
                if command.startswith(f"{verb}{name}{joint}"):
                    puts[command.partition(joint)[2]] = command
        homes = [self.home] if self.home else []
        homes += [r for r in self.receptacles if kind(r) == self.destination and r != self.home]
        homes = [r for r in homes if r not in self.full]
        # Nearest first: what is at hand, then what is open or open to view, then the rest.
        homes.sort(key=lambda r: (r != self.home, r not in puts, r in self.closed))
        for place in homes:
            if place in puts:
                return puts[place]
            step = self._approach(place, commands)
            if step:
                return step
            self.full.add(place)
        return next(iter(puts.values()), self._search(self.thing, commands))

    # ------------------------------------------------------------------ going about

    def _approach(self, place: str, commands: set[str]) -> str:
        """The next command towards having a place open in front of us, or "" when that is so."""
        if "go to " + place in commands:
            return "go to " + place
        if "open " + place in commands:
            return "open " + place
        return ""

    def _search(self, wanted: str, commands: set[str]) -> str:
        """Look into the place that is likeliest per command that it costs."""
        here = sorted(c for c in commands if c.startswith("open "))
        for command in here:
            place = command.removeprefix("open ")
            # Whoever stands before a closed door opens it, unless such things never lie there.
            if place not in self.contents and (place == self.at or self._chance(wanted, place) > 0):
                return command
        unknown = [r for r in self.receptacles if r not in self.contents]
        # A neighbour at the same standing place is seen by examining it.
        ranked = sorted(
            unknown, key=lambda r: (-self._chance(wanted, r), self.receptacles.index(r))
        )
        for place in ranked:
            for command in ("go to " + place, "open " + place, "examine " + place):
                if command in commands:
                    return command
        self.contents.clear()  # nothing left: something was overlooked, so begin again
        return next(("go to " + r for r in self.receptacles if "go to " + r in commands), "look")

    def _chance(self, wanted: str, place: str) -> float:
        """Share of the wanted type in such a receptacle, per place of that type and per command."""
        shares = likely(self.room).get(wanted, {})
        type_ = kind(place)
        same = sum(kind(r) == type_ for r in self.receptacles)
        cost = 2 if place in self.closed or type_ in ("fridge", "microwave", "safe") else 1
        if type_ in ("cabinet", "drawer"):
            cost = 2
        return (shares.get(type_, 0.0) + 0.3) / same / cost
