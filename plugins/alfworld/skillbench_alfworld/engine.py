"""The native engine: plays a `Game` with the texts of TextWorld 1.7.0 behind alfworld's demangler.

A `World` is a mutable state over an immutable game. `step(command)` returns the feedback;
`admissible()` the sorted commands. Any command that is not admissible answers "Nothing happens."
and changes nothing. What surprises is listed in the plugin's README; each is on purpose:
`go to` needs another standing place, heating needs no open door, a lamp only ever turns on.

Speed: what does not change in a game is compiled once into `game.compiled` and shared by all its
worlds; the few commands that depend on the state are rebuilt only after a command that changed it.
"""

from __future__ import annotations

from typing import Any

from .game import Game
from .tables import MIDDLE, Tables, listing

NOTHING = "Nothing happens."
BANNER = "-= Welcome to TextWorld, ALFRED! =-"
HEATERS, COOLERS, CLEANERS = {"microwave"}, {"fridge"}, {"sinkbasin", "sink"}
BLADES = {"knife", "butterknife"}


def replays(game: Game) -> bool:
    """Whether each stored walkthrough command is admissible and just the last one wins."""
    world = World(game)
    for command in game.walkthrough:
        if world.won() or world.step(command) == NOTHING:
            return False
    return world.won()


class World:
    """One live game: a few small sets over shared tables; reset takes some 10 microseconds."""

    def __init__(self, game: Game) -> None:
        self.game = game
        tables = game.compiled.get("tables")
        if tables is None:
            tables = game.compiled["tables"] = Tables(game)
        self._tables: Tables = tables
        self.reset()

    def reset(self) -> str:
        """Start over and return the first observation: banner, room, task."""
        game, tables = self.game, self._tables
        self.place = game.start
        self.holding: int | None = None
        self.open = [r.open for r in game.receptacles]
        self.contents = [set(c) for c in tables.contents]
        self.where = list(tables.where)
        self.clean = {i for i, o in enumerate(game.objects) if o.clean}
        self.hot = {i for i, o in enumerate(game.objects) if o.hot}
        self.cool = {i for i, o in enumerate(game.objects) if o.cool}
        self.sliced = {i for i, o in enumerate(game.objects) if o.sliced}
        self.toggled: set[int] = set()
        self._left: set[tuple[int, int]] = set()  # (object, receptacle) it was taken from
        self._local: dict[str, tuple[Any, ...]] | None = None
        self._sorted: list[str] | None = None
        # An agent that starts in front of a receptacle is greeted with what `look` says there.
        room = self._do_look() if self.place in tables.at else tables.room
        return f"{BANNER}\n\n{room}\n\nYour task is to: {game.task}"

    # ------------------------------------------------------------------ commands

    def admissible(self) -> list[str]:
        """All commands that do something now, sorted as strings. The list is the caller's."""
        if self._sorted is None:
            if self._local is None:
                self._local = self._build()
            # Two sorted runs: the sort only has to merge them.
            self._sorted = self._tables.static(self.game, self.place) + sorted(self._local)
            self._sorted.sort()
        return self._sorted.copy()

    def _build(self) -> dict[str, tuple[Any, ...]]:
        """The commands that depend on the state of things at this place."""
        game, held, tables = self.game, self.holding, self._tables
        objects, receptacles, lamps = game.objects, game.receptacles, tables.lamps
        local: dict[str, tuple[Any, ...]] = {}
        thing = None if held is None else objects[held]
        for r in tables.at.get(self.place, ()):
            recep = receptacles[r]
            name = recep.name
            local["examine " + name] = (self._do_examine, r)
            reachable = True
            if recep.openable:
                reachable = self.open[r]
                local[("close " if reachable else "open ") + name] = (self._do_open, r)
            contents = self.contents[r]
            if thing is None:
                if reachable:
                    tail = " from " + name
                    for o in contents:
                        if objects[o].pickupable:
                            local[f"take {objects[o].name}{tail}"] = (self._do_take, o, r)
            else:
                if reachable and thing.type in tables.fits[r]:
                    command = f"{game.verb} {thing.name}{tables.joint}{name}"
                    local[command] = (self._do_put, held, r)
                if thing.heatable and recep.type in HEATERS:
                    local[f"heat {thing.name} with {name}"] = (self._do_heat, held, r)
                if thing.coolable and recep.type in COOLERS:
                    local[f"cool {thing.name} with {name}"] = (self._do_cool, held, r)
                if thing.cleanable and recep.type in CLEANERS:
                    local[f"clean {thing.name} with {name}"] = (self._do_clean, held, r)
            if not lamps.isdisjoint(contents):
                for o in lamps & contents:
                    local["use " + objects[o].name] = (self._do_use, o)
        if thing is not None:
            local["examine " + thing.name] = (self._do_inspect, held)
            if thing.type in BLADES:
                for o in tables.sliceable:
                    if self.place in self.where[o]:
                        command = f"slice {objects[o].name} with {thing.name}"
                        local[command] = (self._do_slice, o, held)
        return local

    def step(self, command: str) -> str:
        """Carry out a command and return the feedback."""
        command = command.strip()
        target = self._tables.goto.get(command)
        if target is not None:
            return self._do_goto(target)
        if self._local is None:
            self._local = self._build()
        action = self._local.get(command)
        if action is not None:
            return action[0](*action[1:])
        if command in self._tables.always:
            return getattr(self, "_do_" + command)()
        return NOTHING

    def _changed(self) -> None:
        self._local = self._sorted = None

    # ------------------------------------------------------------------ effects

    def _do_goto(self, r: int) -> str:
        recep = self.game.receptacles[r]
        if recep.place == self.place:
            return NOTHING
        self.place = recep.place
        self._changed()
        names = self.game.place_names
        return f"You arrive at {names[recep.place] if names else recep.name}. {self._do_examine(r)}"

    def _do_examine(self, r: int) -> str:
        recep = self.game.receptacles[r]
        if recep.openable and not self.open[r]:
            return f"The {recep.name} is closed."
        objects = self.game.objects
        seen = listing([objects[o].name for o in sorted(self.contents[r])])
        if recep.openable:
            return f"The {recep.name} is open. In it, you see {seen}."
        return f"On the {recep.name}, you see {seen}."

    def _do_open(self, r: int) -> str:
        self._changed()
        self.open[r] = not self.open[r]
        name = self.game.receptacles[r].name
        if self.open[r]:
            return f"You open the {name}. {self._do_examine(r)}"
        return f"You close the {name}."

    def _do_take(self, o: int, r: int) -> str:
        self._changed()
        self.contents[r].discard(o)
        self._left.add((o, r))
        self.holding = o
        self.where[o] -= {self.place}
        obj, recep = self.game.objects[o], self.game.receptacles[r]
        return f"You pick up the {obj.name} from the {recep.name}."

    def _do_put(self, o: int, r: int) -> str:
        self._changed()
        self.contents[r].add(o)
        self._left.discard((o, r))
        self.holding = None
        self.where[o] |= {self.place}
        obj, recep = self.game.objects[o].name, self.game.receptacles[r].name
        if self.game.verb == "move":
            return f"You move the {obj} to the {recep}."
        return f"You put the {obj} in/on the {recep}."

    def _do_heat(self, o: int, r: int) -> str:
        self.hot.add(o)
        self.cool.discard(o)
        return f"You heat the {self._name(o)} using the {self.game.receptacles[r].name}."

    def _do_cool(self, o: int, r: int) -> str:
        self.cool.add(o)
        self.hot.discard(o)
        return f"You cool the {self._name(o)} using the {self.game.receptacles[r].name}."

    def _do_clean(self, o: int, r: int) -> str:
        self.clean.add(o)
        return f"You clean the {self._name(o)} using the {self.game.receptacles[r].name}."

    def _do_use(self, o: int) -> str:
        self.toggled.add(o)
        return f"You turn on the {self._name(o)}."

    def _do_slice(self, o: int, knife: int) -> str:
        self.sliced.add(o)
        return f"You sliced the {self._name(o)} with the {self._name(knife)}."

    def _name(self, o: int) -> str:
        return self.game.objects[o].name

    def _do_inventory(self) -> str:
        if self.holding is None:
            return "You are not carrying anything."
        return f"You are carrying: a {self._name(self.holding)}."

    def _do_look(self) -> str:
        here = self._tables.at.get(self.place)
        if not here:
            return MIDDLE + "nothing."
        facing = [self.game.receptacles[r].name for r in here]
        text = facing[0] if len(facing) == 1 else ", ".join(facing[:-1]) + ", and " + facing[-1]
        # "Next to" is whatever lies at this place but was taken from a receptacle of this place.
        beside = [
            self._name(o)
            for o, r in sorted(self._left)
            if r in here and self.place in self.where[o]
        ]
        return f"You are facing the {text}. Next to it, you see {listing(beside)}."

    def _do_help(self) -> str:
        return self._tables.help

    def _do_inspect(self, o: int) -> str:
        obj = self.game.objects[o]
        if obj.container:
            inner = listing([self._name(i) for i in obj.holds])
            return f"This is a normal {obj.name}. In it, you see {inner}."
        hot, cool, clean, sliced = (o in s for s in (self.hot, self.cool, self.clean, self.sliced))
        warmth = "hot" if hot else "cool" if cool else ""
        words = " and ".join(w for w in (warmth, "clean" if clean else "") if w)
        if words == "cool" and not sliced:
            words = "cold"  # the grammar's own word for this one case
        if words:
            return f"This is a {words}{' sliced' if sliced else ''} {obj.name}."
        if obj.toggleable and o in self.toggled:
            return f"This {obj.name} is on."
        if sliced:
            return f"This is a sliced {obj.name}."
        return f"There's nothing special about {obj.name}."

    # ------------------------------------------------------------------ winning

    def won(self) -> bool:
        """Whether the goal holds now."""
        return self._tables.won(self)
