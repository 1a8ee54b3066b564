"""What a skill is worth, measured: success of train episodes that showed it against those that did
not.

Both sides count only episodes in which the skill would have been shown: it was retrieved for the
task, and was then shown or held out. Which tasks hold it out is a hash of task and skill, so the
split is as good as random and neither the policy's progress nor the difficulty of a task type can
pass for the skill's effect. Task types are compared within themselves and pooled with
Mantel-Haenszel weights. Repeats of one task count as separate episodes, which makes the interval
somewhat too narrow.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

PRIOR = 10.0  # the effect is shrunk as if this much evidence had said "no effect"
Z = 2.326  # one-sided 99 %: every skill of a bank is tested, at every update


@dataclass
class Cell:
    """Counts of one task type: episodes and successes, with the skill shown and held out."""

    shown: int = 0
    shown_success: int = 0
    hidden: int = 0
    hidden_success: int = 0


@dataclass(frozen=True)
class Effect:
    """Difference in success rate, shown minus held out, with its standard error.

    `weight` is the evidence: the harmonic sum of both counts, added up over task types.
    """

    difference: float = 0.0
    error: float = math.inf
    weight: float = 0.0

    @property
    def utility(self) -> float:
        """The difference, shrunk towards 0 where there is little evidence."""
        return self.difference * self.weight / (self.weight + PRIOR)


@dataclass
class Tally:
    """All counts of one skill. `utility` is the value that ranking uses.

    It is set at learning updates only: the order of a bank does not change while episodes run, so
    what an episode is shown never depends on which other one ended first.
    """

    by_type: dict[str, Cell] = field(default_factory=dict)
    utility: float = 0.0

    def note(self, task_type: str, *, shown: bool, success: bool) -> None:
        """Count one episode."""
        cell = self.by_type.setdefault(task_type, Cell())
        if shown:
            cell.shown += 1
            cell.shown_success += success
        else:
            cell.hidden += 1
            cell.hidden_success += success

    @property
    def shown(self) -> int:
        """Episodes that showed the skill."""
        return sum(cell.shown for cell in self.by_type.values())

    def effect(self) -> Effect:
        """Pool the task types that have both kinds of episodes."""
        weight = total = variance = 0.0
        for cell in self.by_type.values():
            if not cell.shown or not cell.hidden:
                continue
            w = cell.shown * cell.hidden / (cell.shown + cell.hidden)
            rate, other = cell.shown_success / cell.shown, cell.hidden_success / cell.hidden
            weight += w
            total += w * (rate - other)
            variance += (
                w
                * w
                * (
                    _variance(cell.shown_success, cell.shown)
                    + _variance(cell.hidden_success, cell.hidden)
                )
            )
        if not weight:
            return Effect()
        return Effect(total / weight, math.sqrt(variance) / weight, weight)

    def harmful(self, *, min_shown: int, margin: float) -> bool:
        """Shown often enough, worse by more than the margin, and not by chance (one-sided 99 %)."""
        effect = self.effect()
        if self.shown < min_shown or effect.difference >= -margin:
            return False
        return effect.difference + Z * effect.error < 0

    def to_json(self) -> dict[str, Any]:
        """Counts and what follows from them, for people and for `from_json`."""
        effect = self.effect()
        out: dict[str, Any] = {"utility": self.utility, "shown": self.shown}
        if effect.weight:
            out["effect"] = round(effect.difference, 4)
            out["effect_error"] = round(effect.error, 4)
        out["by_type"] = {name: vars(cell).copy() for name, cell in sorted(self.by_type.items())}
        return out

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Tally:
        """Rebuild from the counts; derived figures are computed anew."""
        cells = {name: Cell(**cell) for name, cell in data.get("by_type", {}).items()}
        return cls(cells, float(data.get("utility", 0.0)))


def held_out(task_id: str, skill_id: str, share: float) -> bool:
    """Whether a train task is one of the `share` that does not get to see a skill."""
    if share <= 0:
        return False
    digest = hashlib.sha256(f"{task_id}\x1f{skill_id}".encode()).digest()
    return int.from_bytes(digest[:8], "big") < share * 2**64


def _variance(success: int, n: int) -> float:
    # One success and one failure are added, so that 0 of 3 does not pass for certainty.
    p = (success + 1) / (n + 2)
    return p * (1 - p) / n
