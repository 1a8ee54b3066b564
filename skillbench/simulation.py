"""Do the intervals hold what they promise? A seeded simulation: `python -m skillbench.simulation`.

Tasks differ in difficulty (Beta, mean 0.6, intraclass correlation 0.35). Method and baseline solve
task t with probability p + c (1 - p); c is 0.25, and for a learned arm a draw per learning run
around 0.25 whose effect on the success rate has a standard deviation of 3.2 points (what published
runs of one recipe show). So the true success rate is exactly 0.7 and the true difference exactly
0, or 0.25 * 0.4 = 0.1 where the other arm has c = 0. `main` prints the table of
docs/statistics.md; tests/test_simulation.py runs a small part of it.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from . import stats
from .power import ICC, LEARNING_SD

REPEATS = 2000
GAIN, EASY = 0.25, 0.6
RATE, EFFECT = EASY + GAIN * (1 - EASY), GAIN * (1 - EASY)


@dataclass(frozen=True)
class Case:
    """One regime: rows and columns, which arms learn, and whether there is an effect."""

    seeds: int
    tasks: int
    learned: tuple[bool, bool]
    effect: bool

    @property
    def truth(self) -> float:
        """The true difference of success rates."""
        return EFFECT if self.effect else 0.0


CASES = tuple(
    Case(seeds, tasks, learned, effect)
    for learned, seeds, tasks in (
        ((False, False), 1, 140),
        ((False, False), 3, 140),
        ((False, False), 1, 500),
        ((True, False), 3, 140),
        ((True, False), 5, 140),
        ((True, False), 3, 500),
        ((True, True), 3, 140),
        ((True, True), 5, 140),
        ((True, True), 3, 500),
    )
    for effect in (False, True)
)


def draw(rng: np.random.Generator, case: Case) -> tuple[np.ndarray, np.ndarray]:
    """Success matrices of two arms on the same tasks."""
    total = 1 / ICC - 1  # Beta(a, b) has intraclass correlation 1 / (a + b + 1)
    easy = rng.beta(EASY * total, (1 - EASY) * total, size=case.tasks)
    arms = []
    for gain, learned in ((GAIN, case.learned[0]), (0.0 if case.effect else GAIN, case.learned[1])):
        noise = rng.normal(0, LEARNING_SD / (1 - EASY), size=(case.seeds, 1)) if learned else 0.0
        rates = np.clip(easy + (gain + noise) * (1 - easy), 0, 1)
        arms.append((rng.random((case.seeds, case.tasks)) < rates).astype(float))
    return arms[0], arms[1]


def trial(rng: np.random.Generator, case: Case, draws: int) -> dict[str, bool]:
    """One pair of arms: does each interval hold the truth, does each test reject 0?"""
    ours, theirs = draw(rng, case)
    learned = case.learned
    out = stats.compare(ours, theirs, learned=learned, draws=draws)
    own = stats.summary(ours, learned=learned[0], draws=draws)
    welch = stats.welch(list(ours.mean(axis=1)), list(theirs.mean(axis=1)))
    return {
        "interval": _holds(out["ci95"], case.truth),
        "one arm": _holds(own["ci95"], RATE),
        "p": out["p"] < 0.05,
        "welch": welch is not None and welch < 0.05,
        "tasks alone": _holds(_plain(ours, theirs, (False, False), draws), case.truth),
        "percentile": _holds(_plain(ours, theirs, learned, draws), case.truth),
    }


def _plain(
    ours: np.ndarray, theirs: np.ndarray, learned: tuple[bool, bool], draws: int
) -> tuple[float, float]:
    """The percentile bootstrap, as it would be without calibration."""
    drawn = [
        stats.weights(*arm.shape, seeds_too=flag, draws=draws, arm=i).means(arm)
        for i, (arm, flag) in enumerate(zip((ours, theirs), learned))
    ]
    return stats.interval(drawn[0] - drawn[1])


def _holds(ci: tuple[float, float] | list[float], truth: float) -> bool:
    return ci[0] <= truth <= ci[1]


def shares(case: Case, repeats: int, *, seed: int = 1, draws: int = 1000) -> dict[str, float]:
    """Shares over `repeats` trials of what `trial` says."""
    rng = np.random.default_rng([seed, case.seeds, case.tasks, *case.learned, case.effect])
    rows = [trial(rng, case, draws) for _ in range(repeats)]
    return {key: sum(row[key] for row in rows) / repeats for key in rows[0]}


def table(repeats: int = REPEATS) -> Iterator[str]:
    """The lines of the table, in Markdown."""
    heads = (
        "arms", "seeds", "tasks", "true difference", "interval holds it", "one arm's holds it",
        "test says different", "Welch says different", "tasks alone hold it",
        "plain percentile holds it",
    )  # fmt: skip
    yield "| " + " | ".join(heads) + " |"
    yield "|" + "---|" * len(heads)
    for case in CASES:
        row = shares(case, repeats)
        names = ["learned" if flag else "frozen" for flag in case.learned]
        welch = f"{row['welch']:.1%}" if case.seeds > 1 else "-"
        cells = (
            " against ".join(names), str(case.seeds), str(case.tasks), f"{case.truth:.2f}",
            f"{row['interval']:.1%}", f"{row['one arm']:.1%}", f"{row['p']:.1%}", welch,
            f"{row['tasks alone']:.1%}", f"{row['percentile']:.1%}",
        )  # fmt: skip
        yield f"| {' | '.join(cells)} |"


def main(words: list[str]) -> int:
    """Print the table: `python -m skillbench.simulation [REPEATS]`."""
    for line in table(int(words[0]) if words else REPEATS):
        sys.stdout.write(line + "\n")
        sys.stdout.flush()
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
