"""`skillbench list`: everything that is installed, by kind."""

from __future__ import annotations

import argparse
import json
import sys
from typing import Any

from ..cli import Handler
from ..errors import unknown_name

KINDS = ("environments", "policies", "memories", "trainers", "teachers", "methods", "panels")


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
    from rich.table import Table

    console = Console(highlight=False)
    for kind, rows in inventory.items():
        if not rows:
            if len(inventory) == 1:
                console.print(f"no {kind} are installed")
            continue
        hidden = {"defaults", *(["plugin"] if kind == "methods" else [])}
        keys = [k for k in rows[0] if k not in hidden and any(_cell(row[k]) for row in rows)]
        table = Table(
            title=kind, title_justify="left", title_style="bold", box=None, pad_edge=False
        )
        for key in keys:
            table.add_column(key, no_wrap=key not in ("splits", "notes", "reason", "trainers"))
        for row in rows:
            table.add_row(*(_cell(row[key]) for key in keys))
        console.print(table)
        console.print()


def _cell(value: Any) -> str:
    if isinstance(value, bool):
        return "yes" if value else ""
    if isinstance(value, list):
        return ", ".join(map(str, value))
    return "" if value is None else str(value)
