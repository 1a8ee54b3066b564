"""Policy `scripted`: a rule-based player that reads the advice in its prompt and follows it.

It cannot be trained, and it is labelled `scripted` wherever it appears. What each piece of advice
is worth to it is known by construction, so it calibrates the harness: a good bank must beat no
bank, filler and shuffled must not, and a harmful bank must fall below.

An environment offers one by naming it: `scripted_player = "module:attr"` on its class. The target
is called with an episode's first observation and the lines of the system message; it has
`observe(text)`, `acted(command)` and `decide(rng) -> (thought, command)`.
"""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from typing import Any

from skillbench.records import Completion, Request, Usage

from .players import player_class


class ScriptedPolicy:
    """Plays each transcript with a `Player` of its own, rebuilt from the transcript if need be."""

    name = "scripted"
    batching = "gather"
    concurrency = 64
    style = "compact"
    trainable = False

    def __init__(self, model: str | None = None, config: Mapping[str, Any] | None = None) -> None:
        self._players: dict[str, tuple[Any, int]] = {}

    async def generate(self, requests: Sequence[Request]) -> list[Completion]:
        """Answer with a thought and a command; the draw depends on the request's seed alone."""
        return [self._answer(request) for request in requests]

    def _answer(self, request: Request) -> Completion:
        player, read = self._players.get(request.episode_id, (None, 0))
        if player is None or read > len(request.messages):
            player, read = self._begin(request)
        for message in request.messages[read:]:
            if message["role"] == "assistant":
                player.acted(_command(message["content"]))
            elif message["role"] == "user":
                player.observe(message["content"])
        self._players[request.episode_id] = (player, len(request.messages))
        thought, command = player.decide(random.Random(request.params.seed))
        text = f"<think>{thought}</think><action>{command}</action>"
        words = sum(len(m["content"].split()) for m in request.messages[read:])
        usage = Usage(input_tokens=words, output_tokens=len(text.split()), calls=1)
        return Completion(text, usage, model="scripted")

    def _begin(self, request: Request) -> tuple[Any, int]:
        make = player_class(request, "scripted_player", self.name)
        advice: list[str] = []
        for number, message in enumerate(request.messages):
            if message["role"] == "system":
                advice = [line.removeprefix("- ") for line in message["content"].splitlines()]
            elif message["role"] == "user":
                return make(message["content"], advice), number + 1
        return make("", advice), len(request.messages)

    def release(self, episode_id: str) -> None:
        """Forget an episode's player."""
        self._players.pop(episode_id, None)

    def close(self) -> None:
        """Forget them all."""
        self._players.clear()


def _command(response: str) -> str:
    return response.rpartition("<action>")[2].partition("</action>")[0].strip()
