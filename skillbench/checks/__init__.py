"""The conformance kit: does a plugin keep its contracts? `skillbench check PLUGIN` runs it.

Every environment, policy, memory, trainer and method that a plugin registers is tried in the ways
in which a benchmark depends on it. A check that fails says what was seen, why that matters and how
to mend it. Nothing of the plugin's own tests is needed, and nothing is written outside a temporary
directory.

    kit.py          what a check is, and how one is run
    world.py        a toy world, for components that need one to be tried in
    hostile.py      texts that no component may stumble over
    environment.py policy.py memory.py learning.py      the checks, by kind
"""

from __future__ import annotations

from .kit import CHECKS, NotApplicable, Outcome, Subject, Unfit, conformance, run, subjects

__all__ = [
    "CHECKS",
    "NotApplicable",
    "Outcome",
    "Subject",
    "Unfit",
    "conformance",
    "run",
    "subjects",
]
