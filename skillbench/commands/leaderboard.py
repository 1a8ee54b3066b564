"""`skillbench leaderboard build|add RUN|check`: the generated tables in README.md and the CSV."""

from __future__ import annotations

import argparse
import json
import shlex
import sys
from pathlib import Path

from .. import leaderboard
from ..cli import Handler
from ..errors import DataError, RunDirError, UsageError


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
    if (arguments.action == "add") != bool(arguments.run):
        raise UsageError("RUN goes with `skillbench leaderboard add RUN`, and only there")
    base = leaderboard.root()
    if arguments.action == "add":
        path = _add(base, arguments.run, arguments.command, arguments.note)
        sys.stdout.write(f"added {path.relative_to(base)}\n")
    files = leaderboard.build(base, _plugin_columns())
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
    if not stale:
        sys.stdout.write("nothing to do: the leaderboard is current\n")
    return 0


def _add(base: Path, run: str, command: str, note: str) -> Path:
    from ..commandline import parts
    from ..config import load
    from ..runs import load_result

    directory, result = load_result(run)
    faults = leaderboard.validate(result)
    if faults:
        raise RunDirError(f"{run} does not fit the leaderboard: {'; '.join(faults)}")
    provenance = result.get("provenance") or {}
    git = provenance.get("git") or {}
    commit = git.get("sha", "") + ("+" if git.get("dirty") else "")
    words, sets = parts(load(directory))
    for text in sets:
        words += ["--set", text]
    row = leaderboard.trimmed(
        result,
        command=command or shlex.join(words),
        commit=commit,
        variant=note or ", ".join(sets),
    )
    path = base / "leaderboard" / "results" / leaderboard.file_name(result)
    path.parent.mkdir(exist_ok=True)
    path.write_text(json.dumps(row, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    return path


def _plugin_columns() -> list[leaderboard.Column]:
    from ..registry import get

    plugins = get().plugins
    return [column for _, columns in plugins.each("skillbench_board_columns") for column in columns]
