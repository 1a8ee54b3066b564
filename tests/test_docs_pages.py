"""Every block of the docs runs, page by page, in an empty folder; the pages name what exists.

Blocks of `sh` are run as they stand. Blocks of `python` and `toml` with a title are written to that
file, and the ones without a title are run. `text` is output, or what needs more than this machine.
`pip install -e DIR` is done by a stand-in that makes the package importable and its entry points
known, since building packages is pip's business and takes a network.
"""

from __future__ import annotations

import ast
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

import fake_install
import pytest
import yaml

ROOT = Path(__file__).parent.parent
PAGES = sorted((ROOT / "docs").glob("*.md"))
GENERATED = ("commands.md", "configuration.md", "hooks.md")
WRITTEN = [p for p in PAGES if p.name not in GENERATED]
FENCE = re.compile(r'^```(\w*)(?: title="([^"]+)")?\n(.*?)^```$', re.MULTILINE | re.DOTALL)
KNOWN = {"sh", "python", "toml", "text"}
PIP = """#!{python}
import sys
sys.path[:0] = [{tests!r}]
from pathlib import Path
import fake_install
folder = Path(sys.argv[-1]).absolute()
fake_install.install(folder)
with open({paths!r}, "a") as file:
    file.write(str(folder) + "\\n")
"""


class Block(NamedTuple):
    language: str
    title: str
    text: str


def blocks(page: Path) -> list[Block]:
    return [Block(*found) for found in FENCE.findall(page.read_text(encoding="utf-8"))]


def test_every_block_says_what_it_is() -> None:
    for page in WRITTEN:
        for block in blocks(page):
            assert block.language in KNOWN, f"{page.name}: {block.text[:60]!r}"


@pytest.mark.parametrize("page", [p.name for p in WRITTEN if blocks(p)])
def test_the_blocks_of_a_page_run(page: str, tmp_path: Path) -> None:
    tools, site = tmp_path / "bin", tmp_path / "site"
    place = tmp_path / "work"
    for folder in (tools, site, place):
        folder.mkdir()
    paths = site / "installed.pth"
    paths.touch()
    pip = PIP.format(python=sys.executable, tests=str(Path(__file__).parent), paths=str(paths))
    start = f"#!{sys.executable}\nimport sys\nfrom skillbench.cli import main\nsys.exit(main())\n"
    python = f'#!/bin/sh\nexec "{sys.executable}" "$@"\n'
    for name, text in (("pip", pip), ("skillbench", start), ("python", python)):
        (tools / name).write_text(text)
        (tools / name).chmod(0o755)
    (site / "sitecustomize.py").write_text(f"import site\nsite.addsitedir({str(site)!r})\n")
    env = {
        **os.environ,
        "PATH": f"{tools}{os.pathsep}{os.environ['PATH']}",
        "PYTHONPATH": str(site),
        "ALFWORLD_DATA": str(tmp_path / "no-data"),
    }
    for name in ("SKILLBENCH_LOAD_PLUGINS", "OPENAI_API_KEY", "OPENAI_BASE_URL"):
        env.pop(name, None)
    for block in blocks(ROOT / "docs" / page):
        if block.title:
            target = place / block.title
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_text(block.text, encoding="utf-8")
        elif block.language == "sh":
            done = subprocess.run(
                ["bash", "-e", "-c", block.text], cwd=place, env=env, capture_output=True, text=True
            )
            assert done.returncode == 0, f"{page}:\n{block.text}\n{done.stdout}\n{done.stderr}"


def minimal() -> dict[str, str]:
    return {b.title: b.text for b in blocks(ROOT / "docs" / "plugins.md") if b.title}


def test_the_smallest_environment_is_small() -> None:
    files = minimal()
    code, project = files["sums/sums.py"], files["sums/pyproject.toml"]
    ast.parse(code)
    assert sum(1 for line in code.splitlines() if line.strip()) <= 30
    assert sum(1 for line in project.splitlines() if line.strip()) <= 8


def test_the_smallest_environment_passes_the_check(tmp_path: Path) -> None:
    for name, text in minimal().items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text)
    folder = fake_install.install(tmp_path / "sums")
    done = fake_install.run(folder, "skillbench", "check", "sums")
    assert done.returncode == 0, done.stdout
    assert "0 failed" in done.stdout


def test_commands_and_settings_on_the_pages_exist() -> None:
    from skillbench.cli import all_commands
    from skillbench.config import CORE, ISOLATION
    from skillbench.docs import first_party

    entries = first_party(ROOT).environments.values()
    commands = all_commands()
    theirs = {key: value for entry in entries for key, value in entry.defaults.items()}
    for page in WRITTEN:
        text = page.read_text(encoding="utf-8")
        for name in re.findall(r"(?:^|`)skillbench (\w[\w-]*)", text, flags=re.MULTILINE):
            assert name in commands, f"{page.name} names `skillbench {name}`"
        for table, key in re.findall(r"`(run|agent|score|evolve|env)\.(\w+)", text):
            known = {**CORE.get(table, {}), **(ISOLATION if table == "env" else {})}
            known |= theirs if table == "env" else {}
            assert key in known, f"{page.name} names {table}.{key}"


def test_links_between_pages_lead_somewhere() -> None:
    names = {p.name for p in PAGES}
    for page in WRITTEN:
        for link in re.findall(r"\]\(([\w.-]+\.md)[^)]*\)", page.read_text(encoding="utf-8")):
            assert link in names, f"{page.name} links to {link}"


def test_every_page_is_in_the_navigation() -> None:
    text = (ROOT / "mkdocs.yml").read_text(encoding="utf-8")
    nav = str(yaml.safe_load(text)["nav"])
    for page in PAGES:
        assert f"'{page.name}'" in nav, page.name


@pytest.mark.slow
def test_the_site_is_built_without_a_warning(tmp_path: Path) -> None:
    pytest.importorskip("mkdocs", reason="mkdocs is not installed: pip install mkdocs-material")
    done = subprocess.run(
        [sys.executable, "-m", "mkdocs", "build", "--strict", "--quiet", "-d", str(tmp_path)],
        cwd=ROOT,
        env={**os.environ, "NO_MKDOCS_2_WARNING": "1"},
        capture_output=True,
        text=True,
    )
    assert (done.returncode, done.stdout + done.stderr) == (0, "")
    assert {p.stem for p in PAGES} - {"index"} <= {p.name for p in tmp_path.iterdir()}


def test_code_in_the_readme_runs() -> None:
    """An environment shown there is the one of docs/plugins.md, which the tests above check."""
    found = [b for b in blocks(ROOT / "README.md") if b.language in ("python", "toml")]
    assert any(block.language == "python" for block in found)
    files = minimal()
    for block in found:
        if block.language == "python":
            exec(compile(block.text, "README.md", "exec"), {"__name__": "readme"})
        if "skillbench.Environment" in block.text:
            assert block.text.strip() == files["sums/sums.py"].strip()
        if block.language == "toml" and "entry-points" in block.text:
            assert block.text.strip() == files["sums/pyproject.toml"].strip()
