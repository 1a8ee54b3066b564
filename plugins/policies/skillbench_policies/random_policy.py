"""Policy `random`: uniform over the admissible commands. The floor of every table.

Where actions are free text there is nothing to draw from: then the environment names what a player
without any sense does, `random_player = "module:attr"` on its class, a function of the latest
observation and a `random.Random` that returns an action.
"""

from __future__ import annotations

import functools
import random
from typing import Any

from skillbench import registry
from skillbench.errors import UsageError
from skillbench.records import Request

from .sampling import Uniforms
from .simple import CommandPolicy


class RandomPolicy(CommandPolicy):
    """Draws with the request's seed alone, so that a repeated run plays the same games."""

    name = "random"

    def choose(self, request: Request) -> str:
        """One action. Raises UsageError where the environment neither lists nor makes any."""
        guess = (
            None if request.admissible or not request.task else _player(request.task.environment)
        )
        if guess is not None:
            return guess(request.messages[-1]["content"], random.Random(request.params.seed))
        if not request.admissible:
            where = request.task.environment if request.task else "this environment"
            raise UsageError(
                f"policy random draws from the admissible commands, and {where} lists none; "
                "choose another --policy"
            )
        commands = request.admissible
        return commands[int(next(Uniforms(request.params.seed)) * len(commands))]


@functools.cache
def _player(environment: str) -> Any:
    environments = registry.get().environments
    if environment not in environments:
        return None
    target = getattr(environments[environment].load(), "random_player", None)
    if not target:
        return None
    return registry.load_target(target, what=f"random player of {environment!r}")
