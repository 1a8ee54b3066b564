"""Generated games: deterministic, held out where promised, solvable."""

from __future__ import annotations

import hashlib

import pytest
from skillbench_alfworld import generator
from skillbench_alfworld.engine import World
from skillbench_alfworld.generator import generate, held_out
from skillbench_alfworld.layouts import HELD_OUT_PLANS
from skillbench_alfworld.oracle import plan


def pair(game_id: str) -> tuple[str, str]:
    """(object and receptacle with the task type, floor plan) of a generated id."""
    head = game_id.partition("/")[0]
    return head.rpartition("-")[0], head.rpartition("-")[2]


def test_games_do_not_change_without_a_new_version():
    games = [generate("unseen", i) for i in range(50)]
    parts = [(g.id, g.task, g.receptacles, g.objects, g.goal) for g in games]
    digest = hashlib.sha256(repr(parts).encode()).hexdigest()
    assert (generator.VERSION, digest[:12]) == ("1", "79410953da7d")


@pytest.mark.parametrize("split", generator.SPLITS)
def test_every_game_is_won_by_the_oracle(split):
    for index in range(120):
        game = generate(split, index)
        world = World(game)
        world.reset()
        assert not world.won(), game.id
        for command in plan(game):
            assert command in world.admissible(), (game.id, command)
            world.step(command)
        assert world.won(), game.id


def test_unseen_rooms_and_goal_pairs_never_appear_in_train():
    train = [pair(generate("train", i).id) for i in range(3000)]
    unseen = [pair(generate("unseen", i).id) for i in range(200)]
    assert not {p for p, _ in train} & {p for p, _ in unseen}
    assert not {room for _, room in train} & {room for _, room in unseen}
    assert {int(room) for _, room in unseen} <= set(HELD_OUT_PLANS)


def test_splits_are_balanced_over_task_types():
    types = [generate("seen", i).task_type for i in range(60)]
    assert all(types.count(t) == 10 for t in set(types))


def test_held_out_pairs_are_fixed():
    share = [held_out("pick_and_place_simple", f"o{i}", f"r{i}") for i in range(500)]
    assert 60 < sum(share) < 140
