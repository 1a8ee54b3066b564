"""The README names every setting with its default, and every memory."""

from __future__ import annotations

import json
from pathlib import Path

from skillbench_memory import MEMORIES
from skillbench_memory.settings import DEFAULTS

README = (Path(__file__).parents[1] / "README.md").read_text(encoding="utf-8")


def test_every_setting_is_documented_with_its_default():
    for key, value in DEFAULTS.items():
        shown = json.dumps(value)
        lines = [x for x in README.splitlines() if x.startswith(f"| `{key}` |")]
        assert len(lines) == 1, key
        assert lines[0].split("|")[2].strip().strip("`") == shown, key


def test_every_memory_is_documented():
    for name in ("none", *MEMORIES):
        assert f"| `{name}` |" in README
