"""`skillbench doctor`: what works here, what is missing, the command that fixes it."""

from __future__ import annotations

import argparse
import dataclasses
import json
import sys

from ..cli import Handler

MARKS = {"ok": "ok     ", "missing": "missing", "broken": "BROKEN "}


def command(parser: argparse.ArgumentParser) -> Handler:
    parser.add_argument("--json", action="store_true", help="machine-readable, on stdout")
    return run


def run(arguments: argparse.Namespace) -> int:
    from ..doctor import examine
    from ..registry import get

    registry = get()
    findings = examine(registry)
    if arguments.json:
        json.dump([dataclasses.asdict(f) for f in findings], sys.stdout, indent=2)
        sys.stdout.write("\n")
    else:
        for finding in findings:
            fix = f"\n{'':21}fix: {finding.fix}" if finding.fix else ""
            sys.stdout.write(f"{MARKS[finding.state]}  {finding.topic:<11} {finding.text}{fix}\n")
        if arguments.debug:
            for broken in registry.broken:
                sys.stderr.write(f"\n{broken.name}:\n{broken.trace}")
    bad = [f for f in findings if f.needed and f.state != "ok"]
    return 1 if bad else 0
