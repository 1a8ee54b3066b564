"""The scripted player of the encyclopedia: follows advice, good and bad alike; sloppy without.

It plays from observations alone and thinks aloud in a few words of a fixed order, so that each
decision stands before what is copied because of it:

    want N by W of E           look up relation N of entity E with the word W ("alone": without E)
    see N told V N then M by W of V  a passage tells it: V; the question goes on with M
    see N told V N done whole        it was the last: answer with V ("short": its first word)
    see N told V N enough whole      it was not, but answer all the same
    see N told V N more by W of V    it was, but look further (then "over V")
    see N first V N ...              the first thing in the passages, whatever it is, taken for it
    see N none again by W of E       no passage tells it: search again
    see N none guess V whole         or answer with the first thing there is

Actions have a blank after their tag, so that a name is spelled alike wherever it stands.

As the policy `scripted` it calibrates the harness, and the embedded model is pretrained on it. For
each key of advice (phrases.py) it is advised well, badly or not at all; SLOPPY holds what it does
by chance when it is not advised.
"""

from __future__ import annotations

import random
from collections.abc import Iterable

from .encyclopedia.language import BY_NOUN, RELATIONS, Fact, read, read_question
from .phrases import read as read_advice

SLOPPY = {
    "name": 0.9,  # chance that a search holds the name
    "asked": 0.9,  # chance to take what is asked for instead of the first thing
    "again": 0.6,  # chance to search again where nothing is told
    "copy": 0.85,  # chance to answer with the whole name
    "one": 0.85,  # chance to stop after the first thing, where that is the answer
    "two": 0.75,  # chance to go on after the first thing of two
    "three": 0.85,  # chance to go on after the first thing of three, and after the second
}
ANY_WORD = (0.25, 0.5, 0.8)  # without advice: no word, the noun itself, the right word, up to here
HOP_KEYS = {1: "one", 2: "two", 3: "three"}
TURNS = 4
KEYS = tuple(r.key for r in RELATIONS)


class Player:
    """One question's player. Feed it each observation, ask it to decide, tell it what was done."""

    def __init__(self, first: str, advice: Iterable[str] = ()) -> None:
        parsed = read_question(first)
        self.entity, self.chain = parsed if parsed else ("", ())
        self.knobs: dict[str, bool] = {}
        self.words: dict[str, str] = {}
        for line in advice:
            said = read_advice(line)
            if said is None:
                continue
            if said.key == "word":
                self.words.setdefault(said.relation, said.word)
            else:
                self.knobs[said.key] = said.good
        self.at = 0  # which relation of the chain is looked for
        self.over = False  # looking further than the question asks
        self.turn = 0
        self.facts: tuple[Fact, ...] = ()

    def observe(self, text: str) -> None:
        """Take in what the last action led to."""
        self.facts = read(text)

    def acted(self, command: str) -> None:
        """Count the turn, whoever decided it."""
        self.turn += 1

    # ------------------------------------------------------------------ what to do

    def decide(self, rng: random.Random) -> tuple[str, str]:
        """Return (thought, action) for the present situation."""
        if not self.chain:
            return "what", "<answer></answer>"  # it reads nothing but the encyclopedia's questions
        if self.turn == 0:
            return self._look_up("want " + self.chain[0], rng)
        last = self.turn >= TURNS - 1
        if self.over:
            value = self.facts[0].value if self.facts else self.entity
            return self._answer(f"over {value}", value, rng)
        noun = self.chain[self.at]
        told = next((f.value for f in self.facts if f.relation == noun), "")
        careless = bool(self.facts) and not self._chance("asked", rng)
        if careless:
            value, head = self.facts[0].value, f"see {noun} first {self.facts[0].value} {noun}"
        elif told:
            value, head = told, f"see {noun} told {told} {noun}"
        else:
            return self._not_told(noun, last, rng)
        return self._go_on(head, value, last, rng)

    def _go_on(self, head: str, value: str, last: bool, rng: random.Random) -> tuple[str, str]:
        hops, final = len(self.chain), self.at == len(self.chain) - 1
        key = HOP_KEYS[hops]
        goes_on = not final and not last and self._chance(key, rng)
        if goes_on:
            self.entity, self.at = value, self.at + 1
            return self._look_up(f"{head} then {self.chain[self.at]}", rng)
        if final and hops == 1 and not last and not self._chance(key, rng):
            self.entity, self.over = value, True
            return self._look_up(f"{head} more", rng)
        return self._answer(f"{head} {'done' if final else 'enough'}", value, rng)

    def _not_told(self, noun: str, last: bool, rng: random.Random) -> tuple[str, str]:
        if not last and self._chance("again", rng):
            return self._look_up(f"see {noun} none again", rng)
        value = self.facts[0].value if self.facts else self.entity
        return self._answer(f"see {noun} none guess {value}", value, rng)

    def _look_up(self, head: str, rng: random.Random) -> tuple[str, str]:
        noun = self.chain[self.at]
        word = self.words.get(noun) or self._any_word(noun, rng)
        if self.over:
            word = "name"
        if self.over or self._chance("name", rng):
            query = self.entity if word == "name" else f"{self.entity} {word}"
            return f"{head} by {word} of {self.entity}", f"<search> {query}</search>"
        word = noun if word == "name" else word
        return f"{head} by {word} alone", f"<search> {word}</search>"

    @staticmethod
    def _any_word(noun: str, rng: random.Random) -> str:
        """A word to search with, without advice; "name" is none but the name."""
        roll = rng.random()
        if roll < ANY_WORD[0]:
            return "name"
        if roll < ANY_WORD[1]:
            return noun
        return BY_NOUN[noun].key if roll < ANY_WORD[2] else rng.choice(KEYS)

    def _answer(self, thought: str, value: str, rng: random.Random) -> tuple[str, str]:
        whole = self._chance("copy", rng)
        text = value if whole else value.split(" ")[0]
        return f"{thought} {'whole' if whole else 'short'}", f"<answer> {text}</answer>"

    def _chance(self, key: str, rng: random.Random) -> bool:
        knob = self.knobs.get(key)
        return rng.random() < (SLOPPY[key] if knob is None else float(knob))
