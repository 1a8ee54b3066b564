"""Products and goals, and how the official files are read into them.

Fields and rules are WebShop's (Yao et al., "WebShop", arXiv:2207.01206; its loader): a product
without an identifier of at most ten characters or met before is skipped, a missing price is 100,
option names and values are lower-cased and "/" in a value becomes " | ". A price range hides the
price; it is drawn here from a seed made of the identifier, so that every process agrees (upstream
draws it from an unseeded generator at each start).
"""

from __future__ import annotations

import hashlib
import random
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from skillbench.errors import DataError


@dataclass(frozen=True, slots=True)
class Product:
    """One product. `prices` holds one price or the ends of a range; `price` is what it costs."""

    asin: str
    title: str
    description: str
    bullets: tuple[str, ...]
    prices: tuple[float, ...]
    price: float
    options: Mapping[str, tuple[str, ...]]
    attributes: tuple[str, ...]
    category: str
    query: str
    product_category: str
    nouns: frozenset[str]

    @property
    def tag(self) -> str:
        """The price as it is shown."""
        return " to ".join(f"${p}" for p in self.prices[:2])

    @property
    def document(self) -> str:
        """What the search engine indexes."""
        options = "".join(f", and {n}: {', '.join(v)}" for n, v in self.options.items())
        text = f"{self.title} {self.description} {self.bullets[0] if self.bullets else ''}"
        return (text + " " + options.removeprefix(", and ")).lower()


@dataclass(frozen=True, slots=True)
class Goal:
    """What to buy. `options` are (name, value) pairs, or ("", value) for human goals.

    `cap` is the price limit (1e6 where there is none); `index` the place in the canonical order.
    """

    asin: str
    text: str
    attributes: tuple[str, ...]
    options: tuple[tuple[str, str], ...]
    cap: float
    category: str
    query: str
    product_category: str
    nouns: frozenset[str]

    @property
    def id(self) -> str:
        """A name from the content alone: product, and a digest of text, options and cap."""
        content = "\x1f".join((self.text, *(f"{k}={v}" for k, v in self.options), str(self.cap)))
        return f"{self.asin}/{hashlib.sha256(content.encode()).hexdigest()[:12]}"


NO_CAP = 1_000_000.0
CAPS = tuple(10.0 * i for i in range(1, 100))


def draw_price(asin: str, prices: tuple[float, ...]) -> float:
    """The price of a product with these shown prices."""
    if len(prices) == 1:
        return prices[0]
    return random.Random(f"price {asin}").uniform(*prices[:2])


def draw_cap(asin: str, price: float, what: str = "") -> float:
    """A price limit above `price`: the larger of two of the next four multiples of ten."""
    above = [cap for cap in CAPS if cap > price][:4]
    if len(above) < 2:
        return NO_CAP
    return max(random.Random(f"cap {asin} {what}").sample(above, 2))


def read_prices(pricing: str | None) -> tuple[float, ...]:
    """The numbers of "$1.00" or "$1.00 - $2.00"; (100.0,) where there are none."""
    found = [re.sub(r"[^\d.]", "", part) for part in (pricing or "").split("$")[1:]]
    numbers = tuple(float(f) for f in found if f.strip("."))
    return numbers[:2] or (100.0,)


def read_product(
    item: Mapping[str, Any], attributes: Mapping[str, Any], nouns: Mapping[str, Iterable[str]]
) -> Product:
    """One entry of an items file. Raises KeyError or TypeError where it is not one."""
    asin = item["asin"]
    prices = read_prices(item.get("pricing"))
    options: dict[str, tuple[str, ...]] = {}
    for name, contents in (item.get("customization_options") or {}).items():
        if contents is not None:
            values = (c["value"].strip().replace("/", " | ").lower() for c in contents)
            options[name.lower()] = tuple(values)
    bullets = item["small_description"]
    bullets = tuple(bullets) if isinstance(bullets, list) else (bullets or "",)
    title = item["name"]
    return Product(
        asin=asin,
        title=title,
        description=item["full_description"] or "",
        bullets=bullets,
        prices=prices,
        price=draw_price(asin, prices),
        options=options,
        attributes=tuple(attributes.get(asin, {}).get("attributes", ("DUMMY_ATTR",))),
        category=item["category"],
        query=item["query"].lower().strip(),
        product_category=item["product_category"],
        nouns=frozenset(nouns.get(asin, ())),
    )


def read_products(
    items: Iterable[Mapping[str, Any]],
    attributes: Mapping[str, Any],
    nouns: Mapping[str, Iterable[str]],
    what: str = "items file",
) -> Iterator[Product]:
    """The usable products of an items file, in order. Raises DataError for a damaged entry."""
    seen: set[str] = set()
    for number, item in enumerate(items):
        try:
            asin = item["asin"]
            if asin == "nan" or len(asin) > 10 or asin in seen:
                continue
            seen.add(asin)
            yield read_product(item, attributes, nouns)
        except (KeyError, TypeError, AttributeError, ValueError) as error:
            raise DataError(f"{what}: entry {number} is no product ({error!r})") from None
