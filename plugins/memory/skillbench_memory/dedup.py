"""Is a new skill one that the bank has already?

With an embedding model (see `Settings.embeds`): the cosine of the two texts. Without one: the share
of words and of pairs of neighbouring words that the two principles have in common (Jaccard), which
finds another punctuation or a stray word, and nothing cleverer. Skills of different kinds or task
types are never duplicates, and neither are two that apply to different goals.
"""

from __future__ import annotations

import functools
import itertools
from collections.abc import Iterable, Mapping
from typing import Any

from skillbench.records import Skill

from .retrieval import WORD


def comparable(a: Skill, b: Skill) -> bool:
    """Whether two skills could stand for each other: same kind, type and goals."""
    return (a.kind, a.task_type, tuple(a.meta.get("goal_words") or ())) == (
        b.kind,
        b.task_type,
        tuple(b.meta.get("goal_words") or ()),
    )


def overlap(a: Skill, b: Skill) -> float:
    """Jaccard similarity of the words and word pairs of two principles, in [0, 1].

    Pairs are needed: "first wash it, then carry it" has the words of its opposite.
    """
    x, y = _grams(a.principle), _grams(b.principle)
    return len(x & y) / len(x | y) if x | y else 1.0


@functools.lru_cache(maxsize=4096)
def _grams(text: str) -> frozenset:
    found = WORD.findall(text.lower())
    return frozenset(found) | frozenset(itertools.pairwise(found))


def duplicate_of(
    skill: Skill,
    others: Iterable[Skill],
    threshold: float,
    vectors: Mapping[str, Any] | None = None,
) -> Skill | None:
    """Return the most similar of `others` at or above the threshold, or None."""
    best, best_score = None, threshold
    for other in others:
        if not comparable(skill, other):
            continue
        if vectors is None:
            score = overlap(skill, other)
        else:
            score = float(vectors[skill.id] @ vectors[other.id])
        if score >= best_score and (best is None or score > best_score):
            best, best_score = other, score
    return best
