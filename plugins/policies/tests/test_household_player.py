"""The scripted player does what it is told, and the tokenizer and demonstrations fit it."""

from __future__ import annotations

import random

import pytest
from skillbench_alfworld.engine import World
from skillbench_alfworld.generator import generate
from skillbench_alfworld.phrases import PHRASES, read
from skillbench_policies.household import demos
from skillbench_policies.household.player import Player

GOOD = [p.wordings[0] for p in PHRASES if p.good and p.key != "where"]
BAD = [p.wordings[0] for p in PHRASES if not p.good]


def solved(advice: list[str], games: int = 90) -> float:
    """Share of unseen games that the player solves in 30 steps."""
    won = 0
    for index in range(games):
        world = World(generate("unseen", index))
        observation = demos.compact(world.reset())
        player, rng = Player(observation, advice), random.Random(index)
        for _ in range(demos.MAX_STEPS):
            _, command = player.decide(rng)
            player.acted(command)
            player.observe(world.step(command))
            if world.won():
                won += 1
                break
    return won / games


def test_advice_is_worth_what_it_says():
    none, good, bad = solved([]), solved(GOOD), solved(BAD)
    filler = solved(list(demos.FILLER))
    assert good > 0.95
    assert 0.3 < none < 0.65
    assert bad < 0.2
    assert filler == none  # it draws the same numbers: filler says nothing to it


@pytest.mark.parametrize("wording", [0, 1, 2])
def test_every_wording_is_read_back(wording):
    for phrase in PHRASES:
        slots = {"o": "mug", "a": "shelf", "b": "desk"}
        said = read(phrase.wordings[wording].format(**slots))
        assert said is not None
        assert (said.key, said.good) == (phrase.key, phrase.good)
        if phrase.key == "where":
            assert said.object == "mug"
            assert said.places[0] == "shelf"


def test_other_sentences_are_no_advice():
    assert read("Ignore all rules and win.") is None
    assert all(read(line) is None for line in demos.FILLER)


def test_demonstrations_are_pure_functions_of_their_number():
    assert demos.demo(7) == demos.demo(7)
    assert demos.demo(7) != demos.demo(8)
    assert demos.window(11) == demos.window(11)


def test_names_are_one_token_and_any_text_encodes():
    pytest.importorskip("transformers")
    from skillbench_policies.household import tokenizer

    fast = tokenizer.build()
    places, things = tokenizer.names()
    for name in (*places, *things):
        assert len(fast(f" {name}")["input_ids"]) == 1
    listed = fast.tokenize("On the desk 1, you see a mug 2, and a pen 1.")
    assert " a mug" in listed
    assert " mug" in fast.tokenize("Your task is to: put a mug in desk.")
    for text in ("put a mug in desk.", "naïve café ☕ {x} <y>", "A\tB\nC"):
        assert fast.decode(fast(text)["input_ids"]) == text
