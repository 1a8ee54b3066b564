"""Scaffolded plugins in a fresh virtual environment, installed by pip from built packages.

Nothing is downloaded: the libraries of this interpreter are linked into the new environment, and
pip builds and installs skillbench, three of its plugins and the scaffolds. What a wheel forgets to
carry (templates, prompts, panels) is missing there.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import sysconfig
import venv
from pathlib import Path

import pytest

from skillbench import scaffold

ROOT = Path(__file__).parent.parent
OURS = [ROOT, *(ROOT / "plugins" / name for name in ("policies", "memory", "methods"))]
pytestmark = pytest.mark.slow
pytest.importorskip("hatchling", reason="hatchling builds the packages: pip install hatchling")


class Clean:
    """A virtual environment and the commands in it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        venv.create(folder, with_pip=True, symlinks=True)
        self.bin = folder / ("Scripts" if os.name == "nt" else "bin")
        place = sysconfig.get_path("purelib", "venv", {"base": str(folder)})
        for site in filter(lambda p: p.endswith("site-packages"), sys.path):
            for path in Path(site).iterdir():
                target = Path(place) / path.name
                mine = path.name.lower().startswith("skillbench") or path.suffix == ".pth"
                if not mine and not target.exists():
                    target.symlink_to(path)

    def run(self, *words: str | Path, cwd: Path) -> subprocess.CompletedProcess[str]:
        """Run a command of the environment, with nothing of this one's around it."""
        env = {k: v for k, v in os.environ.items() if not k.startswith(("PYTHON", "SKILLBENCH"))}
        words = (self.bin / words[0], *words[1:])
        return subprocess.run(
            [str(w) for w in words], cwd=cwd, env=env, capture_output=True, text=True
        )

    def install(self, *packages: Path, cwd: Path) -> None:
        """pip install, from source folders."""
        flags = ("--no-deps", "--no-build-isolation", "--no-index", "--disable-pip-version-check")
        done = self.run("python", "-m", "pip", "install", *flags, *packages, cwd=cwd)
        assert done.returncode == 0, done.stdout + done.stderr


@pytest.fixture(scope="module")
def clean(tmp_path_factory: pytest.TempPathFactory) -> Clean:
    folder = tmp_path_factory.mktemp("clean")
    made = Clean(folder / "venv")
    made.install(*OURS, cwd=folder)
    return made


def test_what_is_installed_is_what_runs(clean: Clean, tmp_path: Path) -> None:
    code = "import skillbench, skillbench_methods; print(skillbench.__file__)"
    done = clean.run("python", "-c", code, cwd=tmp_path)
    assert str(clean.folder) in done.stdout, done.stderr


@pytest.mark.parametrize("kind", scaffold.KINDS)
def test_a_scaffold_of_each_kind_installs_and_passes_the_check(
    clean: Clean, kind: str, tmp_path: Path
) -> None:
    name = f"my_{kind}"
    done = clean.run("skillbench", "new", "plugin", name, "--kind", kind, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    clean.install(tmp_path / name, cwd=tmp_path)
    done = clean.run("skillbench", "check", name, "--json", cwd=tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr
    assert sum(row["state"] == "ok" for row in json.loads(done.stdout)) >= 3


def test_a_scaffolded_environment_runs_by_its_name_alone(clean: Clean, tmp_path: Path) -> None:
    assert clean.run("skillbench", "new", "plugin", "tally", cwd=tmp_path).returncode == 0
    clean.install(tmp_path / "tally", cwd=tmp_path)
    done = clean.run("skillbench", "run", "--env", "tally", "--json", cwd=tmp_path)
    assert done.returncode == 3, done.stderr  # no committed panel: complete, and not rankable
    result = json.loads(done.stdout)
    assert (result["method"], result["policy"]) == ("base", "random")
    assert result["scores"]["success"]["n"] == 30
    assert result["outcomes"]["invalid"] == 0
    (place,) = (tmp_path / "runs").iterdir()
    assert (place / "report.html").stat().st_size > 10_000
