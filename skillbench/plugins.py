"""Plugins are found through the entry-point group "skillbench" and loaded once, one by one.

pluggy's own loader stops the host when one plugin fails to import, and it ignores hooks whose
names are misspelt. Here a plugin that cannot be loaded is kept as a `Broken` entry, reported by
`skillbench doctor` and beside any unknown name, and everybody else goes on.

Environment variables:
    SKILLBENCH_LOAD_PLUGINS   comma-separated entry points, distributions or importable modules to
                              load instead of all that is installed; empty loads none
    SKILLBENCH_TRACE_HOOKS    set to 1 to write every hook call to stderr
"""

from __future__ import annotations

import importlib
import inspect
import os
import sys
import traceback
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib.metadata import EntryPoint, entry_points
from types import ModuleType
from typing import Any

import pluggy

from . import PLUGIN_API, hookspecs
from .errors import suggest
from .lazy import describe

GROUP = "skillbench"
LOAD = "SKILLBENCH_LOAD_PLUGINS"
TRACE = "SKILLBENCH_TRACE_HOOKS"


@dataclass(frozen=True)
class Plugin:
    """One loaded plugin: its entry-point name, its module and where it came from."""

    name: str
    module: ModuleType
    distribution: str = ""
    version: str = ""


@dataclass(frozen=True)
class Broken:
    """One plugin that is skipped, with the reason in one line and the traceback for --debug."""

    name: str
    reason: str
    distribution: str = ""
    trace: str = ""


class Plugins:
    """The loaded plugins of one process, and those that could not be loaded."""

    def __init__(self) -> None:
        self.manager = pluggy.PluginManager(GROUP)
        self.manager.add_hookspecs(hookspecs)
        self.loaded: list[Plugin] = []
        self.broken: list[Broken] = []
        self.trace = os.environ.get(TRACE, "") not in ("", "0")

    def load_installed(self, only: str | None = None) -> None:
        """Load what is installed, or what `only` names (default: SKILLBENCH_LOAD_PLUGINS)."""
        found = sorted(entry_points(group=GROUP), key=lambda point: point.name)
        wanted = os.environ.get(LOAD) if only is None else only
        if wanted is None:
            for point in found:
                self._load_point(point)
            return
        for name in (part.strip() for part in wanted.split(",") if part.strip()):
            points = [p for p in found if name in (p.name, _distribution(p)[0])]
            for point in points:
                self._load_point(point)
            if not points:
                self._load(name, lambda name=name: importlib.import_module(name))

    def add(self, name: str, module: ModuleType | Any, distribution: str = "") -> None:
        """Register a module (or any object with hookimpls) under a name."""
        self._load(name, lambda: module, distribution)

    def each(
        self, hook: str, make: Callable[[str], dict[str, Any]] | None = None, **arguments: Any
    ) -> Iterator[tuple[str, Any]]:
        """Call a hook one plugin at a time; yield (plugin name, its answer).

        `make(plugin name)` gives arguments of its own to each plugin. An implementation that
        raises becomes a `Broken` entry and the others still run.
        """
        for impl in getattr(self.manager.hook, hook).get_hookimpls():
            given = {**arguments, **(make(impl.plugin_name) if make else {})}
            if self.trace:
                names = ", ".join(impl.argnames)
                sys.stderr.write(f"[hook] {hook}({names}) -> {impl.plugin_name}\n")
            try:
                answer = impl.function(*(given[name] for name in impl.argnames))
            except Exception as error:
                self.fail(impl.plugin_name, f"{hook} raised {describe(error)}", trace=True)
                continue
            yield impl.plugin_name, answer

    def notify(self, hook: str, **arguments: Any) -> None:
        """Tell every plugin that something happened; what they raise is kept in `broken`."""
        for _ in self.each(hook, **arguments):
            pass

    def fail(self, name: str, reason: str, *, distribution: str = "", trace: bool = False) -> None:
        """Note a fault of a plugin, once per reason."""
        if any(b.name == name and b.reason == reason for b in self.broken):
            return
        distribution = distribution or next(
            (p.distribution for p in self.loaded if p.name == name), ""
        )
        text = traceback.format_exc() if trace else ""
        self.broken.append(Broken(name, reason, distribution, text))

    def _load_point(self, point: EntryPoint) -> None:
        self._load(point.name, point.load, *_distribution(point))

    def _load(self, name: str, load: Any, distribution: str = "", version: str = "") -> None:
        try:
            module = load()
        except (Exception, SystemExit) as error:
            reason = f"failed to import: {describe(error)}"
            self.fail(name, reason, distribution=distribution, trace=True)
            return
        fault = _fault(module)
        if fault:
            self.fail(name, fault, distribution=distribution)
            return
        try:
            self.manager.register(module, name)
            self.manager.check_pending()
        except (ValueError, pluggy.PluginValidationError) as error:
            if self.manager.has_plugin(name):
                self.manager.unregister(name=name)
            self.fail(name, describe(error), distribution=distribution)
            return
        self.loaded.append(Plugin(name, module, distribution, version))


def _fault(module: Any) -> str:
    """Say what is wrong with a plugin's hooks, or return an empty string."""
    api = getattr(module, "skillbench_api", PLUGIN_API)
    if api != PLUGIN_API:
        return f"was written for plugin API {api}; this skillbench has {PLUGIN_API}"
    hooks = [name for name in vars(hookspecs) if name.startswith("skillbench_")]
    for name, value in inspect.getmembers(module, inspect.isroutine):
        marked = hasattr(value, "skillbench_impl")
        if marked and name not in hooks:
            return f"unknown hook {name!r}{suggest(name, hooks)} hooks: {', '.join(hooks)}"
        if name in hooks and not marked:
            return f"function {name!r} lacks the @skillbench.hookimpl decorator"
    return ""


def _distribution(point: EntryPoint) -> tuple[str, str]:
    return (point.dist.name, point.dist.version) if point.dist else ("", "")
