"""Every command, option, hook and public name is documented, and the generated pages say so."""

from __future__ import annotations

import argparse
import inspect
from pathlib import Path

import pytest

import skillbench
from skillbench import docs, hookspecs
from skillbench.cli import COMMANDS, command_parser
from skillbench.registry import Registry

ROOT = Path(__file__).parent.parent
HOOKS = {n: f for n, f in vars(hookspecs).items() if n.startswith("skillbench_")}


@pytest.mark.parametrize("name", COMMANDS)
def test_every_option_has_a_help_text(name):
    parser, handler = command_parser(name, *COMMANDS[name])
    assert callable(handler)
    for action in parser._actions:
        assert action.help, f"skillbench {name}: {action.option_strings or action.dest}"
        assert action.help is not argparse.SUPPRESS


def test_every_hook_has_one_line_and_there_are_at_most_a_dozen():
    assert len(HOOKS) <= 12
    for name, function in HOOKS.items():
        text = inspect.getdoc(function)
        assert text, name
        assert "\n" not in text, name


def test_public_names_exist_and_are_explained():
    for name in skillbench.__all__:
        value = getattr(skillbench, name)
        if inspect.isclass(value):
            assert inspect.getdoc(value), name


def test_pages_hold_every_command_option_and_hook():
    pages = docs.pages(Registry())
    for name, (target, summary) in COMMANDS.items():
        assert f"## skillbench {name}" in pages["commands.md"]
        for action in command_parser(name, target, summary)[0]._actions:
            for option in action.option_strings[-1:]:
                assert option in pages["commands.md"] or option == "--help"
    for name in HOOKS:
        assert f"`{name}(" in pages["hooks.md"]


def test_generated_pages_are_current():
    for name, text in docs.pages(docs.first_party(ROOT)).items():
        assert (ROOT / "docs" / name).read_text(encoding="utf-8") == text, "run: make docs"


@pytest.mark.parametrize("page", ["README.md", "CHANGELOG.md"])
def test_commands_named_in_the_docs_exist(page):
    import re

    text = (ROOT / page).read_text(encoding="utf-8")
    for name in re.findall(r"^\s*(?:\$ )?skillbench (\w+)", text, flags=re.MULTILINE):
        assert name in COMMANDS, f"{page} names `skillbench {name}`"


def test_every_key_of_the_first_plugins_is_explained():
    registry = docs.first_party(ROOT)
    tables = (getattr(registry, kind) for kind in ("environments", "policies", "memories"))
    entries = [
        e for table in (*tables, registry.teachers, registry.trainers) for e in table.values()
    ]
    assert len(entries) > 20
    for entry in entries:
        said = docs.theirs(entry)
        for key in entry.defaults:
            assert said.get(key), (
                f"{entry.kind} {entry.name}: {key} has no comment beside its default"
            )


def test_every_key_of_the_core_is_explained():
    from skillbench.config import CORE, ISOLATION

    said = docs.meanings()
    page = docs.pages(Registry())["configuration.md"]
    for table, rows in {**CORE, "env": ISOLATION}.items():
        for key in rows:
            assert said.get(key), f"{table}.{key} has no comment in config.py"
            assert f"| `{key}` |" in page
