"""The reader's world: demonstrations, windows, tokenizer, and what its gates look at."""

from collections import Counter

import pytest

pytest.importorskip("transformers")

from skillbench_policies.pretraining import encode, load_world
from skillbench_policies.reader import demos
from skillbench_searchqa.encyclopedia.language import RELATIONS, names
from skillbench_searchqa.phrases import FILLER, PHRASES

WORLD = load_world("reader")
TOKENIZER = WORLD.tokenizer()
ITEMS = [WORLD.demo(i) for i in range(160)]


def pieces(text: str) -> list[str]:
    return [TOKENIZER.decode([i]) for i in TOKENIZER(text, add_special_tokens=False)["input_ids"]]


def test_names_are_two_pieces_wherever_they_stand():
    name = names("person", True)[0]
    first, last = (f" {w}" for w in name.split())
    for text in (
        f"Question: What is the birthplace of {name}?",
        f"Doc 1: {name} was born in Port Ashford.",
        f"<think>want birthplace by born of {name}</think><action><search> {name} born</search></action>",
        f"<action><answer> {name}</answer></action>",
    ):
        found = pieces(text)
        at = found.index(first)
        assert found[at + 1] == last
        assert "".join(found) == text


def test_everything_said_is_made_of_known_pieces():
    texts = [w.format(o=r.noun, a=r.key) for p in PHRASES for w in p.wordings for r in RELATIONS]
    texts += [
        *FILLER,
        *(o for d in ITEMS for o, _, _ in d.turns),
        *(r for d in ITEMS for _, r, _ in d.turns),
    ]
    for text in texts:
        found = pieces(text)
        assert "".join(found) == text
        assert (
            max(Counter(p for p in found if len(p) == 1 and p.isalpha()).values(), default=0) <= 1
        )


def test_any_text_survives():
    for text in ("žluťoučký kůň\x00", "", "<answer>𝔘", "a  b\n\n"):
        ids = TOKENIZER(text, add_special_tokens=False)["input_ids"]
        assert TOKENIZER.decode(ids) == text


def test_demonstrations_are_pure_and_short():
    again = [WORLD.demo(i) for i in (150, 3, 150)]
    assert again == [ITEMS[150], ITEMS[3], ITEMS[150]]
    lengths = [len(encode(TOKENIZER, d)[0]) for d in ITEMS]
    assert max(lengths) < 500
    assert 0.25 < sum(d.won for d in ITEMS) / len(ITEMS) < 0.75
    assert any(not d.system for d in ITEMS) and any(d.system for d in ITEMS)


def test_only_train_names_are_shown():
    test = {n for kind in ("person", "town", "land", "book", "firm") for n in names(kind, True)}
    shown = "\n".join(o for d in ITEMS for o, _, _ in d.turns)
    assert not any(n in shown for n in test)
    assert demos.shelf(1)[0].number == 1  # never volume 0, which the train split plays


def test_the_last_wording_is_kept_back():
    shown = {line.removeprefix("- ") for d in ITEMS for line in d.system.split("\n")}
    for p in PHRASES:
        if p.key != "word":
            assert p.wordings[2] not in shown
    assert not any(line.startswith("Search for ") and " to find the " in line for line in shown)


def test_windows_hold_what_a_decision_needs():
    for index in range(60):
        whole, cut = WORLD.demo(index), WORLD.window(index)
        assert 1 <= len(cut.turns) <= 2
        assert cut.turns[0][0] == whole.turns[0][0]
        assert cut.turns[-1] in whole.turns and cut.turns[-1][2]
        assert cut.system == whole.system


def test_decisions_are_what_the_player_said():
    seen = Counter()
    for item in ITEMS:
        for number, kind, prefix, piece in WORLD.decisions(item):
            said = item.turns[number][1]
            assert said.startswith(prefix + piece), (kind, prefix, piece, said)
            assert len(pieces(piece)) == 1
            assert pieces(said)[: len(pieces(prefix)) + 1] == [*pieces(prefix), piece]
            seen[kind] += 1
    assert set(seen) >= set(WORLD.GATES) - {"guess_advised", "short_advised"}


def test_sources_exist():
    assert all(f.is_file() for f in WORLD.sources())
