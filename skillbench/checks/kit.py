"""What a check is: a function over a subject that returns, or raises Unfit or NotApplicable.

A subject is one registered component with everything that is needed to try it. What a component
raises against its contract becomes a failure like any other, with the place where it was raised.
"""

from __future__ import annotations

import contextlib
import importlib
import traceback
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from ..errors import PluginError, SkillbenchError, UnknownNameError, suggest
from ..lazy import describe
from ..registry import Registry

KINDS = {  # kind: the registry's table
    "environment": "environments",
    "policy": "policies",
    "memory": "memories",
    "trainer": "trainers",
    "method": "methods",
}
State = Literal["ok", "failed", "skipped"]


class Unfit(Exception):
    """A contract is broken: what was seen, why it matters, how to mend it."""

    def __init__(self, what: str, *, why: str, mend: str) -> None:
        super().__init__(what)
        self.what, self.why, self.mend = what, why, mend


class NotApplicable(Exception):
    """A check does not concern this component, or cannot be made on this machine."""


@dataclass(frozen=True)
class Subject:
    """One component under test. `settings` are laid over its defaults; `model` is for policies."""

    kind: str
    name: str
    registry: Registry
    directory: Path  # a place to write, empty
    model: str = ""
    policy: str = ""  # who plays where a trainer or a method is tried; "": the kit's player
    environment: str = ""  # where; "": the kit's toy world
    settings: dict[str, Any] = field(default_factory=dict)

    @property
    def entry(self) -> Any:
        """What is registered under the name."""
        return getattr(self.registry, KINDS[self.kind])[self.name]

    @property
    def label(self) -> str:
        """How reports call it."""
        return f"{self.kind} {self.name!r}"

    def table(self) -> dict[str, Any]:
        """The component's settings."""
        return {**self.entry.defaults, **self.settings}

    def folder(self, name: str) -> Path:
        """A new directory of that name."""
        path = self.directory / name
        path.mkdir(parents=True)
        return path


@dataclass(frozen=True)
class Check:
    """One check: its name says what holds where it passes."""

    kind: str
    name: str
    function: Callable[[Subject], None]


@dataclass(frozen=True)
class Outcome:
    """What a check found. `why` and `mend` are empty unless it failed."""

    subject: str
    check: str
    state: State
    what: str = ""
    why: str = ""
    mend: str = ""


CHECKS: list[Check] = []


def conformance(kind: str) -> Callable[[Callable[[Subject], None]], Callable[[Subject], None]]:
    """Add a function to the checks of a kind, under its own name."""

    def add(function: Callable[[Subject], None]) -> Callable[[Subject], None]:
        CHECKS.append(Check(kind, function.__name__, function))
        return function

    return add


def load_checks() -> None:
    """Import the files that hold the checks."""
    for name in ("environment", "policy", "memory", "learning"):
        importlib.import_module(f"{__package__}.{name}")


def run(check: Check, subject: Subject) -> Outcome:
    """Run one check on one subject."""
    try:
        check.function(subject)
    except NotApplicable as reason:
        return Outcome(subject.label, check.name, "skipped", str(reason))
    except Unfit as fault:
        return Outcome(subject.label, check.name, "failed", fault.what, fault.why, fault.mend)
    except Exception as error:
        return Outcome(
            subject.label,
            check.name,
            "failed",
            f"it raised {describe(error)}{_place(error)}",
            "the contract has no such exception: in a run this ends every episode as invalid",
            "make the call work, or raise the error that its docstring in skillbench names",
        )
    return Outcome(subject.label, check.name, "ok")


def _place(error: BaseException) -> str:
    """Where outside of skillbench itself it was raised."""
    here = str(Path(__file__).parent)
    frames = [f for f in traceback.extract_tb(error.__traceback__) if here not in f.filename]
    return f" ({frames[-1].filename}:{frames[-1].lineno})" if frames else ""


def checks_of(kind: str) -> list[Check]:
    """The checks of one kind, in the order in which they are written."""
    load_checks()
    return [check for check in CHECKS if check.kind == kind]


def find(plugin: str) -> Registry:
    """The registry with a plugin in it. Raises PluginError that says why it could not be loaded.

    `plugin` is an entry point, a distribution or an importable module.
    """
    registry = Registry()
    registry.plugins.load_installed()
    names = {p.name: p.distribution for p in registry.loaded}
    broken = {b.name: b for b in registry.broken}
    if plugin not in (*names, *names.values(), *broken, *(b.distribution for b in broken.values())):
        try:
            found = importlib.import_module(plugin)
        except ImportError as error:
            if isinstance(error, ModuleNotFoundError) and error.name == plugin.partition(".")[0]:
                known = sorted({*names, *broken})
                raise UnknownNameError(
                    f"no plugin {plugin!r}{suggest(plugin, known)} installed: {', '.join(known)}; "
                    "install yours first (`pip install -e .`), or name an importable module"
                ) from error
            raise PluginError(f"plugin {plugin!r} failed to import: {describe(error)}") from error
        except Exception as error:
            raise PluginError(f"plugin {plugin!r} failed to import: {describe(error)}") from error
        registry.plugins.add(plugin, found)
    registry.fill()
    for fault in registry.broken:
        if plugin in (fault.name, fault.distribution):
            raise PluginError(f"plugin {plugin!r}: {fault.reason}")
    return registry


def subjects(plugin: str, directory: Path, **more: Any) -> Iterator[Subject]:
    """Every component that a plugin registers. Raises PluginError where there is none."""
    registry = find(plugin)
    owners = {p.name for p in registry.loaded if plugin in (p.name, p.distribution)}
    count = 0
    for kind, table in KINDS.items():
        for name, entry in getattr(registry, table).items():
            owner = registry.method_plugins.get(name) if kind == "method" else entry.plugin
            if owner in owners:
                count += 1
                yield Subject(kind, name, registry, directory / f"{kind}-{count}", **more)
    if not count and not any(e.plugin in owners for e in registry.teachers.values()):
        raise PluginError(
            f"plugin {plugin!r} registers nothing: implement a skillbench_register_... hook "
            "(docs/hooks.md) with the @skillbench.hookimpl decorator"
        )


@contextlib.contextmanager
def refusing(error: type[Exception], what: str, *, why: str, mend: str) -> Iterator[None]:
    """The block must raise `error`; Unfit where it raises nothing or something else."""
    try:
        yield
    except error:
        return
    except Exception as other:
        raise Unfit(
            f"{what} raised {describe(other)}, not {error.__name__}", why=why, mend=mend
        ) from other
    raise Unfit(f"{what} was accepted", why=why, mend=mend)


def need(fact: object, what: str, *, why: str, mend: str) -> None:
    """Raise Unfit unless the fact holds."""
    if not fact:
        raise Unfit(what, why=why, mend=mend)


def made(subject: Subject, make: Callable[[], Any]) -> Any:
    """Make the component; what is missing on this machine is no fault of the plugin."""
    try:
        return make()
    except SkillbenchError as error:
        raise NotApplicable(f"it cannot be made here: {error}") from error
