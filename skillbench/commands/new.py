"""`skillbench new plugin NAME --kind KIND`: scaffold an installable plugin with tests and CI."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from ..cli import Handler


def command(parser: argparse.ArgumentParser) -> Handler:
    from ..scaffold import KINDS

    parser.add_argument("what", choices=("plugin",), help="what to make")
    parser.add_argument("name", metavar="NAME", help="its name: letters, digits and underscores")
    parser.add_argument(
        "--kind", choices=KINDS, default="environment", help="what it brings (environment)"
    )
    parser.add_argument("--dir", metavar="DIR", default="", help="where to put it (./NAME)")
    return run


def run(arguments: argparse.Namespace) -> int:
    from ..scaffold import TRY, write

    folder = write(arguments.name, arguments.kind, Path(arguments.dir or arguments.name))
    sys.stdout.write(
        f"wrote {folder}; next:\n"
        f"  pip install -e '{folder}[dev]'\n"
        f"  skillbench check {arguments.name}\n"
        f"  pytest {folder} --skillbench\n"
        f"  {TRY[arguments.kind].format(name=arguments.name)}\n"
    )
    return 0
