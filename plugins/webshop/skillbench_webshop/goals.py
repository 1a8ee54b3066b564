"""Goals of a catalogue, in one canonical order.

Upstream shuffles with seed 233 after it drew prices and price limits without a seed, so that its
goals differ between processes; here the draws are fixed per item and the shuffle is the same, so
that goal number i is one and the same for everybody.
"""

from __future__ import annotations

import itertools
import random
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from .catalogue import NO_CAP, Goal, Product, draw_cap

SEED = 233


def _capped(text: str, cap: float) -> str:
    return text if cap == NO_CAP else f"{text}, and price lower than {cap:.2f} dollars"


def _goal(product: Product, text: str, attributes, options, cap: float) -> Goal:
    return Goal(
        asin=product.asin,
        text=_capped(text, cap),
        attributes=tuple(attributes),
        options=tuple(options),
        cap=cap,
        category=product.category,
        query=product.query,
        product_category=product.product_category,
        nouns=product.nouns,
    )


def synthetic(products: Iterable[Product], instructions: Mapping[str, Any]) -> list[Goal]:
    """One goal for each combination of option values of each product with an instruction."""
    goals = []
    for product in products:
        entry = instructions.get(product.asin, {})
        if not entry.get("instruction"):
            continue
        cap = draw_cap(product.asin, product.price)
        names = sorted(product.options)
        for values in itertools.product(*(product.options[n] for n in names)):
            options = dict(zip(names, values))
            text = ", and ".join(f"{k}: {v}" for k, v in options.items())
            text = f"{entry['instruction']} with {text}" if text else entry["instruction"]
            goals.append(
                _goal(product, text, entry["instruction_attributes"], options.items(), cap)
            )
    return goals


def human(products: Iterable[Product], instructions: Mapping[str, Sequence[Any]]) -> list[Goal]:
    """One goal for each instruction that a person wrote and that names an attribute."""
    goals = []
    for product in products:
        for number, entry in enumerate(instructions.get(product.asin, ())):
            if not entry["instruction_attributes"]:
                continue
            cap = draw_cap(product.asin, product.price, str(number))
            options = (("", v) for v in entry["instruction_options"])
            text = entry["instruction"].strip(".")
            goals.append(_goal(product, text, entry["instruction_attributes"], options, cap))
    return goals


def shuffled(goals: Iterable[Goal]) -> list[Goal]:
    """The canonical order."""
    out = list(goals)
    random.Random(SEED).shuffle(out)
    return out
