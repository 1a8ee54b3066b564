"""Demonstrations for pretraining: the scripted player on train volumes under random advice.

`demo(index)` is a pure function of its index. Each 128 demonstrations read a volume of their own,
made of train names alone; volume 0, which is what the train split plays, is not among them. Advice
is drawn to make reading worthwhile: none, filler, advice on other things, or a subset of what
matters here, good and bad, in two of its wordings. Now and then another search is made instead of
the player's, without being taught, so that the model learns to go on from mistakes.
"""

from __future__ import annotations

import random
from functools import lru_cache

from skillbench_searchqa.actions import NOTHING, parse, show
from skillbench_searchqa.encyclopedia.language import BY_NOUN, RELATIONS
from skillbench_searchqa.encyclopedia.volume import Question, Volume
from skillbench_searchqa.phrases import FILLER, PHRASES
from skillbench_searchqa.player import HOP_KEYS, KEYS, TURNS, Player
from skillbench_searchqa.retrievers.bm25 import Bm25

from ..pretraining.worlds import Demo

GENERAL = ("name", "asked", "again", "copy")
PER_VOLUME = 128
TOP_K = 3
SLIP = 0.04
CONTROL = frozenset(
    ("want", "see", "over", "told", "first", "none", "then", "done", "enough", "more", "again",
     "guess", "name", "of", "alone", "whole", "short")
)  # fmt: skip


@lru_cache(maxsize=3)
def shelf(number: int) -> tuple[Volume, Bm25]:
    """A volume of the train split and its index."""
    volume = Volume("train", number)
    return volume, Bm25(volume.passages)


def response(thought: str, action: str) -> str:
    """How a turn is written."""
    return f"<think>{thought}</think><action>{action}</action>"


def _phrase(key: str, good: bool, rng: random.Random, **slots: str) -> str:
    phrase = next(p for p in PHRASES if p.key == key and p.good == good)
    return rng.choice(phrase.wordings[:2]).format(**slots)


def _word(noun: str, right: bool, rng: random.Random) -> str:
    word = BY_NOUN[noun].key if right else rng.choice(KEYS)
    return _phrase("word", True, rng, o=noun, a=word)


def advice(question: Question, rng: random.Random) -> list[str]:
    """Draw the lines of advice for one demonstration."""
    own = HOP_KEYS[len(question.chain)]
    roll = rng.random()
    lines: list[str] = []
    if roll < 0.22:
        return lines
    if roll < 0.30:
        return rng.sample(FILLER, rng.randint(2, 9))
    for key in rng.sample([k for k in HOP_KEYS.values() if k != own], rng.choice((0, 0, 1, 2))):
        lines.append(_phrase(key, rng.random() < 0.7, rng))
    others = [r.noun for r in RELATIONS if r.noun not in question.chain]
    for noun in rng.sample(others, rng.choice((0, 0, 1, 2, 3))):
        lines.append(_word(noun, True, rng))
    lines += rng.sample(FILLER, rng.choice((0, 0, 0, 1, 2)))
    if roll > 0.38:
        good = rng.choice((1.0, 1.0, 0.75, 0.2))
        for key in (*GENERAL, own):
            if rng.random() < 0.7:
                lines.append(_phrase(key, rng.random() < good, rng))
        for noun in question.chain:
            if rng.random() < 0.6:
                lines.append(_word(noun, rng.random() < 0.85, rng))
    rng.shuffle(lines)
    return lines


def demo(index: int) -> Demo:
    """Demonstration number `index`, from train names."""
    rng = random.Random(f"reader {index}")
    volume, engine = shelf(1 + index // PER_VOLUME)
    question = volume.question(rng.randrange(240))
    lines = advice(question, rng)
    observation = f"Question: {question.text}"
    player = Player(observation, lines)
    turns = []
    answer = None
    for _ in range(TURNS):
        thought, action = player.decide(rng)
        done = parse(action)
        taught = done.verb == "answer" or rng.random() >= SLIP
        if not taught:
            other = rng.choice(volume.passages)
            action = f"<search> {other.title} {rng.choice(KEYS)}</search>"
            done = parse(action)
        turns.append((observation, response(thought, action), taught))
        player.acted(action)
        if done.verb == "answer":
            answer = done.text
            break
        hits = engine.search([done.text], TOP_K)[0]
        observation = show([h.passage for h in hits], 0) if hits else NOTHING
        player.observe(observation)
    system = "\n".join("- " + line for line in lines)
    return Demo(system, tuple(turns), answer == question.answer)


def shape(said: str) -> str:
    """The control words of a thought: what kind of decision it is."""
    thought = said[7:].partition("</think>")[0]
    return " ".join(w for w in thought.split() if w in CONTROL)


def window(index: int) -> Demo:
    """One decision of a demonstration with what it needs: advice, question, and the last turn."""
    item = demo(index)
    rng = random.Random(f"window {index}")
    kinds: dict[str, list[int]] = {}
    for number, (_, said, taught) in enumerate(item.turns):
        if taught:
            kinds.setdefault(shape(said), []).append(number)
    if not kinds:
        return item
    chosen = rng.choice(kinds[rng.choice(sorted(kinds))])
    if chosen == 0:
        return Demo(item.system, item.turns[:1], item.won)
    before = (item.turns[0][0], item.turns[chosen - 1][1], False)
    return Demo(item.system, (before, item.turns[chosen]), item.won)
