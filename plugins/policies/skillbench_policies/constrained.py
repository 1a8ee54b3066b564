"""Choice among admissible commands: what follows "<action>" is decoded along a trie of commands.

The model thinks freely; from the opening tag on, only tokens that continue some admissible command
(then the closing tag, then the end of the turn) are allowed. Commands are spelled as the tokenizer
spells them, which is what models are trained on and bounds their length. A turn that would end
without an action is made to open one in time. For evaluation: log-probabilities stay those of the
free model.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence

from .chat import ChatFormat, Vocabulary

OPEN, CLOSE, THOUGHT = "<action>", "</action>", "</think>"

Limit = tuple[bool, Sequence[int]]  # (True, allowed ids) or (False, forbidden ids)


class Constraints:
    """Makes constraints for one tokenizer; spellings are remembered across episodes."""

    def __init__(self, chat: ChatFormat) -> None:
        self.chat = chat
        self.vocabulary = Vocabulary(chat.tokenizer)
        self.opening = tuple(chat.encode(OPEN))
        self.bracket = self.vocabulary.spelling(OPEN[-1])
        self.spell: Callable[[str], tuple[int, ...]] = functools.lru_cache(maxsize=16384)(
            self._spell
        )

    def _spell(self, command: str) -> tuple[int, ...]:
        """The tokens of a command and the closing tag, as they stand behind the opening tag."""
        whole = tuple(self.chat.encode(OPEN + command + CLOSE))
        n = len(self.opening)
        if whole[:n] == self.opening:
            return whole[n:]
        return tuple(self.chat.encode(command + CLOSE))  # the tag merges with what follows it

    def start(self, admissible: Sequence[str]) -> Constraint:
        """The constraint of one turn."""
        return Constraint(self, [self.spell(command) for command in admissible])


class Constraint:
    """Follows one turn as it is sampled."""

    def __init__(self, shared: Constraints, commands: list[tuple[int, ...]]) -> None:
        self._shared = shared
        self._alive = commands
        # Room for the opening tag, the longest command, the closing tag and the end of the turn.
        self._reserve = len(shared.opening) + max(map(len, commands), default=0) + 1
        self._text = ""  # while free: since the last thought
        self._said = -1  # tokens since the opening tag; -1: not open
        self._forced: list[int] = []

    def push(self, token: int) -> None:
        """Note a sampled token."""
        if self._said >= 0:
            self._alive = [c for c in self._alive if c[self._said : self._said + 1] == (token,)]
            self._said += 1
            return
        pieces = self._shared.vocabulary.pieces
        self._text += pieces[token] if token < len(pieces) else ""
        self._text = self._text.rpartition(THOUGHT)[2]
        if self._text.endswith(OPEN):
            self._said = 0

    def limit(self, left: int) -> Limit | None:
        """What the next token may be, with `left` tokens to go (this one included)."""
        if self._said >= 0:
            # Commands end in the closing tag, so none is the beginning of another.
            ids = {c[self._said] for c in self._alive if len(c) > self._said}
            return True, sorted(ids) or (self._shared.chat.end_of_turn,)
        if not self._forced and left <= self._reserve:
            self._forced = list(self._shared.opening)
        if self._forced:
            return True, (self._forced.pop(0),)
        if self._text.endswith(OPEN[:-1]) and self._shared.bracket:
            # Otherwise one token might close the tag and already say more.
            return True, self._shared.bracket
        return False, tuple(self._shared.chat.stops)
