"""Counting what episodes say for and against a way of acting, or about the world.

A vocabulary gives facts (key, good, slots). Where some episode goes against a key, the key is a way
of acting, and its entries are judged by how often each way solved the task. A key that nobody ever
acts against is about the world ("a mug lay on a shelf"); its facts are sightings, and sightings of
one subject compete: the places of a mug, say. `RANKED = {key: (slot, slot, ...)}` of the vocabulary
names the slots that the best, the second best, ... value fill; facts use the first of them.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from skillbench.records import Episode

Slots = tuple[tuple[str, str], ...]


@dataclass
class Tally:
    """For one (key, slots): episodes [failed, solved] with and without; tasks that speak for it."""

    key: str
    slots: Slots
    good: list[int] = field(default_factory=lambda: [0, 0])
    bad: list[int] = field(default_factory=lambda: [0, 0])
    tasks: set[str] = field(default_factory=set)

    @property
    def support(self) -> int:
        """Distinct train tasks that speak for it: repeats of one game are one voice."""
        return len(self.tasks)

    @property
    def lift(self) -> float | None:
        """Success rate with minus without; None where only one of them was seen."""
        with_n, without_n = sum(self.good), sum(self.bad)
        if not with_n or not without_n:
            return None
        return self.good[1] / with_n - self.bad[1] / without_n

    @property
    def lift_error(self) -> float:
        """Standard error of the lift; rates are shrunk: 0 of 3 does not pass for certain."""
        total = 0.0
        for lost, won in (self.good, self.bad):
            rate = (won + 1) / (lost + won + 2)
            total += rate * (1 - rate) / max(1, lost + won)
        return math.sqrt(total)


@dataclass
class Sightings:
    """For one (key, subject): distinct tasks in which each value was seen."""

    key: str
    subject: Slots
    slot: str
    counts: Counter[str] = field(default_factory=Counter)
    tasks: set[str] = field(default_factory=set)
    votes: set[tuple[str, str]] = field(default_factory=set)  # (value, task) already counted

    def best(self, n: int, least: int) -> list[str]:
        """The `n` values seen in most tasks, at least `least` of them; ties by name."""
        ranked = sorted(self.counts.items(), key=lambda item: (-item[1], item[0]))
        return [value for value, count in ranked if count >= least][:n]


@dataclass
class Evidence:
    """Everything counted over some episodes."""

    acting: dict[tuple[str, Slots], Tally] = field(default_factory=dict)
    world: dict[tuple[str, Slots, str], Sightings] = field(default_factory=dict)


def facts_of(vocabulary: Any, episode: Episode) -> list[tuple[str, bool, Slots]]:
    """The episode's facts as tuples; a vocabulary may give tuples or objects."""
    out = []
    for fact in vocabulary.evidence(episode):
        key, good, slots = fact if isinstance(fact, tuple) else (fact.key, fact.good, fact.slots)
        pairs = slots.items() if isinstance(slots, Mapping) else slots
        out.append((str(key), bool(good), tuple((str(k), str(v)) for k, v in pairs)))
    return out


def gather(
    vocabulary: Any, episodes: Sequence[Episode], known_world: Iterable[str] = ()
) -> Evidence:
    """Count the facts of episodes. Keys in `known_world` are sightings, whatever is seen here."""
    told = [(e, facts_of(vocabulary, e)) for e in episodes]
    acted = {key for _, facts in told for key, good, _ in facts if not good} - set(known_world)
    # A key without slots says nothing about the world.
    acted |= {key for _, facts in told for key, _, slots in facts if not slots}
    found = Evidence()
    for episode, facts in told:
        task = episode.task.id
        ways: dict[tuple[str, Slots], bool] = {}
        seen: set[tuple[str, Slots, str, str]] = set()
        for key, good, slots in facts:
            if key in acted:
                ways[key, slots] = ways.get((key, slots), True) and good
            elif slots:
                slot = first_slot(vocabulary, key, slots)
                subject = tuple(pair for pair in slots if pair[0] != slot)
                seen.add((key, subject, slot, dict(slots)[slot]))
        for (key, slots), good in ways.items():
            tally = found.acting.setdefault((key, slots), Tally(key, slots))
            (tally.good if good else tally.bad)[int(episode.success)] += 1
            if good == episode.success:
                tally.tasks.add(task)
        for key, subject, slot, value in seen:
            name = (key, subject, slot)
            sightings = found.world.setdefault(name, Sightings(key, subject, slot))
            if (value, task) not in sightings.votes:
                sightings.votes.add((value, task))
                sightings.counts[value] += 1
            sightings.tasks.add(task)
    return found


def first_slot(vocabulary: Any, key: str, slots: Slots) -> str:
    """The slot whose values compete: the vocabulary's word, else the last one."""
    ranked = getattr(vocabulary, "RANKED", {}).get(key)
    return ranked[0] if ranked else slots[-1][0]
