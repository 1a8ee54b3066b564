"""skillbench: one evaluation loop that runs, trains and scores LLM agents that learn.

The public names are found lazily, so that `skillbench --help` and the registration of plugins pay
for none of the libraries behind them.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from .hookspecs import hookimpl

if TYPE_CHECKING:
    from .protocols import Checkpoint, Environment, Method
    from .records import (
        Completion,
        Context,
        Episode,
        Request,
        Skill,
        Step,
        Task,
        Update,
        Usage,
    )

__version__ = "0.1.0"
PLUGIN_API = 1
__all__ = [
    "PLUGIN_API",
    "Checkpoint",
    "Completion",
    "Context",
    "Environment",
    "Episode",
    "Method",
    "Request",
    "Skill",
    "Step",
    "Task",
    "Update",
    "Usage",
    "__version__",
    "hookimpl",
]
_PROTOCOLS = {"Checkpoint", "Environment", "Method"}


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module 'skillbench' has no attribute {name!r}")
    module = import_module(".protocols" if name in _PROTOCOLS else ".records", __name__)
    return getattr(module, name)
