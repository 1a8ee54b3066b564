"""`skillbench run --suite`: the rows of a suite, one after the other, in one view."""

from __future__ import annotations

import argparse
import json
import shlex
import sys
from pathlib import Path
from typing import Any

from ..errors import UsageError


def run_suite(arguments: argparse.Namespace) -> int:
    """Run or go on with a suite; 1 if a row failed, 3 if one is not rankable, else 0."""
    from .. import suite as suites
    from ..estimate import estimate
    from ..progress import make_reporter
    from ..sharing import Shared
    from ..suite_table import print_table

    for name in ("method", "env"):
        if getattr(arguments, name):
            raise UsageError(f"--{name} and --suite exclude each other: a suite names its rows")
    if arguments.out and arguments.resume:
        raise UsageError("--out and --resume exclude each other: a suite goes on where it lies")
    suite = suites.read(arguments.suite, _overrides(arguments))
    directory = Path(arguments.resume or arguments.out or f"runs/suite-{suite.name}").expanduser()
    if arguments.dry_run:
        plan = estimate(suite, Shared(directory.resolve()))
        if arguments.json:
            rows = {row.name: row.config.as_dict() for row in suite.rows}
            json.dump({"estimate": plan.text(), "rows": rows}, sys.stdout, indent=2)
            sys.stdout.write("\n")
            return 0
        sys.stdout.write(f"# {suite.title}\n# {plan.text()}\n")
        for row in suite.rows:
            sys.stdout.write(f"{row.name}: {plan.episodes[row.name]:,} episodes\n")
        return 0
    reporter = make_reporter()
    try:
        found = suites.run(suite, directory, reporter, command=shlex.join(["skillbench", *_argv()]))
    except KeyboardInterrupt:
        raise KeyboardInterrupt(
            f"go on with the same command, or with --resume {directory}"
        ) from None
    finally:
        reporter.finish()
    if arguments.json:
        json.dump(found, sys.stdout, indent=2, ensure_ascii=False)
        sys.stdout.write("\n")
    else:
        print_table(found, directory)
    if any("failed" in row for row in found["rows"]):
        return 1
    return 0 if all(row["rankable"] for row in found["rows"]) else 3


def _overrides(arguments: argparse.Namespace) -> dict[str, Any]:
    names = ("policy", "teacher", "profile", "split", "seeds")
    return {name: getattr(arguments, name) for name in names} | {"set": arguments.sets}


def _argv() -> list[str]:
    return sys.argv[1:]
