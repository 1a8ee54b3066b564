"""What difference can the planned seeds find? Said before anything is spent.

The difference of two success rates on T shared tasks has, for K runs, the variance

    2 p (1 - p) (1 - r) / (K T)  +  s^2 / K

the second part for a method that learns, against a frozen baseline. p is the success rate, r how
alike the runs of one task are (intraclass correlation), s the standard deviation of the success
rate from one learning run to the next. r = 0.35 reproduces the power that was measured for
household panels, s = 3.2 points is what repeated published runs show. With one learning run s
cannot be seen at all: then the figure is for this one run.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

ICC = 0.35
LEARNING_SD = 0.032
POWER = 0.8


@dataclass(frozen=True)
class Plan:
    """A planned comparison of a method with its baseline."""

    tasks: int
    seeds: int
    learned: bool
    rate: float = 0.5

    @property
    def se(self) -> float:
        """Standard error of the difference."""
        return math.sqrt(self._tasks_part() + self._seeds_part())

    def _tasks_part(self) -> float:
        return 2 * self.rate * (1 - self.rate) * (1 - ICC) / (self.seeds * self.tasks)

    def _seeds_part(self) -> float:
        return LEARNING_SD**2 / self.seeds if self.learned and self.seeds > 1 else 0.0

    @property
    def df(self) -> float:
        """Satterthwaite's degrees of freedom."""
        tasks, seeds = self._tasks_part(), self._seeds_part()
        below = tasks**2 / max(self.tasks - 1, 1)
        if seeds:
            # Between seeds one sees their own spread plus the noise of the arm's tasks.
            below += (seeds + tasks / 2) ** 2 / (self.seeds - 1)
        return (tasks + seeds) ** 2 / below

    def power(self, difference: float) -> float:
        """Chance that a true difference is found at the 5 % level."""
        from scipy.stats import nct, t

        critical = t.ppf(0.975, self.df)
        return float(nct.sf(critical, self.df, abs(difference) / self.se))

    def detectable(self, power: float = POWER) -> float:
        """The smallest difference that is found with this chance."""
        from scipy.optimize import brentq

        return float(brentq(lambda d: self.power(d) - power, 1e-6, 1.0, xtol=1e-4))

    def text(self) -> str:
        """One line for `--dry-run`."""
        if self.tasks < 2:
            return "one task alone tells no difference from luck"
        if self.power(0.999) < POWER:
            return f"{self.tasks} tasks and {self.seeds} seed(s) find no difference reliably"
        line = (
            f"a difference of {100 * self.detectable():.0f} points or more is found 80 % of the "
            f"time ({self.tasks} tasks x {self.seeds} seed(s), success near "
            f"{100 * self.rate:.0f} %)"
        )
        if self.learned and self.seeds == 1:
            line += "; it holds for this one learning run, and 3 or more say how runs differ"
        return line
