"""What the offline teacher needs to know of the encyclopedia: actions, and facts of play.

The offline teacher (methods plugin) is generic: it counts `evidence` over episodes and asks
`phrase` to put a finding into words. Nothing here knows which finding helps: that is decided by the
episodes. Of episodes with real questions it sees that there is nothing it could read.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from skillbench.vocabulary import Event, Fact

from .actions import parse as read_action
from .encyclopedia.language import Fact as Told
from .encyclopedia.language import read, read_question
from .phrases import PHRASES
from .retrievers.bm25 import STOP

RANKED = {"word": ("a",)}
HOP_KEYS = {1: "one", 2: "two", 3: "three"}
PLAIN = STOP | {"from", "under", "has", "on", "its", "takes", "about"}


def parse(action: str) -> Event | None:
    """Read an action; None for what is none."""
    done = read_action(action)
    return Event(done.verb, (done.text,)) if done.verb else None


def kind(entity: str) -> str:
    """Texts have no instance numbers."""
    return entity


def evidence(episode: Any) -> Iterable[Fact]:
    """Facts of one episode (a `skillbench.Episode`)."""
    question = read_question(episode.task.goal)
    if question is None:
        return []
    events = [read_action(s.action) for s in episode.steps]
    after = [read(s.observation) for s in episode.steps[1:]] + [read(episode.final_observation)]
    seen = [fact for facts in after for fact in facts]
    found = list(dict.fromkeys(_sighting(fact) for fact in seen))
    entity, chain = question
    at = 0
    for number, (event, facts) in enumerate(zip(events, after)):
        if event.verb == "answer":
            found += _copied(event.text, seen)
            break
        if event.verb != "search":
            continue
        found.append(Fact("name", entity in event.text))
        following = events[number + 1] if number + 1 < len(events) else None
        if following is None or not following.verb:
            continue
        told = next((f.value for f in facts if f.relation == chain[at]), "")
        if not told:
            found.append(Fact("again", following.verb == "search"))
            continue
        used = _used(following.text, [f.value for f in facts])
        if used:
            found.append(Fact("asked", used == told))
        further = following.verb == "search" and used != "" and entity not in following.text
        found += _steps(len(chain), at, further, following.verb == "answer")
        if further and at + 1 < len(chain):
            entity, at = used, at + 1
    return found


def _sighting(fact: Told) -> Fact:
    """The word by which a passage told what it told."""
    middle = fact.sentence.removeprefix(fact.entity).removesuffix(f"{fact.value}.")
    words = [w for w in middle.split() if w not in PLAIN]
    return Fact("word", True, (("o", fact.relation), ("a", words[0])))


def _used(text: str, values: Sequence[str]) -> str:
    """Which of the values an action goes on with: whole, or by its first word."""
    for value in values:
        if value in text:
            return value
    return next((v for v in values if text == v.split(" ")[0]), "")


def _steps(hops: int, at: int, further: bool, answered: bool) -> list[Fact]:
    """Whether the episode stopped where the question ends."""
    if not further and not answered:
        return []
    if hops == 1:
        return [Fact("one", answered)]
    return [Fact(HOP_KEYS[hops], further)] if at < hops - 1 else []


def _copied(answer: str, seen: Sequence[Told]) -> list[Fact]:
    """Whether a name from the passages was answered whole, or one word of it."""
    names = {n for f in seen for n in (f.entity, f.value) if " " in n}
    if answer in names:
        return [Fact("copy", True)]
    return [Fact("copy", False)] if answer in {w for n in names for w in n.split()} else []


def phrase(key: str, slots: dict[str, str], *, good: bool = True) -> dict[str, Any] | None:
    """Put a finding into words: fields of a skill, or None where there are no words for it."""
    for entry in PHRASES:
        if entry.key == key and entry.good == good and ("{o}" in entry.wordings[0]) == bool(slots):
            # A word for a relation is of use to those whose question names it.
            meta = {"goal_words": [slots["o"]]} if "o" in slots else {}
            return {
                "meta": meta,
                "title": entry.title,
                "principle": entry.wordings[0].format(**slots),
                "when_to_apply": "",
                "kind": "task_type" if entry.task_type else "general",
                "task_type": entry.task_type or None,
            }
    return None
