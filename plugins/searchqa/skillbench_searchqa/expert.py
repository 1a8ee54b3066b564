"""Players: one that knows the encyclopedia's language, and one that knows nothing.

The expert reads observations only. It takes the question apart, looks up each name with the word by
which its fact is told, and answers with what the last fact says. Of questions in free English it
understands nothing: it searches for their words and answers with the title of the best passage.
"""

from __future__ import annotations

import random
import re
from collections.abc import Sequence

from .encyclopedia.language import BY_NOUN, read, read_question

TITLE = re.compile(r'Doc 1\(Title: "([^"]+)"\)|Doc 1: ((?:[A-Z]\w+ ?){1,4})')
WORD = re.compile(r"\w+")
TURNS = 4


class Expert:
    """One episode's player."""

    def __init__(self, first_observation: str) -> None:
        self._question = first_observation.partition("Question:")[2].strip().split("\n")[0]
        parsed = read_question(first_observation)
        self._at, self._chain = (parsed[0], list(parsed[1])) if parsed else ("", [])
        self._turn = 0
        self._tried = 0

    def act(self, observation: str, admissible: Sequence[str]) -> str:
        """The next action."""
        self._turn += 1
        if not self._at:
            return self._without_language(observation)
        if self._turn > 1:
            self._take_in(observation)
        if not self._chain or self._turn >= TURNS:
            return f"<answer>{self._at}</answer>"
        noun = self._chain[0]
        word = BY_NOUN[noun].key if noun in BY_NOUN else noun
        return f"<search>{self._at} {word if not self._tried else noun}</search>"

    def _take_in(self, observation: str) -> None:
        facts = {(f.entity, f.relation): f.value for f in read(observation)}
        self._tried += 1
        while self._chain and (self._at, self._chain[0]) in facts:
            self._at = facts[self._at, self._chain.pop(0)]
            self._tried = 0

    def _without_language(self, observation: str) -> str:
        if self._turn == 1:
            return f"<search>{self._question or observation}</search>"
        match = TITLE.search(observation)
        return f"<answer>{(match[1] or match[2]).strip() if match else ''}</answer>"


def guess(observation: str, rng: random.Random) -> str:
    """A random action: up to three words of what is to be read, searched for or answered."""
    words = WORD.findall(observation) or ["nothing"]
    verb = rng.choice(("search", "answer"))
    return f"<{verb}>{' '.join(rng.choices(words, k=rng.randint(1, 3)))}</{verb}>"
