"""The generated encyclopedia: deterministic, answerable, train and test apart."""

from collections import Counter

import pytest
from skillbench_searchqa.encyclopedia.language import (
    BY_NOUN,
    FIRST,
    HOPS,
    RELATIONS,
    SECOND,
    THINGS,
    Fact,
    ask,
    names,
    read,
    read_question,
)
from skillbench_searchqa.encyclopedia.volume import Volume
from skillbench_searchqa.retrievers.bm25 import Bm25, analyse

from skillbench.errors import UsageError


def test_sentences_and_questions_are_read_back():
    for r in RELATIONS:
        value = "Tavo Branby" if r.names else "lute"
        fact = Fact("Port Ashford", r.noun, value)
        assert read(f"Doc 1: {fact.sentence}\nDoc 2: and more.") == (fact,)
        assert r.key in analyse(r.key) or analyse(r.key)  # never a stop word
        assert r.noun not in r.words.split()
    chain = ("birthplace", "land", "ruler")
    text = ask("Tavo Branby", chain)
    assert text == "Who is the ruler of the land of the birthplace of Tavo Branby?"
    assert read_question("Question: " + text) == ("Tavo Branby", chain)
    assert read_question("What is love?") is None
    assert len(BY_NOUN) == len(RELATIONS) == len({r.key for r in RELATIONS})


def test_words_of_names_tell_their_kind():
    words = Counter(w for table in (FIRST, SECOND) for ws in table.values() for w in set(ws))
    assert max(words.values()) == 1
    things = [
        w for kind in ("goods", "coin", "animal", "topic", "instrument") for w in THINGS[kind]
    ]
    assert len(things) == len(set(things))


@pytest.mark.parametrize("kind", sorted(FIRST))
def test_train_and_test_names_are_apart(kind: str):
    train, test = set(names(kind, False)), set(names(kind, True))
    assert not train & test
    assert len(train) > 2 * len(test)
    for part in (0, 1):  # but made of the same words
        assert {n.split()[part] for n in test} <= {n.split()[part] for n in train}


@pytest.mark.parametrize("split", ["train", "test"])
def test_every_question_is_answered_by_its_passages(split: str):
    book = Volume(split)
    texts = {p.text for p in book.passages}
    told = {(f.entity, f.relation): f.value for t in texts for f in read(t)}
    assert len(told) == len(texts) == len(book.passages)
    seen = set()
    for index in range(600):
        q = book.question(index)
        at = q.entity
        for noun in q.chain:
            at = told[at, noun]
        assert at == q.answer
        assert q.hops == HOPS[index % 3]
        assert q.answer not in q.text
        assert {f.sentence for f in q.path} <= texts
        seen.add(q.text)
    assert len(seen) == 600


def test_the_word_of_a_relation_finds_its_passage():
    book = Volume("test")
    index = Bm25(book.passages)
    facts = [f for i in range(150) for f in book.question(i).path]

    def found(query: str, fact: Fact) -> bool:
        return fact.sentence in [h.passage.text for h in index.search([query], 3)[0]]

    with_word = [found(f"{f.entity} {BY_NOUN[f.relation].key}", f) for f in facts]
    by_name = [found(f.entity, f) for f in facts]
    assert sum(with_word) >= 0.99 * len(facts)
    assert 0.3 < sum(by_name) / len(facts) < 0.85  # so there is something to learn


def test_volumes_are_pure_functions():
    one, two, other = Volume("train"), Volume("train"), Volume("train", 1)
    assert one.passages == two.passages != other.passages
    assert two.question(7) == one.question(7)
    assert Volume("train").question(3) == one.question(3)


def test_too_many_questions_is_an_error():
    with pytest.raises(UsageError, match="no more questions"):
        Volume("train", 5).question(6000)  # 2,000 of one hop, and 1,224 facts
