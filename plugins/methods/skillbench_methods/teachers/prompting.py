"""Prompts and schemas are files in prompts/; here they are read and filled in."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from string import Template

PROMPTS = Path(__file__).parent / "prompts"


def fill(name: str, **values: str) -> str:
    """A prompt with its `$names` replaced."""
    return Template(text(name)).substitute(values)


@cache
def text(name: str) -> str:
    """A file of prompts/ as it stands."""
    return (PROMPTS / name).read_text(encoding="utf-8").strip()
