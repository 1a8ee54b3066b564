"""`skillbench check PLUGIN`: the conformance kit."""

from __future__ import annotations

import argparse
import dataclasses
import json
import sys
import tempfile
from pathlib import Path

from ..cli import Handler

MARKS = {"ok": "ok     ", "failed": "FAILED ", "skipped": "skipped"}


def command(parser: argparse.ArgumentParser) -> Handler:
    parser.add_argument(
        "plugin", metavar="PLUGIN", help="an entry point, a distribution or an importable module"
    )
    parser.add_argument(
        "--only", metavar="KIND[:NAME]", default="", help="one kind, or one component of it"
    )
    parser.add_argument("--model", metavar="MODEL", default="", help="for policies that need one")
    parser.add_argument(
        "--env", metavar="NAME", default="", help="where policies and methods are tried (a toy)"
    )
    parser.add_argument(
        "--policy", metavar="NAME", default="", help="who plays for trainers and methods (a toy)"
    )
    parser.add_argument("--json", action="store_true", help="machine-readable, on stdout")
    return run


def run(arguments: argparse.Namespace) -> int:
    outcomes = list(examine(arguments))
    bad = [o for o in outcomes if o.state == "failed"]
    if arguments.json:
        json.dump([dataclasses.asdict(o) for o in outcomes], sys.stdout, indent=1)
        sys.stdout.write("\n")
    else:
        counts = {state: sum(o.state == state for o in outcomes) for state in MARKS}
        sys.stdout.write(
            f"{counts['ok']} checks passed, {counts['failed']} failed, "
            f"{counts['skipped']} skipped\n"
        )
    return 1 if bad else 0


def examine(arguments: argparse.Namespace):  # type: ignore[no-untyped-def]
    """Run the checks, showing each as it ends; yield the outcomes."""
    from ..checks import run as check
    from ..checks import subjects
    from ..checks.kit import KINDS, checks_of
    from ..errors import UsageError, unknown_name

    kind, _, name = arguments.only.partition(":")
    if kind and kind not in KINDS:
        raise unknown_name("kind", kind, KINDS)
    count = 0
    with tempfile.TemporaryDirectory(prefix="skillbench-check-") as folder:
        more = {
            "model": arguments.model,
            "policy": arguments.policy,
            "environment": arguments.env,
        }
        for subject in subjects(arguments.plugin, Path(folder), **more):
            if (kind and subject.kind != kind) or (name and subject.name != name):
                continue
            if not arguments.json:
                sys.stdout.write(f"{subject.label}\n")
            for one in checks_of(subject.kind):
                count += 1
                place = subject.directory / one.name
                place.mkdir(parents=True)
                outcome = check(one, dataclasses.replace(subject, directory=place))
                if not arguments.json:
                    _show(outcome)
                yield outcome
    if not count:
        raise UsageError(
            f"plugin {arguments.plugin!r} has nothing to check"
            + (
                f" of {arguments.only!r}"
                if arguments.only
                else "; teachers have no kit of their own"
            )
        )


def _show(outcome) -> None:  # type: ignore[no-untyped-def]
    what = outcome.check.replace("_", " ")
    sys.stdout.write(f"  {MARKS[outcome.state]}  {what}\n")
    for label, text in (("", outcome.what), ("why: ", outcome.why), ("mend: ", outcome.mend)):
        if text:
            sys.stdout.write(f"           {label}{text}\n")
    sys.stdout.flush()
