"""skillbench: one evaluation loop that runs, trains and scores LLM agents that learn."""

from .hookspecs import hookimpl
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
