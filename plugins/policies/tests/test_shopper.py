"""The embedded shopper's world: tokens that stand for whole names, demonstrations, decisions."""

from __future__ import annotations

import pytest

pytest.importorskip("transformers")

from skillbench_policies.pretraining import encode, load_world
from skillbench_policies.shopper.demos import advice, demo, window
from skillbench_webshop import generator
from skillbench_webshop.phrases import PHRASES, read

world = load_world("shopper")


@pytest.fixture(scope="module")
def tokenizer():
    return world.tokenizer()


def test_demonstrations_are_pure_and_from_train(tokenizer):
    goals = {g.text for n in range(generator.SHOPS["train"]) for g in generator.goals("train", n)}
    lengths = []
    for index in range(40):
        item = demo(index)
        assert item == demo(index)
        assert item.turns[0][0] in goals
        ids, taught = encode(tokenizer, item)
        assert len(ids) == len(taught)
        lengths.append(len(ids))
    assert sum(lengths) / len(lengths) < 600
    assert len({demo(i).system for i in range(40)}) > 20


def test_texts_come_back_and_nothing_is_spelt_out(tokenizer):
    for index in range(12):
        item = demo(index)
        for text in (item.system, *(part for o, r, _ in item.turns for part in (o, r))):
            ids = tokenizer(text, add_special_tokens=False)["input_ids"]
            assert tokenizer.decode(ids) == text
            pieces = tokenizer.convert_ids_to_tokens(ids)
            assert not [p for p in pieces if len(p) == 1 and p.isalnum() and not p.isdigit()]
            assert not [p for p in pieces if p.startswith("<0x")]


def test_a_name_is_one_token_wherever_it_decides(tokenizer):
    """In the instruction, on the page, in the thought and in the command."""
    one = tokenizer("Find me solid wood rug with color: red, and price", add_special_tokens=False)
    two = tokenizer("color [SEP] blue [SEP] red [SEP] x", add_special_tokens=False)
    three = tokenizer("<think>solid wood here, red none, leave</think><action>click[red]")
    ids = tokenizer.convert_tokens_to_ids(["red", "solid wood"])
    assert set(ids) <= set(one["input_ids"])
    assert ids[0] in two["input_ids"]
    assert three["input_ids"].count(ids[0]) == 2
    heads, tails = generator.code_parts()
    code = tokenizer(f"click[{generator.code(777)}]", add_special_tokens=False)["input_ids"]
    named = tokenizer.convert_ids_to_tokens(code)
    assert named[1] in heads and named[2] in tails and len(named) == 4


def test_answers_fit_the_compact_style(tokenizer):
    longest = max(
        len(tokenizer(said, add_special_tokens=False)["input_ids"])
        for index in range(60)
        for _, said, _ in demo(index).turns
    )
    assert longest + 1 <= 64


def test_decisions_stand_where_they_say(tokenizer):
    seen = set()
    for index in range(60):
        item = demo(index)
        for turn, kind, before, piece in world.decisions(item):
            said = item.turns[turn][1]
            whole = tokenizer(said, add_special_tokens=False)["input_ids"]
            start = tokenizer(before, add_special_tokens=False)["input_ids"]
            want = tokenizer(piece, add_special_tokens=False)["input_ids"]
            assert whole[: len(start)] == start
            assert whole[len(start)] == want[0], (kind, said, before, piece)
            seen.add(kind)
    assert seen == set(world.GATES)


def test_windows_are_single_decisions():
    for index in range(40):
        item = window(index)
        assert len(item.turns) <= 2
        assert item.turns[-1][2]
        assert len(item.turns) == 1 or not item.turns[0][2]


def test_the_last_wording_is_kept_back():
    import random

    held = {w.format(c=c, a=a) for p in PHRASES for w in p.wordings[-1:]
            for c in ("beauty", "grocery", "fashion", "garden", "electronics")
            for a in ("Features", "Description")}  # fmt: skip
    told = {line for i in range(300) for line in advice("beauty", random.Random(i))}
    assert not told & held
    assert {p.key for line in told if (p := read(line))} == {p.key for p in PHRASES}


def test_sources_exist():
    assert all(path.is_file() for path in world.sources())
