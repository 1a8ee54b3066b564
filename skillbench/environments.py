"""Instances of the environment that a configuration names, in this process or isolated from it."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from typing import Any


def factory(config: Mapping[str, Any], registry: Any) -> Callable[[], Any]:
    """A function that makes a fresh instance; one is made per live episode.

    An environment whose train split depends on what is scored may have `scored_split`.
    """
    from .isolation import IsolatedEnvironment, split

    table, isolation = split({k: v for k, v in config["env"].items() if k != "name"})
    entry = registry.environments[config["env"]["name"]]
    if isolation["isolate"]:
        make = functools.partial(IsolatedEnvironment, entry.target, table, isolation)
    else:
        make = functools.partial(entry.load(), **table)
    scored = config["run"]["split"]

    def environment() -> Any:
        made = make()
        if hasattr(made, "scored_split"):
            made.scored_split(scored)
        return made

    return environment
