"""The child of an isolated environment: one JSON object a line in, one out.

Runs as a script under any Python from 3.8 on, with the standard library alone. skillbench need not
be installed there: where it is not, `skillbench.Environment`, `hookimpl`, records and errors are
provided from the files beside this one, without gymnasium and pluggy.

What the environment prints goes to stderr, since the replies have a pipe of their own. A watcher
process waits for the parent's end of another pipe to close, and then ends the whole process group:
a child that hangs, in Python or in C, dies with its parent all the same.
"""

from __future__ import annotations

import importlib
import importlib.util
import json
import os
import signal
import sys
import traceback
import types
from typing import Any


def main():
    options = json.loads(sys.argv[1])
    watch(options["life"])
    replies = os.fdopen(os.dup(1), "w", encoding="utf-8")
    requests = os.fdopen(os.dup(0), "r", encoding="utf-8")
    os.dup2(2, 1)  # whatever the environment prints
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)  # whatever it asks for
    sys.path[:0] = [p for p in options["paths"] if p not in sys.path]
    host = Host(options)
    for line in requests:
        request = json.loads(line)
        number = request["id"]
        try:
            for slot in request["gone"]:
                host.do_close(slot)
            answer = getattr(host, "do_" + request["op"])(**request["with"])
            line = json.dumps({"id": number, "ok": answer})
        except Exception as error:
            traceback.print_exc()
            line = json.dumps({"id": number, "error": describe(error), "usage": is_ours(error)})
        replies.write(line + "\n")
        replies.flush()


def watch(life):
    """Fork a process that ends this group when the parent has gone."""
    if os.fork():
        os.close(life)
        return
    for number in (0, 1, 2):
        os.dup2(os.open(os.devnull, os.O_RDWR), number)
    for name in ("SIGINT", "SIGTERM", "SIGHUP"):
        signal.signal(getattr(signal, name), signal.SIG_IGN)
    os.read(life, 1)  # nothing is ever written: this returns when the other end is closed
    os.killpg(os.getpgid(0), signal.SIGKILL)
    os._exit(0)


def describe(error):
    return f"{type(error).__name__}: {error}"[:2000]


def is_ours(error):
    """Whether it is an error that skillbench's contract names: its class travels by name."""
    names = [c.__name__ for c in type(error).__mro__]
    return next((n for n in ("DataError", "UsageError", "PluginError") if n in names), "")


def provide(package):
    """Make `import skillbench` work without its dependencies."""
    if importlib.util.find_spec("skillbench") is not None:
        return
    stub: Any = types.ModuleType("skillbench")
    stub.__path__ = [package]  # records, errors and the like load from the real files

    def lazily(name):
        if name == "Environment":
            return Environment
        return getattr(importlib.import_module("skillbench.records"), name)

    stub.__getattr__ = lazily
    stub.PLUGIN_API = 1
    hooks: Any = types.ModuleType("skillbench.hookspecs")
    hooks.hookimpl = stub.hookimpl = lambda function=None, **_: function or (lambda f: f)
    environment: Any = types.ModuleType("skillbench.environment")
    environment.Environment = Environment
    for module in (stub, hooks, environment):
        sys.modules[module.__name__] = module


class Environment:
    """Stands in for skillbench.Environment where skillbench is not installed."""

    name = ""
    label = ""
    max_steps = 50
    instructions = ""

    def reset(self, *, seed=None, options=None):
        return None

    def expert(self, task):
        return None

    def causal(self):
        return None

    def close(self):
        return None


class Host:
    """The instances of one environment; each has a slot."""

    def __init__(self, options):
        provide(options["package"])
        self.table = options["table"]
        self.target = options["target"]
        self.factory: Any = None
        self.live = {}

    def do_ping(self):
        """Import the environment; what this interpreter is."""
        module, _, attribute = self.target.partition(":")
        found = importlib.import_module(module)
        for part in attribute.split("."):
            found = getattr(found, part)
        self.factory = found
        return {"python": sys.version.split()[0], "executable": sys.executable}

    def do_make(self, slot, scored):
        made = self.live[slot] = self.factory(**self.table)
        if scored and hasattr(made, "scored_split"):
            made.scored_split(scored)
        return self.facts(slot)

    def facts(self, slot):
        made = self.live[slot]
        return {
            "name": made.name,
            "label": made.label,
            "max_steps": made.max_steps,
            "instructions": made.instructions,
            "compact": hasattr(made, "compact"),
        }

    def do_tasks(self, slot, split):
        return [
            {
                "id": t.id,
                "environment": t.environment,
                "split": t.split,
                "task_type": t.task_type,
                "goal": t.goal,
                "meta": dict(t.meta),
            }
            for t in self.live[slot].tasks(split)
        ]

    def do_fingerprint(self, slot, split):
        return self.live[slot].fingerprint(split)

    def do_compact(self, slot, text):
        return self.live[slot].compact(text)

    def do_expert(self, slot, task):
        from skillbench.records import Task

        plan = self.live[slot].expert(Task(**task))
        return None if plan is None else list(plan)

    def do_reset(self, slot, seed, options):
        text, info = self.live[slot].reset(seed=seed, options=options)
        return [text, info, self.facts(slot)]

    def do_step(self, slot, action):
        text, reward, terminated, truncated, info = self.live[slot].step(action)
        return [text, float(reward), bool(terminated), bool(truncated), info]

    def do_close(self, slot):
        made = self.live.pop(slot, None)
        if made is not None and hasattr(made, "close"):
            made.close()


if __name__ == "__main__":
    main()
