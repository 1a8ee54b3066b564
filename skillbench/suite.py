"""A suite: many runs of one comparison, from one file; `skillbench run --suite FILE`.

    title = "what is compared"
    [defaults]                    # of every row; a row may say otherwise
    env = "alfworld"              # a name, or a list: one run each
    policy = "household"
    seeds = 3
    set = ["run.tasks=100"]       # as --set; `trainer.STAGE` is for rows that have the stage
    [[row]]
    name = "sft, no bank"
    method = "skillrl"            # a name, or a list
    set = ["memory=none"]
    factors = { sft = true, bank = false }   # optional: effects and interactions are computed
    placebo = "NAME"              # optional: this row is the placebo of the row NAME

Each row is a run in a directory of its own below the suite's. What rows have in common is learned
and scored once (sharing.py). A suite that was killed goes on where it was; a row that fails is
named at the end and the others are run all the same.
"""

from __future__ import annotations

import json
import re
import time
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from .config import Config, load, resolve
from .errors import ConfigError, SkillbenchError, UsageError, suggest
from .layers import tasks_dir
from .reporting import Reporter
from .sharing import Shared
from .store import write_atomic

KEYS = ("name", "method", "env", "policy", "teacher", "profile", "split", "seeds", "set", "factors",
        "placebo")  # fmt: skip


@dataclass(frozen=True)
class Row:
    """One run of a suite."""

    name: str
    config: Config
    factors: Mapping[str, bool] = field(default_factory=dict)
    placebo: str = ""  # the name of the row whose placebo this is

    @property
    def directory(self) -> str:
        """The name of its directory."""
        return re.sub(r"[^A-Za-z0-9+._-]+", "-", self.name).strip("-")


@dataclass(frozen=True)
class Suite:
    """The rows of a suite file, resolved."""

    name: str
    title: str
    rows: tuple[Row, ...]


def read(path: str, overrides: Mapping[str, Any] | None = None, registry: Any = None) -> Suite:
    """Read a suite file, or a suite of tasks/suites by name.

    `overrides` (policy, teacher, profile, split, seeds, set) come from the command line and hold
    for all rows. Raises UsageError or ConfigError that names the row.
    """
    if registry is None:
        from .registry import get

        registry = get()
    file = _find(path)
    try:
        data = tomllib.loads(file.read_text(encoding="utf-8"))
    except (OSError, tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"suite {file} cannot be read as TOML: {error}") from error
    _known(data, ("title", "defaults", "row"), f"suite {file.name}")
    given = {k: v for k, v in (overrides or {}).items() if v}
    defaults = data.get("defaults", {})
    rows: list[Row] = []
    for number, entry in enumerate(data.get("row", ()), 1):
        where = f"suite {file.name}, row {entry.get('name') or number}"
        _known(entry, KEYS, where)
        _known(defaults, KEYS, f"suite {file.name}, defaults")
        merged = {**defaults, **entry, **given}
        sets = [*defaults.get("set", ()), *entry.get("set", ()), *given.get("set", ())]
        for method in _list(merged.get("method"), f"{where}: method"):
            for env in _list(merged.get("env"), f"{where}: env"):
                rows.append(_row(registry, merged, entry, method, env, sets, where))
    if not rows:
        raise ConfigError(f"suite {file} has no [[row]]")
    names = [row.directory for row in rows]
    double = sorted({n for n in names if names.count(n) > 1})
    if double:
        raise ConfigError(f"suite {file.name}: two rows are called {double[0]!r}; give them names")
    for row in rows:
        if row.placebo and row.placebo not in {other.name for other in rows}:
            known = [other.name for other in rows]
            raise ConfigError(
                f"suite {file.name}, row {row.name}: there is no row {row.placebo!r} to be the "
                f"placebo of{suggest(row.placebo, known)}"
            )
    return Suite(file.stem, str(data.get("title", file.stem)), tuple(rows))


def _row(
    registry: Any,
    merged: Mapping[str, Any],
    entry: Mapping[str, Any],
    method: str,
    env: str,
    sets: Sequence[str],
    where: str,
) -> Row:
    stages = registry.methods[method].trainers
    try:
        config = resolve(
            method=method,
            environment=env,
            policy=merged.get("policy", ""),
            teacher=merged.get("teacher", "") if registry.methods[method].teacher else "",
            profile=merged.get("profile") or "quick",
            split=merged.get("split", ""),
            seeds=int(merged.get("seeds", 0)),
            sets=[s for s in sets if _fits(s, stages)],
            registry=registry,
        )
    except UsageError as error:
        raise type(error)(f"{where}: {error}") from error
    name = str(entry.get("name") or method)
    several = isinstance(merged.get("env"), list), isinstance(entry.get("method"), list)
    if several[1] and entry.get("name"):
        name += f" {method}"
    if several[0]:
        name += f" {env}"
    factors = {str(k): bool(v) for k, v in entry.get("factors", {}).items()}
    return Row(name, config, factors, str(entry.get("placebo", "")))


def _fits(text: str, stages: Sequence[str]) -> bool:
    """Whether a setting is about this row: one of a stage is for methods that have the stage."""
    parts = text.partition("=")[0].strip().split(".")
    return parts[0] != "trainer" or len(parts) < 2 or parts[1] in stages


def _list(value: Any, where: str) -> list[str]:
    if not value:
        raise ConfigError(f"{where} is missing")
    return [str(v) for v in value] if isinstance(value, list) else [str(value)]


def _known(table: Mapping[str, Any], keys: Sequence[str], where: str) -> None:
    for key in table:
        if key not in keys:
            raise ConfigError(
                f"{where}: unknown key {key!r}{suggest(key, keys)} keys: {', '.join(keys)}"
            )


def _find(path: str) -> Path:
    file = Path(path).expanduser()
    if file.is_file():
        return file
    inside = tasks_dir() / "suites" / f"{path.removesuffix('.toml')}.toml"
    if "/" not in path and inside.is_file():
        return inside
    known = sorted(p.stem for p in (tasks_dir() / "suites").glob("*.toml"))
    raise UsageError(
        f"there is no suite {path!r}{suggest(path, known)} suites: {', '.join(known) or 'none'}"
    )


class RowReporter(Reporter):
    """One view over all rows: each phase is shown with the row that it belongs to."""

    def __init__(self, inner: Reporter, total: int) -> None:
        self.inner, self.total, self.head = inner, total, ""

    def row(self, number: int, name: str, left: str) -> None:
        """A row begins."""
        self.head = f"[{number}/{self.total} {name}] "
        if left:
            self.inner.say(f"{self.head}{left}")

    def start(self, title: str, total: int | None = None) -> None:
        self.inner.start(self.head + title, total)

    def advance(self, n: int = 1, **figures: Any) -> None:
        self.inner.advance(n, **figures)

    def say(self, text: str) -> None:
        self.inner.say(self.head + text)

    def finish(self) -> None:
        """A row is over."""
        self.inner.finish()


def run(
    suite: Suite,
    directory: Path,
    reporter: Reporter,
    *,
    registry: Any = None,
    command: str = "",
) -> dict[str, Any]:
    """Run what is missing of a suite; return the content of its suite.json.

    Raises RunDirError where a row's directory belongs to another configuration.
    """
    from . import side_by_side
    from .estimate import estimate, rate
    from .suite_table import summarize

    directory.mkdir(parents=True, exist_ok=True)
    shared = Shared(directory.resolve())
    plan = estimate(suite, shared, registry)
    view = RowReporter(reporter, len(suite.rows))
    reporter.say(plan.text())
    failed: dict[str, str] = {}
    for number, row in enumerate(suite.rows, 1):
        path = directory.resolve() / row.directory
        if _finished(path, row):
            continue
        speed = rate(directory, suite)
        left = sum(plan.episodes[r.name] for r in suite.rows[number - 1 :])
        view.row(number, row.name, _left(left, speed))
        began = time.monotonic()
        try:
            _run_row(row, path, view, shared, registry)
        except SkillbenchError as error:
            failed[row.name] = str(error)
            view.say(f"failed: {error}")
            continue
        _took(path, time.monotonic() - began)
    table = summarize(suite, directory.resolve(), failed)
    out = {"suite": suite.name, "title": suite.title, "command": command, **table}
    write_atomic(directory / "suite.json", json.dumps(out, indent=1, ensure_ascii=False) + "\n")
    write_atomic(directory / "suite.html", side_by_side.suite(out, directory))
    return out


def _run_row(row: Row, path: Path, view: Reporter, shared: Shared, registry: Any) -> None:
    from .runner import execute

    begun = (path / "config.toml").is_file()
    place: dict[str, Any] = {"resume": path} if begun else {"out": path}
    execute(row.config, reporter=view, registry=registry, shared=shared, **place)


def _finished(path: Path, row: Row) -> bool:
    """Whether a row's run is complete. One of another configuration is an error of the resume."""
    done = (path / "result.json").is_file() and (path / "config.toml").is_file()
    return done and load(path).digest == row.config.digest


def _left(episodes: int, speed: float | None) -> str:
    if not episodes:
        return ""
    text = f"about {episodes:,} episodes to go"
    return text + (f", {duration(episodes * speed)} at the rate so far" if speed else "")


def _took(path: Path, seconds: float) -> None:
    """Note how long a row took in this process, for the rate."""
    write_atomic(path / "took.json", json.dumps({"wall_s": round(seconds, 1)}) + "\n")


def duration(seconds: float) -> str:
    """45 s, 12 min, 3.4 h."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"
