"""What is installed, by name: six tables that plugins fill through the register call-backs.

An entry holds a lazy "module:attr" target, so that listing what there is imports nothing heavy;
`entry.load()` imports it. Tables answer an unknown name with the nearest known one, and with the
plugins that could not be loaded, since the name may well be theirs. `get()` scans the installed
plugins once per process; tests build a `Registry` of their own.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, Generic, TypeVar

from .errors import PluginError, UnknownNameError, unknown_name
from .lazy import load_target
from .plugins import Broken, Plugin, Plugins
from .protocols import Method

T = TypeVar("T")
EMPTY: Mapping[str, Any] = MappingProxyType({})


@dataclass(frozen=True)
class Entry:
    """One registered component: a name, a lazy target, and every key its table may hold."""

    name: str
    target: str
    defaults: Mapping[str, Any] = field(default_factory=dict)
    kind: str = ""
    plugin: str = ""
    requires: str = ""  # the command that installs what the target needs, e.g. "pip install ..."

    def load(self) -> Any:
        """Import and return the target. Raises PluginError with what is missing and what to do."""
        return load_target(self.target, what=f"{self.kind} {self.name!r}", requires=self.requires)


@dataclass(frozen=True)
class EnvironmentEntry(Entry):
    """An environment: its splits in the order to show them, and its `data` module if any.

    `policy` is who plays where the user names nobody.
    """

    splits: tuple[str, ...] = ()
    default_split: str = ""
    label: str = ""
    data: str = ""  # module with fetch/verify/path for `skillbench data`
    policy: str = ""


@dataclass(frozen=True)
class PolicyEntry(Entry):
    """A policy or teacher. `takes_model`: True (NAME:MODEL), False (NAME) or "optional".

    `shape` is a lazy function (policy, model) -> the model's shape or None, for plans.
    """

    trainable: bool = False
    takes_model: bool | str = False
    shape: str = ""


@dataclass(frozen=True)
class Command:
    """A sub-command: `target` is a function that fills a parser and returns the handler."""

    name: str
    target: str
    help: str = ""
    plugin: str = ""


class Table(Mapping[str, T], Generic[T]):
    """Names to entries; an unknown name raises UnknownNameError with a suggestion."""

    def __init__(self, kind: str, plugins: Plugins | None = None) -> None:
        self.kind = kind
        self._plugins = plugins
        self._entries: dict[str, T] = {}

    def __getitem__(self, name: str) -> T:
        if name in self._entries:
            return self._entries[name]
        error = unknown_name(self.kind, name, self._entries)
        broken = self._plugins.broken if self._plugins else []
        if broken:
            names = "; ".join(f"{b.name} ({b.reason})" for b in broken)
            raise UnknownNameError(f"{error}\nplugins that could not be loaded: {names}")
        raise error

    def __contains__(self, name: object) -> bool:
        return name in self._entries

    def __iter__(self) -> Iterator[str]:
        return iter(self._entries)

    def __len__(self) -> int:
        return len(self._entries)

    def add(self, name: str, entry: T, owner: str) -> None:
        """Add an entry. Raises PluginError where another plugin has the name already."""
        if name in self._entries:
            other = getattr(self._entries[name], "plugin", "") or "another plugin"
            raise PluginError(f"{self.kind} {name!r} of {owner} is already registered by {other}")
        self._entries[name] = entry


@dataclass
class Registry:
    """The tables of one process."""

    plugins: Plugins = field(default_factory=Plugins)

    def __post_init__(self) -> None:
        self.environments: Table[EnvironmentEntry] = Table("environment", self.plugins)
        self.policies: Table[PolicyEntry] = Table("policy", self.plugins)
        self.memories: Table[Entry] = Table("memory", self.plugins)
        self.trainers: Table[Entry] = Table("trainer", self.plugins)
        self.teachers: Table[PolicyEntry] = Table("teacher", self.plugins)
        self.methods: Table[Method] = Table("method", self.plugins)
        self.commands: Table[Command] = Table("command", self.plugins)
        self.method_plugins: dict[str, str] = {}

    @property
    def broken(self) -> list[Broken]:
        """Plugins that are skipped, and why."""
        return self.plugins.broken

    @property
    def loaded(self) -> list[Plugin]:
        """Plugins that are in use."""
        return self.plugins.loaded

    @property
    def plain(self) -> str:
        """The method that is the policy as it is (no memory, no trainer, no setting), or ""."""
        bare: tuple[Any, ...] = (Method("").memory, (), {})
        found = (m for m in self.methods.values() if (m.memory, m.trainers, m.defaults) == bare)
        return next((method.name for method in found), "")

    def fill(self) -> Registry:
        """Let every loaded plugin register what it has."""
        for hook, make in (
            ("environments", self._environments),
            ("policies", self._policies),
            ("memories", self._memories),
            ("trainers", self._trainers),
            ("teachers", self._teachers),
            ("methods", self._methods),
        ):
            self._call(f"skillbench_register_{hook}", make)
        self._call("skillbench_register_commands", lambda plugin: _Commands(self, plugin), "cli")
        return self

    def _call(self, hook: str, make: Callable[[str], Any], argument: str = "register") -> None:
        # One plugin at a time, so that an entry knows whose it is and a fault hits only one.
        for _ in self.plugins.each(hook, lambda plugin: {argument: make(plugin)}):
            pass

    def _environments(self, plugin: str) -> Callable[..., None]:
        def register(
            name: str,
            target: str,
            *,
            splits: tuple[str, ...],
            defaults: Mapping[str, Any] = EMPTY,
            default_split: str = "",
            label: str = "",
            data: str = "",
            policy: str = "",
            requires: str = "",
        ) -> None:
            entry = EnvironmentEntry(
                name,
                _target(target),
                _frozen(defaults),
                "environment",
                plugin,
                requires,
                tuple(splits),
                default_split or splits[-1],
                label or name,
                data,
                policy,
            )
            self.environments.add(name, entry, plugin)

        return register

    def _players(self, table: Table[PolicyEntry], plugin: str) -> Callable[..., None]:
        def register(
            name: str,
            target: str,
            *,
            defaults: Mapping[str, Any] = EMPTY,
            trainable: bool = False,
            takes_model: bool | str = False,
            requires: str = "",
            shape: str = "",
        ) -> None:
            entry = PolicyEntry(
                name,
                _target(target),
                _frozen(defaults),
                table.kind,
                plugin,
                requires,
                trainable,
                takes_model,
                _target(shape) if shape else "",
            )
            table.add(name, entry, plugin)

        return register

    def _policies(self, plugin: str) -> Callable[..., None]:
        return self._players(self.policies, plugin)

    def _teachers(self, plugin: str) -> Callable[..., None]:
        return self._players(self.teachers, plugin)

    def _plain(self, table: Table[Entry], plugin: str) -> Callable[..., None]:
        def register(
            name: str, target: str, *, defaults: Mapping[str, Any] = EMPTY, requires: str = ""
        ) -> None:
            entry = Entry(name, _target(target), _frozen(defaults), table.kind, plugin, requires)
            table.add(name, entry, plugin)

        return register

    def _memories(self, plugin: str) -> Callable[..., None]:
        return self._plain(self.memories, plugin)

    def _trainers(self, plugin: str) -> Callable[..., None]:
        return self._plain(self.trainers, plugin)

    def _methods(self, plugin: str) -> Callable[..., None]:
        def register(method: Method) -> None:
            self.methods.add(method.name, method, plugin)
            self.method_plugins[method.name] = plugin

        return register


@dataclass
class _Commands:
    """What `skillbench_register_commands` is given."""

    registry: Registry
    plugin: str

    def add_command(self, name: str, target: str, *, help: str = "") -> None:
        """Add `skillbench NAME`; `target` is `def command(parser) -> handler(arguments) -> int`."""
        command = Command(name, _target(target), help, self.plugin)
        self.registry.commands.add(name, command, self.plugin)


@functools.cache
def get() -> Registry:
    """The registry of this process, filled from the installed plugins at the first call."""
    registry = Registry()
    registry.plugins.load_installed()
    return registry.fill()


def _target(target: str) -> str:
    if not isinstance(target, str) or target.count(":") != 1:
        raise PluginError(f'a target is a string "module:attr", not {target!r}')
    return target


def _frozen(defaults: Mapping[str, Any]) -> Mapping[str, Any]:
    return MappingProxyType(dict(defaults))
