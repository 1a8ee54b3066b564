"""Where a run was made: code, versions, hardware, data. No host name, user, path or key is kept."""

from __future__ import annotations

import os
import platform
import subprocess
import sys
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path
from typing import Any

PACKAGES = (
    "skillbench-harness",
    "accelerate",
    "gymnasium",
    "lancedb",
    "numpy",
    "openai",
    "peft",
    "scipy",
    "sentence-transformers",
    "torch",
    "transformers",
    "trl",
    "vllm",
)


def now() -> str:
    """The time, in UTC to the second."""
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def versions() -> dict[str, str]:
    """Versions of what matters to a result; what is not installed is left out."""
    found = {"python": platform.python_version()}
    for name in PACKAGES:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return found


def git(folder: Path | None = None) -> dict[str, Any] | None:
    """Commit and dirty flag of the source checkout, or None for an installed package.

    Only tracked files count as dirty: run directories and notes beside the code change nothing.
    """
    folder = folder or Path(__file__).parent
    if not (folder.parent / ".git").exists():
        return None
    try:
        sha = _git(folder, "rev-parse", "HEAD")
        dirty = bool(_git(folder, "status", "--porcelain", "--untracked-files=no"))
    except (OSError, subprocess.SubprocessError):
        return None
    return {"sha": sha, "dirty": dirty}


def _git(folder: Path, *arguments: str) -> str:
    command = ["git", "-C", str(folder), *arguments]
    done = subprocess.run(command, capture_output=True, text=True, timeout=20, check=True)
    return done.stdout.strip()


def hardware() -> dict[str, Any]:
    """CPU, cores, memory (GiB) and accelerators, as far as they can be told without torch."""
    found: dict[str, Any] = {
        "machine": platform.machine(),
        "system": platform.system(),
        "cpu": _cpu(),
        "cores": os.cpu_count(),
    }
    try:
        pages, size = os.sysconf("SC_PHYS_PAGES"), os.sysconf("SC_PAGE_SIZE")
        found["memory_gib"] = round(pages * size / 2**30, 1)
    except (ValueError, OSError):
        pass
    torch = sys.modules.get("torch")  # only asked if something has loaded it already
    if torch is not None and torch.cuda.is_available():
        found["gpus"] = [torch.cuda.get_device_name(i) for i in range(torch.cuda.device_count())]
    return found


def _cpu() -> str:
    try:
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    except OSError:
        pass
    return platform.processor()


def plugins(registry: Any) -> list[dict[str, str]]:
    """The loaded plugins with their distributions and versions."""
    rows = [
        {"name": p.name, "distribution": p.distribution, "version": p.version}
        for p in getattr(registry, "loaded", ())
    ]
    return sorted(rows, key=lambda row: row["name"])


def snapshot(registry: Any) -> dict[str, Any]:
    """Everything above, for the manifest."""
    return {
        "at": now(),
        "versions": versions(),
        "git": git(),
        "hardware": hardware(),
        "plugins": plugins(registry),
    }
