"""`skillbench show RUN`: the summary of a finished run or suite, and where its page lies."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ..cli import Handler
from ..errors import UsageError, suggest


def command(parser: argparse.ArgumentParser) -> Handler:
    parser.add_argument("run", metavar="RUN", help="a run directory, or that of a suite")
    parser.add_argument(
        "--value-per-success",
        metavar="USD",
        type=float,
        help="what a solved task is worth, for the break-even (what it costs without the method)",
    )
    parser.add_argument("--prices", action="store_true", help="also the break-even at other prices")
    parser.add_argument(
        "--episode", metavar="TASK", help="print one task's transcripts (its id, or its last part)"
    )
    parser.add_argument("--json", action="store_true", help="print result.json on stdout")
    return run


def run(arguments: argparse.Namespace) -> int:
    from ..runs import load_result

    suite = Path(arguments.run).expanduser() / "suite.json"
    if suite.is_file():
        return _suite(suite, arguments.json)
    directory, result = load_result(arguments.run)
    if arguments.episode:
        return _episode(directory, arguments.episode)
    if arguments.value_per_success is not None or arguments.prices:
        return _break_even(directory, result, arguments)
    if arguments.json:
        json.dump(result, sys.stdout, indent=2, ensure_ascii=False)
        sys.stdout.write("\n")
    else:
        from ..summary import print_summary

        print_summary(result, directory)
    return 0


def _suite(path: Path, as_json: bool) -> int:
    """The rows of a suite side by side, and what its factors do."""
    from ..suite_table import print_table

    found = json.loads(path.read_text(encoding="utf-8"))
    if as_json:
        json.dump(found, sys.stdout, indent=2, ensure_ascii=False)
        sys.stdout.write("\n")
    else:
        print_table(found, path.parent)
    return 0


def _episode(directory: Path, task: str) -> int:
    """Every attempt at a task, as it was."""
    from ..store import read_lines

    found, known = [], set()
    for line in read_lines(directory / "episodes.jsonl"):
        known.add(line["task"]["id"])
        if line["task"]["id"] == task or line["task"]["id"].endswith(f"/{task}"):
            found.append(line)
    if not found:
        raise UsageError(
            f"the run has no task {task!r}{suggest(task, sorted(known))} its page lists them all"
        )
    for line in found:
        sys.stdout.write(f"== {line['arm']}, seed {line['seed']}: {line['outcome']}\n")
        if line.get("system"):
            sys.stdout.write(f"{line['system']}\n")
        for step in line.get("steps", ()):
            mark = "" if step.get("valid", True) else "   (invalid)"
            sys.stdout.write(f"{step['observation']}\n> {step['response']}{mark}\n")
        sys.stdout.write(f"{line.get('final_observation', '')}\n\n")
    return 0


def _break_even(directory: Path, result: Mapping[str, Any], arguments: argparse.Namespace) -> int:
    """When learning is repaid at a given value of a solved task, and at other prices."""
    from .. import submission
    from ..breakeven import Bill, sensitivity
    from ..leaderboard import uses

    row = submission.make(directory, result, command="", commit="", variant="")
    account, value = submission.account(row), arguments.value_per_success
    if account.baseline is None:
        raise UsageError("the run scored no baseline: compare it with another run instead")
    even = account.against(value=value)
    out: dict[str, Any] = {"break_even": even}
    if arguments.prices:
        bills = [Bill(bill.usd, bill.device_s) for bill in account.bills]
        found = sensitivity(account.method, account.baseline, bills, account.rate, value=value)
        out["sensitivity"] = found
    if arguments.json:
        json.dump(out, sys.stdout, indent=2)
        sys.stdout.write("\n")
        return 0
    worth = even["value_per_success"]
    sys.stdout.write(f"a solved task is worth {worth} {even['unit']} ({even['value_is']})\n")
    sys.stdout.write(f"N* = {uses(even)} uses{_reason(even)}\n")
    for line in out.get("sensitivity", ()):
        name = f"device price x {line['device']:g}, provider prices x {line['provider']:g}"
        sys.stdout.write(f"  {name}: {uses(line)}{_reason(line)}\n")
    return 0


def _reason(even: Mapping[str, Any]) -> str:
    return f" ({even['reason']})" if even.get("reason") else ""
