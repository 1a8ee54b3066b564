"""Policy `expert`: the environment plugin's own player, which knows what a player is told.

An environment offers one by naming it: `expert_player = "module:attr"` on its class. The target is
called with an episode's first observation and has `act(observation, admissible) -> command`. It
reads observations only, so its scores say what is reachable without full knowledge.
"""

from __future__ import annotations

from typing import Any

from skillbench.records import Request

from .players import player_class
from .simple import CommandPolicy


class ExpertPolicy(CommandPolicy):
    """One player per episode."""

    name = "expert"

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        self._players: dict[str, tuple[Any, int]] = {}  # and how many observations it has seen

    def choose(self, request: Request) -> str:
        """What the environment's player does next; it is made anew if it missed a turn."""
        seen = [m["content"] for m in request.messages if m["role"] == "user"]
        player, read = self._players.get(request.episode_id, (None, 0))
        if player is None or read != len(seen) - 1:
            player = player_class(request, "expert_player", self.name)(seen[0])
            for text in seen[:-1]:
                player.act(text, ())
        self._players[request.episode_id] = (player, len(seen))
        return player.act(seen[-1], request.admissible or ())

    def release(self, episode_id: str) -> None:
        """Forget an episode's player."""
        self._players.pop(episode_id, None)

    def close(self) -> None:
        """Forget them all."""
        self._players.clear()
