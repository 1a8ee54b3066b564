"""Which part does the work: effects of the factors of a suite, their interactions, and placebos.

A row says which factors it has: `factors = { sft = true, bank = false, rl = false }`. Over the rows
that say so of all factors, with matrices of equal shape (seeds x tasks):

    of one factor      mean success of the rows that have it, less that of the rows that have not
    of two             how much more the one does where the other is there: a difference of two
                       differences, each over the rows that agree in everything else
    of three           that, once more (2 ** (order - 1) times the contrast of a 2^k design)

Interactions need all combinations to be there. A row with `placebo = "NAME"` is the placebo of the
row NAME: the difference is what the content did, beyond there being one.

Rows that start from one shared cold start vary together from seed to seed; the intervals take them
for independent, which makes those of differences between such rows somewhat too wide.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import combinations, product
from typing import TYPE_CHECKING, Any

import numpy as np

from . import stats

if TYPE_CHECKING:
    from .suite import Row


def effects(
    rows: Sequence[Row], scores: Mapping[str, np.ndarray], learned: Mapping[str, bool]
) -> dict[str, Any]:
    """{factor: {mean, ci95, p, n, rows}} of each factor alone."""
    out: dict[str, Any] = {}
    for name in sorted({f for row in rows for f in row.factors}):
        sides = {
            side: [row.name for row in rows if row.factors.get(name) is side and row.name in scores]
            for side in (True, False)
        }
        found = _contrast(sides[True], sides[False], scores, learned)
        if found is not None:
            out[name] = found
    return out


def interactions(
    rows: Sequence[Row], scores: Mapping[str, np.ndarray], learned: Mapping[str, bool]
) -> dict[str, Any]:
    """{"a x b": {mean, ci95, p, n, rows}} of a complete design; {} of any other."""
    names = sorted({f for row in rows for f in row.factors})
    cells: dict[tuple[bool, ...], list[str]] = {}
    for row in rows:
        if row.name in scores and set(row.factors) == set(names):
            cells.setdefault(tuple(row.factors[name] for name in names), []).append(row.name)
    if len(names) < 2 or len(cells) < 2 ** len(names):
        return {}
    out: dict[str, Any] = {}
    for order in range(2, len(names) + 1):
        for chosen in combinations(range(len(names)), order):
            sides: dict[bool, list[str]] = {True: [], False: []}
            for cell in product((True, False), repeat=len(names)):
                absent = sum(not cell[i] for i in chosen)
                sides[absent % 2 == 0] += cells[cell]
            found = _contrast(sides[True], sides[False], scores, learned)
            if found is not None:
                out[" x ".join(names[i] for i in chosen)] = _scaled(found, 2 ** (order - 1))
    return out


def placebos(
    rows: Sequence[Row], scores: Mapping[str, np.ndarray], learned: Mapping[str, bool]
) -> list[dict[str, Any]]:
    """[{row, placebo, mean, ci95, p, n}]: each row that has a placebo, less its placebo."""
    out = []
    for row in rows:
        if row.placebo and row.name in scores and row.placebo in scores:
            found = _contrast([row.placebo], [row.name], scores, learned)
            if found is not None:
                out.append({"row": row.placebo, "placebo": row.name} | found)
    return out


def table(suite_rows: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """The rows of a suite.json that have factors, in the order of the design: fewest first."""
    found = [row for row in suite_rows if row.get("factors") and "failed" not in row]
    return sorted(found, key=lambda row: sum(row["factors"].values()))


def _contrast(
    one: Sequence[str],
    other: Sequence[str],
    scores: Mapping[str, np.ndarray],
    learned: Mapping[str, bool],
) -> dict[str, Any] | None:
    """The mean of some rows less that of others; None where they cannot be compared."""
    if not one or not other or len({scores[name].shape for name in (*one, *other)}) != 1:
        return None
    left, right = (np.mean(np.stack([scores[n] for n in side]), axis=0) for side in (one, other))
    flags = (any(learned[n] for n in one), any(learned[n] for n in other))
    return stats.compare(left, right, learned=flags) | {"rows": [len(one), len(other)]}


def _scaled(found: Mapping[str, Any], factor: float) -> dict[str, Any]:
    """A contrast in the units of a difference of differences."""
    out = dict(found)
    if out["mean"] is not None:
        out["mean"] = round(factor * out["mean"], 6)
        out["ci95"] = [round(factor * end, 6) for end in out["ci95"]]
    return out
