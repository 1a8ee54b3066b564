"""The reward against a calculation of its own from the published formula, and its two modes."""

import random
from pathlib import Path

import pytest
from rapidfuzz import fuzz
from skillbench_webshop import official
from skillbench_webshop.catalogue import NO_CAP, Goal, Product, draw_cap, draw_price, read_prices
from skillbench_webshop.expert import plan
from skillbench_webshop.reward import COLOURS, score
from skillbench_webshop.shop import Session, Shop

PURCHASES = 2000


def words(text: str) -> str:
    """Lower-cased ASCII letters and digits, what thefuzz compares."""
    kept = "".join(c for c in text if ord(c) < 128).lower()
    return "".join(c if c.isalnum() else " " for c in kept).strip()


def alike(one: str, other: str) -> bool:
    return round(fuzz.token_set_ratio(words(one), words(other))) > 85


def plain(text: str) -> str:
    for name in COLOURS:
        if text.find(name) >= 0:
            return name
    return text


def formula(bought: Product, goal: Goal, chosen: dict[str, str]) -> float:
    """arXiv:2207.01206, equation for r, read off the paper and the reference notes."""
    title, body = bought.title.lower(), bought.description.lower()
    features = " ".join(bought.bullets).lower()
    n_attributes = 0
    for want in goal.attributes:
        listed = [a for a in bought.attributes if alike(a, want)]
        if listed or want in title or want in features or want in body:
            n_attributes += 1
    n_options = 0
    for _, want in goal.options:
        if [v for v in chosen.values() if alike(plain(v), plain(want))]:
            n_options += 1
    n_price = 1 if bought.price <= goal.cap else 0
    common = len(set(bought.nouns).intersection(goal.nouns))
    share = common / len(goal.nouns) if len(goal.nouns) else 0.2
    one, two = (set(map(str.strip, x.product_category.split("›"))) for x in (bought, goal))
    kind = 1.0 if bought.query == goal.query or len(one & two) > 1 or share > 0.2 else 0.5
    kind = 0.1 if share < 0.1 else kind
    kind = 0.0 if share == 0 else kind
    parts = n_attributes + n_options + n_price
    return kind * parts / (len(goal.attributes) + len(goal.options) + 1)


def test_random_purchases_follow_the_formula(slice_1000: Path):
    products, synthetic, human = official.small(slice_1000)
    rng = random.Random(7)
    goals = [*synthetic.values(), *human.values()]
    by_query: dict[str, list[Product]] = {}
    for product in products:
        by_query.setdefault(product.query, []).append(product)
    seen = set()
    for number in range(PURCHASES):
        goal = rng.choice(goals)
        near = by_query[goal.query] if number % 3 else products
        target = next(p for p in by_query[goal.query] if p.asin == goal.asin)
        bought = target if number % 5 == 0 else rng.choice(near)
        chosen = {n: rng.choice(v) for n, v in bought.options.items() if v and rng.random() < 0.8}
        if bought is target and rng.random() < 0.5:
            chosen = {n: v for n, v in goal.options if n}
        got = score(bought, goal, chosen)
        assert got.reward == pytest.approx(formula(bought, goal, chosen), abs=1e-12)
        seen.add(got.type)
    assert seen == {0.0, 0.1, 0.5, 1.0}  # all branches of the type factor were taken


def test_every_goal_can_be_met_and_upstream_cannot(slice_1000: Path):
    products, synthetic, human = official.small(slice_1000)
    assert (len(products), len(synthetic), len(human)) == (1000, 6910, 13)
    by_asin = {p.asin: p for p in products}

    def share(mode: str) -> float:
        won = sum(
            score(by_asin[g.asin], g, dict(g.options), mode).reward == 1.0
            for g in synthetic.values()
        )
        return won / len(synthetic)

    assert share("fixed") == 1.0
    assert round(share("upstream"), 3) == 0.934


def test_plans_win_through_the_pages(slice_1000: Path):
    products, synthetic, human = official.small(slice_1000)
    shop = Shop(products)
    goals = [*list(synthetic.values())[::23], *human.values()]
    for goal in goals:
        session = Session(shop, goal)
        actions = plan(shop, goal)
        assert len(actions) <= 15
        assert all(session.act(action) for action in actions)
        assert session.score is not None and session.score.reward == 1.0


def make(asin: str = "A000000001", **more) -> Product:
    base = {
        "title": "Acme red mug", "description": "A mug.", "bullets": ("holds tea",), "prices": (5.0,),
        "price": 5.0, "options": {}, "attributes": ("dishwasher safe",), "category": "garden",
        "query": "mug", "product_category": "Home › Kitchen › Mugs",
        "nouns": frozenset({"acme", "mug"}),
    }  # fmt: skip
    return Product(asin=asin, **(base | more))


def wish(**more) -> Goal:
    base = {
        "asin": "A000000001", "text": "t", "attributes": ("dishwasher safe",), "options": (),
        "cap": 10.0, "category": "garden", "query": "mug",
        "product_category": "Home › Kitchen › Mugs", "nouns": frozenset({"acme", "mug"}),
    }  # fmt: skip
    return Goal(**(base | more))


@pytest.mark.parametrize(
    ("product", "goal", "chosen", "mode", "expected"),
    [
        (make(), wish(), {}, "fixed", 1.0),
        (make(price=11.0), wish(), {}, "fixed", 0.5),
        (make(attributes=()), wish(), {}, "fixed", 0.5),
        (make(attributes=(), description="It is Dishwasher Safe."), wish(), {}, "fixed", 1.0),
        (make(attributes=("safe dishwasher",)), wish(), {}, "fixed", 1.0),
        (make(nouns=frozenset()), wish(), {}, "fixed", 0.0),
        (make(nouns=frozenset()), wish(nouns=frozenset()), {}, "fixed", 1.0),
        (
            make(query="x", product_category="y"),
            wish(nouns=frozenset("abcdefmug")),
            {},
            "fixed",
            0.0,
        ),
        (make(), wish(options=(("color", "dark red"),)), {"color": "red wine"}, "fixed", 2 / 3),
        (make(), wish(options=(("size", "titanium"),)), {"size": "titanium"}, "fixed", 1.0),
        (make(), wish(options=(("size", "titanium"),)), {"size": "titanium"}, "upstream", 2 / 3),
        (make(), wish(options=(("", "titanium"),)), {"size": "titanium"}, "upstream", 1.0),
        (make(), wish(options=(("color", "red"),)), {}, "fixed", 2 / 3),
    ],
)
def test_cases(product, goal, chosen, mode, expected):
    assert score(product, goal, chosen, mode).reward == pytest.approx(expected)


def test_draws_are_fixed_per_item():
    assert read_prices("$1,234.50") == (1234.5,)
    assert read_prices("$12 - $15.99") == (12.0, 15.99)
    assert read_prices("") == read_prices(None) == read_prices("$") == (100.0,)
    assert 12 <= draw_price("A", (12.0, 16.0)) <= 16
    assert (
        draw_price("A", (12.0, 16.0))
        == draw_price("A", (12.0, 16.0))
        != draw_price("B", (12.0, 16.0))
    )
    caps = {draw_cap(f"A{i}", 12.0) for i in range(40)}
    assert caps == {30.0, 40.0, 50.0}  # the larger of two of 20, 30, 40, 50
    assert draw_cap("A", 985.0) == NO_CAP
