"""Players that environment plugins offer to policies, by naming them on the environment's class."""

from __future__ import annotations

import functools
from typing import Any

from skillbench import registry
from skillbench.errors import UsageError
from skillbench.records import Request


def player_class(request: Request, attribute: str, policy: str) -> Any:
    """The class that the request's environment names in `attribute`, a "module:attr".

    Raises UsageError where the request does not say its task, or the environment has no such
    player.
    """
    if request.task is None:
        raise UsageError(f"policy {policy} needs to know the task; this request does not say it")
    return _load(request.task.environment, attribute, policy)


@functools.cache
def _load(environment: str, attribute: str, policy: str) -> Any:
    entry = registry.get().environments[environment]
    target = getattr(entry.load(), attribute, None)
    if not target:
        raise UsageError(
            f"environment {environment!r} has no player for policy {policy} (its class names no "
            f"{attribute}); choose another --policy"
        )
    return registry.load_target(target, what=f"{attribute} of {environment!r}")
