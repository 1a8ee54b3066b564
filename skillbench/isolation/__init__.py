"""Environments in child processes: `--set env.isolate=true`, for any environment.

`env.interpreter` names another Python, for an environment whose dependencies demand it. The child
(child.py) needs the standard library and what the environment imports, nothing else; skillbench
itself need not be installed there.
"""

from __future__ import annotations

from .environment import IsolatedEnvironment, split

__all__ = ["IsolatedEnvironment", "split"]
