"""Checkpoints of a stage: one directory per learning step, complete or absent.

A checkpoint is written under a temporary name, flushed, and renamed; so whatever moment a run is
killed at, the newest directory with a final name is whole, and going on from it repeats exactly.
"""

from __future__ import annotations

import json
import os
import re
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

_NAME = re.compile(r"step_(\d{6})")


def write(
    directory: Path,
    step: int,
    state: Mapping[str, Any],
    fill: Callable[[Path], None],
    *,
    keep: int = 2,
) -> Path:
    """Write checkpoint `step`: `fill(path)` puts files into it, `state` becomes state.json."""
    directory.mkdir(parents=True, exist_ok=True)
    final = directory / f"step_{step:06d}"
    draft = directory / f"step_{step:06d}.tmp"
    for stale in (draft, final):
        if stale.exists():
            shutil.rmtree(stale)
    draft.mkdir()
    fill(draft)
    (draft / "state.json").write_text(json.dumps(state), encoding="utf-8")
    _flush(draft)
    draft.rename(final)
    _flush_one(directory)
    for old in found(directory)[: -max(1, keep)]:
        shutil.rmtree(old, ignore_errors=True)
    return final


def found(directory: Path) -> list[Path]:
    """Complete checkpoints, oldest first."""
    if not directory.is_dir():
        return []
    return sorted(p for p in directory.iterdir() if _NAME.fullmatch(p.name))


def latest(directory: Path) -> tuple[Path, dict[str, Any]] | None:
    """The newest complete checkpoint and its state, or None. Removes unfinished ones."""
    if directory.is_dir():
        for draft in directory.glob("step_*.tmp"):
            shutil.rmtree(draft, ignore_errors=True)
    paths = found(directory)
    if not paths:
        return None
    return paths[-1], json.loads((paths[-1] / "state.json").read_text(encoding="utf-8"))


def _flush(directory: Path) -> None:
    for path in directory.rglob("*"):
        if path.is_file():
            _flush_one(path)


def _flush_one(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
