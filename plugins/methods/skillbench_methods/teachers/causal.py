"""The offline teacher: rules instead of a language model; free, fast and the same every time.

It reads episodes through the environment's vocabulary (`Environment.causal()`), which says
- `parse(action)` -> an event (verb, entities) or None, `kind(entity)` -> it without its number;
- `evidence(episode)` -> facts (key, good, slots): a way of acting was kept to or not, or something
  about the world was seen (evidence.py tells the two apart);
- `phrase(key, slots)` -> the fields of a Skill, or None where there is nothing to say;
- optional `RANKED = {key: (slot, ...)}`: the slots for the best, second best, ... value.

An entry needs `min_support` distinct train tasks that speak for it: solved ones that acted so
and failed ones that did not. Where both ways were seen, acting so must not have solved measurably
less: by `min_lift`, give or take one standard error.
Where there is no vocabulary, what solved episodes have in common is their backward causal chain
(chain.py), and the entry of a task type is that plan. `form="trajectories"` makes entries of whole
solved episodes without instance numbers: the "raw trajectories instead of skills" ablation of
SkillRL (arXiv:2602.08234, table 3).

The teacher keeps no state: `refine` reads earlier counts from the entries' `meta`, so that a
resumed run learns what an uninterrupted one would have.
"""

from __future__ import annotations

import dataclasses
import re
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from skillbench.errors import ConfigError, suggest
from skillbench.records import Episode, Skill

from . import CAUSAL, causal_notes
from .chain import Plain, abstract, common_plan
from .evidence import Sightings, Tally, gather

FORMS = ("skills", "trajectories")
NEEDED = ("parse", "kind", "evidence", "phrase")


class Causal:
    """Teacher "causal"; see the module's docstring."""

    name = "causal"

    def __init__(
        self,
        model: str | None = None,
        config: Mapping[str, Any] | None = None,
        *,
        spend: Callable[..., None] | None = None,
        environment: Any = None,
    ) -> None:
        self.config = {**CAUSAL, **{k: v for k, v in (config or {}).items() if k in CAUSAL}}
        form = self.config["form"]
        if form not in FORMS:
            raise ConfigError(
                f"teacher.form is {form!r}{suggest(str(form), FORMS)} known: {', '.join(FORMS)}"
            )
        causal = getattr(environment, "causal", None)
        words = causal() if causal is not None else None
        self.vocabulary: Any = words if all(hasattr(words, n) for n in NEEDED) else None
        self.parser: Any = self.vocabulary or Plain()

    # ------------------------------------------------------------------ the Teacher contract

    def distill(self, episodes: Sequence[Episode], *, step: int = 0) -> list[Skill]:
        """Skills from successes, lessons from failures; the best supported first."""
        if self.config["form"] == "trajectories":
            return self._trajectories(episodes, step)
        if self.vocabulary is None:
            return self._plans(episodes, step)
        found = gather(self.vocabulary, episodes)
        goals = {e.task.id: e.task.goal for e in episodes}
        ranked = [
            (-_weight(t), skill)
            for t in found.acting.values()
            if self._holds(t)
            for skill in self._acting(t, step)
        ]
        ranked.sort(key=lambda pair: (pair[0], pair[1].principle))
        world = [
            (-sum(s.counts.values()), skill)
            for s in found.world.values()
            for skill in self._world(s, goals, step)
        ]
        world.sort(key=lambda pair: (pair[0], pair[1].principle))
        limit = int(self.config["max_skills"])
        return _distinct([s for _, s in ranked + world])[: limit or None]

    def refine(
        self, failures: Sequence[Episode], skills: Sequence[Skill], *, max_new: int, step: int = 0
    ) -> tuple[list[Skill], list[Skill]]:
        """What failures teach that `skills` do not say, and entries whose counts now say else."""
        if self.config["form"] == "trajectories" or self.vocabulary is None:
            return [], []  # only what solved a task can be told, and a failure solved nothing
        mine = [s for s in skills if s.meta.get("key")]
        sightings = {s.meta["key"] for s in mine if "counts" in s.meta}
        found = gather(self.vocabulary, failures, known_world=sightings)
        goals = {e.task.id: e.task.goal for e in failures}
        texts = {s.principle for s in skills}
        new: list[tuple[int, Skill]] = []
        refined: list[Skill] = []
        for tally in found.acting.values():
            if tally.support >= int(self.config["min_support"]):
                new += [(-tally.support, s) for s in self._acting(tally, step)]
        for seen in found.world.values():
            old = [s for s in mine if _same_subject(s, seen)]
            if not old:
                new += [(-sum(seen.counts.values()), s) for s in self._world(seen, goals, step)]
                continue
            merged = Sightings(
                seen.key,
                seen.subject,
                seen.slot,
                Counter(old[0].meta["counts"]) + seen.counts,
                seen.tasks | set(old[0].source_tasks),
            )
            fresh = [s for s in self._world(merged, goals, step) if s.principle not in texts]
            stale = [
                s
                for s in old
                if s.principle not in {t.principle for t in self._world(merged, goals, step)}
            ]
            refined += [dataclasses.replace(f, parent=s.id) for f, s in zip(fresh, stale)]
        new = [(w, s) for w, s in new if s.principle not in texts]
        new.sort(key=lambda pair: (pair[0], pair[1].principle))
        return _distinct([s for _, s in new])[:max_new], refined

    def note(
        self,
        purpose: str,
        episodes: Sequence[Episode],
        skills: Sequence[Skill] = (),
        *,
        limit: int = 0,
        step: int = 0,
    ) -> list[Skill]:
        """Reflections, procedures, items, principles, rules, a file: see causal_notes.py."""
        return causal_notes.write(self, purpose, episodes, skills, limit=limit, step=step)

    # ------------------------------------------------------------------ entries from evidence

    def _holds(self, tally: Tally) -> bool:
        lift = tally.lift
        return tally.support >= int(self.config["min_support"]) and (
            lift is None or lift + tally.lift_error >= float(self.config["min_lift"])
        )

    def _acting(self, tally: Tally, step: int) -> list[Skill]:
        """The entry for a way of acting."""
        slots = dict(tally.slots)
        meta = {"key": tally.key, "slots": slots, "with": tally.good, "without": tally.bad}
        return self._phrase(tally.key, slots, tally.tasks, step, meta)

    def _world(self, seen: Sightings, goals: Mapping[str, str], step: int) -> list[Skill]:
        """Entries for the best values of a subject: one that names them all, or one each."""
        least = int(self.config["min_sightings"])
        subject = dict(seen.subject)
        meta: dict[str, Any] = {
            "key": seen.key,
            "subject": subject,
            "slot": seen.slot,
            "counts": dict(sorted(seen.counts.items())),
        }
        # Advice about a thing that every task's goal named is shown where the goal names it.
        named = [
            v
            for v in subject.values()
            if all(re.search(rf"\b{re.escape(v)}\b", goals[t]) for t in seen.tasks if t in goals)
        ]
        if named:
            meta["goal_words"] = named
        ranked = getattr(self.vocabulary, "RANKED", {}).get(seen.key)
        if not ranked:
            out = []
            for value in seen.best(int(self.config["per_subject"]), least):
                slots = {**subject, seen.slot: value}
                out += self._phrase(seen.key, slots, seen.tasks, step, meta)
            return out
        best = seen.best(min(len(ranked), int(self.config["per_subject"])), least)
        if not best:
            return []
        return self._phrase(
            seen.key, {**subject, **dict(zip(ranked, best))}, seen.tasks, step, meta
        )

    def _phrase(
        self,
        key: str,
        slots: Mapping[str, str],
        tasks: Iterable[str],
        step: int,
        meta: Mapping[str, Any],
    ) -> list[Skill]:
        fields = self.vocabulary.phrase(key, dict(slots))
        if not fields:
            return []
        return [
            Skill(
                title=fields["title"],
                principle=fields["principle"],
                when_to_apply=fields.get("when_to_apply", ""),
                kind=fields.get("kind", "general"),
                task_type=fields.get("task_type") or None,
                source_tasks=tuple(sorted(tasks)),
                step=step,
                author=self.name,
                meta={**meta, **fields.get("meta", {})},
            )
        ]

    # ------------------------------------------------------------------ entries from chains

    def _solved(self, episodes: Sequence[Episode]) -> dict[str, list[Episode]]:
        types: dict[str, list[Episode]] = {}
        for e in episodes:
            if e.success:
                types.setdefault(e.task.task_type, []).append(e)
        return dict(sorted(types.items()))

    def _plans(self, episodes: Sequence[Episode], step: int) -> list[Skill]:
        out = []
        for task_type, solved in self._solved(episodes).items():
            tasks = tuple(sorted({e.task.id for e in solved}))
            plan = common_plan(solved, self.parser)
            if plan and len(tasks) >= int(self.config["min_support"]):
                out.append(
                    Skill(
                        title=f"A plan for {task_type}",
                        principle="What solved tasks like this one: " + ", then ".join(plan) + ".",
                        kind="task_type",
                        task_type=task_type,
                        source_tasks=tasks,
                        step=step,
                        author=self.name,
                    )
                )
        return out

    def _trajectories(self, episodes: Sequence[Episode], step: int) -> list[Skill]:
        out = []
        for task_type, solved in self._solved(episodes).items():
            shortest = sorted(solved, key=lambda e: (len(e.steps), e.task.id, e.seed))
            kept: dict[str, Episode] = {}
            for e in shortest:
                kept.setdefault(e.task.id, e)
            for e in list(kept.values())[: int(self.config["per_type"])]:
                actions = [abstract(s.action, self.parser) for s in e.steps if s.valid]
                out.append(
                    Skill(
                        title=f"Solved: {e.task.goal}",
                        principle=f"{e.task.goal.rstrip('.')}: {', '.join(actions)}.",
                        kind="task_type",
                        task_type=task_type,
                        source_tasks=(e.task.id,),
                        step=step,
                        author=self.name,
                    )
                )
        return _distinct(out)


def _weight(tally: Tally) -> float:
    lift = tally.lift
    return tally.support * max(0.05, 0.1 if lift is None else lift)


def _same_subject(skill: Skill, seen: Sightings) -> bool:
    meta = skill.meta
    return (
        meta["key"] == seen.key
        and meta.get("slot") == seen.slot
        and tuple(meta.get("subject", {}).items()) == seen.subject
    )


def _distinct(skills: Sequence[Skill]) -> list[Skill]:
    return list({s.id: s for s in reversed(skills)}.values())[::-1]
