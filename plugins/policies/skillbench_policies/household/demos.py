"""Demonstrations for pretraining: the scripted player on train games under random advice.

`demo(index)` is a pure function of its index, so that pretraining is seeded and resumable. The
advice is drawn to make reading worthwhile: none, filler, advice on other things, or a subset of
what matters here, good and bad, in two of its wordings. Now and then a random command is played
instead of the player's, without being taught, so that the model learns to go on from mistakes.
"""

from __future__ import annotations

import random

from skillbench_alfworld.engine import BANNER, World
from skillbench_alfworld.game import Game
from skillbench_alfworld.generator import generate
from skillbench_alfworld.phrases import FILLER, PHRASES, Phrase

from ..pretraining.worlds import Demo
from .player import Player

GENERAL = ("order", "open", "direct")
PROCEDURES = ("clean", "heat", "cool", "light", "two")
MAX_STEPS = 30
SLIP = 0.04


def compact(text: str) -> str:
    """First observation without the banner, on one line; the same as the environment's."""
    return text.replace(BANNER, "").strip().replace("\n\n", " ")


def response(thought: str, command: str) -> str:
    """How a turn is written."""
    return f"<think>{thought}</think><action>{command}</action>"


def _phrase(key: str, good: bool, rng: random.Random) -> str:
    phrase = next(p for p in PHRASES if p.key == key and p.good == good)
    return rng.choice(phrase.wordings[:2])


def _where(obj: str, places: list[str], rng: random.Random) -> str:
    two, one = [p for p in PHRASES if p.key == "where"]
    phrase: Phrase = two if len(places) > 1 else one
    slots = {"o": obj, "a": places[0], "b": places[-1]}
    return rng.choice(phrase.wordings[:2]).format(**slots)


def _true_places(game: Game, obj: str) -> list[str]:
    spots = [game.receptacles[r].type for o in game.objects if o.type == obj for r in o.inside]
    return list(dict.fromkeys(spots))


def advice(game: Game, rng: random.Random) -> list[str]:
    """Draw the lines of advice for one demonstration."""
    kinds = sorted({r.type for r in game.receptacles})
    own = {"clean": "clean", "hot": "heat", "cool": "cool"}.get(game.goal.state, "")
    own = "light" if game.goal.kind == "look" else "two" if game.goal.count == 2 else own
    roll = rng.random()
    lines: list[str] = []
    if roll < 0.22:
        return lines
    if roll < 0.30:
        return rng.sample(FILLER, rng.randint(2, 9))
    others = [o.type for o in game.objects if o.type not in (game.goal.object, game.goal.lamp)]
    for key in rng.sample([k for k in PROCEDURES if k != own], rng.choice((0, 0, 1, 2, 4))):
        lines.append(_phrase(key, rng.random() < 0.7, rng))
    for obj in rng.sample(sorted(set(others)), min(len(set(others)), rng.choice((0, 1, 2, 3)))):
        lines.append(_where(obj, rng.sample(kinds, min(2, len(kinds))), rng))
    lines += rng.sample(FILLER, rng.choice((0, 0, 0, 1, 2)))
    if roll > 0.38:
        good = rng.choice((1.0, 1.0, 0.75, 0.2))
        for key in (*GENERAL, own):
            if key and rng.random() < 0.7:
                lines.append(_phrase(key, rng.random() < good, rng))
        for obj in (game.goal.object, game.goal.lamp):
            if obj and rng.random() < 0.55:
                places = _true_places(game, obj) if rng.random() < 0.75 else []
                places = places + rng.sample(kinds, 1) if rng.random() < 0.5 else places
                if not places:
                    places = rng.sample(kinds, min(2, len(kinds)))
                places = list(dict.fromkeys(places))[:2]
                rng.shuffle(places)
                lines.append(_where(obj, places, rng))
    rng.shuffle(lines)
    return lines


def demo(index: int, *, split: str = "train") -> Demo:
    """Demonstration number `index`; always from train games unless a test asks otherwise."""
    rng = random.Random(f"demo {split} {index}")
    game = generate(split, rng.randrange(1_000_000))
    lines = advice(game, rng)
    world = World(game)
    observation = compact(world.reset())
    player = Player(observation, lines)
    turns = []
    for _ in range(MAX_STEPS):
        thought, command = player.decide(rng)
        taught = rng.random() >= SLIP
        if not taught:
            command = rng.choice([c for c in world.admissible() if c != "help"])
        turns.append((observation, response(thought, command), taught))
        player.acted(command)
        observation = world.step(command)
        player.observe(observation)
        if world.won():
            break
    return Demo("\n".join("- " + line for line in lines), tuple(turns), world.won())


def window(index: int) -> Demo:
    """One decision of a demonstration with what it needs: advice, room and task, the last turn.

    Decisions are drawn evenly over their kinds (the thought without its names), since what matters
    most, seeing the wanted thing, is one turn in fifteen of an episode.
    """
    item = demo(index)
    rng = random.Random(f"window {index}")
    kinds: dict[str, list[int]] = {}
    for number, (_, said, taught) in enumerate(item.turns):
        if taught and number:
            thought = said[7:].partition("</think>")[0].split()
            shape = " ".join("#" if w.isdigit() else w for i, w in enumerate(thought) if i != 1)
            kinds.setdefault(shape, []).append(number)
    if not kinds:
        return item
    chosen = rng.choice(kinds[rng.choice(sorted(kinds))])
    before = (item.turns[0][0], item.turns[chosen - 1][1], False)
    return Demo(item.system, (before, item.turns[chosen]), item.won)
