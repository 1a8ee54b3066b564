"""The mini set for the tests: SEARCHQA_DATA, or the folder beside the clone, or none."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

REPO = Path(__file__).resolve().parents[3]


def pytest_configure() -> None:
    """Keep the tests off whatever the user has fetched."""
    os.environ.setdefault("XDG_CACHE_HOME", "/nonexistent")


@pytest.fixture(scope="session")
def mini() -> Path:
    """The folder of the mini set. Skips where there is none."""
    for folder in (os.environ.get("SEARCHQA_DATA"), REPO.parent / "shared" / "data" / "searchqa"):
        if folder and (Path(folder) / "questions.jsonl").is_file():
            return Path(folder)
    pytest.skip("no mini set of questions: SEARCHQA_DATA is not set")


@pytest.fixture(scope="session")
def index_home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One folder of indexes for all tests."""
    return tmp_path_factory.mktemp("indexes")
