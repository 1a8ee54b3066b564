"""Official games for the tests: ALFWORLD_DATA, or a few from an archive beside the clone, or none."""

from __future__ import annotations

import os
import tarfile
from pathlib import Path

import pytest

REPO = Path(__file__).resolve().parents[3]
SAMPLE = 36  # games taken from an archive


def pytest_configure() -> None:
    """Keep the tests off whatever the user has fetched."""
    os.environ.setdefault("XDG_CACHE_HOME", "/nonexistent")


@pytest.fixture(scope="session")
def official(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder that holds json_2.1.1 with real games. Skips where there are none."""
    if os.environ.get("ALFWORLD_DATA"):
        return Path(os.environ["ALFWORLD_DATA"])
    archives = sorted((REPO.parent / "shared" / "data" / "alfworld").glob("*.tar.xz"))
    if not archives:
        pytest.skip("no official ALFWorld games: ALFWORLD_DATA is not set")
    root, count = tmp_path_factory.mktemp("alfworld"), 0
    with tarfile.open(archives[0], "r|xz") as tar:
        for member in tar:
            if not member.name.endswith("game.tw-pddl") or ".." in member.name:
                continue
            file = tar.extractfile(member)
            assert file is not None
            target = root / "json_2.1.1" / member.name.removeprefix("json_2.1.1/")
            target.parent.mkdir(parents=True)
            target.write_bytes(file.read())
            count += 1
            if count == SAMPLE:
                break
    return root


@pytest.fixture(scope="session")
def official_files(official: Path) -> list[Path]:
    """All official game files that there are."""
    return sorted(official.glob("json_2.1.1/*/*/*/game.tw-pddl"))
