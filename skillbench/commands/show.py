"""`skillbench show RUN`: the summary of a finished run, and where its page lies."""

from __future__ import annotations

import argparse
import json
import sys

from ..cli import Handler


def command(parser: argparse.ArgumentParser) -> Handler:
    parser.add_argument("run", metavar="RUN", help="a run directory")
    parser.add_argument("--json", action="store_true", help="print result.json on stdout")
    return run


def run(arguments: argparse.Namespace) -> int:
    from ..runs import load_result

    directory, result = load_result(arguments.run)
    if arguments.json:
        json.dump(result, sys.stdout, indent=2, ensure_ascii=False)
        sys.stdout.write("\n")
    else:
        from ..summary import print_summary

        print_summary(result, directory)
    return 0
