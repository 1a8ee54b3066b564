"""Generated shops: a catalogue of WebShop's schema with goals that search alone does not solve.

A shop is a pure function of (split, number): a dozen kinds of products, ten products of each, one
goal per kind. Nine of the ten are near misses: one lacks a wanted attribute, another costs too
much, a third does not come in the wanted colour; only the tenth meets the goal. Titles name one
attribute at most; the rest stands on the sub-page that the category uses for it (Description or
Features), and some of those that lack one say so in words that the search engine takes for it.
Identifiers are unique over all shops, so that splits share no product.

Every goal is met with reward 1.0 by its product and by no other one of its shop; that is so by
construction, and the tests buy everything to see it.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache

from .catalogue import CAPS, Goal, Product, draw_price
from .words import BRANDS, BY_NAME, CATEGORIES, COLOURS, SMALL_TALK, Category

VERSION = 1
SPLITS = ("train", "test")
FIRST = {"train": 0, "test": 500}  # number of a split's first shop
SHOPS = {"train": 500, "test": 166}  # identifiers are unique up to here
KINDS, FAMILY = 12, 10  # kinds per shop, products per kind
PRICES = tuple(2.5 + 5 * i for i in range(30))
HEADS, TAILS = 400, 200
WITH_OPTIONS, WITH_RANGE, WITHOUT_PRICE = 0.75, 0.09, 0.06


@lru_cache(maxsize=1)
def code_parts() -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Beginnings and ends of identifiers, five characters each."""
    rng = random.Random("webshop identifiers")
    letters = "BCDFGHJKLMNPQRSTVWXZ0123456789"
    heads = list({"B0" + "".join(rng.choices(letters, k=3)): 0 for _ in range(3 * HEADS)})[:HEADS]
    tails = list({"".join(rng.choices(letters, k=5)): 0 for _ in range(3 * TAILS)})[:TAILS]
    return tuple(heads), tuple(tails)


def code(number: int) -> str:
    """The identifier of product `number` over all shops; all differ below HEADS * TAILS."""
    heads, tails = code_parts()
    head, tail = number % HEADS, number // HEADS
    return heads[head] + tails[(tail + 7 * head) % TAILS]


@dataclass(frozen=True)
class Stock:
    """A generated shop's products and goals, in order."""

    products: tuple[Product, ...]
    goals: tuple[Goal, ...]


@dataclass(frozen=True)
class _Wish:
    """What a goal asks for, before it has words."""

    category: Category
    kind: str
    attributes: tuple[str, ...]  # wanted
    others: tuple[str, ...]  # what else the product that meets it has
    options: tuple[tuple[str, str], ...]
    cap: float


def _kinds(rng: random.Random) -> list[tuple[Category, str]]:
    """A dozen kinds, categories in WebShop's proportions, each at least once."""
    names = [c.name for c in CATEGORIES]
    shares = [c.share for c in CATEGORIES]
    drawn = names + rng.choices(names, shares, k=KINDS - len(names))
    out = []
    for name in names:
        out += [(BY_NAME[name], k) for k in rng.sample(BY_NAME[name].kinds, drawn.count(name))]
    rng.shuffle(out)
    return out


def _wish(category: Category, kind: str, price: float, rng: random.Random) -> _Wish:
    attributes = rng.sample(category.attributes, 3)
    wanted = 2 if rng.random() < 0.6 else 1
    axes = [] if rng.random() > WITH_OPTIONS else list(category.options)
    if axes and rng.random() < 0.5:
        axes = [rng.choice(axes)]
    above = [cap for cap in CAPS if cap > price][:4]
    return _Wish(
        category,
        kind,
        tuple(attributes[:wanted]),
        tuple(attributes[wanted:]),
        tuple((name, rng.choice(values)) for name, values in axes),
        max(rng.sample(above, 2)),
    )


def _prices(low: float, high: float, rng: random.Random) -> tuple[float, ...]:
    """One price, or the two ends of a range, within the limits."""
    fit = [p for p in PRICES if low <= p <= high]
    one = rng.choice(fit)
    dearer = [p for p in fit if one < p <= one + 15]
    if dearer and rng.random() < WITH_RANGE:
        return (one, rng.choice(dearer))
    return (one,)


def _options(wish: _Wish, offered: bool, rng: random.Random) -> dict[str, tuple[str, ...]]:
    """Option lists with the wanted values, or (not `offered`) without one of them."""
    lacking = rng.choice(wish.options)[0] if wish.options and not offered else ""
    out = {}
    for name, wanted in wish.options:
        values = dict(wish.category.options)[name]
        others = [v for v in values if v != wanted]
        if name == lacking:
            chosen = rng.sample(others, min(len(others), rng.randint(2, 3)))
        else:
            chosen = [wanted, *rng.sample(others, min(len(others), rng.randint(1, 3)))]
        out[name] = tuple(v for v in values if v in chosen)
    return out


def _path(wish: _Wish) -> str:
    kind = wish.kind.title()
    return f"{wish.category.path} › {kind} › {kind} Shop"


def _product(number: int, wish: _Wish, fault: str, rng: random.Random) -> Product:
    """One of a family; `fault` says what is wrong with it: "a" lacks an attribute (and "d" says
    so), "p" costs too much, "o" does not come in a wanted option; "" is the one that fits."""
    category, kind = wish.category, wish.kind
    spare = [a for a in category.attributes if a not in wish.attributes]
    if "a" in fault:
        kept = rng.sample(wish.attributes, len(wish.attributes) - 1)
        attributes = [*kept, *rng.sample(spare, 3 - len(kept))]
    elif fault:
        attributes = [*wish.attributes, *rng.sample(spare, 3 - len(wish.attributes))]
    else:
        attributes = [*wish.attributes, *wish.others]
    rng.shuffle(attributes)
    if "p" in fault:
        prices = _prices(wish.cap, wish.cap + 60, rng)
    else:
        prices = _prices(max(PRICES[0], wish.cap - 60), wish.cap, rng)
        if wish.cap > 100 and rng.random() < WITHOUT_PRICE / 0.25:
            prices = (100.0,)
    asin = code(number)
    title = [rng.choice(BRANDS), kind]
    if rng.random() < 0.7:
        title.insert(1, rng.choice(attributes))
    talk = rng.choice(SMALL_TALK)
    named = ", ".join(attributes)
    if "d" in fault:  # the search engine reads "not solid-wood" as it reads "solid wood"
        lacking = next(w for w in wish.attributes if w not in attributes)
        named += f", not {lacking.replace(' ', '-')}"
    told = category.page == "Description"
    return Product(
        asin=asin,
        title=" ".join(title),
        description=f"This {kind} is: {named}." if told else f"This {kind} is {talk}",
        bullets=(f"This {kind} is {talk}",) if told else (named, "imported"),
        prices=prices,
        price=draw_price(asin, prices),
        options=_options(wish, "o" not in fault, rng),
        attributes=tuple(attributes),
        category=category.name,
        query=kind,
        product_category=_path(wish),
        nouns=frozenset(kind.split()),
    )


def faults(options: bool, rng: random.Random) -> list[str]:
    """What is wrong with each of a family, in the order in which they stand in the catalogue."""
    out = ["", "ad", "a", "a", "p", "p", "p", "o", "o", rng.choice(("ap", "ao", "po"))]
    if not options:
        out = ["", "ad", "ad", "a", "a", "p", "p", "p", "p", "ap"]
    rng.shuffle(out)
    return out


def goal_text(attributes: tuple[str, ...], kind: str, options, cap: float) -> str:
    """The goal in WebShop's words."""
    text = ", and ".join(f"{k}: {v}" for k, v in options)
    text = f" with {text}" if text else ""
    return f"Find me {', '.join(attributes)} {kind}{text}, and price lower than {cap:.2f} dollars"


@dataclass(frozen=True)
class _Family:
    """One kind's part of a shop: the wish, and what is wrong with each product in turn."""

    wish: _Wish
    faults: tuple[str, ...]
    first: int  # number of its first product, over all shops

    @property
    def goal(self) -> Goal:
        """The goal, which the product without a fault meets."""
        wish = self.wish
        return Goal(
            asin=code(self.first + self.faults.index("")),
            text=goal_text(wish.attributes, wish.kind, wish.options, wish.cap),
            attributes=wish.attributes,
            options=wish.options,
            cap=wish.cap,
            category=wish.category.name,
            query=wish.kind,
            product_category=_path(wish),
            nouns=frozenset(wish.kind.split()),
        )


def _families(split: str, number: int) -> list[_Family]:
    if not 0 <= number < SHOPS[split]:
        raise ValueError(f"the generator has {SHOPS[split]} {split} shops; there is no {number}")
    rng = random.Random(f"webshop {VERSION} {split} {number}")
    first = (FIRST[split] + number) * KINDS * FAMILY
    out = []
    for place, (category, kind) in enumerate(_kinds(rng)):
        wish = _wish(category, kind, rng.choice(PRICES[1:19]), rng)
        out.append(_Family(wish, tuple(faults(bool(wish.options), rng)), first + place * FAMILY))
    return out


def goals(split: str, number: int) -> tuple[Goal, ...]:
    """The goals of a shop, without making its products. Raises ValueError as `generate`."""
    return tuple(family.goal for family in _families(split, number))


def generate(split: str, number: int) -> Stock:
    """Shop `number` of a split. Raises ValueError where there is none such."""
    families = _families(split, number)
    rng = random.Random(f"webshop {VERSION} {split} {number} products")
    products = [
        _product(family.first + i, family.wish, fault, rng)
        for family in families
        for i, fault in enumerate(family.faults)
    ]
    return Stock(tuple(products), tuple(family.goal for family in families))


def names() -> Iterator[str]:
    """Every name that the shops use: kinds, attributes, option names and values, brands."""
    for category in CATEGORIES:
        yield from (category.name, *category.kinds, *category.attributes)
        for name, values in category.options:
            yield from (name, *values)
    yield from (*BRANDS, *COLOURS)
