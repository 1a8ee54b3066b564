"""`skillbench replay RUN`: the run again from its recorded answers; same episodes, same scores."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

from ..cli import Handler

SHOWN = 5


def command(parser: argparse.ArgumentParser) -> Handler:
    parser.add_argument("run", metavar="RUN", help="a finished run directory; it is not changed")
    parser.add_argument("--json", action="store_true", help="print what was found as JSON")
    return run


def run(arguments: argparse.Namespace) -> int:
    from ..progress import make_reporter
    from ..replaying import replay
    from ..runs import load_result

    directory, _ = load_result(arguments.run)
    reporter = make_reporter()
    try:
        found = replay(Path(directory), reporter=reporter)
    finally:
        reporter.finish()
    if arguments.json:
        json.dump(found, sys.stdout, indent=2, ensure_ascii=False)
        sys.stdout.write("\n")
    else:
        sys.stdout.write(f"{found['equal']} of {found['episodes']} episodes are the same\n")
        for row in found["differences"][:SHOWN]:
            where = f"{row['arm']}, seed {row['seed']}, {row['task']}"
            sys.stdout.write(f"  {where}: {row['what']}\n")
        if found["scores_equal"]:
            sys.stdout.write("the scores are the same\n")
        else:
            names = ", ".join(found["score_differences"])
            sys.stdout.write(f"result.json comes out differently: {names}\n")
    return 0 if found["equal"] == found["episodes"] and found["scores_equal"] else 1
