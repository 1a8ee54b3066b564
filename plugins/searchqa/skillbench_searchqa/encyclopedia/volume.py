"""Volumes of the encyclopedia: who is related to whom, the passages, and questions about them.

A volume is a pure function of its split and number. Volume 0 of `train` and of `test` are what is
played; further volumes of `train` serve pretraining. Questions of one volume are all different, and
each is answered from the *passages* before it is accepted, so none is unanswerable.
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache

from skillbench.errors import UsageError, unknown_name

from ..corpus import Passage
from .language import BY_NOUN, HOPS, KINDS, RELATIONS, THINGS, VERSION, Fact, ask, names, read

SPLITS = ("train", "test")
SIZES = {"person": 120, "town": 50, "land": 16, "book": 50, "firm": 40}


@dataclass(frozen=True, slots=True)
class Question:
    """A question, what it asks for, and the facts that lead to the answer."""

    text: str
    entity: str
    chain: tuple[str, ...]
    answer: str
    path: tuple[Fact, ...]

    @property
    def hops(self) -> str:
        """The task type."""
        return HOPS[len(self.chain) - 1]


class Volume:
    """One volume; `passages` in an order that tells nothing."""

    def __init__(self, split: str, number: int = 0) -> None:
        if split not in SPLITS:
            raise unknown_name("encyclopedia split", split, SPLITS)
        self.split, self.number = split, number
        rng = random.Random(f"volume {VERSION} {split} {number}")
        self.entities = {
            kind: rng.sample(names(kind, split == "test"), SIZES[kind]) for kind in KINDS
        }
        facts = list(self._facts(rng))
        rng.shuffle(facts)
        self.passages = tuple(
            Passage(f"{split}-{number}-{i}", f.entity, f.sentence) for i, f in enumerate(facts)
        )
        self._told = {
            (f.entity, f.relation): f for p in self.passages for f in read(p.text)
        }  # read back from the texts
        self._questions: list[Question] = []
        self._asked: set[str] = set()

    def _facts(self, rng: random.Random) -> Iterator[Fact]:
        towns, lands, people = (self.entities[k] for k in ("town", "land", "person"))
        # Each land has a town, which may be its capital; couples are couples both ways.
        where = {t: lands[i] if i < len(lands) else rng.choice(lands) for i, t in enumerate(towns)}
        couples = {p: people[i ^ 1] for i, p in enumerate(people)}
        for kind in KINDS:
            for entity in self.entities[kind]:
                for relation in RELATIONS:
                    if relation.subject != kind:
                        continue
                    if relation.noun == "land":
                        value = where[entity]
                    elif relation.noun == "capital":
                        value = rng.choice([t for t in towns if where[t] == entity])
                    elif relation.noun == "spouse":
                        value = couples[entity]
                    elif relation.names:
                        others = self.entities[relation.value]
                        value = rng.choice([o for o in others if o != entity])
                    else:
                        value = rng.choice(THINGS[relation.value])
                    yield Fact(entity, relation.noun, value)

    def follow(self, entity: str, chain: Sequence[str]) -> tuple[Fact, ...]:
        """The facts along relations, as the passages tell them; shorter where one is not told."""
        path: list[Fact] = []
        for noun in chain:
            fact = self._told.get((entity, noun))
            if fact is None:
                break
            path.append(fact)
            entity = fact.value
        return tuple(path)

    def question(self, index: int) -> Question:
        """Question number `index`; its number of hops goes round."""
        while len(self._questions) <= index:
            self._questions.append(self._make(len(self._questions)))
        return self._questions[index]

    def _make(self, index: int) -> Question:
        rng = random.Random(f"question {VERSION} {self.split} {self.number} {index}")
        hops = index % len(HOPS) + 1
        for _ in range(10_000):
            chain = _chain(rng, hops)
            entity = rng.choice(self.entities[BY_NOUN[chain[0]].subject])
            path = self.follow(entity, chain)
            stations = [entity, *(f.value for f in path)]
            text = ask(entity, chain)
            if len(path) < hops or len(set(stations)) <= hops or text in self._asked:
                continue
            self._asked.add(text)
            return Question(text, entity, chain, stations[-1], path)
        raise UsageError(
            f"a volume of the encyclopedia has no more questions of {hops} hops after {index}: "
            "ask for fewer with env.train_questions or env.test_questions"
        )


def _chain(rng: random.Random, hops: int) -> tuple[str, ...]:
    """Relations that can follow one another; all but the last lead to entities."""
    relation = rng.choice([r for r in RELATIONS if r.names or hops == 1])
    chain = [relation]
    while len(chain) < hops:
        last = len(chain) == hops - 1
        onward = [r for r in RELATIONS if r.subject == chain[-1].value and (r.names or last)]
        chain.append(rng.choice(onward))
    return tuple(r.noun for r in chain)


@lru_cache(maxsize=16)
def volume(split: str, number: int = 0) -> Volume:
    """A volume, shared."""
    return Volume(split, number)
