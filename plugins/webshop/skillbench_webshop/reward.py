"""WebShop's reward, exactly (arXiv:2207.01206, section 3.1, and its code).

    reward = type * (attributes met + options met + price met) / (attributes + options + 1)

`fixed` compares option values with option values. `upstream` keeps a defect of the published code:
there a synthetic goal's option is the pair (name, value), so that colour names are simplified in
what was bought but not in what was wanted, and some goals cannot be met by any purchase. Human
goals hold plain values and are the same in both.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import lru_cache

from rapidfuzz import fuzz, utils

from .catalogue import Goal, Product

MODES = ("fixed", "upstream")
# WebShop's colour names (MIT licence): the first one found in an option stands for the option.
COLOURS = tuple(
    re.findall(
        r"\w+",
        "alabaster apricot aqua ash asphalt azure banana beige black blue blush bordeaux bronze "
        "brown burgundy camel camo caramel champagne charcoal cheetah chestnut chocolate "
        "christmas coffee cognac copper coral cranberry cream crystal dark denim eggplant "
        "elephant espresso fuchsia gold granite grape graphite grass gray green grey heather "
        "indigo ivory ivy khaki lavender lemon leopard light lilac lime magenta maroon mauve "
        "merlot midnight mint mocha multicolor mushroom mustard natural navy nude olive orange "
        "peach pewter pink plum purple rainbow red rose royal rust sand sapphire seashell silver "
        "skull slate steel stone stonewash sunflower tan taupe teal tiger turquoise violet walnut "
        "wheat white wine yellow",
    )
)


@dataclass(frozen=True, slots=True)
class Score:
    """The reward and its parts: counts met, and the type factor in {0, 0.1, 0.5, 1}."""

    reward: float
    type: float
    attributes: int
    options: int
    price: bool


@lru_cache(maxsize=1 << 16)
def _processed(text: str) -> str:
    # thefuzz drops what is not ASCII before rapidfuzz's own clean-up.
    return utils.default_process("".join(c for c in text if ord(c) < 128))


@lru_cache(maxsize=1 << 17)
def similar(one: str, other: str) -> bool:
    """Whether thefuzz's token_set_ratio is above 85 (rounded, as thefuzz does)."""
    return round(fuzz.token_set_ratio(_processed(one), _processed(other))) > 85


@lru_cache(maxsize=1 << 16)
def colour(text: str) -> str:
    """The first colour name in a text, else the text."""
    return next((name for name in COLOURS if name in text), text)


def type_factor(bought: Product, goal: Goal) -> float:
    """How far the kind of product is right."""
    levels = [
        {x.strip() for x in p.split("›")} for p in (bought.product_category, goal.product_category)
    ]
    share = len(bought.nouns & goal.nouns) / len(goal.nouns) if goal.nouns else 0.2
    if share == 0.0:
        return 0.0
    if share < 0.1:
        return 0.1
    if bought.query == goal.query or len(levels[0] & levels[1]) >= 2 or share > 0.2:
        return 1.0
    return 0.5


def attributes_met(bought: Product, goal: Goal) -> int:
    """How many wanted attributes the product has, by its list or in its texts."""
    met = 0
    texts: tuple[str, ...] = ()
    for wanted in goal.attributes:
        if any(similar(have, wanted) for have in bought.attributes):
            met += 1
            continue
        texts = texts or (
            bought.title.lower(),
            " ".join(bought.bullets).lower(),
            bought.description.lower(),
        )
        met += any(wanted in text for text in texts)
    return met


def wanted_options(goal: Goal, mode: str) -> list[str]:
    """The goal's options as they are compared."""
    out = []
    for name, value in goal.options:
        if mode == "upstream" and name:
            # A pair: "in" looks for an equal member, and the fuzzy match sees its printed form.
            whole = next((c for c in COLOURS if c in (name, value)), None)
            out.append(whole or str((name, value)))
        else:
            out.append(colour(value))
    return out


def options_met(chosen: Iterable[str], goal: Goal, mode: str) -> int:
    """How many wanted options are among the chosen values."""
    have = [colour(value) for value in chosen]
    return sum(any(similar(h, w) for h in have) for w in wanted_options(goal, mode))


def score(bought: Product, goal: Goal, chosen: Mapping[str, str], mode: str = "fixed") -> Score:
    """The reward in [0, 1] for buying a product with the chosen options {name: value}."""
    kind = type_factor(bought, goal)
    attributes = attributes_met(bought, goal)
    options = options_met(chosen.values(), goal, mode)
    price = bought.price <= goal.cap
    parts = (attributes + options + price) / (len(goal.attributes) + len(goal.options) + 1)
    return Score(kind * parts, kind, attributes, options, price)
