"""A compiled household game: what official files and the generator become and the engine plays.

Receptacles and objects are referred to by their index in the game's tuples, whose order is the
order in which the game's texts list them (type alphabetically, highest number first). Places are
small integers; several receptacles may share one, and `NOWHERE` is where no receptacle stands.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

NOWHERE = -1


class Compiled(dict[str, Any]):
    """Tables derived from a game; pickled and copied as empty, since they can be made again."""

    def __reduce__(self) -> tuple[type[Compiled], tuple[()]]:
        return Compiled, ()


@dataclass(frozen=True, slots=True)
class Receptacle:
    """Furniture that things lie on or in. `place` is where the agent stands to reach it."""

    name: str  # "drawer 3"
    type: str  # "drawer"
    place: int
    openable: bool = False
    open: bool = False


@dataclass(frozen=True, slots=True)
class Object:
    """A thing. `inside` are the receptacles that it lies in at the start (possibly two)."""

    name: str  # "mug 2"
    type: str  # "mug"
    inside: tuple[int, ...] = ()
    place: int = NOWHERE  # the location the simulator gives it (decides slicing and `look`)
    pickupable: bool = True
    cleanable: bool = False
    heatable: bool = False
    coolable: bool = False
    toggleable: bool = False
    sliceable: bool = False
    container: bool = False  # "isReceptacleObject": examine says what is in it
    clean: bool = False
    hot: bool = False
    cool: bool = False
    sliced: bool = False
    on: bool = False
    also_at: tuple[int, ...] = ()  # further locations, in the few official games that have them
    holds: tuple[int, ...] = ()  # the objects lying in a container, as `examine` lists them


@dataclass(frozen=True, slots=True)
class Goal:
    """What wins. `kind` is "place" (count of `object` in one receptacle of type `receptacle`, each
    in `state`) or "look" (hold `object` where a switched-on `lamp` is)."""

    kind: str
    object: str
    receptacle: str = ""
    lamp: str = ""
    state: str = ""  # "", "clean", "hot" or "cool"
    count: int = 1
    sliced: bool = False


@dataclass(frozen=True, slots=True)
class Game:
    """One game, immutable. `task` is the sentence after "Your task is to: ", full stop included.

    `compiled` is the engine's own cache of tables derived from the rest; it takes no part in
    equality and a copy made by `dataclasses.replace` starts with an empty one.
    """

    id: str
    task_type: str
    task: str
    receptacles: tuple[Receptacle, ...]
    objects: tuple[Object, ...]
    can_contain: frozenset[tuple[str, str]]  # (receptacle type, object type)
    goal: Goal
    start: int = NOWHERE
    verb: str = "move"  # "move X to Y" (2.1.2+) or "put X in/on Y" (2.1.1)
    walkthrough: tuple[str, ...] = ()
    help: str | None = None  # answer to "help"; None: the usual one, "": the grammar has no help
    place_names: tuple[str, ...] = ()  # "loc 7" by place, where arrivals name the place (2.1.1)
    compiled: Compiled = field(init=False, default_factory=Compiled, compare=False, repr=False)


TASK_TYPES = (
    "pick_and_place_simple",
    "look_at_obj_in_light",
    "pick_clean_then_place_in_recep",
    "pick_heat_then_place_in_recep",
    "pick_cool_then_place_in_recep",
    "pick_two_obj_and_place",
)
