"""The engine's rules and texts on one small hand-made kitchen; stock TextWorld agrees (parity test)."""

import dataclasses
import pickle

import pytest
from skillbench_alfworld.engine import NOTHING, World
from skillbench_alfworld.game import NOWHERE, Game, Goal, Object, Receptacle

RECEPTACLES = (
    Receptacle("cabinet 1", "cabinet", 0, openable=True),
    Receptacle("countertop 2", "countertop", 1),
    Receptacle("countertop 1", "countertop", 2),
    Receptacle("fridge 1", "fridge", 3, openable=True),
    Receptacle("microwave 1", "microwave", 2, openable=True),
    Receptacle("sinkbasin 1", "sinkbasin", 4),
)
CABINET, TOP2, TOP1, FRIDGE, MICROWAVE, SINK = range(6)
APPLE2, APPLE1, LAMP, KNIFE, MUG, PLATE, SINK_THING = range(7)
OBJECTS = (
    Object(
        "apple 2", "apple", (TOP1,), 2, heatable=True, coolable=True, cleanable=True, sliceable=True
    ),
    Object(
        "apple 1",
        "apple",
        (TOP1, TOP2),
        1,
        heatable=True,
        coolable=True,
        cleanable=True,
        sliceable=True,
    ),
    Object("desklamp 1", "desklamp", (CABINET,), 0, pickupable=False, toggleable=True),
    Object("knife 1", "knife", (TOP2,), 1, cleanable=True),
    Object("mug 1", "mug", (CABINET,), 0, heatable=True, coolable=True, cleanable=True),
    Object("plate 1", "plate", (TOP2,), 1, cleanable=True, container=True, holds=(6,)),
    Object("spoon 1", "spoon", (), NOWHERE),
)
FITS = frozenset(
    (r, o) for r in ("cabinet", "countertop", "fridge") for o in ("apple", "mug", "knife", "plate")
)


def game(goal: Goal | None = None, **changes) -> Game:
    goal = goal or Goal("place", "mug", "countertop")
    base = Game(
        "kitchen",
        "pick_and_place_simple",
        "put a mug in countertop.",
        RECEPTACLES,
        OBJECTS,
        FITS,
        goal,
    )
    return dataclasses.replace(base, **changes)


def play(world: World, *commands: str) -> str:
    text = ""
    for command in commands:
        assert command.strip() in world.admissible(), (command, world.admissible())
        text = world.step(command)
        assert text != NOTHING
    return text


@pytest.fixture
def world() -> World:
    return World(game())


def test_first_observation(world: World):
    assert world.reset() == (
        "-= Welcome to TextWorld, ALFRED! =-\n\nYou are in the middle of a room. Looking quickly around "
        "you, you see a cabinet 1, a countertop 2, a countertop 1, a fridge 1, a microwave 1, and a "
        "sinkbasin 1.\n\nYour task is to: put a mug in countertop."
    )
    assert world.admissible() == sorted(
        ["help", "inventory", "look", *(f"go to {r.name}" for r in RECEPTACLES)]
    )
    assert world.step("look") == (
        "You are in the middle of a room. Looking quickly around you, you see nothing."
    )


def test_open_take_move_win(world: World):
    assert play(world, "go to cabinet 1") == "You arrive at cabinet 1. The cabinet 1 is closed."
    assert "take mug 1 from cabinet 1" not in world.admissible()
    assert play(world, "open cabinet 1") == (
        "You open the cabinet 1. The cabinet 1 is open. In it, you see a desklamp 1, and a mug 1."
    )
    assert play(world, "take mug 1 from cabinet 1") == "You pick up the mug 1 from the cabinet 1."
    assert play(world, "inventory") == "You are carrying: a mug 1."
    assert play(world, "close cabinet 1") == "You close the cabinet 1."
    assert not world.won()
    play(world, "go to countertop 2")
    assert play(world, "move mug 1 to countertop 2") == "You move the mug 1 to the countertop 2."
    assert world.won()
    play(world, "take mug 1 from countertop 2")
    assert not world.won()


def test_wrong_commands_change_nothing(world: World):
    before = world.admissible()
    for command in (
        "",
        "dance",
        "take mug 1 from cabinet 1",
        "GO TO cabinet 1",
        "open cabinet 1",
        "go to",
    ):
        assert world.step(command) == NOTHING
    assert world.admissible() == before
    assert world.step("  inventory ") == "You are not carrying anything."


def test_go_to_needs_another_place(world: World):
    """Countertop 1 and the microwave share a place: neither can be gone to from the other."""
    play(world, "go to countertop 1")
    assert world.step("go to microwave 1") == NOTHING
    assert world.step("go to countertop 1") == NOTHING
    assert play(world, "examine microwave 1") == "The microwave 1 is closed."


def test_heating_needs_no_open_door(world: World):
    play(world, "go to countertop 1", "take apple 2 from countertop 1")
    assert (
        play(world, "heat apple 2 with microwave 1")
        == "You heat the apple 2 using the microwave 1."
    )
    assert play(world, "examine apple 2") == "This is a hot apple 2."
    play(world, "go to fridge 1", "cool apple 2 with fridge 1")
    assert play(world, "examine apple 2") == "This is a cold apple 2."
    play(world, "go to sinkbasin 1", "clean apple 2 with sinkbasin 1")
    assert play(world, "examine apple 2") == "This is a cool and clean apple 2."


def test_lamp_turns_on_and_stays_on(world: World):
    play(world, "go to cabinet 1")
    for _ in range(2):  # through the closed door, and again
        assert play(world, "use desklamp 1") == "You turn on the desklamp 1."


def test_look_lists_what_left_a_receptacle_of_this_place(world: World):
    play(world, "go to countertop 1", "take apple 2 from countertop 1", "open microwave 1")
    facing = "You are facing the countertop 1, and microwave 1. Next to it, you see "
    assert play(world, "look") == facing + "nothing."
    play(
        world,
        "go to countertop 2",
        "move apple 2 to countertop 2",
        "take apple 1 from countertop 2",
    )
    play(world, "go to countertop 1", "move apple 1 to countertop 1")
    assert play(world, "look") == facing + "nothing."
    inner = World(game(can_contain=FITS | {("microwave", "apple")}))
    play(inner, "go to countertop 1", "take apple 2 from countertop 1", "open microwave 1")
    play(inner, "move apple 2 to microwave 1")
    assert play(inner, "look") == facing + "a apple 2."


def test_object_in_two_receptacles(world: World):
    """Taking it from one leaves it in the other; it cannot be taken twice."""
    play(world, "go to countertop 2", "take apple 1 from countertop 2")
    text = play(world, "go to countertop 1")
    assert (
        text == "You arrive at countertop 1. On the countertop 1, you see a apple 2, and a apple 1."
    )
    assert "take apple 1 from countertop 1" not in world.admissible()


def test_slice_goes_by_location_not_by_sight(world: World):
    play(world, "go to countertop 2", "take knife 1 from countertop 2")
    # apple 1 has its location here although it lies on both countertops.
    assert "slice apple 1 with knife 1" in world.admissible()
    assert play(world, "slice apple 1 with knife 1") == "You sliced the apple 1 with the knife 1."
    play(world, "go to countertop 1")
    assert "slice apple 1 with knife 1" not in world.admissible()
    play(
        world,
        "slice apple 2 with knife 1",
        "move knife 1 to countertop 1",
        "take apple 2 from countertop 1",
    )
    assert play(world, "examine apple 2") == "This is a sliced apple 2."


def test_examine_objects(world: World):
    play(world, "go to countertop 2")
    assert world.step("examine plate 1") == NOTHING  # only what is held
    play(world, "take plate 1 from countertop 2")
    assert play(world, "examine plate 1") == "This is a normal plate 1. In it, you see a spoon 1."
    play(world, "move plate 1 to countertop 2", "take knife 1 from countertop 2")
    assert play(world, "examine knife 1") == "There's nothing special about knife 1."


def test_old_grammar_and_help():
    old = World(game(verb="put", place_names=("loc 5", "loc 4", "loc 3", "loc 2", "loc 1")))
    assert old.step("go to cabinet 1") == "You arrive at loc 5. The cabinet 1 is closed."
    play(old, "open cabinet 1", "take mug 1 from cabinet 1", "go to countertop 2")
    assert play(old, "put mug 1 in/on countertop 2") == "You put the mug 1 in/on the countertop 2."
    assert "  put (object) in/on (receptacle):  place an object" in old.step("help")
    assert World(game(help="")).step("help") == NOTHING
    assert "help" not in World(game(help="")).admissible()


def test_goals():
    light = World(game(Goal("look", "apple", lamp="desklamp")))
    play(
        light,
        "go to cabinet 1",
        "use desklamp 1",
        "go to countertop 1",
        "take apple 2 from countertop 1",
    )
    assert not light.won()
    play(light, "go to cabinet 1")
    assert light.won()
    two = World(game(Goal("place", "apple", "countertop", count=2)))
    assert two.won()  # both on countertop 1 from the start
    hot = World(game(Goal("place", "apple", "countertop", state="hot")))
    play(
        hot, "go to countertop 1", "take apple 2 from countertop 1", "heat apple 2 with microwave 1"
    )
    assert not hot.won()
    play(hot, "move apple 2 to countertop 1")
    assert hot.won()
    sliced = World(game(Goal("place", "apple", "countertop", sliced=True)))
    play(
        sliced, "go to countertop 2", "take knife 1 from countertop 2", "slice apple 1 with knife 1"
    )
    assert sliced.won()


def test_worlds_are_independent_and_reset(world: World):
    other = World(world.game)
    start = world.reset(), world.admissible()
    play(world, "go to cabinet 1", "open cabinet 1", "take mug 1 from cabinet 1")
    assert other.admissible() == start[1]
    assert (world.reset(), world.admissible()) == start
    assert "The cabinet 1 is closed" in play(world, "go to cabinet 1")
    world.admissible().clear()  # the list is the caller's
    assert world.admissible()


def test_compiled_tables_take_no_part_in_equality_or_pickles():
    one, two = game(), game()
    World(one)
    assert one == two
    assert pickle.loads(pickle.dumps(one)) == two
    renamed = dataclasses.replace(one, start=1)
    assert World(renamed).admissible() != World(one).admissible()
