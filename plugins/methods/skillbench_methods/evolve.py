"""The bank co-evolves with the policy: what recent *train* failures teach, a little at a time.

The paper's rule (SkillRL, arXiv:2602.08234, section 3.3), on train episodes: for each task type
whose success rate since the last look is below the threshold, failures are taken in turn from the
worst type to the best (round robin), the teacher says what the bank does not cover yet (at most
`evolve.max_new` new skills) and which entries to refine, and the memory prunes what measurably
does not help. The published code looks at *validation* failures, in file order, and adds at most
three skills in a whole run (reference: its issues 8 and 28); neither is reproduced.

A memory that says `learns_from = "episodes"` (EvolveR's) is given all of the window instead.
"""

from __future__ import annotations

import inspect
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from skillbench.records import TOKEN_FIELDS, Episode, Update, episode_from_json, to_json

DEFAULTS: dict[str, Any] = {
    "enabled": True,
    "every": 2,
    "threshold": 0.4,
    "max_new": 3,
    "failures": 10,
    "prune": True,
}


class Evolution:
    """Collects train episodes between two looks, and changes the bank when a look is due."""

    def __init__(self, config: Mapping[str, Any], *, everything: bool = False) -> None:
        self.config = {**DEFAULTS, **config}
        self.everything = everything  # learn from all episodes of the window, not from failures
        self.counts: dict[str, list[int]] = {}  # task type -> [episodes, successes]
        self.failures: list[Episode] = []

    @property
    def enabled(self) -> bool:
        """Whether the bank changes at all."""
        return bool(self.config["enabled"]) and int(self.config["every"]) > 0

    def observe(self, episodes: Sequence[Episode]) -> None:
        """Count episodes; keep the failures, without their token ids."""
        if not self.enabled:
            return
        for e in episodes:
            count = self.counts.setdefault(e.task.task_type, [0, 0])
            count[0] += 1
            count[1] += int(e.success)
            if self.everything or not e.success:
                self.failures.append(_light(e))

    def due(self, step: int) -> bool:
        """Whether the bank is looked at after learning step `step` (1, 2, ...)."""
        return self.enabled and step % int(self.config["every"]) == 0

    def weak_types(self) -> list[str]:
        """Task types below the threshold, worst first."""
        rates = {t: s / n for t, (n, s) in self.counts.items() if n}
        weak = [t for t, r in rates.items() if r < float(self.config["threshold"])]
        return sorted(weak, key=lambda t: (rates[t], t))

    def chosen(self) -> list[Episode]:
        """The failures to learn from: round robin over weak types, different tasks first."""
        if self.everything:
            return list(self.failures)
        queues = []
        for task_type in self.weak_types():
            mine = [e for e in self.failures if e.task.task_type == task_type]
            seen: dict[str, int] = {}
            ranked = []
            for e in mine:
                ranked.append((seen.get(e.task.id, 0), e))
                seen[e.task.id] = seen.get(e.task.id, 0) + 1
            queues.append([e for _, e in sorted(ranked, key=lambda pair: pair[0])])
        picked: list[Episode] = []
        limit = int(self.config["failures"])
        while len(picked) < limit and any(queues):
            for queue in queues:
                if queue and len(picked) < limit:
                    picked.append(queue.pop(0))
        return picked

    def apply(self, memory: Any, teacher: Any, *, step: int) -> Update:
        """Update and prune the memory, and begin a new window."""
        failures = self.chosen()
        update = Update()
        if failures and teacher is not None:
            update = _update(memory, failures, teacher, step, int(self.config["max_new"]))
        prune = getattr(memory, "prune", None)
        if self.config["prune"] and prune is not None:
            gone = prune(step=step)
            update = Update(update.added, update.changed, update.removed + gone.removed)
        self.counts, self.failures = {}, []
        return update

    # ------------------------------------------------------------------ state on disk

    def save(self, directory: Path) -> None:
        """Write the open window, so that a resumed run looks at the same failures."""
        directory.mkdir(parents=True, exist_ok=True)
        (directory / "window.json").write_text(json.dumps(self.counts))
        with (directory / "failures.jsonl").open("w", encoding="utf-8") as out:
            for e in self.failures:
                out.write(json.dumps(to_json(e, omit=TOKEN_FIELDS)) + "\n")

    def load(self, directory: Path) -> None:
        """Read it back."""
        self.counts = json.loads((directory / "window.json").read_text())
        lines = (directory / "failures.jsonl").read_text(encoding="utf-8").splitlines()
        self.failures = [episode_from_json(json.loads(line)) for line in lines]


def _update(memory: Any, failures: list[Episode], teacher: Any, step: int, max_new: int) -> Update:
    """Call `memory.update` with the cap where it takes one, else cap the teacher itself."""
    if "max_new" in inspect.signature(memory.update).parameters:
        return memory.update(failures, teacher, step=step, max_new=max_new)
    return memory.update(failures, _Capped(teacher, max_new), step=step)


class _Capped:
    """A teacher that writes at most `max_new` new skills at a time."""

    def __init__(self, teacher: Any, max_new: int) -> None:
        self.teacher, self.max_new, self.name = teacher, max_new, teacher.name

    def distill(self, episodes: Any, *, step: int = 0) -> Any:
        """As the teacher does, cut to the cap."""
        return self.teacher.distill(episodes, step=step)[: self.max_new]

    def refine(self, failures: Any, skills: Any, *, max_new: int, step: int = 0) -> Any:
        """As the teacher does, under the smaller of the two caps."""
        return self.teacher.refine(failures, skills, max_new=min(max_new, self.max_new), step=step)


def _light(episode: Episode) -> Episode:
    """The episode as it will be read back from disk, so that a resumed run sees no difference."""
    return episode_from_json(json.loads(json.dumps(to_json(episode, omit=TOKEN_FIELDS))))
