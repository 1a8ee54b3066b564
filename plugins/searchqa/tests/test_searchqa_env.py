"""The environment: sources, labels, ids, limits, errors, determinism, garbage."""

import json
import random
import shutil
from pathlib import Path

import pytest
from skillbench_searchqa.env import SearchqaEnvironment
from skillbench_searchqa.scoring import normalise

from skillbench.errors import DataError, UsageError


def small(**more) -> SearchqaEnvironment:
    return SearchqaEnvironment(**({"train_questions": 30, "test_questions": 12} | more))


def play(env: SearchqaEnvironment, task: str, actions) -> list:
    out = [env.reset(seed=1, options={"task": task})]
    return out + [env.step(a) for a in actions]


@pytest.mark.parametrize("split", ["train", "test"])
def test_generated_tasks(split: str):
    env = small()
    tasks = env.tasks(split)
    assert tasks == small().tasks(split)
    assert len({t.id for t in tasks}) == len(tasks) == (30 if split == "train" else 12)
    assert {t.task_type for t in tasks} == {"one_hop", "two_hop", "three_hop"}
    assert env.label == "searchqa-generated"
    for task in tasks:
        first, *_, last = play(env, task.id, env.expert(task))
        assert first[0] == f"Question: {task.goal}"
        assert last[1:4] == (1.0, True, False)
        assert last[4]["success"] is True
        assert last[4]["metrics"] == {"exact_match": 1.0, "sub_exact_match": 1.0, "f1": 1.0}


def test_answers_are_in_no_task():
    env = small()
    for task in env.tasks("test"):
        assert env.item(task.id).answers[0] not in json.dumps([task.goal, dict(task.meta)])


def test_same_actions_give_same_texts():
    task = small().tasks("test")[2]
    actions = ["<search>port</search>", "search[the town]", "hm", "<answer>no</answer>"]
    assert play(small(), task.id, actions) == play(small(), task.id, actions)


def test_a_wrong_answer_ends_the_episode():
    env = small()
    task = env.tasks("test")[0]
    text, reward, terminated, truncated, info = play(env, task.id, ["<answer>42</answer>"])[-1]
    assert (text, reward, terminated, truncated) == ("Wrong.", 0.0, True, False)
    assert (info["success"], info["score"], info["invalid_action"]) == (False, 0.0, False)
    assert info["metrics"]["f1"] == 0.0


def test_turns_run_out():
    env = small(max_steps=2)
    task = env.tasks("test")[0]
    _, one, two = play(env, task.id, ["<search>x y</search>", "<search>x y</search>"])
    assert one[2:4] == (False, False)
    assert "metrics" not in one[4]
    assert two[2:4] == (False, True)
    assert two[4]["metrics"]["exact_match"] == 0.0


def test_invalid_actions_say_what_to_write():
    env = small()
    text, _, _, _, info = play(env, env.tasks("test")[0].id, ["I wonder"])[-1]
    assert info["invalid_action"] is True
    assert "<search>" in text and "<answer>" in text


def test_fingerprints():
    prints = {small(train_questions=n).fingerprint(s) for n in (30, 33) for s in ("train", "test")}
    assert len(prints) == 3
    assert small().fingerprint("test") == small(top_k=5).fingerprint("test")


@pytest.mark.parametrize(
    ("act", "message"),
    [
        (lambda: small().tasks("tset"), "did you mean 'test'"),
        (lambda: small(source="minni"), "did you mean 'mini'"),
        (lambda: small(search="bm52"), "did you mean 'bm25'"),
        (lambda: small(corpus="1k"), "10k"),
        (lambda: small(form="xml"), "search_r1"),
        (lambda: small(top_k=0), "env.top_k is 0"),
        (lambda: small(passage_words=-1), "env.passage_words is -1"),
        (lambda: small(search="http"), "env.url="),
        (
            lambda: small(search="http", url="ftp://x").reset(
                options={"task": "generated/one_hop/test-00000"}
            ),
            "env.url is",
        ),
        (lambda: small().reset(), "options="),
        (lambda: small().step("x"), "step before reset"),
        (
            lambda: small().reset(options={"task": "generated/two_hop/test-00000"}),
            "unknown searchqa task",
        ),
        (lambda: small().reset(options={"task": "elsewhere/1"}), "ids begin with"),
    ],
)
def test_usage_errors(act, message: str):
    with pytest.raises(UsageError, match=message):
        act()


@pytest.mark.parametrize("source", ["mini", "official"])
def test_missing_data_say_what_to_do(tmp_path: Path, source: str):
    env = small(source=source, data=str(tmp_path))
    wanted = "env.source=generated" if source == "mini" else "skillbench data fetch searchqa"
    for act in (lambda: env.tasks("test"), lambda: env.fingerprint("test")):
        with pytest.raises(DataError, match=wanted):
            act()


@pytest.mark.parametrize("damage", ["questions", "line", "corpus", "gzip", "passage"])
def test_damaged_data_say_what_to_do(tmp_path: Path, damage: str, mini: Path):
    for name in ("questions.jsonl", "corpus_10k.jsonl.gz"):
        shutil.copy(mini / name, tmp_path / name)
        (tmp_path / name).chmod(0o644)
    questions, corpus = tmp_path / "questions.jsonl", tmp_path / "corpus_10k.jsonl.gz"
    if damage == "questions":
        questions.write_text('{"id": "1", "data_source": "nq", "question": "q"}\n')
    elif damage == "line":
        questions.write_bytes(questions.read_bytes()[:10_050])
    elif damage == "corpus":
        corpus.unlink()
    elif damage == "gzip":
        corpus.write_bytes(corpus.read_bytes()[:100_000])
    else:
        corpus.write_bytes(b"\x1f\x8b nonsense")
    env = SearchqaEnvironment(source="mini", data=str(tmp_path), cache=str(tmp_path / "cache"))
    with pytest.raises(DataError, match="SEARCHQA_DATA") as caught:
        env.reset(options={"task": env.tasks("test")[0].id})
    assert str(tmp_path) in str(caught.value)


def test_mini(mini: Path, index_home: Path):
    env = SearchqaEnvironment(source="mini", data=str(mini), cache=str(index_home))
    train, test = env.tasks("train"), env.tasks("test")
    assert env.label == "searchqa-mini"
    assert len(train) + len(test) == 792
    assert not {t.id for t in train} & {t.id for t in test}
    assert not {normalise(t.goal) for t in train} & {normalise(t.goal) for t in test}
    sets = {"nq", "triviaqa", "popqa", "hotpotqa", "2wikimultihopqa", "musique", "bamboogle"}
    assert {t.task_type for t in test} == {t.task_type for t in train} == sets
    for task in test[::60]:
        seen = play(env, task.id, env.expert(task))
        assert seen[-1][4]["success"] is True
        for text, *_ in seen[1:-1]:
            assert text.startswith("Doc 1")
            assert len(text.split()) < 3 * 130
    assert SearchqaEnvironment(source="mini", corpus="32k").label == "searchqa-mini32k"


def test_panels_are_those_of_the_data(mini: Path):
    from skillbench import panel

    for env, n in (
        (SearchqaEnvironment(), 200),
        (SearchqaEnvironment(source="mini", data=str(mini)), 475),
    ):
        found = panel.load(env, "test")
        assert found.committed
        assert len(found.tasks) == len(env.tasks("test")) == n


def garbage(rng: random.Random) -> str:
    kind = rng.randrange(6)
    if kind == 0:
        return "".join(chr(rng.randrange(0x20, 0x2FFF)) for _ in range(rng.randrange(60)))
    if kind == 1:
        return "".join(chr(rng.randrange(32)) for _ in range(rng.randrange(40)))
    if kind == 2:
        parts = [
            "<search>",
            "</search>",
            "<answer>",
            "</answer>",
            "search[",
            "]",
            "<",
            ">",
            "a",
            " ",
            "\x00",
            "\ud800",
            "𝔘",
            "OR",
            '"',
            "*",
            "\\",
        ]
        return "".join(rng.choices(parts, k=rng.randrange(30)))
    if kind == 3:
        return (
            "<search>" + "".join(chr(rng.randrange(1, 0x10FFFF)) for _ in range(20)) + "</search>"
        )
    if kind == 4:
        return f"<search>{rng.choice('+-*/^~()[]{}:')}{rng.random()}</search>"
    return rng.choice(["", " ", "\n", "<answer>", "search", "\x7f" * 9])


def test_garbage_never_leaves_the_protocol():
    rng = random.Random(7)
    env = small()
    tasks = [t.id for t in env.tasks("test")]
    ended = True
    for number in range(10_000):
        if ended:
            env.reset(options={"task": tasks[number % len(tasks)]})
        action = "<search>" + "no " * 33_000 if number % 2500 == 0 else garbage(rng)
        text, reward, terminated, truncated, info = env.step(action)
        assert isinstance(text, str) and len(text) < 2000
        assert reward == 0.0 or info["success"]
        assert info["admissible"] is None
        assert isinstance(info["invalid_action"], bool)
        ended = terminated or truncated
        assert ended == ("metrics" in info)
