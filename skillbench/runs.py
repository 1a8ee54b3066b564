"""Finding and reading the result of a finished run."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from .errors import NoRunError, RunDirError


def load_result(run: str) -> tuple[Path, dict[str, Any]]:
    """Read result.json of a run directory; returns (directory, result). Raises RunDirError."""
    directory = Path(run).expanduser()
    path = directory / "result.json"
    try:
        return directory, json.loads(path.read_text(encoding="utf-8"))
    except (FileNotFoundError, NotADirectoryError):
        if (directory / "config.toml").is_file():
            raise RunDirError(
                f"{run} has not finished; go on with: skillbench run --resume {run}"
            ) from None
        raise NoRunError(f"no run in {run!r}: it has no result.json") from None
    except (OSError, ValueError) as error:
        raise RunDirError(
            f"{path} cannot be read ({error}); delete it, and compute it again from the episodes "
            f"with: skillbench run --resume {run}"
        ) from error
