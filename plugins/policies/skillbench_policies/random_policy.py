"""Policy `random`: uniform over the admissible commands. The floor of every table."""

from __future__ import annotations

from skillbench.errors import UsageError
from skillbench.records import Request

from .sampling import Uniforms
from .simple import CommandPolicy


class RandomPolicy(CommandPolicy):
    """Draws with the request's seed alone, so that a repeated run plays the same games."""

    name = "random"

    def choose(self, request: Request) -> str:
        """One admissible command. Raises UsageError where the environment lists none."""
        if not request.admissible:
            where = request.task.environment if request.task else "this environment"
            raise UsageError(
                f"policy random draws from the admissible commands, and {where} lists none; "
                "choose another --policy"
            )
        commands = request.admissible
        return commands[int(next(Uniforms(request.params.seed)) * len(commands))]
