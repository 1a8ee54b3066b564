"""Choice among admissible commands: what may follow "<action>" is spelled out by a trie of texts.

The model thinks freely; from the opening tag on, only tokens that continue some admissible command
(then the closing tag, then the end of the turn) are allowed. The constraint is on text, not on one
tokenisation of it, so the model spells a command the way it likes. A turn that would end without an
action is made to open one. For evaluation: log-probabilities stay those of the free model.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence

from .chat import ChatFormat, Vocabulary

OPEN, CLOSE, THOUGHT = "<action>", "</action>", "</think>"

Limit = tuple[bool, Sequence[int]]  # (True, allowed ids) or (False, forbidden ids)


class Constraints:
    """Makes constraints for one tokenizer; continuations are remembered across episodes."""

    def __init__(self, chat: ChatFormat) -> None:
        self.chat = chat
        self.vocabulary = Vocabulary(chat.tokenizer)
        self.opening = tuple(chat.encode(OPEN))
        self.length: Callable[[str], int] = functools.lru_cache(maxsize=8192)(
            lambda command: len(chat.encode(command + CLOSE))
        )
        self.continuations = functools.lru_cache(maxsize=16384)(self._continuations)

    def _continuations(self, commands: tuple[str, ...], said: str) -> tuple[int, ...] | None:
        """Ids that continue `said` towards a command; empty when it is complete, None if lost."""
        rests = {c[len(said) :] for c in commands if c.startswith(said)}
        if not rests:
            return None
        ids: set[int] = set()
        for rest in rests:
            for end in range(1, min(len(rest), self.vocabulary.longest) + 1):
                ids.update(self.vocabulary.ids.get(rest[:end], ()))
        return tuple(sorted(ids))

    def start(self, admissible: Sequence[str]) -> Constraint:
        """The constraint of one turn."""
        return Constraint(self, tuple(c + CLOSE for c in admissible), admissible)


class Constraint:
    """Follows one turn as it is sampled."""

    def __init__(
        self, shared: Constraints, commands: tuple[str, ...], admissible: Sequence[str]
    ) -> None:
        self._shared = shared
        self._commands = commands
        # Room for the opening tag, the longest command, the closing tag and the end of the turn.
        longest = max((shared.length(c) for c in admissible), default=0)
        self._reserve = len(shared.opening) + longest + 1
        self._text = ""
        self._forced: list[int] = []

    def push(self, token: int) -> None:
        """Note a sampled token."""
        pieces = self._shared.vocabulary.pieces
        self._text += pieces[token] if token < len(pieces) else ""

    def limit(self, left: int) -> Limit | None:
        """What the next token may be, with `left` tokens to go (this one included)."""
        chat = self._shared.chat
        if self._forced:
            return True, (self._forced.pop(0),)
        answer = self._text.rpartition(THOUGHT)[2]
        _, opened, said = answer.partition(OPEN)
        if not opened:
            if left <= self._reserve:
                self._forced = list(self._shared.opening[1:])
                return True, self._shared.opening[:1]
            if answer.endswith(OPEN[:-1]):
                # Otherwise one token might close the tag and begin something inadmissible.
                only = self._shared.vocabulary.ids.get(OPEN[-1:])
                return (True, only) if only else None
            return False, tuple(chat.stops)
        ids = self._shared.continuations(self._commands, said)
        if ids is None:
            return None
        return (True, ids) if ids else (True, (chat.end_of_turn,))
