"""The native engine: plays a `Game` with the texts of TextWorld 1.7.0 behind alfworld's demangler.

A `World` is a mutable state over an immutable game. `step(command)` returns the feedback;
`admissible()` the sorted commands. Any command that is not admissible answers "Nothing happens."
and changes nothing. What surprises is listed in the plugin's README; each is on purpose:
`go to` needs another standing place, heating needs no open door, a lamp only ever turns on.
"""

from __future__ import annotations

from .game import NOWHERE, Game

NOTHING = "Nothing happens."
BANNER = "-= Welcome to TextWorld, ALFRED! =-"
MIDDLE = "You are in the middle of a room. Looking quickly around you, you see "
HELP_ROWS = (
    ("look:", "look around your current location"),
    ("inventory:", "check your current inventory"),
    ("go to (receptacle):", "move to a receptacle"),
    ("open (receptacle):", "open a receptacle"),
    ("close (receptacle):", "close a receptacle"),
    ("take (object) from (receptacle):", "take an object from a receptacle"),
    ("PUT", "place an object in or on a receptacle"),
    ("examine (something):", "examine a receptacle or an object"),
    ("use (object):", "use an object"),
    ("heat (object) with (receptacle):", "heat an object using a receptacle"),
    ("clean (object) with (receptacle):", "clean an object using a receptacle"),
    ("cool (object) with (receptacle):", "cool an object using a receptacle"),
    ("slice (object) with (object):", "slice an object using a sharp object"),
)
HEATERS, COOLERS, CLEANERS = {"microwave"}, {"fridge"}, {"sinkbasin", "sink"}
BLADES = {"knife", "butterknife"}


def listing(names: list[str]) -> str:
    """"a x 1", "a x 1, and a y 2", "a x 1, a y 2, and a z 3", or "nothing"."""
    if not names:
        return "nothing"
    if len(names) == 1:
        return "a " + names[0]
    return ", ".join("a " + n for n in names[:-1]) + ", and a " + names[-1]


class World:
    """One live game. Cheap: about 100 kB, reset in microseconds."""

    def __init__(self, game: Game) -> None:
        self.game = game
        self._at: dict[int, list[int]] = {}
        for i, r in enumerate(game.receptacles):
            self._at.setdefault(r.place, []).append(i)
        self._receptacle = {r.name: i for i, r in enumerate(game.receptacles)}
        self._object = {o.name: i for i, o in enumerate(game.objects)}
        self._goto = [("go to " + r.name, r.place) for r in game.receptacles]
        self.reset()

    def reset(self) -> str:
        """Start over and return the first observation: banner, room, task."""
        game = self.game
        self.place = game.start
        self.holding: int | None = None
        self.open = [r.open for r in game.receptacles]
        self.contents: list[set[int]] = [set() for _ in game.receptacles]
        for i, o in enumerate(game.objects):
            for r in o.inside:
                self.contents[r].add(i)
        self.where = [o.place for o in game.objects]
        self.clean = {i for i, o in enumerate(game.objects) if o.clean}
        self.hot = {i for i, o in enumerate(game.objects) if o.hot}
        self.cool = {i for i, o in enumerate(game.objects) if o.cool}
        self.sliced = {i for i, o in enumerate(game.objects) if o.sliced}
        self.toggled: set[int] = set()
        self._commands: dict[str, tuple] | None = None
        room = MIDDLE + listing([r.name for r in game.receptacles]) + "."
        return f"{BANNER}\n\n{room}\n\nYour task is to: {game.task}"

    # ------------------------------------------------------------------ commands

    def admissible(self) -> list[str]:
        """All commands that do something now, sorted as strings."""
        return sorted(self._table())

    def _table(self) -> dict[str, tuple]:
        if self._commands is None:
            self._commands = self._build()
        return self._commands

    def _build(self) -> dict[str, tuple]:
        game, place, held = self.game, self.place, self.holding
        table: dict[str, tuple] = {"look": ("look",), "inventory": ("inventory",), "help": ("help",)}
        for i, (command, where) in enumerate(self._goto):
            if where != place:
                table[command] = ("goto", i)
        objects, receptacles = game.objects, game.receptacles
        for r in self._at.get(place, ()):
            recep = receptacles[r]
            table["examine " + recep.name] = ("examine", r)
            reachable = not recep.openable or self.open[r]
            if recep.openable:
                table[("close " if self.open[r] else "open ") + recep.name] = ("open", r)
            for o in self.contents[r]:
                obj = objects[o]
                if obj.toggleable:
                    table["use " + obj.name] = ("use", o)
                if held is None and reachable and obj.pickupable:
                    table[f"take {obj.name} from {recep.name}"] = ("take", o, r)
            if held is not None:
                obj = objects[held]
                if reachable and (recep.type, obj.type) in game.can_contain:
                    word = " to " if game.verb == "move" else " in/on "
                    table[f"{game.verb} {obj.name}{word}{recep.name}"] = ("put", held, r)
                if recep.type in HEATERS and obj.heatable:
                    table[f"heat {obj.name} with {recep.name}"] = ("heat", held, r)
                if recep.type in COOLERS and obj.coolable:
                    table[f"cool {obj.name} with {recep.name}"] = ("cool", held, r)
                if recep.type in CLEANERS and obj.cleanable:
                    table[f"clean {obj.name} with {recep.name}"] = ("clean", held, r)
        if held is not None:
            table["examine " + objects[held].name] = ("inspect", held)
            if objects[held].type in BLADES:
                for o, obj in enumerate(objects):
                    if obj.sliceable and self.where[o] == place:
                        table[f"slice {obj.name} with {objects[held].name}"] = ("slice", o, held)
        return table

    def step(self, command: str) -> str:
        """Carry out a command and return the feedback."""
        action = self._table().get(command)
        if action is None:
            return NOTHING
        self._commands = None
        return getattr(self, "_do_" + action[0])(*action[1:])

    # ------------------------------------------------------------------ effects

    def _do_goto(self, r: int) -> str:
        self.place = self.game.receptacles[r].place
        return f"You arrive at {self.game.receptacles[r].name}. {self._do_examine(r)}"

    def _do_examine(self, r: int) -> str:
        recep = self.game.receptacles[r]
        if recep.openable and not self.open[r]:
            return f"The {recep.name} is closed."
        seen = listing([self.game.objects[o].name for o in sorted(self.contents[r])])
        if recep.openable:
            return f"The {recep.name} is open. In it, you see {seen}."
        return f"On the {recep.name}, you see {seen}."

    def _do_open(self, r: int) -> str:
        self.open[r] = not self.open[r]
        name = self.game.receptacles[r].name
        return f"You open the {name}. {self._do_examine(r)}" if self.open[r] else f"You close the {name}."

    def _do_take(self, o: int, r: int) -> str:
        self.contents[r].discard(o)
        self.holding = o
        if self.where[o] == self.place:
            self.where[o] = NOWHERE
        return f"You pick up the {self.game.objects[o].name} from the {self.game.receptacles[r].name}."

    def _do_put(self, o: int, r: int) -> str:
        self.contents[r].add(o)
        self.holding = None
        self.where[o] = self.place
        obj, recep = self.game.objects[o].name, self.game.receptacles[r].name
        if self.game.verb == "move":
            return f"You move the {obj} to the {recep}."
        return f"You put the {obj} in/on the {recep}."

    def _do_heat(self, o: int, r: int) -> str:
        self.hot.add(o)
        self.cool.discard(o)
        return f"You heat the {self.game.objects[o].name} using the {self.game.receptacles[r].name}."

    def _do_cool(self, o: int, r: int) -> str:
        self.cool.add(o)
        self.hot.discard(o)
        return f"You cool the {self.game.objects[o].name} using the {self.game.receptacles[r].name}."

    def _do_clean(self, o: int, r: int) -> str:
        self.clean.add(o)
        return f"You clean the {self.game.objects[o].name} using the {self.game.receptacles[r].name}."

    def _do_use(self, o: int) -> str:
        self.toggled.add(o)
        return f"You turn on the {self.game.objects[o].name}."

    def _do_slice(self, o: int, knife: int) -> str:
        self.sliced.add(o)
        return f"You sliced the {self.game.objects[o].name} with the {self.game.objects[knife].name}."

    def _do_inventory(self) -> str:
        if self.holding is None:
            return "You are not carrying anything."
        return f"You are carrying: a {self.game.objects[self.holding].name}."

    def _do_look(self) -> str:
        here = self._at.get(self.place)
        if not here:
            return MIDDLE + "nothing."
        facing = [self.game.receptacles[r].name for r in here]
        text = facing[0] if len(facing) == 1 else ", ".join(facing[:-1]) + ", and " + facing[-1]
        beside = [
            o.name
            for i, o in enumerate(self.game.objects)
            if self.where[i] == self.place and any(i not in self.contents[r] for r in here)
        ]
        return f"You are facing the {text}. Next to it, you see {listing(beside)}."

    def _do_help(self) -> str:
        put = "move (object) to (receptacle):" if self.game.verb == "move" else "put (object) in/on (receptacle):"
        rows = [
            f"  {put}  {text}" if head == "PUT" else f"  {head:<34}{text}" for head, text in HELP_ROWS
        ]
        return "Available commands:\n" + "\n".join(rows) + "\n"

    def _do_inspect(self, o: int) -> str:
        obj = self.game.objects[o]
        if obj.container:
            return f"This is a normal {obj.name}. In it, you see nothing."
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
        goal, objects = self.game.goal, self.game.objects
        if goal.kind == "look":
            if self.holding is None or objects[self.holding].type != goal.object:
                return False
            return any(
                o in self.toggled and objects[o].type == goal.lamp
                for r in self._at.get(self.place, ())
                for o in self.contents[r]
            )
        state = {"clean": self.clean, "hot": self.hot, "cool": self.cool}.get(goal.state)
        for r, recep in enumerate(self.game.receptacles):
            if recep.type == goal.receptacle:
                good = [
                    o
                    for o in self.contents[r]
                    if objects[o].type == goal.object
                    and (state is None or o in state)
                    and (not goal.sliced or o in self.sliced)
                ]
                if len(good) >= goal.count:
                    return True
        return False
