"""A shop and a session in it: WebShop's pages as its text mode shows them.

Pages: search, results (ten a page, of at most fifty), item, its sub-pages (Description, Features,
Reviews), and the thanks after Buy Now. A session's state is a handful of fields; what all sessions
share (products, search index, hits of earlier queries) is the shop's.

Kept from upstream on purpose: a search is possible on every page and forgets the chosen options;
options survive the sub-pages; "Next >" is never switched off, so that pages past the last are
empty; of two option groups with one value the last one gets the click. Left out: queries that begin
with "<r>", "<a>", "<c>" or "<q>" are ordinary words here (upstream they list products past the
search engine, and one of them crashes).
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from .bm25 import Bm25
from .catalogue import Goal, Product
from .reward import Score, score

SEP = " [SEP] "
PER_PAGE, HITS = 10, 50
SUB_PAGES = {"description": "Description", "features": "Features", "reviews": "Reviews"}
QUERY = "search[<your query>]"  # stands for every query in the list of possible actions
REMEMBERED = 4096
Search = Callable[[str, int], Sequence[int]]  # query, at most how many -> positions in `products`


class Shop:
    """Products and their search engine; shared by all sessions of a process."""

    def __init__(
        self,
        products: Sequence[Product],
        search: Search | None = None,
        by_asin: Mapping[str, Product] | None = None,
    ) -> None:
        self.products = products
        self.by_asin = {p.asin: p for p in products} if by_asin is None else by_asin
        self._search = search
        self._seen: OrderedDict[str, tuple[Product, ...]] = OrderedDict()

    def find(self, query: str) -> tuple[Product, ...]:
        """The products for a query, best first, at most fifty."""
        hits = self._seen.get(query)
        if hits is None:
            if self._search is None:
                self._search = Bm25.build(p.document for p in self.products).search
            hits = tuple(self.products[i] for i in self._search(query, HITS))
            if len(query) <= 400:
                self._seen[query] = hits
                if len(self._seen) > REMEMBERED:
                    self._seen.popitem(last=False)
        return hits


def parse_action(action: str) -> tuple[str, str]:
    """(name, argument) of "name[argument]" as upstream's greedy pattern reads it, else ("", "")."""
    line = action.partition("\n")[0]
    end = line.rfind("]")
    begin = line.rfind("[", 1, max(1, end - 1)) if end > 0 else -1
    if begin < 1:
        return "", ""
    return line[:begin], line[begin + 1 : end].lower()


@dataclass
class Session:
    """One customer with one goal. `act` does an action; `text` and `clickables` are the page."""

    shop: Shop
    goal: Goal
    mode: str = "fixed"
    place: str = "search"  # search, results, item, sub or done
    query: str = ""
    page: int = 1
    item: Product | None = None
    sub: str = ""
    options: dict[str, str] = field(default_factory=dict)
    score: Score | None = None
    _hits: tuple[Product, ...] = ()

    def act(self, action: str) -> bool:
        """Do an action; False where it is none of those possible here, and nothing changes."""
        name, argument = parse_action(action)
        if self.place == "done" or not argument:
            return False
        if name == "search":
            self.query, self._hits, self.page = argument, self.shop.find(argument), 1
            self.place, self.item, self.options = "results", None, {}
            return True
        if name != "click" or argument not in self.clickables():
            return False
        self._click(argument)
        return True

    def _click(self, what: str) -> None:
        if what == "back to search":
            self.place, self.item, self.options = "search", None, {}
        elif what == "buy now" and self.item is not None:
            self.score = score(self.item, self.goal, self.options, self.mode)
            self.place = "done"
        elif what == "< prev" and self.place == "sub":
            self.place = "item"
        elif what == "< prev" and self.place == "item":
            self.place, self.item, self.options = "results", None, {}
        elif what in ("< prev", "next >") and self.place == "results":
            self.page += 1 if what == "next >" else -1
        elif what in SUB_PAGES and self.place == "item":
            self.place, self.sub = "sub", what
        elif self.place == "results":
            self.item, self.place = self.shop.by_asin[what.upper()], "item"
        elif self.item is not None:
            for name, values in self.item.options.items():
                if what in values:
                    chosen = name
            self.options[chosen] = what

    def _shown(self) -> tuple[Product, ...]:
        return self._hits[(self.page - 1) * PER_PAGE : self.page * PER_PAGE]

    def clickables(self) -> list[str]:
        """What can be clicked on this page, lower-cased, in upstream's order."""
        if self.place == "results":
            prev = ["< prev"] if self.page > 1 else []
            asins = [p.asin.lower() for p in self._shown()]
            return ["back to search", *prev, "next >", *asins]
        if self.place == "item" and self.item is not None:
            values = [v for group in self.item.options.values() for v in group]
            buttons = ["back to search", "< prev", *SUB_PAGES, "buy now"]
            return list(dict.fromkeys([*buttons, *values]))
        return ["back to search", "< prev"] if self.place == "sub" else []

    def admissible(self) -> list[str]:
        """The possible actions; `QUERY` stands for all searches."""
        if self.place == "search":
            return [QUERY]
        return [f"click[{name}]" for name in self.clickables()]

    def text(self, *, instruction: bool = True) -> str:
        """The page; without the instruction it begins where the page's own content does."""
        head = ["Instruction:", self.goal.text] if instruction else []
        if self.place == "search":
            return SEP.join(["WebShop", *head, "Search"])
        if self.place == "results":
            parts = ["Back to Search", f"Page {self.page} (Total results: {len(self._hits)})"]
            parts += ["< Prev"] if self.page > 1 else []
            parts.append("Next >")
            for product in self._shown():
                parts += [product.asin, product.title.strip(), product.tag]
        elif self.place == "done":
            reward = self.score.reward if self.score else 0.0
            head = []
            parts = ["Thank you for shopping with us!", "Your score (min 0.0, max 1.0)"]
            parts.append(str(reward))
        else:
            parts = ["Back to Search", "< Prev"]
            if self.item is not None:
                parts += self._sub_page() if self.place == "sub" else self._item_page(self.item)
        return SEP.join([*head, *parts])

    @staticmethod
    def _item_page(item: Product) -> list[str]:
        parts: list[str] = []
        for name, values in item.options.items():
            parts += [name, *values]
        parts += [item.title.strip(), f"Price: {item.tag}", "Rating: N.A."]
        return [*parts, *SUB_PAGES.values(), "Buy Now"]

    def _sub_page(self) -> list[str]:
        assert self.item is not None
        if self.sub == "description":
            return [self.item.description.strip() or "No Description"]
        if self.sub == "features":
            return [b.strip() for b in self.item.bullets] or ["No Features"]
        return ["No reviews found"]
