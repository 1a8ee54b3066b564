"""`python -m skillbench` is the command `skillbench`."""

import sys

from .cli import main

if __name__ == "__main__":
    sys.exit(main())
