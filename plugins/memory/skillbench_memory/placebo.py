"""Placebos: memories that learn exactly as `skillbank` does and show something else.

If a method gains as much from a placebo as from its skills, the skills' content is not what helps.

`filler`    as many lines of as many words, about nothing.
`shuffled`  true skills of the same bank that do not apply to the task: those of another task type.
`frozen`    the initial bank: what was imported, or the first distillation, and nothing later.

A harmful bank needs no class of its own: `skillbank` with `import_path`.
"""

from __future__ import annotations

import hashlib
import random
from collections.abc import Sequence
from typing import Any

from skillbench.records import Episode, Skill, Task, Update

from .budget import fit
from .retrieval import COMMON, applies, same_type, words
from .skillbank import SkillBank

# Clauses about nothing by number of words; any longer sentence is joined from them with "and".
CLAUSES: dict[int, tuple[str, ...]] = {
    1: ("Perhaps", "Indeed"),
    2: ("Days pass", "Time passes"),
    3: ("The day begins", "Names have letters", "Time is long", "The years pass"),
    4: (
        "Things have many names",
        "Every morning is new",
        "Some days are long",
        "The morning is bright",
        "Good things are rare",
    ),
    5: (
        "One day comes after another",
        "The year has many days",
        "What is near seems large",
        "Some names are quite short",
        "An evening may be long",
    ),
    6: (
        "What is near is not far",
        "The evening comes after the morning",
        "A name is made of letters",
        "No day is like the last",
    ),
    7: (
        "Many things seem alike from a distance",
        "There is more than one good day",
        "It is good to have a name",
        "Some days are longer than other days",
    ),
}
LONGEST = max(CLAUSES)


class Frozen(SkillBank):
    """The initial bank: the imported one, or the first distillation."""

    name = "frozen"

    def update(
        self,
        episodes: Sequence[Episode],
        teacher: Any,
        *,
        step: int = 0,
        max_new: int | None = None,
    ) -> Update:
        """Distill once into an empty bank; afterwards check the episodes and change nothing."""
        if not self.skills():
            return super().update(episodes, teacher, step=step, max_new=max_new)
        self.check(episodes)
        return Update()

    def prune(self, *, step: int = 0) -> Update:
        """Change nothing."""
        self.check()
        return Update()


class Filler(SkillBank):
    """Shows a sentence without content, of equal length, for each skill."""

    name = "filler"

    def display(self, shown: list[Skill], task: Task, budget: int) -> list[Skill]:
        """Replace each principle; the ids reported are those of the fillers."""
        return [
            Skill(
                title="Filler",
                principle=filler(s.principle, seed=s.id),
                kind=s.kind,
                task_type=s.task_type,
                author="placebo",
            )
            for s in shown
        ]


class Shuffled(SkillBank):
    """Shows skills that do not apply to the task, in place of those that do."""

    name = "shuffled"

    def display(self, shown: list[Skill], task: Task, budget: int) -> list[Skill]:
        """Replace each skill by one of another task type, of about its length.

        Types are permuted without a fixed point: each task type gets the skills of the next one in
        alphabetical order, then of the ones after that. A skill that names a word of the goal is
        left out, since it might help after all. Where the bank has too few, there are fewer lines.
        """
        goal = words(task.goal) - COMMON
        rank = self._distance(task.task_type)
        pool = [
            s
            for s in self.skills()
            if not applies(s, task) and goal.isdisjoint(words(f"{s.title} {s.principle}"))
        ]
        out: list[Skill] = []
        for skill in shown:
            if not pool:
                break
            length = len(skill.principle.split())
            by_type = skill.kind == "task_type"

            def cost(other: Skill, length: int = length, by_type: bool = by_type) -> tuple:
                away = rank.get(other.task_type or "", len(rank))
                difference = abs(len(other.principle.split()) - length)
                # A task's own skills come from one other type; the rest by length first.
                return (away, difference) if by_type else (difference, away)

            best = min(pool, key=cost)
            pool.remove(best)
            out.append(best)
        return fit([out], budget)[0]

    def _distance(self, task_type: str) -> dict[str, int]:
        """How far each task type of the bank is from this one, going round the alphabet."""
        types = sorted({s.task_type for s in self.skills() if s.task_type} | {task_type})
        others = [t for t in types if t == task_type or not same_type(t, task_type)]
        start = others.index(task_type)
        return {t: (i - start) % len(others) for i, t in enumerate(others)}


def filler(sentence: str, *, seed: str) -> str:
    """A sentence about nothing with as many words, and the same first case and last mark.

    The same sentence and seed give the same filler.
    """
    rng = random.Random(hashlib.sha256(f"{seed}\x1f{sentence}".encode()).digest())
    left = len(sentence.split())
    clauses: list[str] = []
    while left:
        if left <= LONGEST:
            size = left
        else:  # a joined clause costs one more word; what remains must be a clause of 3 or more
            size = rng.choice([n for n in range(4, LONGEST + 1) if left - n - 1 >= 3])
        fresh = [c for c in CLAUSES[size] if c.lower() not in clauses] or list(CLAUSES[size])
        clauses.append(rng.choice(fresh).lower())
        left -= size + (left > size)
    text = " and ".join(clauses)
    if sentence[:1].isupper():
        text = text[:1].upper() + text[1:]
    return text + (sentence.rstrip()[-1] if sentence.rstrip()[-1:] in tuple(".!?") else "")
