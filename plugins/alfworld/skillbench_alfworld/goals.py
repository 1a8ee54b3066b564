"""Compiles the PDDL goal of a game file into a `Goal`: the six known kinds and sliced ones."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterator
from typing import Any

from skillbench.errors import DataError

from .game import Goal

GOAL_WORDS = {
    *("objecttype", "receptacletype", "inreceptacle", "holds", "istoggled", "toggleable"),
    *("receptacleatlocation", "atlocation", "isclean", "ishot", "iscool", "issliced"),
    *("cleanable", "heatable", "coolable", "sliceable"),
}
STATES = {"isclean": "clean", "ishot": "hot", "iscool": "cool"}


def corrupt(source: Any, why: str) -> DataError:
    """The error for a file that cannot be played."""
    return DataError(
        f"corrupt game file {source}: {why}; delete it and run `skillbench data fetch alfworld` "
        "to get the official one again"
    )


def kind_of(text: str) -> str:
    """ "alarmclocktype" or "alarmclock_bar_..." as "alarmclock"."""
    return text.removesuffix("type") if text.endswith("type") else text.split("_bar_", 1)[0]


def read_goal(text: str, source: Any = "(memory)") -> Goal:
    """Compile `(:goal ...)`. Raises DataError for a goal of none of the known shapes."""
    atoms = list(_atoms(_parse(text, source), source))
    of: defaultdict[str, list[list[str]]] = defaultdict(list)
    for atom in atoms:
        of[atom[0]].append(atom[1:])
    try:
        if set(of) - GOAL_WORDS:
            raise ValueError("unknown predicate")
        kinds = {var: kind_of(kind) for var, kind in of["objecttype"]}
        if of["holds"]:
            lamp, held = of["istoggled"][0][0], of["holds"][0][1]
            return Goal("look", kinds[held], lamp=kinds[lamp])
        (home,) = {kind_of(kind) for _, kind in of["receptacletype"]}
        things = {var for var, _ in of["inreceptacle"]}
        (thing,) = {kinds[var] for var in things}
        states = {STATES[p] for p in STATES if of[p]}
        if len(states) > 1 or of["istoggled"]:
            raise ValueError("unknown shape")
        state = states.pop() if states else ""
        return Goal("place", thing, home, "", state, len(things), bool(of["issliced"]))
    except (KeyError, IndexError, ValueError):
        raise DataError(
            f"game file {source} has a goal of none of the six known kinds: "
            f"{' '.join(text.split())[:300]}; play it with --set env.engine=textworld"
        ) from None


def _parse(text: str, source: Any) -> list[Any]:
    """Read the first s-expression of `text` as nested lists of lower-case words."""
    stack: list[list[Any]] = [[]]
    for token in re.findall(r"[()]|[^\s()]+", text.lower()):
        if token == "(":
            stack.append([])
        elif token == ")":
            done = stack.pop()
            if not stack:
                break
            stack[-1].append(done)
            if len(stack) == 1:
                return done
        else:
            stack[-1].append(token)
    raise corrupt(source, "its goal has unbalanced parentheses")


def _atoms(node: list[Any], source: Any) -> Iterator[list[str]]:
    """Flatten a conjunction under existential quantifiers into its atoms."""
    head = node[0] if node else ""
    if head in (":goal", "and"):
        for child in node[1:]:
            yield from _atoms(child, source)
    elif head == "exists":
        yield from _atoms(node[2], source)
    elif head == "not" and node[1:] and node[1][:1] == ["="]:
        return  # two different things: counted by their variables
    elif head in ("not", "or", "forall", "imply", "when"):
        yield [f"({head})", ""]
    elif node:
        yield node
