"""`skillbench merge`: the shards of a run, put together."""

from __future__ import annotations

import argparse
from pathlib import Path

from ..cli import Handler
from .run import show

EXAMPLES = """\
examples:
  skillbench run --method base --env alfworld --shard 0/4 --out s0     (and 1/4, 2/4, 3/4)
  skillbench merge runs/whole s0 s1 s2 s3
the result equals that of the unsharded run, apart from times and costs"""


def command(parser: argparse.ArgumentParser) -> Handler:
    parser.epilog = EXAMPLES
    parser.add_argument("out", metavar="OUT", help="the directory of the merged run, a new one")
    parser.add_argument("runs", metavar="SHARD", nargs="+", help="every shard of the run, once")
    parser.add_argument("--json", action="store_true", help="print result.json on stdout")
    return merge


def merge(arguments: argparse.Namespace) -> int:
    from ..merging import merge as join

    out = Path(arguments.out).expanduser()
    result = join(out, [Path(run).expanduser() for run in arguments.runs])
    return show(result, out, as_json=arguments.json)
