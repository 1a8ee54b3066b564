"""Fitting skills into the token budget: whole lines only, and no section crowds out another."""

from __future__ import annotations

import math
from collections.abc import Sequence

from skillbench.records import Skill

TOKENS_PER_WORD = 1.35


def estimate_tokens(words: int) -> int:
    """The harness's estimate of a text's length in tokens, from its words."""
    return math.ceil(words * TOKENS_PER_WORD)


def line(skill: Skill) -> str:
    """How a skill is shown: one line."""
    return "- " + " ".join(skill.principle.split())


def fit(sections: Sequence[Sequence[Skill]], budget: int) -> tuple[list[Skill], bool]:
    """Choose what fits into `budget` tokens; return it in order, and whether something did not.

    Sections take turns, each with its next best skill; one that does not fit is passed over and a
    shorter one may take its place. So long general advice cannot keep out the task's own skills.
    The result is in the order of the sections.
    """
    taken: set[int] = set()
    used, truncated = 0, False
    flat = [skill for section in sections for skill in section]
    starts = [sum(len(s) for s in sections[:i]) for i in range(len(sections))]
    for turn in range(max((len(s) for s in sections), default=0)):
        for start, section in zip(starts, sections):
            if turn >= len(section):
                continue
            size = len(line(section[turn]).split())
            if estimate_tokens(used + size) > budget:
                truncated = True
                continue
            used += size
            taken.add(start + turn)
    return [skill for i, skill in enumerate(flat) if i in taken], truncated
