"""Reading WebShop's pages and instructions: what a customer can know, for players and teacher."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache

from .shop import SEP
from .words import CATEGORIES

CAP = re.compile(r",? and price lower than ([\d.]+) dollars")
LEAD = re.compile(r"^(?:find me|i am looking for|i need|i want|i would like)\s+", re.IGNORECASE)
WITH = re.compile(r" with (?=[^:]{1,60}: )")
ASIN = re.compile(r"[A-Z0-9]{10}")
PRICE = re.compile(r"\$([\d.]+)")
PAGE = re.compile(r"Page (\d+) \(Total results: (\d+)\)")
KINDS = tuple(sorted((k for c in CATEGORIES for k in c.kinds), key=len, reverse=True))
LITTLE = frozenset(
    re.findall(
        r"\w+",
        "a an and are as at be for from i in is it like looking me my need of on or some that the "
        "to want which with would",
    )
)


@dataclass(frozen=True, slots=True)
class Wanted:
    """An instruction in parts. `kind` is "" where it is none of the generated shops'; `needs` are
    attributes, or then the words of the instruction."""

    kind: str
    needs: tuple[str, ...]
    options: tuple[tuple[str, str], ...]
    cap: float
    head: str


@lru_cache(maxsize=4096)
def wanted(goal: str) -> Wanted:
    """Take an instruction apart."""
    cap = CAP.search(goal)
    text = CAP.sub("", goal).strip().strip(".")
    head, *rest = WITH.split(text, maxsplit=1)
    options = []
    for part in rest[0].split(", and ") if rest else ():
        name, colon, value = part.partition(": ")
        if colon:
            options.append((name, value))
    head = LEAD.sub("", head)
    kind = next((k for k in KINDS if head.endswith(" " + k)), "")
    if kind:
        needs = tuple(n.strip() for n in head.removesuffix(kind).split(",") if n.strip())
    else:
        words = re.findall(r"[a-z0-9][a-z0-9-]*", head.lower())
        needs = tuple(dict.fromkeys(w for w in words if w not in LITTLE))
    return Wanted(kind, needs, tuple(options), float(cap[1]) if cap else float("inf"), head)


@dataclass(frozen=True, slots=True)
class Offer:
    """A line of a results page; `price` is the lower end of a range."""

    asin: str
    title: str
    price: float


@dataclass(frozen=True, slots=True)
class View:
    """A page in parts. `place` is search, results, item, sub or done."""

    place: str
    parts: tuple[str, ...]
    page: int = 0
    offers: tuple[Offer, ...] = ()
    values: tuple[str, ...] = ()  # option values, on an item page
    price: float = 0.0


def view(text: str) -> View:
    """Read a page, with or without the instruction at its head."""
    parts = tuple(text.split(SEP))
    if parts[:1] == ("Instruction:",):
        parts = parts[2:]
    if parts[:1] == ("Back to Search",):
        number = PAGE.fullmatch(parts[1]) if len(parts) > 1 else None
        if number:
            rows = list(parts[parts.index("Next >") + 1 :]) if "Next >" in parts else []
            offers = tuple(
                Offer(rows[i], rows[i + 1], _price(rows[i + 2]))
                for i in range(0, len(rows) - 2, 3)
                if ASIN.fullmatch(rows[i])
            )
            return View("results", parts, int(number[1]), offers)
        if parts[-1] == "Buy Now":
            tag = next((p for p in parts if p.startswith("Price: ")), "")
            return View("item", parts, values=parts[2:-7], price=_price(tag))
        return View("sub", parts)
    if parts[0].startswith("Thank you"):
        return View("done", parts)
    return View("search", parts)


def goal_of(first_observation: str) -> str:
    """The instruction in an episode's first observation, whole or compact."""
    parts = first_observation.split(SEP)
    return parts[parts.index("Instruction:") + 1] if "Instruction:" in parts else parts[0]


def _price(tag: str) -> float:
    found = PRICE.search(tag)
    return float(found[1].strip(".") or 0) if found and found[1].strip(".") else 0.0
