"""The official catalogue, loaded once per process: products, goals in canonical order, search.

The small one is 1,000 products held in memory. The full one is the SQLite file that `skillbench
data fetch webshop` makes (full.py). Files may carry their official names or those of the slim copy
without images (`items_shuffle_1000.slim.json.gz`), packed or not.
"""

from __future__ import annotations

import gzip
import hashlib
import json
from collections.abc import Iterable, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

from skillbench.errors import DataError, UsageError

from . import goals as making
from .catalogue import Goal, Product, read_products
from .data import FETCH, path
from .shop import Search, Shop

__all__ = ["SPLITS", "engine", "find", "fingerprint", "goals", "path", "small"]

SPLITS = ("small", "human", "full", "full_dev")
TEST, DEV = 500, 1500  # small and full: goals before TEST are the test, full_dev ends at DEV
ITEMS = ("items_shuffle_1000.json", "items_shuffle_1000.slim.json")
ATTRIBUTES = ("items_ins_v2_1000.json",)
HUMAN = ("items_human_ins.json", "items_human_ins_1000.json")
NOUNS = ("title_nouns_1000.json",)


def read_json(root: Path, names: Sequence[str], *, needed: bool = True) -> Any:
    """The content of the first of these files that is there, packed or not. Raises DataError."""
    for name in names:
        for file in (root / name, root / f"{name}.gz"):
            if not file.is_file():
                continue
            try:
                raw = file.read_bytes()
                return json.loads(gzip.decompress(raw) if file.suffix == ".gz" else raw)
            except (OSError, EOFError, ValueError) as error:
                raise DataError(f"{file} is damaged ({error}); {FETCH}") from None
    if not needed:
        return {}
    raise DataError(
        f"no official WebShop data: {root / names[0]} does not exist; {FETCH}, or set WEBSHOP_DATA "
        "(or env.data) to the folder that holds it"
    )


def engine(search: str, products: Sequence[Product]) -> Search | None:
    """A search engine over products; None is the shop's own. Raises UsageError without Lucene."""
    if search == "native":
        return None
    from .lucene import Lucene

    return Lucene(p.document for p in products).search


@lru_cache(maxsize=4)
def small(root: Path) -> tuple[tuple[Product, ...], dict[str, Goal], dict[str, Goal]]:
    """(products, synthetic goals by id, human goals by id) of the 1,000-product catalogue."""
    items = read_json(root, ITEMS)
    attributes = read_json(root, ATTRIBUTES)
    nouns = read_json(root, NOUNS, needed=False)
    if not nouns:
        raise DataError(
            f"{root} has no {NOUNS[0]} (nouns of the titles, for the reward); make it with "
            "`pip install 'skillbench-webshop[nouns]'` and `python -m skillbench_webshop.nouns`"
        )
    if not isinstance(items, list) or not isinstance(attributes, dict):
        raise DataError(f"{root}: the items or attributes file is not WebShop's; {FETCH}")
    products = tuple(read_products(items, attributes, nouns, str(root / ITEMS[0])))
    try:
        synthetic = making.synthetic(products, attributes)
        human = making.human(products, read_json(root, HUMAN, needed=False))
    except (KeyError, TypeError, AttributeError) as error:
        raise DataError(f"{root}: an instruction is not WebShop's ({error!r}); {FETCH}") from None
    return products, named(making.shuffled(synthetic)), named(making.shuffled(human))


def named(goals: Iterable[Goal]) -> dict[str, Goal]:
    """Goals by id. A few are there twice (a product lists one value twice): those get a number."""
    out: dict[str, Goal] = {}
    for goal in goals:
        name, number = goal.id, 1
        while name in out:
            number += 1
            name = f"{goal.id}.{number}"
        out[name] = goal
    return out


@lru_cache(maxsize=4)
def _shop(root: Path, search: str) -> Shop:
    products = small(root)[0]
    return Shop(products, engine(search, products))


@lru_cache(maxsize=16)
def goals(root: Path, split: str, scored: str, disjoint: bool) -> dict[str, Goal]:
    """The goals of a split by id; `train` depends on which split is scored."""
    if "full" in (split, scored) or "full_dev" in (split, scored):
        from . import full

        chosen = full.goals(root)
        if split == "full":
            return _part(chosen, 0, TEST)
        if split == "full_dev":
            return _part(chosen, TEST, DEV)
        return _train(_part(chosen, DEV, None), _part(chosen, 0, DEV) if disjoint else {})
    _, synthetic, human = small(root)
    if split == "human":
        return human
    if split == "small":
        return _part(synthetic, 0, TEST)
    if scored == "human":
        return _train(synthetic, human)
    return _train(_part(synthetic, TEST, None), _part(synthetic, 0, TEST) if disjoint else {})


def _part(chosen: dict[str, Goal], begin: int, end: int | None) -> dict[str, Goal]:
    return dict(list(chosen.items())[begin:end])


def _train(chosen: dict[str, Goal], tested: dict[str, Goal]) -> dict[str, Goal]:
    products = {goal.asin for goal in tested.values()}
    return {id: goal for id, goal in chosen.items() if goal.asin not in products}


@lru_cache(maxsize=16)
def fingerprint(root: Path, split: str, scored: str, disjoint: bool) -> str:
    """Over what the goals ask for and what products there are, not over the bytes of files."""
    digest = hashlib.sha256()
    for id, goal in goals(root, split, scored, disjoint).items():
        digest.update(f"{id}\n{goal.text}\n{goal.attributes}\n{goal.options}\n".encode())
    if "full" not in (split, scored) and "full_dev" not in (split, scored):
        for product in small(root)[0]:
            digest.update(f"{product.asin}\n{product.document}\n{product.price}\n".encode())
    return digest.hexdigest()


def find(root: Path, task: str, search: str) -> tuple[Shop, Goal]:
    """The shop and the goal of an official task id. Raises UsageError for an unknown id."""
    from . import full

    try:
        _, synthetic, human = small(root)
    except DataError:
        if not full.present(root):
            raise
        synthetic = human = {}
    goal = synthetic.get(task) or human.get(task)
    if goal is not None:
        return _shop(root, search), goal
    if full.present(root):
        goal = full.goals(root).get(task)
        if goal is not None:
            if search != "native":
                raise UsageError("env.search=pyserini is for generated shops and the small one")
            return full.shop(root), goal
    raise UsageError(f"unknown webshop task {task!r}: no such goal in {root}")
