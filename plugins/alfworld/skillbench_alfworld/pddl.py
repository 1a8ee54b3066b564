"""Reads official `game.tw-pddl` files into `Game`s: JSON, then only what decides the texts.

The file holds the PDDL domain and grammar (the same in all games of a release) and a problem of
some 50 kB. The domain is built into the engine; of the grammar only what differs between releases
is read (the placing verb, how arrivals are named, the help text, the task sentence); the problem's
facts are taken with one regular expression and its goal with a small s-expression reader.

Names are those of alfworld's demangler without shuffling: all ids, in lower case and sorted; the
first of a type gets the highest number.
"""

from __future__ import annotations

import json
import re
from collections import Counter, defaultdict
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from skillbench.errors import DataError

from .game import NOWHERE, Game, Goal, Object, Receptacle
from .goals import corrupt, kind_of, read_goal

FACT = re.compile(r"\(\s*([\w@-]+)\s+([^\s()]+)(?:\s+([^\s()]+))?\s*\)")
TASK = re.compile(r'"Your task is to: ((?:[^"\\]|\\.)*)"')
RAW_TASK = re.compile(rb'Your task is to: (.*?)\\"')  # in the file, quotes are escaped
HELP_BLOCK = re.compile(
    r'action\s+help\s*\{.*?(?:feedback\s*::\s*"(?!#)([^"]*)"|"rhs":\s*"((?:[^"\\]|\\.)*)")', re.S
)
FLAGS = {  # predicate -> field of Object
    "pickupable": "pickupable",
    "cleanable": "cleanable",
    "heatable": "heatable",
    "coolable": "coolable",
    "toggleable": "toggleable",
    "sliceable": "sliceable",
    "isreceptacleobject": "container",
    "isclean": "clean",
    "ishot": "hot",
    "iscool": "cool",
    "issliced": "sliced",
    "ison": "on",
}
MODELLED = {
    *FLAGS,
    "receptacletype",
    "objecttype",
    "cancontain",
    "openable",
    "opened",
    "inreceptacle",
    "inreceptacleobject",
    "receptacleatlocation",
    "objectatlocation",
    "atlocation",
}
# Facts without any effect on texts, commands or goals.
HARMLESS = {"wasinreceptacle", "checked", "examined", "full", "moveable", "isreceptacleobjectfull"}
KINDS = {
    "": "pick_and_place_simple",
    "clean": "pick_clean_then_place_in_recep",
    "hot": "pick_heat_then_place_in_recep",
    "cool": "pick_cool_then_place_in_recep",
}


def read_game(path: str | Path, *, id: str | None = None) -> Game:
    """Read one `game.tw-pddl`. `id` defaults to TASK/TRIAL, the names of the two folders above.

    Raises DataError, which names the file and what to do, when it is missing or corrupt.
    """
    path = Path(path)
    try:
        data = json.loads(path.read_bytes())
    except FileNotFoundError:
        raise DataError(
            f"no such game file: {path}; run `skillbench data verify alfworld` to check the data"
        ) from None
    except OSError as error:
        raise DataError(f"cannot read the game file {path}: {error.strerror}") from None
    except ValueError as error:
        raise corrupt(path, f"it is not JSON ({error})") from None
    return parse_game(data, id=id or f"{path.parent.parent.name}/{path.parent.name}", source=path)


def task_sentence(path: Path) -> str:
    """The task sentence of a game file, found without parsing it. Raises DataError."""
    try:
        found = RAW_TASK.search(path.read_bytes())
    except OSError as error:
        raise DataError(f"cannot read the game file {path}: {error.strerror}") from None
    if found is None:
        raise corrupt(path, 'its grammar has no sentence "Your task is to: ..."')
    text = found[1].decode(errors="replace")
    return _unescape(_unescape(text)) if "\\" in text else text


def parse_game(data: Any, *, id: str, source: Any = "(memory)") -> Game:
    """Compile the content of a game file. `source` only serves the error messages."""
    if not isinstance(data, Mapping):
        raise corrupt(source, "it is not a JSON object")
    for key in ("grammar", "pddl_problem"):
        if not isinstance(data.get(key), str):
            raise corrupt(source, f"the key {key!r} is missing")
    problem, grammar = data["pddl_problem"], data["grammar"]
    if ";" in problem:
        problem = re.sub(r";[^\n]*", "", problem)
    start, end = problem.find("(:init"), problem.rfind("(:goal")
    if start < 0 or end < start:
        raise corrupt(source, "its problem has no (:init ...) followed by a (:goal ...)")
    facts: defaultdict[str, list[tuple[str, str]]] = defaultdict(list)
    for predicate, a, b in FACT.findall(problem.lower(), start + 6, end):
        facts[predicate].append((a, b))
    unknown = set(facts) - MODELLED - HARMLESS
    if unknown:
        raise DataError(
            f"game file {source} states facts that the native engine does not model: "
            f"{', '.join(sorted(unknown))}; play it with --set env.engine=textworld"
        )
    goal = read_goal(problem[end:], source)
    try:
        return _build(facts, goal, grammar, data, id, source)
    except (KeyError, ValueError, TypeError) as error:
        raise corrupt(source, f"its facts do not fit together ({error!r})") from None


def _build(
    facts: Mapping[str, list[tuple[str, str]]],
    goal: Goal,
    grammar: str,
    data: Mapping[str, Any],
    id: str,
    source: Any,
) -> Game:
    names = demangle({x for pairs in facts.values() for pair in pairs for x in pair if x})
    places: dict[str, int] = {}  # ids of locations, numbered in sorted order
    for key in ("receptacleatlocation", "objectatlocation"):
        for _, place in facts.get(key, ()):
            places.setdefault(place, NOWHERE)
    agent = facts.get("atlocation", [])
    if len(agent) != 1:
        raise ValueError(f"{len(agent)} start locations")
    places.setdefault(agent[0][1], NOWHERE)
    for i, place in enumerate(sorted(places)):
        places[place] = i

    types = dict(facts.get("receptacletype", ()))
    standing = dict(facts.get("receptacleatlocation", ()))
    openable = {a for a, _ in facts.get("openable", ())}
    opened = {a for a, _ in facts.get("opened", ())}
    receptacle_ids = sorted(standing)
    if len(standing) != len(facts.get("receptacleatlocation", ())):
        raise ValueError("a receptacle stands at two locations")
    if not receptacle_ids:
        raise ValueError("no receptacles")
    receptacles = tuple(
        Receptacle(
            names[r], kind_of(types.get(r, r)), places[standing[r]], r in openable, r in opened
        )
        for r in receptacle_ids
    )

    kinds = dict(facts.get("objecttype", ()))
    inner = facts.get("inreceptacleobject", [])
    object_ids = sorted(
        {*kinds, *(a for a, _ in facts.get("inreceptacle", ()))}
        | {x for pair in inner for x in pair}
    )
    index = {o: i for i, o in enumerate(object_ids)}
    recep_index = {r: i for i, r in enumerate(receptacle_ids)}
    inside: defaultdict[str, list[int]] = defaultdict(list)
    for o, r in facts.get("inreceptacle", ()):
        inside[o].append(recep_index[r])
    at: defaultdict[str, list[int]] = defaultdict(list)
    for o, place in facts.get("objectatlocation", ()):
        at[o].append(places[place])
    holds: defaultdict[str, list[int]] = defaultdict(list)
    for o, outer in inner:
        holds[outer].append(index[o])
    flags: defaultdict[str, dict[str, bool]] = defaultdict(lambda: {"pickupable": False})
    for predicate, name in FLAGS.items():
        for o, _ in facts.get(predicate, ()):
            flags[o][name] = True
    objects = tuple(
        Object(
            name=names[o],
            type=kind_of(kinds.get(o, o)),
            inside=tuple(sorted(inside[o])),
            place=at[o][0] if at[o] else NOWHERE,
            also_at=tuple(sorted(at[o][1:])),
            holds=tuple(sorted(holds[o])),
            **flags[o],
        )
        for o in object_ids
    )

    text = read_grammar(grammar, source)
    place_names: tuple[str, ...] = ()
    if text.names_places:
        place_names = tuple(names[p] for p in sorted(places))
    kind = "look_at_obj_in_light" if goal.kind == "look" else KINDS[goal.state]
    if goal.count > 1:
        kind = "pick_two_obj_and_place"
    return Game(
        id=id,
        task_type=kind,
        task=text.task,
        receptacles=receptacles,
        objects=objects,
        can_contain=frozenset((kind_of(r), kind_of(o)) for r, o in facts.get("cancontain", ())),
        goal=goal,
        start=places[agent[0][1]],
        verb=text.verb,
        walkthrough=tuple(data.get("walkthrough") or ()),
        help=text.help,
        place_names=place_names,
    )


def demangle(ids: set[str]) -> dict[str, str]:
    """Number the ids as alfworld's demangler does: sorted, highest number first, per type."""
    ordered = sorted(i for i in ids if "_bar_" in i)
    stems = [i.split("_bar_", 1)[0] + ("basin" if "basin" in i else "") for i in ordered]
    left = Counter(stems)
    names = {}
    for i, stem in zip(ordered, stems, strict=True):
        names[i] = f"{stem} {left[stem]}"
        left[stem] -= 1
    return names


# ---------------------------------------------------------------------- grammar


class GrammarText:
    """What differs between the releases' grammars."""

    def __init__(self, task: str, verb: str, help: str | None, names_places: bool) -> None:
        self.task, self.verb, self.help, self.names_places = task, verb, help, names_places


def read_grammar(grammar: str, source: Any) -> GrammarText:
    """Read task sentence, placing verb, help text and form of arrival. Raises DataError."""
    task = TASK.search(grammar)
    if task is None:
        raise corrupt(source, 'its grammar has no sentence "Your task is to: ..."')
    if '"move {o} to {r}"' in grammar:
        verb = "move"
    elif '"put {o} in/on {r}"' in grammar:
        verb = "put"
    else:
        raise corrupt(source, "its grammar has neither `move X to Y` nor `put X in/on Y`")
    return GrammarText(
        task=_unescape(task[1]),
        verb=verb,
        help=_help(grammar),
        names_places="You arrive at {lend.name}" in grammar,
    )


def _help(grammar: str) -> str:
    block = HELP_BLOCK.search(grammar, max(grammar.rfind("action help"), 0))
    if block is None:
        return ""
    # TextWorld's template parser skips the white space that the text begins with.
    return (block[1] if block[1] is not None else _unescape(block[2])).lstrip()


def _unescape(text: str) -> str:
    return json.loads(f'"{text}"') if "\\" in text else text
