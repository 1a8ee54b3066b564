"""The README names every setting with its default, and every memory."""

from __future__ import annotations

import json
from pathlib import Path

from skillbench_memory import MEMORIES, OTHERS
from skillbench_memory.base import numbers_of
from skillbench_memory.settings import DEFAULTS

README = (Path(__file__).parents[1] / "README.md").read_text(encoding="utf-8")


def test_every_setting_is_documented_with_its_default():
    for key, value in DEFAULTS.items():
        shown = json.dumps(value)
        lines = [x for x in README.splitlines() if x.startswith(f"| `{key}` |")]
        assert len(lines) == 1, key
        assert lines[0].split("|")[2].strip().strip("`") == shown, key


def test_every_memory_is_documented():
    for name in ("none", *MEMORIES, *OTHERS):
        assert f"| `{name}` |" in README


def test_the_settings_of_every_other_memory_are_documented():
    for name, (_, settings) in OTHERS.items():
        (about,) = [p for p in README.split("\n\n") if p.startswith(f"Of `{name}`")]
        for key in numbers_of(settings):
            assert f"`{key}`" in about, (name, key)
