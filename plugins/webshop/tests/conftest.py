"""The official slice for the tests: WEBSHOP_DATA, or the data beside the clone, or none."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

REPO = Path(__file__).resolve().parents[3]


def pytest_configure() -> None:
    """Keep the tests off whatever the user has fetched."""
    os.environ.setdefault("XDG_CACHE_HOME", "/nonexistent")


@pytest.fixture(scope="session")
def slice_1000() -> Path:
    """The folder with the 1,000-product catalogue. Skips where there is none."""
    for place in (os.environ.get("WEBSHOP_DATA", ""), REPO.parent / "shared" / "data" / "webshop"):
        if place and Path(place).is_dir():
            return Path(place)
    pytest.skip("no official WebShop data: WEBSHOP_DATA is not set")
