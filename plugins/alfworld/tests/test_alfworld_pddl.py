"""Reading game files: both grammars, all goals, names, and what a corrupt file says."""

import dataclasses
import json
from pathlib import Path

import pytest
from skillbench_alfworld.engine import World, replays
from skillbench_alfworld.export import export_game, goal_text, problem_text
from skillbench_alfworld.game import Game, Goal
from skillbench_alfworld.generator import generate
from skillbench_alfworld.goals import read_goal
from skillbench_alfworld.oracle import plan
from skillbench_alfworld.pddl import demangle, parse_game, read_game, task_sentence

from skillbench.errors import DataError

MOVE = """grammar :: \"\"\" {"task": [{"rhs": "Your task is to: X."}]} \"\"\";
"GotoLocation.feedback": [{"rhs": "You arrive at {r.name}. #examineReceptacle.feedback#"}]
action PutObject { template :: "move {o} to {r}"; }
action help { template :: "help"; feedback :: "\nAvailable commands:\n  look:  look around\n"; }
"""
PUT = (
    MOVE.replace("move {o} to {r}", "put {o} in/on {r}")
    .replace("{r.name}. #", "{lend.name}. #")
    .split("action help")[0]
)


def reread(game: Game, grammar: str = MOVE) -> Game:
    return parse_game(export_game(game, "(define (domain alfred))", grammar), id=game.id)


@pytest.mark.parametrize("index", range(12))
def test_generated_games_survive_the_file_format(index: int):
    """Both splits, two games of each task type: the same game comes back but for places' numbers."""
    game = generate("train", index)
    back = reread(game)
    assert (back.task, back.task_type, back.goal) == (game.task, game.task_type, game.goal)
    assert [r.name for r in back.receptacles] == [r.name for r in game.receptacles]
    assert {(o.name, o.inside, o.pickupable) for o in back.objects} == {
        (o.name, o.inside, o.pickupable) for o in game.objects
    }
    mine, theirs = World(game), World(back)
    assert mine.reset() == theirs.reset()
    for command in mine.admissible():
        if command != "help":
            assert mine.step(command) == theirs.step(command)
            assert mine.admissible() == theirs.admissible()


def test_grammars():
    game = generate("train", 0)
    assert reread(game).verb == "move"
    assert reread(game).help == "Available commands:\n  look:  look around\n"
    old = reread(game, PUT)
    assert (old.verb, old.help) == ("put", "")
    arrival = World(old).step("go to " + old.receptacles[0].name)
    assert arrival.startswith("You arrive at loc ")


@pytest.mark.parametrize("state", ["", "clean", "hot", "cool"])
@pytest.mark.parametrize("count", [1, 2])
@pytest.mark.parametrize("sliced", [False, True])
def test_goals_are_read_back(state: str, count: int, sliced: bool):
    goal = Goal("place", "apple", "shelf", state=state, count=count, sliced=sliced)
    assert read_goal(goal_text(goal)) == goal


def test_light_goal_and_unknown_goals():
    goal = Goal("look", "cd", lamp="floorlamp")
    assert read_goal(goal_text(goal)) == goal
    for text in (
        "(:goal (or (exists (?o - object) (holds a ?o))))",
        "(:goal (and (forall (?o - object) (isClean ?o))))",
        "(:goal (and (exists (?o - object ?m - object) (and (objectType ?o AppleType) "
        "(inReceptacleObject ?o ?m) (inReceptacle ?m ?r) (receptacleType ?r ShelfType)))))",
        "(:goal (and))",
    ):
        with pytest.raises(DataError, match=r"env\.engine=textworld"):
            read_goal(text)
    with pytest.raises(DataError, match="parentheses"):
        read_goal("(:goal (and (exists")


def test_names_count_down_in_sorted_order():
    ids = {
        "mug_bar_b",
        "mug_bar_a",
        "mug_bar_c",
        "sink_bar_1_bar_sinkbasin",
        "sink_bar_1",
        "mugtype",
    }
    assert demangle(ids) == {
        "mug_bar_a": "mug 3",
        "mug_bar_b": "mug 2",
        "mug_bar_c": "mug 1",
        "sink_bar_1": "sink 1",
        "sink_bar_1_bar_sinkbasin": "sinkbasin 1",
    }


@pytest.mark.parametrize(
    ("damage", "why"),
    [
        (lambda text: text[: len(text) // 2], "not JSON"),
        (lambda text: "[]", "not a JSON object"),
        (lambda text: text.replace("pddl_problem", "pddl"), "'pddl_problem' is missing"),
        (lambda text: text.replace("(:init", "(:nit"), ":init"),
        (lambda text: text.replace("Your task is to", "Your tusk is to"), "Your task is to"),
        (lambda text: text.replace("move {o} to {r}", "shove {o} to {r}"), "neither"),
        (lambda text: text.replace("(atLocation agent1", "(atlocashun agent1"), "does not model"),
        (lambda text: text.replace("(atLocation agent1", "(checked agent1"), "fit together"),
    ],
)
def test_corrupt_files_are_named(tmp_path: Path, damage, why: str):
    content = json.dumps(export_game(generate("train", 1), "", MOVE))
    file = tmp_path / "game.tw-pddl"
    file.write_text(damage(content))
    with pytest.raises(DataError, match=why) as caught:
        read_game(file)
    assert str(file) in str(caught.value)
    assert "skillbench data" in str(caught.value) or "env.engine=textworld" in str(caught.value)


def test_missing_file(tmp_path: Path):
    with pytest.raises(DataError, match="no such game file"):
        read_game(tmp_path / "game.tw-pddl")
    with pytest.raises(DataError, match="cannot read"):
        task_sentence(tmp_path / "game.tw-pddl")


def test_start_in_front_of_a_receptacle():
    game = generate("train", 2)
    front = dataclasses.replace(game, start=game.receptacles[0].place)
    assert "You are facing the " in World(front).reset()
    assert "atLocation agent1 loc_bar_0" in problem_text(front)


def test_official_walkthroughs_win(official_files: list[Path]):
    """Every stored walkthrough is admissible throughout and wins with its last command."""
    for file in official_files[:: max(1, len(official_files) // 300)]:  # data verify plays all
        game = read_game(file)
        assert game.task == task_sentence(file)
        assert replays(game), file


def test_replay_is_strict():
    game = dataclasses.replace(generate("train", 1), walkthrough=plan(generate("train", 1)))
    assert replays(game)
    assert not replays(dataclasses.replace(game, walkthrough=game.walkthrough[:-1]))
    assert not replays(dataclasses.replace(game, walkthrough=(*game.walkthrough, "look")))
    assert not replays(dataclasses.replace(game, walkthrough=("dance", *game.walkthrough)))
