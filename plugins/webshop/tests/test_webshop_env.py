"""The environment: splits, labels, ids, pages, limits, errors, and actions that make no sense."""

import json
import random
from pathlib import Path

import pytest
from skillbench_webshop.env import SPLITS, WebshopEnvironment
from skillbench_webshop.expert import Expert
from skillbench_webshop.shop import QUERY, parse_action

from skillbench.errors import DataError, UsageError


def small(**more) -> WebshopEnvironment:
    return WebshopEnvironment(**({"train_shops": 3, "test_shops": 2} | more))


def play(env: WebshopEnvironment, task: str, actions) -> list:
    out = [env.reset(seed=1, options={"task": task})]
    return out + [env.step(a) for a in actions]


@pytest.mark.parametrize("split", ["train", "test"])
def test_generated_tasks(split: str):
    env = small()
    tasks = env.tasks(split)
    assert tasks == small().tasks(split)
    assert len({t.id for t in tasks}) == len(tasks) == (36 if split == "train" else 24)
    assert {t.task_type for t in tasks} == {"beauty", "electronics", "fashion", "garden", "grocery"}
    assert {t.split for t in tasks} == {split}
    assert env.label == "webshop-generated"
    for task in tasks:
        *_, last = play(env, task.id, env.expert(task))
        text, reward, terminated, truncated, info = last
        assert (reward, terminated, truncated) == (1.0, True, False)
        assert (info["success"], info["score"], info["admissible"]) == (True, 1.0, [])
        assert text.endswith("Your score (min 0.0, max 1.0) [SEP] 1.0")


def test_same_task_and_actions_give_same_texts():
    task = small().tasks("test")[4]
    actions = ["look", "search[mug]", *small().expert(task)]
    assert play(small(), task.id, actions) == play(small(), task.id, actions)


def test_pages():
    env = small()
    task = env.tasks("train")[0]
    text, info = env.reset(options={"task": task.id})
    assert text == f"WebShop [SEP] Instruction: [SEP] {task.goal} [SEP] Search"
    assert env.compact(text) == task.goal
    assert info["admissible"] == [QUERY]
    assert env.step("click[search]")[4]["invalid_action"]
    text, *_, info = env.step("search[your]")
    assert text.startswith("Back to Search [SEP] Page 1 (Total results: 50) [SEP] Next > [SEP] B0")
    assert len(info["admissible"]) == 12
    assert env.step("click[< prev]")[4]["invalid_action"]  # there is none on the first page
    page2 = env.step("click[next >]")[0]
    assert page2.startswith(
        "Back to Search [SEP] Page 2 (Total results: 50) [SEP] < Prev [SEP] Nex"
    )
    asin = page2.split(" [SEP] ")[4]
    item, *_, info = env.step(f"click[{asin}]")  # capitals are forgiven
    assert item.startswith("Back to Search [SEP] < Prev [SEP] ")
    assert item.endswith(
        "Rating: N.A. [SEP] Description [SEP] Features [SEP] Reviews [SEP] Buy Now"
    )
    assert env.step("click[reviews]")[0] == "Back to Search [SEP] < Prev [SEP] No reviews found"
    assert env.step("click[< prev]")[0] == item
    assert env.step("click[< prev]")[0] == page2
    assert env.step("click[back to search]")[0] == "WebShop [SEP] Search"
    env = small(repeat_goal=True)
    env.reset(options={"task": task.id})
    assert env.step("search[your]")[0].startswith(f"Instruction: [SEP] {task.goal} [SEP] Back to")


def test_pages_past_the_last_are_empty_and_options_are_forgotten():
    env = small()
    task = next(t for t in env.tasks("train") if " with " in t.goal)
    actions = list(env.expert(task))
    *_, (_, reward, *_) = play(
        env, task.id, [*actions[:2], "click[< prev]", actions[1], "click[buy now]"]
    )
    *_, full = play(
        env, task.id, [*actions[:-1], "click[features]", "click[< prev]", "click[buy now]"]
    )
    assert reward < 1.0 and full[1] == 1.0  # sub-pages keep the options
    texts = play(env, task.id, [actions[0], *["click[next >]"] * 9])
    assert texts[-1][0].endswith("[SEP] < Prev [SEP] Next >")
    assert not texts[-1][4]["invalid_action"]


def test_limit():
    env = small(max_steps=3)
    env.reset(options={"task": env.tasks("train")[0].id})
    assert env.step("search[a]")[3] is False
    assert env.step("fly")[4]["invalid_action"] is True
    _, reward, terminated, truncated, info = env.step("search[mug]")
    assert (reward, terminated, truncated, info["score"]) == (0.0, False, True, 0.0)
    assert small().max_steps == 15


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("search[Red Mug]", ("search", "red mug")),
        ("click[< prev]", ("click", "< prev")),
        ("search[a [b] c]", ("search[a ", "b] c")),  # as greedy as upstream
        ("search[]", ("", "")),
        ("search[a]]", ("search", "a]")),
        ("[a]", ("", "")),
        ("search[a\nb]", ("", "")),
        ("search", ("", "")),
        ("", ("", "")),
    ],
)
def test_actions_are_read(text: str, expected: tuple[str, str]):
    assert parse_action(text) == expected


def test_nonsense_never_breaks_it():
    """10,000 random actions: unicode, control characters, brackets, 100 kB; texts stay texts."""
    rng = random.Random(3)
    env = small(max_steps=100_000)
    task = env.tasks("test")[0]
    text, info = env.reset(options={"task": task.id})
    pools = [
        "[]<>",
        "abc []",
        "search[",
        "\x00\x07\n\r\t",
        "\u2028\U0001f600\u0301\ud800",
        "毛巾ß²½",
    ]
    for number in range(10_000):
        kind = number % 5
        if kind == 0 and info["admissible"]:
            action = rng.choice(info["admissible"])
        elif kind == 1:
            action = f"search[{''.join(rng.choices(rng.choice(pools), k=rng.randint(0, 30)))}]"
        else:
            action = "".join(rng.choices(rng.choice(pools), k=rng.randint(0, 60)))
            action = f"click[{action}]" if kind == 2 else action
        if number % 2500 == 7:
            action = ("[" if number % 5000 == 7 else "search[shoe ") * 20_000 + "]"
        text, reward, over, truncated, info = env.step(action)
        assert isinstance(text, str) and 0.0 <= reward <= 1.0 and not truncated
        assert isinstance(info["invalid_action"], bool)
        if over:
            text, info = env.reset(options={"task": task.id})


def test_fingerprints_tell_apart():
    prints = {small(train_shops=n).fingerprint(s) for n in (2, 3) for s in ("train", "test")}
    assert len(prints) == 3  # the size of train does not touch test
    assert small().fingerprint("train") == small().fingerprint("train")


@pytest.mark.parametrize(
    ("act", "message"),
    [
        (lambda: small().tasks("tets"), "did you mean 'test'"),
        (lambda: small().scored_split("smal"), "did you mean 'small'"),
        (lambda: small(reward="fixd"), "did you mean 'fixed'"),
        (lambda: small(search="luc"), "unknown webshop search"),
        (lambda: small(source="oficial"), "did you mean 'official'"),
        (lambda: small(train_shops=0), "env.train_shops is 0"),
        (lambda: small(test_shops=500), "give 1 to 166"),
        (lambda: small(max_steps=-1), "env.max_steps is -1"),
        (lambda: small().reset(), "options="),
        (lambda: small().step("look"), "step before reset"),
        (lambda: small().reset(options={"task": "beauty/train-000-B000000000"}), "makes no such"),
        (lambda: small(source="official").scored_split("test"), "does not go with"),
        (lambda: small(source="generated").scored_split("small"), "does not go with"),
    ],
)
def test_usage_errors(act, message: str):
    with pytest.raises(UsageError, match=message):
        act()


def test_missing_or_damaged_data(tmp_path: Path):
    env = small(data=str(tmp_path))
    for act in (
        lambda: env.tasks("small"),
        lambda: env.fingerprint("human"),
        lambda: env.tasks("full"),
        lambda: env.reset(options={"task": "B000000000/0123456789ab"}),
    ):
        with pytest.raises(DataError, match="skillbench data fetch webshop"):
            act()
    (tmp_path / "items_shuffle_1000.json").write_text("[{")
    with pytest.raises(DataError, match=r"damaged.*skillbench data fetch webshop"):
        env.tasks("small")
    (tmp_path / "items_shuffle_1000.json").write_text(json.dumps([{"asin": "B1"}]))
    (tmp_path / "items_ins_v2_1000.json").write_text("{}")
    with pytest.raises(DataError, match=r"title_nouns_1000\.json"):
        env.tasks("small")
    (tmp_path / "title_nouns_1000.json").write_text('{"B1": []}')
    with pytest.raises(DataError, match="entry 0 is no product"):
        env.tasks("small")


def test_what_train_means(slice_1000: Path):
    env = small(data=str(slice_1000))
    env.scored_split("test")
    assert (env.label, len(env.tasks("train"))) == ("webshop-generated", 36)
    env.scored_split("small")
    assert env.label == "webshop"
    tests, train = env.tasks("small"), env.tasks("train")
    assert (len(tests), len(train)) == (500, 6410)
    assert not {t.id for t in tests} & {t.id for t in train}
    apart = small(data=str(slice_1000), disjoint=True, source="official")
    products = {t.id.split("/")[0] for t in apart.tasks("train")}
    assert len(products) == 269
    assert not products & {t.id.split("/")[0] for t in tests}
    env.scored_split("human")
    products = {t.id.split("/")[0] for t in env.tasks("train")}
    assert not products & {t.id.split("/")[0] for t in env.tasks("human")}
    assert set(SPLITS) == {"train", "test", "small", "human", "full", "full_dev"}
    assert len({env.fingerprint(s) for s in ("small", "human", "train")}) == 3


def test_official_episode(slice_1000: Path):
    env = small(data=str(slice_1000))
    for task in (env.tasks("small")[0], env.tasks("human")[0]):
        *_, last = play(env, task.id, env.expert(task))
        assert last[4]["success"]


def test_expert_can_be_told_what_happened():
    """A player made anew from a transcript goes on like the one that was there from the start."""
    env = small()
    for task in env.tasks("test")[:8]:
        seen = [env.reset(options={"task": task.id})[0]]
        player = Expert(seen[0])
        for _ in range(7):
            anew = Expert(seen[0])
            for text in seen[:-1]:
                anew.act(text, ())
            action = player.act(seen[-1], ())
            assert anew.act(seen[-1], ()) == action
            seen.append(env.step(action)[0])


def test_expert_survives_what_it_does_not_understand():
    player = Expert("Sing a song.")
    assert player.act("Nothing.", ["hum"]) == "search[Sing a song]"
    assert player.act("", ["hum"]).startswith("search[")
    assert player.act("Back to Search", []).startswith("search[")
