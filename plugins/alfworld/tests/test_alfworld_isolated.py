"""ALFWorld in a child process plays the games that it plays in this one; stock and native agree."""

from __future__ import annotations

import os
from typing import Any

import pytest
from skillbench_alfworld import data
from skillbench_alfworld.env import AlfworldEnvironment

from skillbench.config import ISOLATION
from skillbench.errors import DataError
from skillbench.isolation import IsolatedEnvironment, process

TARGET = "skillbench_alfworld.env:AlfworldEnvironment"


@pytest.fixture(autouse=True)
def no_children_left() -> Any:
    yield
    for pool in process._pools.values():
        pool.close()
    process._pools.clear()


def played(world: Any, task: Any, plan: list[str]) -> list[Any]:
    seen = [tuple(world.reset(seed=0, options={"task": task.id}))]
    seen += [tuple(world.step(command)) for command in plan]
    world.close()
    return seen


def test_a_child_plays_what_the_parent_plays() -> None:
    table = {"unseen_games": 6}
    inside = IsolatedEnvironment(TARGET, table, {**ISOLATION, "isolate": True})
    outside = AlfworldEnvironment(unseen_games=6)
    assert inside.tasks("unseen") == outside.tasks("unseen")
    assert inside.fingerprint("unseen") == outside.fingerprint("unseen")
    for task in outside.tasks("unseen")[:3]:
        plan = list(outside.expert(task))
        assert list(inside.expert(task) or ()) == plan
        one, two = played(inside, task, plan), played(outside, task, plan)
        assert one == two
        assert one[-1][-1]["success"]
    assert inside.compact("You are here.\n\nA") == outside.compact("You are here.\n\nA")


def test_the_stock_engine_in_its_own_interpreter_agrees_with_the_native_one() -> None:
    python = os.environ.get("SKILLBENCH_TEXTWORLD_PYTHON")
    if not python:
        pytest.skip("SKILLBENCH_TEXTWORLD_PYTHON names no Python that has alfworld")
    try:
        data.check(data.path())
    except DataError as error:
        pytest.skip(str(error))
    native = AlfworldEnvironment(source="official")
    settings = {**ISOLATION, "isolate": True, "interpreter": python}
    stock = IsolatedEnvironment(TARGET, {"engine": "textworld", "source": "official"}, settings)
    tasks = native.tasks("valid_seen")
    count = int(os.environ.get("SKILLBENCH_STOCK_GAMES", "3"))
    for task in tasks[:: len(tasks) // count][:count]:
        plan = [*native.expert(task), "look"]
        assert played(stock, task, plan) == played(native, task, plan)
