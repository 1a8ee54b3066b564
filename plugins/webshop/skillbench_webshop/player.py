"""The scripted customer: reads advice and follows it, good and bad alike; sloppy without.

It plays from observations alone and thinks aloud in a few words: what each offer costs and whether
that is too much, which wanted option or attribute is there and which is not, and what it decided.
Its thoughts and commands are what the embedded model is pretrained on, and, as the `scripted`
policy, it calibrates the harness: what each piece of advice is worth to it is known by
construction.

For each key of advice (phrases.py) the player is advised well (True), badly (False) or not at all
(None); `SLOPPY` holds how often it does the right thing when it is not advised.
"""

from __future__ import annotations

import random
from collections.abc import Iterable
from dataclasses import dataclass, field

from .phrases import read
from .reading import View, goal_of, view, wanted
from .words import CATEGORIES, SMALL_TALK

SLOPPY = {"query": 0.65, "price": 0.7, "check": 0.6, "leave": 0.7, "options": 0.7}
PAGES = ("Description", "Features")
BACK, BUY, NEXT = "click[< Prev]", "click[Buy Now]", "click[Next >]"


@dataclass
class Player:
    """One customer. Feed it each observation, ask it to decide, tell it what was done."""

    first: str
    advice: Iterable[str] = ()
    knobs: dict[str, bool | None] = field(default_factory=dict)
    pages: dict[str, str] = field(default_factory=dict)  # category -> where its attributes stand

    def __post_init__(self) -> None:
        self.want = wanted(goal_of(self.first))
        self.category = next((c.name for c in CATEGORIES if self.want.kind in c.kinds), "")
        for line in self.advice:
            said = read(line)
            if said is None:
                continue
            if said.key == "page":
                self.pages[said.category.lower()] = said.page.capitalize()
            else:
                self.knobs[said.key] = said.good
        self.seen = view("WebShop")
        self.asin = ""
        self.visited: list[str] = []
        self.opened: list[str] = []  # sub-pages of this product that were read
        self.chosen: list[str] = []
        self.verdict = ""  # of what was read: "", "good" or "bad"
        self.passed = False  # the options of this product have been looked at
        self._last = ""

    # ------------------------------------------------------------------ what is known

    def observe(self, text: str) -> None:
        """Take in what the last command led to."""
        last, before = self._last.lower(), self.seen.place
        self.seen = view(text)
        argument = last.partition("[")[2].removesuffix("]")
        if self.seen.place == "item" and before == "results":
            self.asin = argument.upper()
            self.visited.append(self.asin)
            self.opened, self.chosen, self.verdict, self.passed = [], [], "", False
        elif self.seen.place == "sub" and before == "item":
            self.opened.append(argument.capitalize())
        elif self.seen.place == "item" and before == "item" and argument in self.seen.values:
            self.chosen.append(argument)

    def acted(self, command: str) -> None:
        """Remember what was done, whoever decided it."""
        self._last = command

    # ------------------------------------------------------------------ what to do

    def decide(self, rng: random.Random) -> tuple[str, str]:
        """Return (thought, command) for the present page."""
        place = self.seen.place
        if place == "results":
            return self._choose(self.seen, rng)
        if place == "item":
            return self._item(rng)
        if place == "sub":
            return self._read()
        return self._search(rng)

    def _chance(self, key: str, rng: random.Random) -> bool:
        knob = self.knobs.get(key)
        return rng.random() < (SLOPPY[key] if knob is None else float(knob))

    def _search(self, rng: random.Random) -> tuple[str, str]:
        want = self.want
        if self._chance("query", rng):
            return "all", f"search[{want.head}]"
        if self.knobs.get("query") is None and rng.random() < 0.5:
            return "kind", f"search[{want.kind or want.head}]"
        return "part", f"search[{want.needs[0] if want.needs else want.head}]"

    def _choose(self, seen: View, rng: random.Random) -> tuple[str, str]:
        """Go down the list to the first offer that will do."""
        careful = self._chance("price", rng)
        words = [f"limit {self.want.cap:.0f}" if careful else "any"]
        for offer in seen.offers:
            if offer.asin in self.visited:
                words.append(f"{offer.asin} known")
            elif careful and offer.price > self.want.cap:
                words.append(f"{offer.asin}: ${offer.price} high")
            else:
                words.append(f"{offer.asin}: ${offer.price} fine" if careful else offer.asin)
                return ", ".join(words), f"click[{offer.asin}]"
        return ", ".join([*words, "next"]), NEXT

    def _item(self, rng: random.Random) -> tuple[str, str]:
        if self.verdict == "bad":
            if self._chance("leave", rng):
                return "bad, leave", BACK
            self.verdict = "good"
            return self._buy(["bad", "keep"], rng)
        if self.verdict == "good" or self.chosen:
            return self._buy([], rng)
        words = []
        if not self.passed:
            self.passed = True
            if self.want.options and self._chance("options", rng):
                for _, value in self.want.options:
                    here = value in self.seen.values
                    words.append(f"{value} {'here' if here else 'none'}")
                    if not here:
                        return ", ".join([*words, "leave"]), BACK
        if len(self.opened) == 1 or (not self.opened and self._chance("check", rng)):
            page = self._page(rng)
            return ", ".join([*words, f"look {page}"]), f"click[{page}]"
        return self._buy(words, rng)

    def _page(self, rng: random.Random) -> str:
        if self.opened:
            return PAGES[1] if self.opened[0] == PAGES[0] else PAGES[0]
        known = self.pages.get(self.category, "")
        return known if known in PAGES else rng.choice(PAGES)

    def _read(self) -> tuple[str, str]:
        text = " ".join(self.seen.parts[2:])
        if any(text.endswith(talk) for talk in SMALL_TALK) and len(self.opened) < 2:
            return "nothing", BACK
        words, there = [], True
        for need in self.want.needs:
            there = need in text
            words.append(f"{need} {'here' if there else 'none'}")
            if not there:
                break
        self.verdict = "good" if there else "bad"
        return ", ".join([*words, self.verdict]), BACK

    def _buy(self, words: list[str], rng: random.Random) -> tuple[str, str]:
        for _, value in self.want.options:
            if value in self.chosen:
                continue
            if value in self.seen.values and self._chance("options", rng):
                return ", ".join([*words, f"pick {value}"]), f"click[{value}]"
        return ", ".join([*words, "buy"]), BUY
