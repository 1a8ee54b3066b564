"""What policies share that play without a model: expert and random."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from skillbench.records import Completion, Request, Usage


class CommandPolicy:
    """Answers every request with one command, computed by `choose`; cannot be trained."""

    name = ""
    batching = "gather"
    concurrency = 64
    style = "compact"
    trainable = False

    def __init__(self, model: str | None = None, config: Mapping[str, Any] | None = None) -> None:
        self.config = dict(config or {})

    def choose(self, request: Request) -> str:
        """The command for a request."""
        raise NotImplementedError

    async def generate(self, requests: Sequence[Request]) -> list[Completion]:
        """Answer each request, in order. No tokens are spent."""
        return [
            Completion(
                text=f"<action>{self.choose(request)}</action>",
                usage=Usage(calls=1),
                model=self.name,
            )
            for request in requests
        ]

    def release(self, episode_id: str) -> None:
        """Forget an episode."""

    def close(self) -> None:
        """Nothing is held."""
