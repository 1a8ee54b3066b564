"""`skillbench data fetch|verify|path ENV`: official data of an environment, checksummed.

An environment names its data module when it registers (`data="module"`); without one, the module
`data` beside its target is tried. The module has

    path(dest="") -> Path                       where the data lies, or would lie
    fetch(dest="", *, urls=None, progress=None) -> Path     progress(done, total, what), in bytes
    verify(dest="") -> report                   `report.ok`, and str(report) to show
    LICENCE = "..."                             shown before anything is fetched

SKILLBENCH_MIRROR names a folder on a server (or on disk) that holds the archives; it is tried
before the addresses that the environment knows.
"""

from __future__ import annotations

import argparse
import importlib
import importlib.util
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from ..cli import Handler
from ..errors import DataError, UsageError

ACTIONS = ("fetch", "verify", "path")
MIRROR = "SKILLBENCH_MIRROR"


def command(parser: argparse.ArgumentParser) -> Handler:
    parser.add_argument("action", choices=ACTIONS, help="what to do")
    parser.add_argument("env", metavar="ENV", help="the environment whose data it is")
    parser.add_argument("--dest", metavar="DIR", default="", help="where the data lies")
    parser.add_argument(
        "--url",
        metavar="URL",
        action="append",
        help="with fetch: an address, or an archive or folder on disk, to take it from instead",
    )
    return run


def run(arguments: argparse.Namespace) -> int:
    if arguments.url and arguments.action != "fetch":
        raise UsageError("--url goes with `skillbench data fetch` alone")
    module = data_module(arguments.env)
    if arguments.action == "fetch":
        licence = getattr(module, "LICENCE", "")
        if licence:
            sys.stderr.write(f"licence: {licence}\n")
        found = fetch(module, arguments.dest, arguments.url)
        sys.stdout.write(f"{found}\n")
        return 0
    again = f"skillbench data fetch {arguments.env}"
    if arguments.action == "path":
        found = Path(module.path(arguments.dest))
        if not present(found):
            raise DataError(f"no official data of {arguments.env} in {found}; get it with: {again}")
        sys.stdout.write(f"{found}\n")
        return 0
    report = module.verify(arguments.dest)
    sys.stdout.write(f"{report}\n")
    if not report.ok:
        raise DataError(f"the data of {arguments.env} is not whole; fetch it anew with: {again}")
    return 0


def fetch(module: Any, dest: str, urls: list[str] | None) -> Path:
    """Fetch from the given addresses, else from the mirror, else from where the module knows."""
    mirror = os.environ.get(MIRROR, "")
    if not urls and mirror:
        try:
            return module.fetch(dest, urls=[mirror], progress=_progress())
        except DataError as error:
            sys.stderr.write(f"{MIRROR}: {error}; trying the usual addresses\n")
    return module.fetch(dest, urls=urls, progress=_progress())


def data_module(environment: str) -> Any:
    """The data module of an environment. Raises UsageError where it has no official data."""
    from ..registry import get

    entry = get().environments[environment]
    name = entry.data
    if not name:
        package = entry.target.partition(":")[0].rpartition(".")[0]
        name = f"{package}.data" if package else ""
        if not name or importlib.util.find_spec(name) is None:
            raise UsageError(f"environment {environment!r} has no official data to fetch")
    return importlib.import_module(name)


def present(directory: Path) -> bool:
    """Whether anything lies there."""
    return directory.is_dir() and any(directory.iterdir())


def _progress() -> Callable[[int, int, str], None]:
    """Write a line to stderr for each tenth of a download."""
    last: dict[str, int] = {}

    def tell(done: int, total: int, what: str) -> None:
        tenth = 10 * done // total if total else 0
        if last.get(what) == tenth:
            return
        last[what] = tenth
        share = f": {done / 1e6:.1f} of {total / 1e6:.1f} MB" if total else ""
        sys.stderr.write(f"{what}{share}\n")

    return tell
