"""Writes a `Game` as the content of a `game.tw-pddl` file, so that stock TextWorld can play it.

Domain and grammar are not carried here: they are the reference package's own files, which the
caller passes in. Ids are made so that alfworld's demangler gives back the game's names: of a type
with n instances, number k becomes `type_bar_(n-k)`, since the demangler counts down.
"""

from __future__ import annotations

import re
from collections import Counter
from typing import Any

from .game import NOWHERE, Game, Goal

FLAGS = {
    "pickupable": "pickupable",
    "cleanable": "cleanable",
    "heatable": "heatable",
    "coolable": "coolable",
    "toggleable": "toggleable",
    "sliceable": "sliceable",
    "container": "isReceptacleObject",
    "clean": "isClean",
    "hot": "isHot",
    "cool": "isCool",
    "sliced": "isSliced",
    "on": "isOn",
}
# The domain's actions name these types, so that a problem has to declare them.
NEEDED_RTYPES = ("sink", "sinkbasin", "microwave", "fridge")
NEEDED_OTYPES = ("knife", "butterknife")


def export_game(game: Game, domain: str, grammar: str) -> dict[str, Any]:
    """Return the JSON-ready content of a game file in the given domain and grammar."""
    grammar = re.sub(r"(Your task is to: )[^\"]*", lambda m: m[1] + game.task, grammar, count=1)
    return {
        "pddl_domain": domain,
        "grammar": grammar,
        "pddl_problem": problem_text(game),
        "solvable": True,
        "walkthrough": list(game.walkthrough),
    }


def _ids(names: list[str]) -> list[str]:
    counts = Counter(name.rsplit(" ", 1)[0] for name in names)
    out = []
    for name in names:
        stem, number = name.rsplit(" ", 1)
        head, tail = (
            (stem[: -len("basin")], "_bar_" + stem) if stem.endswith("basin") else (stem, "")
        )
        out.append(f"{head}_bar_{counts[stem] - int(number):04d}{tail}")
    return out


def _place(place: int) -> str:
    return "loc_bar_start" if place == NOWHERE else f"loc_bar_{place:04d}"


def problem_text(game: Game) -> str:
    """The PDDL problem of a game."""
    receptacles = _ids([r.name for r in game.receptacles])
    objects = _ids([o.name for o in game.objects])
    rtypes = {
        *NEEDED_RTYPES,
        *(r.type for r in game.receptacles),
        *(r for r, _ in game.can_contain),
    }
    otypes = {*NEEDED_OTYPES, *(o.type for o in game.objects), *(o for _, o in game.can_contain)}
    places = {_place(game.start), *(_place(r.place) for r in game.receptacles)}
    facts = [f"(atLocation agent1 {_place(game.start)})"]
    for id, recep in zip(receptacles, game.receptacles, strict=True):
        facts += [f"(receptacleType {id} {recep.type}Type)"]
        facts += [f"(receptacleAtLocation {id} {_place(recep.place)})"]
        facts += [f"(openable {id})"] * recep.openable + [f"(opened {id})"] * recep.open
    for id, obj in zip(objects, game.objects, strict=True):
        facts += [f"(objectType {id} {obj.type}Type)"]
        facts += [f"({word} {id})" for name, word in FLAGS.items() if getattr(obj, name)]
        facts += [f"(inReceptacle {id} {receptacles[r]})" for r in obj.inside]
        facts += [f"(inReceptacleObject {objects[o]} {id})" for o in obj.holds]
        for place in {obj.place, *obj.also_at} - {NOWHERE}:
            facts += [f"(objectAtLocation {id} {_place(place)})"]
            places.add(_place(place))
    facts += [f"(canContain {r}Type {o}Type)" for r, o in sorted(game.can_contain)]
    declared = [
        "agent1 - agent",
        *(f"{p} - location" for p in sorted(places)),
        *(f"{r} - receptacle" for r in receptacles),
        *(f"{o} - object" for o in objects),
        *(f"{t}Type - rtype" for t in sorted(rtypes)),
        *(f"{t}Type - otype" for t in sorted(otypes)),
    ]
    lines = ["(define (problem exported)", "(:domain alfred)", "(:objects", *declared, ")"]
    return "\n".join([*lines, "(:init", *facts, ")", goal_text(game.goal), ")"])


def goal_text(goal: Goal) -> str:
    """The PDDL goal of a game."""
    if goal.kind == "look":
        return (
            "(:goal (and (exists (?ot - object ?r - receptacle ?a - agent ?l - location) (and "
            f"(objectType ?ot {goal.lamp}Type) (toggleable ?ot) (isToggled ?ot) "
            "(receptacleAtLocation ?r ?l) (atLocation ?a ?l) (inReceptacle ?ot ?r))) "
            f"(exists (?o - object ?a - agent) (and (objectType ?o {goal.object}Type) "
            "(holds ?a ?o)))))"
        )
    state = {
        "": "",
        "clean": "(cleanable {v}) (isClean {v}) ",
        "hot": "(heatable {v}) (isHot {v}) ",
        "cool": "(coolable {v}) (isCool {v}) ",
    }[goal.state] + ("(sliceable {v}) (isSliced {v}) " if goal.sliced else "")
    inner = ""
    for i in range(goal.count, 0, -1):
        var = f"?o{i}"
        other = " ".join(f"(not (= {var} ?o{j}))" for j in range(1, i))
        inner = (
            f"(exists ({var} - object) (and {other} {state.format(v=var)}(objectType {var} "
            f"{goal.object}Type) (receptacleType ?r {goal.receptacle}Type) "
            f"(inReceptacle {var} ?r) {inner}))"
        )
    return f"(:goal (and (exists (?r - receptacle) {inner})))"
