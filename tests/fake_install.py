"""Makes a package on disk look installed: a .dist-info with its entry points beside it."""

from __future__ import annotations

import os
import subprocess
import sys
import tomllib
from pathlib import Path


def install(folder: Path) -> Path:
    """Write NAME-VERSION.dist-info into a plugin's folder; put that folder on PYTHONPATH to use it."""
    project = tomllib.loads((folder / "pyproject.toml").read_text())["project"]
    info = folder / f"{project['name'].replace('-', '_')}-{project['version']}.dist-info"
    info.mkdir(exist_ok=True)
    (info / "METADATA").write_text(
        f"Metadata-Version: 2.1\nName: {project['name']}\nVersion: {project['version']}\n"
    )
    rows = [
        f"[{group}]\n" + "\n".join(f"{k} = {v}" for k, v in points.items())
        for group, points in project["entry-points"].items()
    ]
    (info / "entry_points.txt").write_text("\n\n".join(rows) + "\n")
    return folder


def run(folder: Path, *words: str, cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
    """Run `python -m ...` with the folder's package installed."""
    path = os.pathsep.join([str(folder), os.environ.get("PYTHONPATH", "")]).rstrip(os.pathsep)
    env = {**os.environ, "PYTHONPATH": path}
    env.pop("SKILLBENCH_LOAD_PLUGINS", None)
    return subprocess.run(
        [sys.executable, "-m", *words], capture_output=True, text=True, env=env, cwd=cwd or folder
    )
