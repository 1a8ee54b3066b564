"""The environment: splits, labels, ids, determinism, limits, errors; generated and official games."""

from pathlib import Path

import pytest
from skillbench_alfworld.env import SPLITS, AlfworldEnvironment
from skillbench_alfworld.game import TASK_TYPES

from skillbench.errors import DataError, UsageError


def small(**more) -> AlfworldEnvironment:
    return AlfworldEnvironment(**({"train_games": 12, "seen_games": 6, "unseen_games": 6} | more))


def play(env: AlfworldEnvironment, task: str, commands) -> list:
    out = [env.reset(seed=1, options={"task": task})]
    return out + [env.step(c) for c in commands]


@pytest.mark.parametrize("split", ["train", "seen", "unseen"])
def test_generated_tasks(split: str):
    env = small()
    tasks = env.tasks(split)
    assert tasks == small().tasks(split)
    assert len({t.id for t in tasks}) == len(tasks) == (12 if split == "train" else 6)
    assert {t.task_type for t in tasks} == set(TASK_TYPES)
    assert {t.split for t in tasks} == {split}
    assert env.label == "alfworld-generated"
    for task in tasks:
        *_, last = play(env, task.id, env.expert(task))
        text, reward, terminated, truncated, info = last
        assert (reward, terminated, truncated, info["success"], info["score"]) == (
            1.0,
            True,
            False,
            True,
            1.0,
        )
        assert text != "Nothing happens."


def test_same_task_and_actions_give_same_texts():
    task = small().tasks("unseen")[4]
    commands = ["look", "go to nowhere 1", *small().expert(task)]
    assert play(small(), task.id, commands) == play(small(), task.id, commands)


def test_info_and_limit():
    env = small(max_steps=3)
    task = env.tasks("train")[0]
    text, info = env.reset(options={"task": task.id})
    assert task.goal in text
    assert info["invalid_action"] is False
    assert "look" in info["admissible"]
    assert env.step("fly")[4]["invalid_action"] is True
    assert env.step("look")[3] is False
    _, reward, terminated, truncated, _ = env.step("look")
    assert (reward, terminated, truncated) == (0.0, False, True)


def test_compact_is_one_line():
    env = small()
    text, _ = env.reset(options={"task": env.tasks("train")[0].id})
    line = env.compact(text)
    assert line.startswith("You are in the middle of a room.")
    assert line.endswith("Your task is to: " + env.tasks("train")[0].goal)
    assert "\n" not in line
    assert env.compact("You see nothing.") == "You see nothing."


def test_fingerprints_tell_apart():
    prints = {small(train_games=n).fingerprint(s) for n in (12, 13) for s in ("train", "unseen")}
    assert len(prints) == 3  # the size of train does not touch unseen
    assert small().fingerprint("train") == small().fingerprint("train")


@pytest.mark.parametrize(
    ("act", "message"),
    [
        (lambda: small().tasks("unsen"), "did you mean 'unseen'"),
        (lambda: small().scored_split("valid_unsen"), "did you mean 'valid_unseen'"),
        (lambda: small(engine="nativ"), "did you mean 'native'"),
        (lambda: small(source="oficial"), "did you mean 'official'"),
        (lambda: small(train_games=0), "env.train_games is 0"),
        (lambda: small(max_steps=-1), "env.max_steps is -1"),
        (lambda: small().reset(), "options="),
        (lambda: small().step("look"), "step before reset"),
        (lambda: small().reset(options={"task": "put-a-mug/train-00003"}), "unknown alfworld task"),
        (lambda: small(source="official").scored_split("unseen"), "seen and unseen are generated"),
        (lambda: small(source="generated").scored_split("valid_seen"), "official ones"),
    ],
)
def test_usage_errors(act, message: str):
    with pytest.raises(UsageError, match=message):
        act()


def test_missing_official_data(tmp_path: Path):
    env = small(data=str(tmp_path))
    for act in (
        lambda: env.tasks("valid_seen"),
        lambda: env.fingerprint("valid_unseen"),
        lambda: env.reset(options={"task": "some-Task/trial_1"}),
    ):
        with pytest.raises(DataError, match="skillbench data fetch alfworld"):
            act()


def test_what_train_means(tmp_path: Path):
    env = small(data=str(tmp_path))
    env.scored_split("unseen")
    assert env.label == "alfworld-generated"
    assert len(env.tasks("train")) == 12
    env.scored_split("valid_seen")
    assert env.label == "alfworld"
    with pytest.raises(DataError):
        env.tasks("train")  # the official one now, which is not there
    assert small(source="official").label == "alfworld"
    assert set(SPLITS) == {"train", "seen", "unseen", "valid_seen", "valid_unseen"}


def test_official_games(official: Path):
    env = small(data=str(official), source="official")
    split = "train" if any((official / "json_2.1.1").glob("train/*")) else "valid_seen"
    tasks = env.tasks(split)
    assert [t.id for t in tasks] == sorted(t.id for t in tasks)
    assert env.fingerprint(split) != small().fingerprint("train")
    for task in tasks[:: max(1, len(tasks) // 6)]:
        first, *_, last = play(small(data=str(official)), task.id, env.expert(task))
        assert task.goal in first[0]
        assert last[4]["success"]
        assert task.task_type == env.game(task.id).task_type
    assert "json_2.1.1/" not in tasks[0].id


def test_paths_do_not_leak_out(official: Path):
    with pytest.raises(UsageError, match="unknown alfworld task"):
        small(data=str(official)).reset(options={"task": "../train"})
