"""`skillbench leaderboard build|add RUN|check`: the generated tables in README.md and the CSV."""

from __future__ import annotations

import argparse
import json
import shlex
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..cli import Handler
from ..errors import DataError, RunDirError, UsageError

if TYPE_CHECKING:
    from .. import leaderboard


def command(parser: argparse.ArgumentParser) -> Handler:
    parser.add_argument(
        "action", choices=("build", "add", "check"), nargs="?", default="build", help="what to do"
    )
    parser.add_argument("run", metavar="RUN", nargs="?", help="the run directory that `add` takes")
    parser.add_argument(
        "--command",
        metavar="TEXT",
        default="",
        help="with add: the command that made the run (read off it)",
    )
    parser.add_argument(
        "--note",
        metavar="TEXT",
        default="",
        help="with add: what was changed, e.g. no SFT (its --set)",
    )
    return run


def run(arguments: argparse.Namespace) -> int:
    from .. import leaderboard

    if (arguments.action == "add") != bool(arguments.run):
        raise UsageError("RUN goes with `skillbench leaderboard add RUN`, and only there")
    base = leaderboard.root()
    if arguments.action == "add":
        path = _add(base, arguments.run, arguments.command, arguments.note)
        sys.stdout.write(f"added {path.relative_to(base)}\n")
    found, columns = leaderboard.read(base, _panels()), _plugin_columns()
    files = leaderboard.build(base, found, columns)
    stale = [
        path
        for path, text in files.items()
        if not path.is_file() or path.read_text("utf-8") != text
    ]
    if arguments.action == "check":
        if stale:
            names = ", ".join(str(path.relative_to(base)) for path in stale)
            raise DataError(f"{names} is not current; run: skillbench leaderboard build")
        sys.stdout.write("the leaderboard is valid and current\n")
        return 0
    for path in stale:
        path.write_text(files[path], encoding="utf-8")
        sys.stdout.write(f"wrote {path.relative_to(base)}\n")
    if arguments.action == "build":
        page = leaderboard.site(base, found, columns)
        sys.stdout.write(f"wrote {page.relative_to(base)}\n")
    elif not stale:
        sys.stdout.write("nothing to do: the leaderboard is current\n")
    return 0


def _add(base: Path, run: str, command: str, note: str) -> Path:
    from .. import submission
    from ..commandline import parts
    from ..config import load
    from ..runs import load_result

    directory, result = load_result(run)
    git = (result.get("provenance") or {}).get("git") or {}
    commit = git.get("sha", "") + ("+" if git.get("dirty") else "")
    config = load(directory)
    words, sets = parts(config)
    for text in sets:
        words += ["--set", text]
    teacher = config["teacher"] if "teacher" in config.as_dict() else {}
    label = ":".join(part for part in (teacher.get("name"), teacher.get("model")) if part)
    row = submission.make(
        directory,
        result,
        command=command or shlex.join(words),
        commit=commit,
        variant=note or ", ".join(sets),
        teacher=label,
        panels=_panels(),
    )
    faults = submission.faults(row, _panels())
    if faults:
        raise RunDirError(f"{run} does not fit the leaderboard: {'; '.join(faults)}")
    folder = base / "leaderboard" / "results"
    path = _place(folder, row)
    path.parent.mkdir(exist_ok=True)
    path.write_text(submission.dumps(row), encoding="utf-8")
    return path


def _place(folder: Path, row: Mapping[str, Any]) -> Path:
    """A run again on its own machine replaces its file; another machine's stands beside it."""
    from .. import leaderboard, submission

    path = folder / submission.file_name(row)
    number = 1
    while path.is_file():
        other = json.loads(path.read_text(encoding="utf-8"))
        if leaderboard.machine(other) == leaderboard.machine(row):
            break
        number += 1
        path = path.with_name(f"{Path(submission.file_name(row)).stem}--{number}.json")
    return path


def _panels() -> list[dict[str, Any]]:
    """The committed panels, also those that lie beside an installed environment's module."""
    from importlib.util import find_spec

    from ..panel import FOLDERS, committed
    from ..registry import get

    folders = list(FOLDERS)
    for entry in get().environments.values():
        try:
            spec = find_spec(entry.target.partition(":")[0])
        except (ImportError, ValueError):
            continue
        if spec is not None and spec.origin:
            folders.append(Path(spec.origin).parent / "panels")
    return committed(folders)


def _plugin_columns() -> list[leaderboard.Column]:
    from ..registry import get

    plugins = get().plugins
    return [column for _, columns in plugins.each("skillbench_board_columns") for column in columns]
