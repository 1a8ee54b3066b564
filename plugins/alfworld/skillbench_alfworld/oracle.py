"""The full-knowledge oracle: short winning plans, made by construction and checked by playing them.

It serves the solvability check of generated games, demonstrations and `Environment.expert`; it is
never a scored player. For each destination the cheapest objects are fetched one after the other
(slice, take, clean/heat/cool, put); the shortest plan over all destinations wins. Plans average
about six commands, like the stored walkthroughs of the official games.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import partial

from skillbench.errors import DataError

from .engine import BLADES, CLEANERS, COOLERS, HEATERS, NOTHING, World
from .game import NOWHERE, Game

TOOLS = {"clean": CLEANERS, "hot": HEATERS, "cool": COOLERS}
VERBS = {"clean": "clean", "hot": "heat", "cool": "cool"}


class Stuck(Exception):
    """A choice leads nowhere; the next one is tried."""


class Attempt:
    """A world that is being played, and the commands so far."""

    def __init__(self, game: Game, commands: Iterable[str] = ()) -> None:
        self.world = World(game)
        self.commands: list[str] = []
        for command in commands:
            self.do(command)

    def do(self, command: str) -> None:
        """Play one command; raises Stuck when it is refused."""
        if self.world.step(command) == NOTHING:
            raise Stuck(command)
        self.commands.append(command)

    def reach(self, r: int, *, inside: bool = True) -> None:
        """Go to a receptacle, and open it if what is inside is wanted."""
        recep = self.world.game.receptacles[r]
        if recep.place != self.world.place:
            self.do("go to " + recep.name)
        if inside and recep.openable and not self.world.open[r]:
            self.do("open " + recep.name)

    def take(self, o: int) -> None:
        """Fetch an object from the nearest receptacle that it lies in."""
        world = self.world
        homes = [r for r, inside in enumerate(world.contents) if o in inside]
        if not homes:
            raise Stuck("nowhere to be found")

        def effort(r: int) -> int:
            recep = world.game.receptacles[r]
            return (recep.place != world.place) + (recep.openable and not world.open[r])

        best = min(homes, key=effort)
        self.reach(best)
        thing, home = world.game.objects[o].name, world.game.receptacles[best].name
        self.do(f"take {thing} from {home}")

    def treat(self, o: int, state: str) -> None:
        """Clean, heat or cool the object in hand, unless it is in that state already."""
        world = self.world
        if not state or o in getattr(world, state):
            return
        tools = [r for r, recep in enumerate(world.game.receptacles) if recep.type in TOOLS[state]]
        if not tools:
            raise Stuck("no appliance")
        best = min(tools, key=lambda r: world.game.receptacles[r].place != world.place)
        self.reach(best, inside=False)
        thing, tool = world.game.objects[o].name, world.game.receptacles[best].name
        self.do(f"{VERBS[state]} {thing} with {tool}")

    def put(self, o: int, r: int) -> None:
        """Put the object in hand into a receptacle."""
        self.reach(r)
        game = self.world.game
        joint = " to " if game.verb == "move" else " in/on "
        self.do(f"{game.verb} {game.objects[o].name}{joint}{game.receptacles[r].name}")

    def slice(self, o: int) -> None:
        """Slice an object with the nearest knife, and put the knife down near it."""
        world = self.world
        if o in world.sliced:
            return
        game = world.game
        knives = [i for i, obj in enumerate(game.objects) if obj.type in BLADES and obj.inside]
        if not knives:
            raise Stuck("no knife")
        knife = knives[0]
        self.take(knife)
        place = min(world.where[o], default=NOWHERE)
        here = [r for r, recep in enumerate(game.receptacles) if recep.place == place]
        if not here:
            raise Stuck("nobody can stand there")
        self.reach(here[0], inside=False)
        self.do(f"slice {game.objects[o].name} with {game.objects[knife].name}")
        for r in (*here, *range(len(game.receptacles))):
            if (game.receptacles[r].type, game.objects[knife].type) in game.can_contain:
                self.put(knife, r)
                return
        raise Stuck("nowhere to leave the knife")


def plan(game: Game) -> tuple[str, ...]:
    """Return commands that win the game. Raises DataError when no plan of this kind wins."""
    if World(game).won():
        return ()
    found = list(_looks(game) if game.goal.kind == "look" else _places(game))
    if not found:
        raise DataError(f"the oracle finds no plan for the game {game.id!r}: it cannot be won")
    return min(found, key=lambda commands: (len(commands), commands))


def _attempt(game: Game, act: Callable[[Attempt], None]) -> list[tuple[str, ...]]:
    """Play `act`; the commands if it went through, as a list of one."""
    attempt = Attempt(game)
    try:
        act(attempt)
    except Stuck:
        return []
    return [tuple(attempt.commands)]


def _looks(game: Game) -> Iterable[tuple[str, ...]]:
    lamps = [
        (o, r)
        for o, obj in enumerate(game.objects)
        if obj.type == game.goal.lamp and obj.toggleable
        for r in obj.inside
    ]
    for o, obj in enumerate(game.objects):
        if obj.type != game.goal.object:
            continue
        for lamp, r in lamps:

            def act(attempt: Attempt, o: int = o, lamp: int = lamp, r: int = r) -> None:
                attempt.take(o)
                attempt.reach(r, inside=False)
                attempt.do("use " + game.objects[lamp].name)
                if not attempt.world.won():
                    raise Stuck("not won")

            yield from _attempt(game, act)


def _places(game: Game) -> Iterable[tuple[str, ...]]:
    goal = game.goal
    things = [o for o, obj in enumerate(game.objects) if obj.type == goal.object]

    def deliver(attempt: Attempt, o: int, r: int) -> None:
        if goal.sliced:
            attempt.slice(o)
        attempt.take(o)
        attempt.treat(o, goal.state)
        attempt.put(o, r)

    for r, recep in enumerate(game.receptacles):
        if recep.type != goal.receptacle:
            continue
        # What lies there already costs nothing if it only has to be there.
        done = (
            [] if goal.state or goal.sliced else [o for o in things if r in game.objects[o].inside]
        )
        singles = []
        for o in things:
            if o not in done:
                found = _attempt(game, partial(deliver, o=o, r=r))
                singles += [(len(found[0]), o)] if found else []
        chosen = [o for _, o in sorted(singles)][: goal.count - len(done)]

        def act(attempt: Attempt, chosen: list[int] = chosen, r: int = r) -> None:
            for o in chosen:
                deliver(attempt, o, r)
            if not attempt.world.won():
                raise Stuck("not won")

        yield from _attempt(game, act)
