"""`skillbench list`: everything that is installed, by kind."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from ..cli import Handler
from ..errors import unknown_name

KINDS = ("environments", "policies", "memories", "trainers", "teachers", "methods", "panels")
WRAPPED = ("splits", "notes", "reason")  # columns whose text may go on in a further line
READABLE = 40  # characters that these have at least
LEAST = ("fingerprint", "memory", "trainers", "teacher", "label", "distribution", "plugin", "paper")


def command(parser: argparse.ArgumentParser) -> Handler:
    parser.add_argument("kind", nargs="?", default="", metavar="KIND", help=", ".join(KINDS))
    parser.add_argument("--json", action="store_true", help="machine-readable, on stdout")
    return run


def run(arguments: argparse.Namespace) -> int:
    if arguments.kind and arguments.kind not in KINDS:
        raise unknown_name("kind", arguments.kind, KINDS)
    inventory = collect()
    if arguments.kind:
        inventory = {arguments.kind: inventory[arguments.kind]}
    if arguments.json:
        json.dump(inventory, sys.stdout, indent=2, ensure_ascii=False)
        sys.stdout.write("\n")
    else:
        _print(inventory)
    return 0


def collect() -> dict[str, list[dict[str, Any]]]:
    """Everything installed, JSON-ready; plugins and broken plugins included."""
    from ..config import Config
    from ..registry import get

    registry = get()
    out: dict[str, list[dict[str, Any]]] = {}
    for kind in KINDS[:5]:
        rows = []
        for entry in getattr(registry, kind).values():
            row = {"name": entry.name, "plugin": entry.plugin}
            for key in ("splits", "default_split", "label", "trainable", "takes_model"):
                if hasattr(entry, key):
                    value = getattr(entry, key)
                    row[key] = list(value) if isinstance(value, tuple) else value
            row["defaults"] = Config(entry.defaults).as_dict()
            rows.append(row)
        out[kind] = rows
    out["methods"] = [
        {
            "name": m.name,
            "plugin": registry.method_plugins.get(m.name, ""),
            "stage": m.stage,
            "paper": m.paper,
            "memory": m.memory,
            "trainers": list(m.trainers),
            "teacher": m.teacher,
            "notes": m.notes,
        }
        for m in registry.methods.values()
    ]
    out["panels"] = _panels()
    out["plugins"] = [
        {"name": p.name, "distribution": p.distribution, "version": p.version}
        for p in registry.loaded
    ]
    out["broken"] = [{"name": b.name, "reason": b.reason} for b in registry.broken]
    return out


def _panels() -> list[dict[str, Any]]:
    """The committed panels in tasks/panels."""
    from ..layers import tasks_dir

    rows = []
    for path in sorted((tasks_dir() / "panels").rglob("*.json")):
        try:
            data = json.loads(path.read_text(encoding="utf-8"))
            row = {key: data[key] for key in ("name", "environment", "split", "n", "fingerprint")}
        except (OSError, ValueError, KeyError, TypeError):
            continue  # not a panel; scoring on it says what is wrong
        rows.append(row)
    return rows


def _print(inventory: dict[str, list[dict[str, Any]]]) -> None:
    from rich.console import Console

    console = Console(highlight=False)
    for kind, rows in inventory.items():
        if not rows:
            if len(inventory) == 1:
                console.print(f"no {kind} are installed")
            continue
        hidden = {"defaults", *(["plugin"] if kind == "methods" else [])}
        keys = [k for k in rows[0] if k not in hidden and any(_cell(row[k]) for row in rows)]
        columns = {key: [_cell(row[key]) for row in rows] for key in keys}
        if console.is_terminal:
            _table(console, kind, columns)
        else:
            sys.stdout.writelines(_lines(kind, columns))


def _lines(kind: str, columns: Mapping[str, Sequence[str]]) -> Iterator[str]:
    """For a pipe or a file: a line for each row, however long."""
    padded = []
    for key, cells in columns.items():
        width = max(map(len, (key, *cells)))
        padded.append([text.ljust(width) for text in (key, *cells)])
    yield f"{kind}\n"
    for row in zip(*padded):
        yield "  ".join(row).rstrip() + "\n"
    yield "\n"


def _table(console: Any, kind: str, columns: Mapping[str, Sequence[str]]) -> None:
    """For a terminal: the least useful columns give way to what is there to be read."""
    from rich.table import Table

    shown = fitting(columns, console.width)
    table = Table(
        title=kind, title_justify="left", title_style="bold", box=None, padding=(0, 1, 0, 0)
    )
    for key in shown:
        table.add_column(key, no_wrap=key not in WRAPPED)
    for row in zip(*(columns[key] for key in shown)):
        table.add_row(*row)
    console.print(table)
    left_out = ", ".join(key for key in columns if key not in shown)
    if left_out:
        console.print(f"(a wider window, a pipe and --json show {left_out}, too)")
    console.print()


def fitting(columns: Mapping[str, Sequence[str]], width: int) -> list[str]:
    """The columns that fit into so many characters, with 40 for those that may be wrapped."""
    needs = {}
    for key, cells in columns.items():
        longest = max(map(len, (key, *cells)))
        needs[key] = min(longest, READABLE) if key in WRAPPED else longest
    for key in LEAST:
        if sum(needs.values()) + len(needs) <= width + 1:
            break
        needs.pop(key, None)
    return list(needs)


def _cell(value: Any) -> str:
    if isinstance(value, bool):
        return "yes" if value else ""
    if isinstance(value, list):
        return ", ".join(map(str, value))
    return "" if value is None else str(value)
