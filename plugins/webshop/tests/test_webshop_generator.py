"""Generated shops: the promise that one product, and no other, meets each goal, checked by buying."""

import itertools
from collections import Counter

import pytest
from skillbench_webshop import generator, words
from skillbench_webshop.expert import Expert, plan
from skillbench_webshop.reading import wanted
from skillbench_webshop.reward import colour, score, similar
from skillbench_webshop.shop import Session, Shop

SAMPLE = [("train", i) for i in (0, 1, 2, 250, 499)] + [("test", i) for i in (0, 1, 2, 165)]


@pytest.mark.parametrize(("split", "number"), SAMPLE)
def test_one_product_alone_meets_a_goal(split: str, number: int):
    stock = generator.generate(split, number)
    assert stock == generator.generate(split, number)
    assert stock.goals == generator.goals(split, number)
    assert len(stock.goals) == generator.KINDS
    for goal, product in itertools.product(stock.goals, stock.products):
        # Buy it with the best options there are.
        best = {}
        for name, values in product.options.items():
            best[name] = dict(goal.options).get(name, values[0])
            if best[name] not in values:
                best[name] = values[0]
        reward = score(product, goal, best).reward
        assert (reward == 1.0) == (product.asin == goal.asin)
        assert 0.0 <= reward <= 1.0
        if goal.options and product.asin == goal.asin:
            assert score(product, goal, {}).reward < 1.0


def test_plans_win_every_goal():
    for split, number in SAMPLE:
        stock = generator.generate(split, number)
        shop = Shop(stock.products)
        for goal in stock.goals:
            session = Session(shop, goal)
            assert all(session.act(action) for action in plan(shop, goal))
            assert session.score is not None and session.score.reward == 1.0


def test_splits_share_no_product():
    seen: Counter[str] = Counter()
    for split, count in generator.SHOPS.items():
        for number in range(count):
            first = (generator.FIRST[split] + number) * generator.KINDS * generator.FAMILY
            seen.update(
                generator.code(first + i) for i in range(generator.KINDS * generator.FAMILY)
            )
    assert len(seen) == sum(generator.SHOPS.values()) * 120
    assert max(seen.values()) == 1
    assert {len(code) for code in seen} == {10}
    with pytest.raises(ValueError, match="166 test shops"):
        generator.generate("test", 166)


def test_words_cannot_be_mistaken():
    kinds = [w for c in words.CATEGORIES for k in c.kinds for w in k.split()]
    assert len(set(kinds)) == len(kinds)
    attributes = [a for c in words.CATEGORIES for a in c.attributes]
    assert not [p for p in itertools.combinations(attributes, 2) if similar(*p)]
    for category in words.CATEGORIES:
        for _, values in category.options:
            names = [colour(v) for v in values]
            assert not [p for p in itertools.combinations(names, 2) if similar(*p)]
        texts = {a for a in category.attributes if any(a in k for k in category.kinds)}
        assert not texts


def test_instructions_can_be_read_back():
    for goal in (g for split, n in SAMPLE for g in generator.goals(split, n)):
        read = wanted(goal.text)
        assert (read.kind, read.needs, read.options, read.cap) == (
            goal.query, goal.attributes, goal.options, goal.cap,
        )  # fmt: skip


@pytest.mark.parametrize("split", generator.SPLITS)
def test_expert_wins(split: str):
    """From observations alone, at least 95 % within the 15 actions; never an impossible action."""
    won = total = 0
    for number in range(17):
        stock = generator.generate(split, number)
        shop = Shop(stock.products)
        for goal in stock.goals:
            session = Session(shop, goal)
            player, text = Expert(session.text()), session.text()
            for _ in range(15):
                assert session.act(player.act(text, session.admissible()))
                text = session.text(instruction=False)
                if session.score:
                    break
            total += 1
            won += session.score is not None and session.score.reward == 1.0
    assert won >= 0.95 * total
