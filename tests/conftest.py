"""Fixtures of the core's tests. The toy world (toy.py) stands in for every plugin."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest

sys.path.insert(0, str(Path(__file__).parent))  # `import toy`, also as a "module:attr" target


@pytest.fixture
def toy() -> Any:
    """The toy world's module."""
    import toy

    return toy


@pytest.fixture
def execute(toy: Any, tmp_path: Path) -> Any:
    """Run a method of the toy world; returns (result, run directory)."""
    from skillbench.runner import execute as run

    def call(method: str = "toyskill", *sets: str, name: str = "run", seeds: int = 1, **kw: Any):
        place = tmp_path / name
        where = {"resume": place} if kw.pop("resume", False) else {"out": place}
        config = toy.config(method, *sets, seeds=seeds)
        return run(config, registry=toy.registry(), **where, **kw), place

    return call


@pytest.fixture
def sizes(toy: Any, monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many requests each batch of the toy policy has, from now on."""
    seen: list[int] = []
    real = toy.ToyPolicy.generate

    async def generate(self: Any, requests: Any) -> Any:
        seen.append(len(requests))
        return await real(self, requests)

    monkeypatch.setattr(toy.ToyPolicy, "generate", generate)
    return seen
