"""Two customers: one who reads pages like any player, and one who knows which product is meant.

`Expert` searches for what the instruction names, goes through the affordable offers, reads their
sub-pages and buys the first product in which all is there, or in the end the best one seen. It
knows the episode's usual length and nothing else that a page does not say. `plan` is for checks.
"""

from __future__ import annotations

from collections.abc import Sequence

from skillbench.errors import DataError

from .catalogue import Goal
from .reading import View, goal_of, view, wanted
from .reward import colour, similar
from .shop import HITS, PER_PAGE, Session, Shop
from .words import BY_NAME

STEPS = 15


class Expert:
    """Plays one episode: `act` takes what was last seen and returns the next command."""

    def __init__(self, first_observation: str) -> None:
        self.wanted = wanted(goal_of(first_observation))
        self.steps = 0
        self.asin = ""  # the product that is being looked at
        self.read: dict[str, str] = {}  # product -> all that was read of it
        self.pages: dict[str, list[str]] = {}  # product -> sub-pages that were read
        self.rated: dict[str, float] = {}  # products that do not fit, and how well they do
        self.lacking: set[str] = set()  # of them, those without a wanted option
        self.chosen: list[str] = []
        self.sub = ""
        self.final = ""  # the product to buy although it does not fit
        category = next((c for c in BY_NAME.values() if self.wanted.kind in c.kinds), None)
        first = category.page.lower() if category else "features"
        other = "description" if first == "features" else "features"
        self.order = (first,) if category else (first, other)

    def act(self, observation: str, admissible: Sequence[str] = ()) -> str:
        """The next command."""
        self.steps += 1
        seen = view(observation)
        if seen.place == "results":
            return self._choose(seen)
        if seen.place == "item" and self.asin:
            return self._look(seen)
        if seen.place == "sub" and self.asin:
            self.read[self.asin] += " " + " ".join(seen.parts[2:]).lower()
            return "click[< prev]"
        want = self.wanted
        words = [*want.needs, want.kind] if want.kind else [want.head]
        return f"search[{' '.join(words)}]"

    def _left(self) -> int:
        return STEPS - self.steps + 1

    def _choose(self, seen: View) -> str:
        """Pick an offer: in page order, titles that name more of what is needed first."""
        cost = 2 + len(self.wanted.options)
        if self.rated and self._left() <= cost + 1:
            best = max(self.rated, key=lambda a: self.rated[a])
            if any(o.asin == best for o in seen.offers):
                self.final = best
                return self._open(best)
        fresh = [
            o
            for o in seen.offers
            if o.asin not in self.rated
            and o.price <= self.wanted.cap
            and self.wanted.kind in o.title
        ]
        if fresh:
            share = [-sum(n in o.title.lower() for n in self.wanted.needs) for o in fresh]
            return self._open(fresh[share.index(min(share))].asin)
        if seen.offers and seen.page < HITS // PER_PAGE and self._left() > 6:
            return "click[next >]"
        if self.rated and seen.page > 1:
            return "click[< prev]"
        if seen.offers:
            self.final = seen.offers[0].asin
            return self._open(self.final)
        return "click[back to search]"

    def _open(self, asin: str) -> str:
        self.asin, self.chosen = asin, []
        self.read.setdefault(asin, "")
        self.pages.setdefault(asin, [])
        return f"click[{asin.lower()}]"

    def _look(self, seen: View) -> str:
        asin, want = self.asin, self.wanted
        self.read[asin] = self.read[asin] or " ".join(seen.parts).lower()
        values = [self._value(seen, v) for _, v in want.options]
        if not self.final:
            met = sum(n in self.read[asin] for n in want.needs)
            if "" in values:
                return self._leave(asin, met - 1.0 * values.count(""))
            if met < len(want.needs):
                for page in self.order:
                    if page not in self.pages[asin] and self._left() > 3 + len(values):
                        self.pages[asin].append(page)
                        return f"click[{page}]"
                if self._left() > 4 + len(values):
                    return self._leave(asin, met)
        for value in values:
            if value and value not in self.chosen:
                self.chosen.append(value)
                return f"click[{value}]"
        return "click[buy now]"

    def _value(self, seen: View, value: str) -> str:
        """The option to click for a wanted value, or "" where none will do."""
        if value in seen.values:
            return value
        near = (v for v in seen.values if similar(colour(v), colour(value)))
        return next(near, "")

    def _leave(self, asin: str, rating: float) -> str:
        self.rated[asin] = rating
        self.asin = ""
        return "click[< prev]"


def plan(shop: Shop, goal: Goal) -> list[str]:
    """The actions that buy what the goal was made from. Raises DataError if no query finds it."""
    product = shop.by_asin[goal.asin]
    queries = (product.title, f"{product.title} {' '.join(product.attributes)}", product.document)
    for query in queries:
        session = Session(shop, goal)
        # Brackets and line breaks would end the query early.
        clean = " ".join(query.replace("[", " ").replace("]", " ").split())
        found = [p.asin for p in shop.find(clean.lower())]
        if goal.asin in found:
            break
    else:
        raise DataError(f"no query finds product {goal.asin} in the first {HITS} results")
    pages = found.index(goal.asin) // PER_PAGE
    actions = [f"search[{clean}]", *["click[next >]"] * pages, f"click[{goal.asin.lower()}]"]
    # With one value in two groups the click goes to the last group: set that one last.
    for name, value in goal.options:
        value = value if name else _offered(product.options, value)
        if value:
            actions.append(f"click[{value}]")
    for action in actions:
        session.act(action)
    return [*actions, "click[buy now]"]


def _offered(options, value: str) -> str:
    values = [v for group in options.values() for v in group]
    if value in values:
        return value
    return next((v for v in values if similar(colour(v), colour(value))), "")
