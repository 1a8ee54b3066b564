"""Household games from nothing but a seed: the embedded default, labelled `alfworld-generated`.

`generate(split, index)` is a pure function. A game draws a task type (in turn, so that splits are
balanced), a floor plan, furniture, objects placed as real scenes place them (layouts.py), and a
goal that the scene does not already satisfy and that can be reached: an object in a receptacle is
always within reach, so each game is solvable, which the tests check with the full-knowledge oracle.

Splits: `train` and `seen` share floor plans and goal pairs and differ in everything else; `unseen`
uses the four held-out floor plans (the official split's) and (object, receptacle) goal pairs that
train never shows. Rooms are trimmed to at most `MAX_RECEPTACLES`, so that an episode of a small
model fits a laptop; official games have up to 54.
"""

from __future__ import annotations

import hashlib
import random
from functools import lru_cache

from . import layouts as L
from .game import NOWHERE, TASK_TYPES, Game, Goal, Object, Receptacle

VERSION = "1"
SPLITS = ("train", "seen", "unseen")
MAX_RECEPTACLES = 20
MAX_OBJECTS = 26
HELD_OUT_SHARE = 5  # one goal pair in five is kept for `unseen`
DOUBLE_LISTED = 0.02  # objects that real scenes list in two receptacles at once

KINDS = {
    "pick_and_place_simple": ("kitchen", "living", "bedroom", "bathroom"),
    "look_at_obj_in_light": ("bedroom", "living"),
    "pick_clean_then_place_in_recep": ("kitchen", "bathroom"),
    "pick_heat_then_place_in_recep": ("kitchen",),
    "pick_cool_then_place_in_recep": ("kitchen",),
    "pick_two_obj_and_place": ("kitchen", "living", "bedroom", "bathroom"),
}
SENTENCES = {  # two wordings each, as in the public games
    "pick_and_place_simple": ("put a {o} in {r}.", "put some {o} on {r}."),
    "look_at_obj_in_light": ("look at {o} under the {r}.", "examine the {o} with the {r}."),
    "pick_clean_then_place_in_recep": (
        "put a clean {o} in {r}.",
        "clean some {o} and put it in {r}.",
    ),
    "pick_heat_then_place_in_recep": ("put a hot {o} in {r}.", "heat some {o} and put it in {r}."),
    "pick_cool_then_place_in_recep": ("put a cool {o} in {r}.", "cool some {o} and put it in {r}."),
    "pick_two_obj_and_place": ("put two {o} in {r}.", "find two {o} and put them in {r}."),
}
STATES = {
    "pick_clean_then_place_in_recep": ("clean", L.CLEANABLE),
    "pick_heat_then_place_in_recep": ("hot", L.HEATABLE),
    "pick_cool_then_place_in_recep": ("cool", L.COOLABLE),
}


@lru_cache(maxsize=8192)
def held_out(task_type: str, obj: str, receptacle: str) -> bool:
    """Whether a goal pair belongs to `unseen` alone. By hash, so that it never changes."""
    digest = hashlib.sha256(f"{task_type}/{obj}/{receptacle}".encode()).digest()
    return digest[0] % HELD_OUT_SHARE == 0


def allowed_plans(split: str, kind: str) -> list[int]:
    """Floor plans of a kind that a split may use."""
    held = split == "unseen"
    return [p for p in L.PLANS if L.kind_of(p) == kind and (p in L.HELD_OUT_PLANS) == held]


@lru_cache(maxsize=256)
def furniture(plan: int) -> tuple[Receptacle, ...]:
    """The receptacles of a floor plan, trimmed, in listing order; the same for every game there."""
    counts: dict[str, list[int]] = {}
    for item in L.PLANS[plan].split():
        name, _, number = item.partition(":")
        total, _, openable = number.partition("/")
        full = int(total)
        some = int(openable) if openable else full
        counts[name] = [full, some if name in L.SOMETIMES_OPENABLE else 0]
    while sum(n for n, _ in counts.values()) > MAX_RECEPTACLES:
        largest = max(counts, key=lambda t: counts[t][0])
        counts[largest][0] -= 1
        counts[largest][1] = min(counts[largest][1], counts[largest][0])
    rng = random.Random(f"furniture {VERSION} {plan}")
    out: list[Receptacle] = []
    place = 0
    for name in sorted(counts):
        here, opening = counts[name]
        doors = set(rng.sample(range(1, here + 1), opening))
        for instance in range(here, 0, -1):
            shares = out and out[-1].type == name and rng.random() < 0.05
            if not shares:
                place += 1
            is_openable = name in L.ALWAYS_OPENABLE or instance in doors
            out.append(Receptacle(f"{name} {instance}", name, place, is_openable))
    return tuple(out)


@lru_cache(maxsize=64)
def _catalogue(kind: str) -> dict[str, tuple[int, float, dict[str, int]]]:
    out = {}
    for name, share, mean, where in L.OBJECTS[kind]:
        weights = {t: int(w) for t, w in (item.split(":") for item in where.split())}
        out[name] = (share, mean, weights)
    return out


@lru_cache(maxsize=1)
def can_contain() -> frozenset[tuple[str, str]]:
    """All (receptacle type, object type) pairs that a put allows."""
    return frozenset((r, o) for r, objects in L.CAN_CONTAIN.items() for o in objects.split())


def _goal_pairs(task_type: str, plan: int, unseen: bool) -> list[tuple[str, str]]:
    """(object, receptacle or lamp) pairs that make a goal of this type in this room."""
    objects = _catalogue(L.kind_of(plan))
    types = {r.type for r in furniture(plan)}
    pairs = []
    for obj, (_, _, where) in objects.items():
        if obj in L.LAMPS or not any(t in types for t in where):
            continue
        if task_type == "look_at_obj_in_light":
            targets = [
                lamp for lamp in L.LAMPS if lamp in objects and _somewhere(objects[lamp][2], types)
            ]
        else:
            if task_type in STATES and obj not in STATES[task_type][1]:
                continue
            targets = sorted(t for t in types if (t, obj) in can_contain())
            if task_type not in STATES:  # something must lie elsewhere, to be brought
                targets = [t for t in targets if any(w != t and w in types for w in where)]
        pairs += [(obj, t) for t in targets if held_out(task_type, obj, t) == unseen]
    return pairs


def _somewhere(where: dict[str, int], types: set[str]) -> bool:
    return any(t in types for t in where)


def generate(split: str, index: int) -> Game:
    """Game number `index` of a split. Raises ValueError for an unknown split."""
    if split not in SPLITS:
        raise ValueError(f"unknown generated split {split!r}; known: {', '.join(SPLITS)}")
    rng = random.Random(f"game {VERSION} {split} {index}")
    task_type = TASK_TYPES[index % len(TASK_TYPES)]
    while True:
        kind = rng.choice(KINDS[task_type])
        plan = rng.choice(allowed_plans(split, kind))
        pairs = _goal_pairs(task_type, plan, split == "unseen")
        if pairs:
            break
    target, recipient = rng.choice(pairs)
    receptacles = furniture(plan)
    objects = _place_objects(rng, kind, receptacles, task_type, target, recipient)
    state = STATES[task_type][0] if task_type in STATES else ""
    if task_type == "look_at_obj_in_light":
        goal = Goal("look", target, lamp=recipient)
    else:
        goal = Goal("place", target, recipient, state=state, count=1 + (task_type == TASK_TYPES[5]))
    sentence = rng.choice(SENTENCES[task_type]).format(o=target, r=recipient)
    name = f"{task_type}-{target}-{recipient}-{plan}/{split}-{index:05d}"
    return Game(name, task_type, sentence, receptacles, objects, can_contain(), goal)


def _place_objects(
    rng: random.Random,
    kind: str,
    receptacles: tuple[Receptacle, ...],
    task_type: str,
    target: str,
    recipient: str,
) -> tuple[Object, ...]:
    by_type: dict[str, list[int]] = {}
    for i, r in enumerate(receptacles):
        by_type.setdefault(r.type, []).append(i)
    chosen: dict[str, int] = {}
    catalogue = _catalogue(kind)
    for name in sorted(catalogue, key=lambda n: rng.random()):
        share, mean, where = catalogue[name]
        if sum(chosen.values()) >= MAX_OBJECTS or not _somewhere(where, set(by_type)):
            continue
        if rng.random() * 100 < share * 0.75:
            chosen[name] = 1 + (rng.random() < min(0.6, mean / 5))
    need = 2 if task_type == "pick_two_obj_and_place" else 1
    chosen[target] = max(chosen.get(target, 0), need)
    if task_type == "look_at_obj_in_light":
        chosen[recipient] = 1
    out: list[Object] = []
    for name in sorted(chosen):
        where = dict(catalogue[name][2])
        if name == target and task_type in ("pick_and_place_simple", "pick_two_obj_and_place"):
            where.pop(recipient, None)  # nothing may lie where it has to go
        types = [t for t in where if t in by_type]
        for number in range(chosen[name], 0, -1):
            spot = rng.choice(by_type[rng.choices(types, [where[t] for t in types])[0]])
            inside = [spot]
            if name != target and rng.random() < DOUBLE_LISTED:
                inside += [
                    r
                    for r in (rng.randrange(len(receptacles)),)
                    if _may_double(receptacles, r, spot, name)
                ]
            out.append(_object(name, number, tuple(sorted(inside)), receptacles[spot].place))
    return tuple(out)


def _may_double(receptacles: tuple[Receptacle, ...], other: int, spot: int, name: str) -> bool:
    return other != spot and (receptacles[other].type, name) in can_contain()


def _object(name: str, number: int, inside: tuple[int, ...], place: int) -> Object:
    return Object(
        name=f"{name} {number}",
        type=name,
        inside=inside,
        place=place if inside else NOWHERE,
        pickupable=name not in L.LAMPS,
        cleanable=name in L.CLEANABLE,
        heatable=name in L.HEATABLE,
        coolable=name in L.COOLABLE,
        toggleable=name in L.LAMPS,
        sliceable=name in L.SLICEABLE,
        container=name in L.CONTAINERS,
    )
