"""The exception tree. Every message says what happened, what is known, and what to do next.

Each class carries the exit code that the command line ends with (DESIGN: 0 ok, 1 run failed,
2 wrong usage, 3 finished but not rankable, 130 interrupted).
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class SkillbenchError(Exception):
    """Base of all errors that are shown to the user without a traceback."""

    exit_code = 1


class UsageError(SkillbenchError):
    """The user asked for something that does not exist or does not fit together."""

    exit_code = 2


class ConfigError(UsageError):
    """A configuration file or a `--set` names an unknown key or a value of the wrong type."""


class UnknownNameError(UsageError):
    """A name is not registered; the message lists what is and suggests the nearest."""


class PluginError(SkillbenchError):
    """A plugin failed to import, misspelt a hook or broke its contract."""


class DataError(SkillbenchError):
    """A data file is missing, corrupt or not the one whose checksum was promised."""


class RunDirError(SkillbenchError):
    """A run directory cannot be written, is locked, or belongs to another configuration."""


class NoRunError(UsageError, RunDirError):
    """The path that was given holds no run."""


class LeakError(SkillbenchError):
    """Learning touched something outside the train split."""


class PolicyError(SkillbenchError):
    """A policy could not produce a completion; the episode becomes `invalid` and is retried."""


class TeacherError(SkillbenchError):
    """A teacher answered with something that does not pass the schema, after its retries."""


class BudgetStop(SkillbenchError):
    """The next call could take the bill beyond `--max-usd`; the run can be resumed."""

    exit_code = 130


class EnvironmentFault(SkillbenchError):
    """An environment raised where its contract says it must not; the episode becomes `invalid`."""


def suggest(name: str, known: Iterable[str]) -> str:
    """Return `"; did you mean 'x'?"` for the nearest known name, else `";"`: more is to follow."""
    near = difflib.get_close_matches(name, list(known), n=1, cutoff=0.6)
    return f"; did you mean {near[0]!r}?" if near else ";"


def unknown_name(kind: str, name: str, known: Iterable[str]) -> UnknownNameError:
    """Build the error for a name that is not registered."""
    names = sorted(known)
    found = ", ".join(names) or "none (skillbench doctor says which plugins are missing)"
    return UnknownNameError(f"unknown {kind} {name!r}{suggest(name, names)} installed: {found}")
