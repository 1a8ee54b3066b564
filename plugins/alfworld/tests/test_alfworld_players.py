"""The expert plays from observations alone; the oracle plans from full knowledge."""

import dataclasses
from pathlib import Path

import pytest
from skillbench_alfworld.engine import World
from skillbench_alfworld.expert import Expert, room_of
from skillbench_alfworld.game import Game, Goal
from skillbench_alfworld.generator import generate
from skillbench_alfworld.oracle import plan
from skillbench_alfworld.pddl import read_game

from skillbench.errors import DataError

GAMES = 120


def solve(game: Game, limit: int = 150) -> int:
    """Steps the expert needs; `limit` + 1 if it does not win. Every command must be admissible."""
    world = World(game)
    text = world.reset()
    expert = Expert(text)
    for step in range(limit):
        if world.won():
            return step
        command = expert.act(text, world.admissible())
        assert command in world.admissible()
        text = world.step(command)
    return limit if world.won() else limit + 1


@pytest.mark.parametrize("split", ["train", "unseen"])
def test_expert_wins_generated_games(split: str):
    steps = [solve(generate(split, i)) for i in range(GAMES)]
    assert max(steps) <= 150
    assert sum(s <= 50 for s in steps) >= 0.98 * GAMES
    assert steps == [solve(generate(split, i)) for i in range(GAMES)]  # deterministic


def test_expert_plays_the_old_grammar():
    for index in range(12):
        game = generate("unseen", index)
        names = tuple(f"loc {i}" for i in range(60))
        assert solve(dataclasses.replace(game, verb="put", place_names=names)) <= 50


def test_expert_wins_official_games(official_files: list[Path]):
    files = [f for f in official_files if "valid_seen" in f.parts] or official_files
    steps = [solve(read_game(f)) for f in files]
    assert sum(s <= 150 for s in steps) >= 0.99 * len(steps)
    assert sum(s <= 50 for s in steps) >= 0.95 * len(steps)


def test_expert_survives_what_it_does_not_understand():
    expert = Expert("You are nowhere. Your task is to: sing a song.")
    assert expert.act("Nothing happens.", ["hum", "look"]) == "look"
    assert expert.act("", ["hum"]) == "hum"
    assert expert.act("", []) == "look"


def test_expert_can_be_told_what_happened():
    """A player made anew from a transcript goes on like the one that was there from the start."""
    for index in range(12):
        world = World(generate("unseen", index))
        seen = [world.reset()]
        expert = Expert(seen[0])
        for _ in range(6):
            anew = Expert(seen[0])
            for text in seen[:-1]:
                anew.act(text, ())
            command = expert.act(seen[-1], world.admissible())
            assert anew.act(seen[-1], world.admissible()) == command
            seen.append(world.step(command))


def test_rooms_are_recognised():
    assert room_of(["fridge 1", "countertop 1"]) == "kitchen"
    assert room_of(["toilet 1"]) == "bathroom"
    assert room_of(["bed 1", "desk 1"]) == "bedroom"
    assert room_of(["sofa 1"]) == "living"


def wins(game: Game) -> bool:
    world = World(game)
    for command in plan(game):
        assert not world.won()
        assert command in world.admissible()
        world.step(command)
    return world.won()


@pytest.mark.parametrize("split", ["train", "seen", "unseen"])
def test_oracle_wins_generated_games(split: str):
    games = [generate(split, i) for i in range(GAMES)]
    assert all(map(wins, games))
    assert sum(len(plan(g)) for g in games) / GAMES < 8


def test_oracle_on_official_games(official_files: list[Path]):
    games = [read_game(f) for f in official_files[:: max(1, len(official_files) // 150)]]
    assert all(map(wins, games))
    mine = sum(len(plan(g)) for g in games)
    assert mine <= 1.1 * sum(len(g.walkthrough) for g in games)


def test_oracle_slices():
    kitchen = next(
        g
        for g in (generate("train", i) for i in range(400))
        if g.task_type == "pick_and_place_simple"
        and g.goal.object in ("apple", "potato", "tomato")
        and any(o.type == "knife" for o in g.objects)
    )
    goal = dataclasses.replace(kitchen.goal, sliced=True)
    game = dataclasses.replace(kitchen, goal=goal)
    assert wins(game)
    assert any(c.startswith("slice ") for c in plan(game))


def test_oracle_says_what_cannot_be_won():
    game = dataclasses.replace(generate("train", 0), goal=Goal("place", "unicorn", "shelf"))
    with pytest.raises(DataError, match="cannot be won"):
        plan(game)
