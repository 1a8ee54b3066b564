"""Advice, the scripted customer who follows it, and what the offline teacher reads off episodes."""

import random

import pytest
from skillbench_webshop import lessons
from skillbench_webshop.env import WebshopEnvironment
from skillbench_webshop.phrases import FILLER, PHRASES, read
from skillbench_webshop.player import Player
from skillbench_webshop.reading import view, wanted
from skillbench_webshop.words import BY_NAME

from skillbench.records import Episode, Step

N = 96


def lines(good: bool, category: str) -> list[str]:
    page = BY_NAME[category].page
    other = "Features" if page == "Description" else "Description"
    told = [p.wordings[-1] for p in PHRASES if p.good == good and p.key != "page"]
    return [*told, f"For {category} read the {page if good else other} page."]


def episode(env: WebshopEnvironment, task, advice: list[str], seed: int) -> Episode:
    text, info = env.reset(options={"task": task.id})
    player, rng = Player(env.compact(text), advice), random.Random(seed)
    steps, over = [], False
    while not over:
        thought, command = player.decide(rng)
        before = text
        player.acted(command)
        text, reward, ended, cut, info = env.step(command)
        player.observe(text)
        assert not info["invalid_action"]
        steps.append(Step(before, f"<think>{thought}</think>", command.lower(), reward))
        over = ended or cut
    outcome = "success" if info["success"] else "failure"
    return Episode(task, seed, outcome, info["success"], tuple(steps), info["score"], text)


def play(advice) -> list[Episode]:
    env = WebshopEnvironment(test_shops=N // 12)
    return [episode(env, t, advice(t.task_type), i) for i, t in enumerate(env.tasks("test"))]


def rate(episodes: list[Episode]) -> float:
    return sum(e.success for e in episodes) / len(episodes)


def test_advice_moves_the_player():
    none, filler = rate(play(lambda c: [])), rate(play(lambda c: list(FILLER)))
    good, bad = rate(play(lambda c: lines(True, c))), rate(play(lambda c: lines(False, c)))
    assert 0.15 <= none <= 0.45
    assert abs(filler - none) < 0.2
    assert good >= 0.9
    assert bad < none - 0.1


def test_each_sentence_is_read_as_what_it_says():
    for phrase in PHRASES:
        for wording in phrase.wordings:
            said = read(wording.format(c="grocery", a="Features"))
            assert said is not None
            assert (said.key, said.good) == (phrase.key, phrase.good)
            if phrase.key == "page":
                assert (said.category, said.page) == ("grocery", "Features")
    assert not [line for line in (*FILLER, "", "Sing.") if read(line)]


def facts(e: Episode) -> dict[str, bool]:
    return {f.key: f.good for f in lessons.evidence(e)}


def test_evidence_is_what_was_done():
    good = [facts(e) for e in play(lambda c: lines(True, c))]
    bad = [facts(e) for e in play(lambda c: lines(False, c))]
    for key in ("query", "price", "check", "leave", "options"):
        done = [f[key] for f in good if key in f]
        assert done
        assert sum(done) >= 0.95 * len(done), key
    for key in ("query", "check", "options"):
        undone = [f[key] for f in bad if key in f]
        # One attribute is all there is to search for in a few instructions of one word.
        assert sum(undone) <= 0.05 * len(undone), key


def test_pages_are_sighted_where_attributes_stand():
    for e in play(lambda c: ["Read about a product before you buy it."]):
        for fact in lessons.evidence(e):
            if fact.key == "page":
                slots = dict(fact.slots)
                assert slots == {"c": e.task.task_type, "a": BY_NAME[e.task.task_type].page}


def test_findings_have_words():
    found = lessons.phrase("page", {"c": "beauty", "a": "Description"})
    assert found is not None
    assert (found["principle"], found["kind"], found["task_type"]) == (
        "For beauty read the Description page.", "task_type", "beauty",
    )  # fmt: skip
    assert lessons.phrase("query", {})["kind"] == "general"
    assert lessons.phrase("price", {}, good=False) is not None
    assert lessons.phrase("sing", {}) is None


@pytest.mark.parametrize(
    ("text", "verb", "things"),
    [
        ("search[red mug]", "search", ("red mug",)),
        ("click[B0ABCDEFGH]", "click", ("b0abcdefgh",)),
        ("click[< Prev]", "< prev", ()),
        ("click[features]", "read", ("features",)),
    ],
)
def test_commands_are_parsed(text: str, verb: str, things: tuple[str, ...]):
    event = lessons.parse(text)
    assert event is not None and (event.verb, event.entities) == (verb, things)
    assert lessons.parse("sing") is None
    assert lessons.kind("b0abcdefgh") == "product"
    assert lessons.kind("red") == "red"


def test_strange_texts_are_read_as_something():
    assert view("").place == "search"
    assert view("Back to Search").place == "sub"
    assert view("Back to Search [SEP] Page 1 (Total results: 0) [SEP] Next >").offers == ()
    assert wanted("i need a mug, and price lower than 20.00 dollars").cap == 20.0
    assert wanted("").needs == ()
    player = Player("Sing a song.", ["Sing."])
    for text in ("", "Nothing.", "Back to Search [SEP] < Prev [SEP] Buy Now", "Back to Search"):
        player.observe(text)
        thought, command = player.decide(random.Random(0))
        assert thought and command.partition("[")[0] in ("search", "click")
