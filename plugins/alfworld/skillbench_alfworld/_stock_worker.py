"""Hosts stock TextWorld games for `textworld_engine`: one JSON object a line in, one out.

Runs as a script under any interpreter that has the `alfworld` package, which need not have
skillbench: standard library and the reference packages only. The stock code is single-threaded,
overwrites `sys.argv` and prints to stdout, hence a process of its own with a private reply pipe.

With `--memo` the parses of grammar, templates and queries are remembered and the translation of a
problem is made once (not four times) per load; what is computed stays the same. It serves long
parity runs; bench and `env.engine=textworld` run the stock code as it is.
"""

from __future__ import annotations

import copy
import functools
import importlib.metadata
import importlib.resources
import json
import os
import sys
import time
from typing import Any

replies = os.fdopen(os.dup(1), "w", encoding="utf-8")
os.dup2(2, 1)  # whatever the reference code prints goes to stderr


def remember() -> None:
    """Memoise parsing inside TextWorld (see the module docstring)."""
    from textworld.envs.pddl import logic, textgen
    from textworld.logic import Rule

    def copied(function):
        cached = functools.lru_cache(maxsize=4096)(function)
        return functools.wraps(function)(lambda *a, **k: copy.deepcopy(cached(*a, **k)))

    textgen._parse_and_convert = copied(textgen._parse_and_convert)
    Rule.parse_conjunctive_query = functools.lru_cache(maxsize=4096)(Rule.parse_conjunctive_query)
    import fast_downward

    translate = functools.lru_cache(maxsize=1)(fast_downward.pddl2sas)

    def once(domain, problem, verbose=False, optimize=False):
        return translate(domain, problem, verbose=verbose)  # the second one is for planners only

    logic.fast_downward.pddl2sas = once


def new_env():
    import textworld
    from alfworld.agents.environment.alfred_tw_env import AlfredDemangler
    from textworld.envs.pddl import PddlEnv

    infos = textworld.EnvInfos(won=True, admissible_commands=True)
    return AlfredDemangler(PddlEnv(infos), shuffle=False)


def main() -> None:
    if "--memo" in sys.argv:
        remember()
    live: dict[int, Any] = {}
    free: list[Any] = []
    for line in sys.stdin:
        request = json.loads(line)
        op, slot = request["op"], request.get("slot")
        answer = {}
        begin = time.process_time()
        try:
            if op == "load":
                env = free.pop() if free else new_env()
                env.load(request["path"])
                live[slot] = env
            elif op in ("reset", "step"):
                state = live[slot].reset() if op == "reset" else live[slot].step(request["do"])[0]
                answer = {
                    "text": state["feedback"],
                    "admissible": state["admissible_commands"],
                    "won": bool(state["won"]),
                }
            elif op == "free":
                free.append(live.pop(slot))
            elif op == "logic":
                data = importlib.resources.files("alfworld") / "data"
                answer = {
                    "domain": (data / "alfred.pddl").read_text(),
                    "grammar": (data / "alfred.twl2").read_text(),
                }
            elif op == "versions":
                names = ("alfworld", "textworld", "fast-downward-textworld")
                answer = {name: importlib.metadata.version(name) for name in names}
        except Exception as error:
            answer = {"error": f"{type(error).__name__}: {error}"}
        answer["cpu_s"] = time.process_time() - begin
        replies.write(json.dumps(answer) + "\n")
        replies.flush()


if __name__ == "__main__":
    main()
