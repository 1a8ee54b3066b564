"""Lazy targets: what "module:attr" names is imported when it is used, not before."""

from __future__ import annotations

import importlib
from typing import Any

from .errors import PluginError


def load_target(target: str, *, what: str = "", requires: str = "") -> Any:
    """Import "module:attr". Raises PluginError that says what is missing and what to do."""
    module, _, attribute = target.partition(":")
    what = what or repr(target)
    try:
        found: Any = importlib.import_module(module)
    except ImportError as error:
        todo = f"; install what it needs: {requires}" if requires else "; see `skillbench doctor`"
        raise PluginError(f"{what} could not be imported ({describe(error)}){todo}") from error
    except Exception as error:
        raise PluginError(f"{what} failed to import: {describe(error)}") from error
    for part in filter(None, attribute.split(".")):
        if not hasattr(found, part):
            raise PluginError(f"{what} names {target!r}, but {module} has no {attribute!r}")
        found = getattr(found, part)
    return found


def describe(error: BaseException) -> str:
    """One line for an exception: its class and its message, cut at 300 characters."""
    text = " ".join(str(error).split())
    text = text if len(text) <= 300 else text[:297] + "..."
    return f"{type(error).__name__}: {text}" if text else type(error).__name__
