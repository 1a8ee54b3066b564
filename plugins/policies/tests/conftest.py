"""Lets the tests of this directory import their helper `tiny_models`."""

import os
import sys
from pathlib import Path

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")  # several times faster on a busy machine
sys.path.insert(0, str(Path(__file__).parent))
