"""Demonstrations for pretraining: the scripted customer in train shops under random advice.

`demo(index)` is a pure function of its index. The advice is drawn to make reading worthwhile: none,
filler, or a subset of what matters, good and bad, in two of its wordings. Now and then a random
command is played instead of the customer's, without being taught, so that the model learns to go on
from mistakes.
"""

from __future__ import annotations

import random
from functools import lru_cache

from skillbench_webshop import generator
from skillbench_webshop.phrases import FILLER, PHRASES
from skillbench_webshop.player import PAGES, Player
from skillbench_webshop.shop import SEP, Session, Shop
from skillbench_webshop.words import BY_NAME, CATEGORIES

from ..pretraining.worlds import Demo

KEYS = ("query", "price", "check", "leave", "options")
MAX_STEPS = 15
SLIP = 0.03


@lru_cache(maxsize=512)
def _shop(number: int) -> tuple[Shop, tuple]:
    stock = generator.generate("train", number)
    return Shop(stock.products), stock.goals


def _phrase(key: str, good: bool, rng: random.Random, **slots: str) -> str:
    phrase = next(p for p in PHRASES if p.key == key and p.good == good)
    return rng.choice(phrase.wordings[:2]).format(**slots)


def advice(category: str, rng: random.Random) -> list[str]:
    """Draw the lines of advice for one demonstration."""
    roll = rng.random()
    if roll < 0.2:
        return []
    if roll < 0.27:
        return rng.sample(FILLER, rng.randint(2, 6))
    lines = rng.sample(FILLER, rng.choice((0, 0, 0, 1, 2)))
    good = rng.choice((1.0, 1.0, 0.75, 0.2))
    for key in KEYS:
        if rng.random() < 0.7:
            lines.append(_phrase(key, rng.random() < good, rng))
    others = [c.name for c in CATEGORIES if c.name != category]
    for name in rng.sample(others, rng.choice((0, 0, 0, 1, 3))):
        lines.append(_phrase("page", True, rng, c=name, a=rng.choice(PAGES)))
    if rng.random() < 0.6:
        right = BY_NAME[category].page if rng.random() < 0.75 else rng.choice(PAGES)
        lines.append(_phrase("page", True, rng, c=category, a=right))
    rng.shuffle(lines)
    return lines


def response(thought: str, command: str) -> str:
    """How a turn is written."""
    return f"<think>{thought}</think><action>{command}</action>"


def _slip(session: Session, instead_of: str, rng: random.Random) -> str:
    """Another possible command, written as the page shows it; never a purchase."""
    if session.place == "search":
        return f"search[{rng.choice(generator.goals('train', 0)).query}]"
    page = session.text(instruction=False).split(SEP)
    shown = {part.lower(): part for part in page}
    names = [n for n in session.clickables() if n != "buy now"]
    commands = [f"click[{shown.get(n, n)}]" for n in names]
    return rng.choice([c for c in commands if c != instead_of] or commands)


def demo(index: int) -> Demo:
    """Demonstration number `index`, in a train shop."""
    rng = random.Random(f"shopper {index}")
    shop, goals = _shop(rng.randrange(generator.SHOPS["train"]))
    goal = rng.choice(goals)
    lines = advice(goal.category, rng)
    session = Session(shop, goal)
    observation = goal.text  # the first page in its compact form
    player = Player(observation, lines)
    turns = []
    for _ in range(MAX_STEPS):
        thought, command = player.decide(rng)
        taught = rng.random() >= SLIP
        if not taught:
            command = _slip(session, command, rng)
        turns.append((observation, response(thought, command), taught))
        player.acted(command)
        session.act(command)
        observation = session.text(instruction=False)
        player.observe(observation)
        if session.score is not None:
            break
    won = session.score is not None and session.score.reward == 1.0
    return Demo("\n".join("- " + line for line in lines), tuple(turns), won)


def window(index: int) -> Demo:
    """One decision of a demonstration with what it needs: advice, instruction, the last turn.

    Decisions are drawn evenly over their kinds. A look at a list of offers after the first needs
    the whole episode, so those are left to whole demonstrations.
    """
    item = demo(index)
    rng = random.Random(f"window {index}")
    kinds: dict[str, list[int]] = {}
    visits = 0
    for number, (text, said, taught) in enumerate(item.turns):
        offers = "(Total results: " in text
        visits += offers
        if taught and not (offers and visits > 1):
            kinds.setdefault(_shape(said), []).append(number)
    if not kinds:
        return item
    chosen = rng.choice(kinds[rng.choice(sorted(kinds))])
    if chosen == 0:
        return Demo(item.system, item.turns[:1], item.won)
    before = (item.turns[0][0], item.turns[chosen - 1][1], False)
    return Demo(item.system, (before, item.turns[chosen]), item.won)


def _shape(said: str) -> str:
    """A thought without its names: the last word of each of its parts."""
    thought = said[7:].partition("</think>")[0]
    ends = [part.split()[-1] for part in thought.split(", ")]
    known = ("high", "fine", "here", "none", "look", "leave", "keep", "bad", "good", "buy")
    return " ".join(dict.fromkeys(e for e in ends if e in known)) or ends[0]
