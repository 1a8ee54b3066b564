"""Where indexes are kept, and how one appears there: whole, or not at all.

CACHE/<digest of the corpus>/<name of the index>. CACHE is `env.cache`, else the user's cache
folder. An index is built in a folder beside its own and renamed when it is complete; of two
processes that build the same one, the second throws its work away.
"""

from __future__ import annotations

import os
import shutil
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

from skillbench.errors import DataError


def home(chosen: str = "") -> Path:
    """The folder of all indexes."""
    if chosen:
        return Path(chosen).expanduser()
    cache = os.environ.get("XDG_CACHE_HOME") or "~/.cache"
    return Path(cache).expanduser() / "skillbench" / "searchqa" / "index"


def built(folder: Path, build: Callable[[Path], None]) -> Path:
    """Return `folder`, built if it is not there. Raises DataError where it cannot be written."""
    if folder.is_dir():
        return folder
    temporary: Path | None = None
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        temporary = Path(tempfile.mkdtemp(prefix=f".{folder.name}-", dir=folder.parent))
        build(temporary)
        try:
            temporary.rename(folder)
        except OSError:
            if not folder.is_dir():  # another process was not faster: a real fault
                raise
    except OSError as error:
        raise DataError(
            f"cannot keep the index {folder}: {error.strerror or error}; make room, or choose "
            "another folder with env.cache or XDG_CACHE_HOME"
        ) from None
    finally:
        if temporary is not None:
            shutil.rmtree(temporary, ignore_errors=True)
    return folder


def tell(text: str) -> None:
    """Say on stderr what takes long."""
    sys.stderr.write(f"searchqa: {text}\n")
    sys.stderr.flush()
