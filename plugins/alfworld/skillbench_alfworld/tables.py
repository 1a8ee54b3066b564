"""What the engine derives once from a game, shared by all its worlds: indices, texts, the goal."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from .game import NOWHERE, Game, Goal

if TYPE_CHECKING:
    from .engine import World

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
NO_PLACES: frozenset[int] = frozenset()


def listing(names: list[str]) -> str:
    """ "a x 1", "a x 1, and a y 2", "a x 1, a y 2, and a z 3", or "nothing"."""
    if not names:
        return "nothing"
    if len(names) == 1:
        return "a " + names[0]
    return ", ".join(["a " + n for n in names[:-1]]) + ", and a " + names[-1]


def help_text(verb: str) -> str:
    """The answer to `help` for a grammar whose placing verb is "move" or "put"."""
    # The official texts leave the placing row out of line; so does this one.
    put = "move (object) to" if verb == "move" else "put (object) in/on"
    rows = [
        f"  {put} (receptacle):  {text}" if head == "PUT" else f"  {head:<34}{text}"
        for head, text in HELP_ROWS
    ]
    return "Available commands:\n" + "\n".join(rows) + "\n"


class Tables:
    """What the engine derives once from a game: indices by place, commands, texts."""

    def __init__(self, game: Game) -> None:
        at: dict[int, list[int]] = {}
        for i, r in enumerate(game.receptacles):
            at.setdefault(r.place, []).append(i)
        self.at = {place: tuple(ids) for place, ids in at.items()}
        self.goto = {"go to " + r.name: i for i, r in enumerate(game.receptacles)}
        self.always = ("inventory", "look") + (() if game.help == "" else ("help",))
        self.elsewhere: dict[int, list[str]] = {}  # filled as places are visited
        self.room = MIDDLE + listing([r.name for r in game.receptacles]) + "."
        self.help = help_text(game.verb) if game.help is None else game.help
        self.joint = " to " if game.verb == "move" else " in/on "
        self.contents = [set[int]() for _ in game.receptacles]
        self.where: list[frozenset[int]] = []
        for i, o in enumerate(game.objects):
            for home in o.inside:
                self.contents[home].add(i)
            places = {o.place, *o.also_at} - {NOWHERE}
            self.where.append(frozenset(places) if places else NO_PLACES)
        self.lamps = {i for i, o in enumerate(game.objects) if o.toggleable}
        self.sliceable = [i for i, o in enumerate(game.objects) if o.sliceable]
        fits: dict[str, set[str]] = {}
        for receptacle, thing in game.can_contain:
            fits.setdefault(receptacle, set()).add(thing)
        self.fits = [fits.get(r.type, set()) for r in game.receptacles]
        self.won = compile_goal(game, self)

    def static(self, game: Game, place: int) -> list[str]:
        """The sorted commands that depend on the place alone."""
        known = self.elsewhere.get(place)
        if known is None:
            travel = [c for c, i in self.goto.items() if game.receptacles[i].place != place]
            known = self.elsewhere[place] = sorted([*travel, *self.always])
        return known


def compile_goal(game: Game, tables: Tables) -> Callable[[World], bool]:
    """Turn the goal into a function of the world, touching only what can matter."""
    goal: Goal = game.goal
    things = {i for i, o in enumerate(game.objects) if o.type == goal.object}
    if goal.kind == "look":
        lamps = {i for i, o in enumerate(game.objects) if o.type == goal.lamp and o.toggleable}

        def looks(world: World) -> bool:
            if world.holding not in things or not (lit := world.toggled & lamps):
                return False
            return any(world.contents[r] & lit for r in tables.at.get(world.place, ()))

        return looks
    flag = {"clean": "cleanable", "hot": "heatable", "cool": "coolable"}.get(goal.state)
    if flag:  # the official goals ask for the affordance as well as for the state
        things = {i for i in things if getattr(game.objects[i], flag)}
    if goal.sliced:
        things &= set(tables.sliceable)
    homes = [i for i, r in enumerate(game.receptacles) if r.type == goal.receptacle]
    state, sliced, count = goal.state, goal.sliced, goal.count

    def placed(world: World) -> bool:
        good = things
        if state:
            good = good & getattr(world, state)
        if sliced:
            good = good & world.sliced
        if len(good) < count:
            return False
        return any(len(world.contents[r] & good) >= count for r in homes)

    return placed
