"""`skillbench data fetch|verify|path ENV`: official data of an environment, checksummed.

An environment names its data module when it registers (`data="module"`); without one, the module
`data` beside the package of its target is tried. The module has

    fetch(*, directory: Path | None, log: Callable[[str], None], **options) -> Path
    verify(*, directory: Path | None, log: Callable[[str], None]) -> list[str]   # faults
    path(*, directory: Path | None = None) -> Path | None
"""

from __future__ import annotations

import argparse
import importlib
import importlib.util
import sys
from pathlib import Path
from typing import Any

from ..cli import Handler
from ..errors import DataError, UsageError

ACTIONS = ("fetch", "verify", "path")


def command(parser: argparse.ArgumentParser) -> Handler:
    parser.add_argument("action", choices=ACTIONS, help="what to do")
    parser.add_argument("env", metavar="ENV", help="the environment whose data it is")
    parser.add_argument("--dir", metavar="DIR", help="where the data lies (the environment's)")
    parser.add_argument("--url", metavar="URL", help="fetch from another base address")
    return run


def run(arguments: argparse.Namespace) -> int:
    module = data_module(arguments.env)
    directory = Path(arguments.dir).expanduser() if arguments.dir else None
    if arguments.url and arguments.action != "fetch":
        raise UsageError("--url goes with `skillbench data fetch` alone")
    if arguments.action == "fetch":
        options = {"url": arguments.url} if arguments.url else {}
        sys.stdout.write(f"{module.fetch(directory=directory, log=_log, **options)}\n")
        return 0
    if arguments.action == "path":
        found = module.path(directory=directory)
        if found is None:
            raise DataError(
                f"no official data of {arguments.env} on this machine; "
                f"get it with: skillbench data fetch {arguments.env}"
            )
        sys.stdout.write(f"{found}\n")
        return 0
    faults = module.verify(directory=directory, log=_log)
    for fault in faults[:20]:
        _log(fault)
    if faults:
        raise DataError(
            f"{len(faults)} fault(s) in the data of {arguments.env}; "
            f"fetch it anew with: skillbench data fetch {arguments.env}"
        )
    sys.stdout.write("ok\n")
    return 0


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


def _log(text: str) -> None:
    sys.stderr.write(f"{text}\n")
