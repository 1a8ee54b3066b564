"""Policy `random`: uniform over the admissible commands. The floor of every table.

Where actions are free text there is nothing to draw from: then the environment names what a player
without any sense does, `random_player = "module:attr"` on its class, a function of the latest
observation and a `random.Random` that returns an action.
"""

from __future__ import annotations

import random

from skillbench.errors import UsageError
from skillbench.records import Request

from .players import player_class
from .sampling import Uniforms
from .simple import CommandPolicy


class RandomPolicy(CommandPolicy):
    """Draws with the request's seed alone, so that a repeated run plays the same games."""

    name = "random"

    def choose(self, request: Request) -> str:
        """One action. Raises UsageError where the environment neither lists nor makes up any."""
        commands = request.admissible
        if commands:
            return commands[int(next(Uniforms(request.params.seed)) * len(commands))]
        try:
            guess = player_class(request, "random_player", self.name)
        except UsageError as error:
            where = request.task.environment if request.task else "this environment"
            raise UsageError(
                f"policy random draws from the admissible commands, and {where} lists none; "
                "choose another --policy"
            ) from error
        return guess(request.messages[-1]["content"], random.Random(request.params.seed))
