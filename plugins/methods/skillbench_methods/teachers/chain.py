"""Backward causal chaining: which steps of a solved episode brought the solution about.

SkillRL (arXiv:2602.08234; its memory prompts) asks a language model to start at the last step of a
success, find the nearest earlier step that produced its precondition, drop what lies between, and
go on from there. For environments whose actions name what they touch this needs no model: a step's
preconditions were made by earlier steps that touched the same entities, and of two equal steps the
nearer one did it. Exploration that led nowhere shares no entity with what came after: it falls out.

A vocabulary (`Environment.causal()`) says how actions read; `Plain` does for environments without.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from typing import Any, Protocol

from skillbench.records import Episode
from skillbench.vocabulary import Event


class Parser(Protocol):
    """The part of a vocabulary that chaining needs."""

    def parse(self, action: str) -> Any:
        """Return an Event-like object (verb, entities), or None for an action without effect."""
        ...

    def kind(self, entity: str) -> str:
        """Return the entity without its instance ("mug 2" -> "mug")."""
        ...


class Plain:
    """Reads actions by form alone: `verb[argument]`, or a verb and names that end in a number."""

    _named = re.compile(r"\b[a-z_]+ \d+\b", re.IGNORECASE)
    _bracket = re.compile(r"^\s*(\w+)\[(.*)\]\s*$", re.DOTALL)

    def parse(self, action: str) -> Event | None:
        """See the class."""
        match = self._bracket.match(action)
        if match:
            return Event(match[1].lower(), (match[2].strip().lower(),))
        named = tuple(self._named.findall(action))
        if named:
            return Event(action[: action.index(named[0])].strip().lower(), named)
        verb, _, rest = action.strip().partition(" ")
        return Event(verb.lower(), (rest,) if rest else ()) if verb else None

    def kind(self, entity: str) -> str:
        """Drop a number at the end."""
        return re.sub(r"\s+\d+$", "", entity)


def backward_chain(actions: Sequence[str], parser: Parser, valid: Sequence[bool] = ()) -> list[int]:
    """Indices, in order, of the steps that the last effective step depends on, itself included."""
    events = [parser.parse(a) for a in actions]
    for i, ok in enumerate(valid):
        if not ok:
            events[i] = None
    live = [i for i, e in enumerate(events) if e is not None]
    if not live:
        return []
    kept = [live[-1]]
    last = events[live[-1]]
    needs = set(last.entities)
    done = {(last.verb, tuple(last.entities))}
    for i in reversed(live[:-1]):
        event = events[i]
        entry = (event.verb, tuple(event.entities))
        if entry in done or not needs.intersection(event.entities):
            continue
        kept.append(i)
        done.add(entry)
        needs.update(event.entities)
    return kept[::-1]


def abstract(action: str, parser: Parser) -> str:
    """The action without instance numbers: "take mug 2 from desk 1" -> "take mug from desk"."""
    event = parser.parse(action)
    if event is None:
        return action
    for entity in sorted(event.entities, key=len, reverse=True):
        action = action.replace(entity, parser.kind(entity))
    return action


def chain_of(episode: Episode, parser: Parser) -> list[str]:
    """The actions of the backward chain of a solved episode."""
    actions = [s.action for s in episode.steps]
    return [actions[i] for i in backward_chain(actions, parser, [s.valid for s in episode.steps])]


def common_plan(episodes: Sequence[Episode], parser: Parser, share: float = 0.6) -> list[str]:
    """The most common chain of solved episodes, as actions in which what varies is "something".

    A word stays where at least `share` of the episodes with that chain have it at that place.
    """
    chains = []
    for e in episodes:
        actions = chain_of(e, parser)
        events = [parser.parse(a) for a in actions]
        verbs = tuple(event.verb for event in events)
        chains.append((verbs, actions, events))
    if not chains:
        return []
    verbs = min(
        Counter(c[0] for c in chains).items(), key=lambda item: (-item[1], len(item[0]), item[0])
    )[0]
    alike = [c for c in chains if c[0] == verbs]
    plan = []
    for i in range(len(verbs)):
        _, actions, events = alike[0]
        text = actions[i]
        for j, entity in enumerate(events[i].entities):
            kinds = Counter(
                parser.kind(c[2][i].entities[j]) for c in alike if len(c[2][i].entities) > j
            )
            kind, count = min(kinds.items(), key=lambda item: (-item[1], item[0]))
            word = kind if len(alike) > 1 and count >= share * len(alike) else "something"
            text = text.replace(entity, word)
        plan.append(text)
    return plan
