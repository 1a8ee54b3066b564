"""The conformance kit catches broken plugins, each with the message that names the fault."""

from __future__ import annotations

import os
import pickle
import random
import sys
import types
from pathlib import Path
from typing import Any

import pytest

from skillbench import Checkpoint, Context, Method, Skill, Update, hookimpl
from skillbench.checks import Subject, run, subjects
from skillbench.checks.kit import checks_of
from skillbench.checks.world import KitPlayer, KitWorld
from skillbench.cli import main
from skillbench.errors import LeakError, PluginError
from skillbench.records import skill_from_json, to_json

PLUGIN = "broken_plugin"


class GoodMemory:
    """One skill per episode; the broken ones change one method each."""

    def __init__(self, config: Any, *, teacher_spend: Any = None) -> None:
        self.bank: dict[str, Skill] = {}
        self.frozen = False

    def context(self, task: Any, history: Any, budget: int) -> Context:
        found = sorted(self.bank.values(), key=lambda s: s.id)[:1] if budget > 60 else []
        return Context("\n".join(s.title for s in found), tuple(s.id for s in found))

    def observe(self, episode: Any) -> None:
        self.check([episode])

    def update(self, episodes: Any, teacher: Any, *, step: int = 0) -> Update:
        self.check(episodes)
        fresh = {}
        for e in episodes:
            skill = Skill(f"won {e.task.task_type}", "p", source_tasks=(e.task.id,))
            if skill.id not in self.bank:
                fresh[skill.id] = self.bank[skill.id] = skill
        return Update(added=tuple(fresh))

    def check(self, episodes: Any) -> None:
        if self.frozen or any(e.task.split != "train" for e in episodes):
            raise LeakError("no")

    def freeze(self) -> None:
        self.frozen = True

    def skills(self) -> list[Skill]:
        return list(self.bank.values())

    def save(self, directory: Path) -> None:
        import json

        text = json.dumps([to_json(s) for s in self.bank.values()])
        (directory / "bank.json").write_text(text)

    def load(self, directory: Path) -> None:
        import json

        rows = json.loads((directory / "bank.json").read_text())
        self.bank = {s.id: s for s in map(skill_from_json, rows)}


class Clock(KitWorld):
    def reset(self, **kw: Any) -> Any:
        text, info = super().reset(**kw)
        return f"{text} {os.urandom(4).hex()}", info


class Shared(KitWorld):
    turns: list[str] = []  # noqa: RUF012 - the fault

    def reset(self, **kw: Any) -> Any:
        self.turns.clear()
        return super().reset(**kw)

    def step(self, action: str) -> Any:
        self.turns.append(action)
        text, *rest = super().step(action)
        return (f"{text} Turn {len(self.turns)}.", *rest)


class Stale(KitWorld):
    score = 0

    def step(self, action: str) -> Any:
        self.score += 1
        text, *rest = super().step(action)
        return (f"{text} Points {self.score}.", *rest)


class Overlapping(KitWorld):
    def tasks(self, split: str) -> Any:
        found = super().tasks(split)
        first = super().tasks("train")[0]
        return (
            found if split == "train" else [type(first)(**{**vars(first), "split": split}), *found]
        )


class DoneIsWon(KitWorld):
    def step(self, action: str) -> Any:
        text, _, _, _, info = super().step(action)
        return text, 1.0, True, False, info | {"success": True}


class Fragile(KitWorld):
    def step(self, action: str) -> Any:
        if "\x00" in action:
            raise ValueError("embedded null byte")
        return super().step(action)


class Shuffling(KitWorld):
    def tasks(self, split: str) -> Any:
        found = super().tasks(split)
        random.shuffle(found)
        return found


class Backwards(KitPlayer):
    async def generate(self, requests: Any) -> Any:
        return (await super().generate(requests))[::-1]


class Moody(KitPlayer):
    async def generate(self, requests: Any) -> Any:
        from skillbench import Completion, Usage

        return [Completion(os.urandom(4).hex(), Usage(calls=1)) for _ in requests]


class Leaky(GoodMemory):
    def check(self, episodes: Any) -> None:
        if self.frozen:
            raise LeakError("no")


class Restless(GoodMemory):
    def freeze(self) -> None: ...


class Pickled(GoodMemory):
    def save(self, directory: Path) -> None:
        (directory / "bank.pkl").write_bytes(pickle.dumps(self.bank))

    def load(self, directory: Path) -> None:
        self.bank = pickle.loads((directory / "bank.pkl").read_bytes())


class Greedy(GoodMemory):
    def context(self, task: Any, history: Any, budget: int) -> Context:
        return Context("word " * 1000, tuple(self.bank))


class Untraced(GoodMemory):
    def update(self, episodes: Any, teacher: Any, *, step: int = 0) -> Update:
        self.check(episodes)
        skill = Skill("t", "p")
        self.bank[skill.id] = skill
        return Update(added=(skill.id,))


class Peeking:
    """Plays the test split while learning."""

    def fit(self, context: Any) -> Checkpoint:
        context.rollout(context.environment.tasks("test")[:2])
        return Checkpoint(context.directory)


def plugin(kind: str, thing: Any) -> types.ModuleType:
    """A plugin module that registers one broken component."""
    made = types.ModuleType(PLUGIN)
    made.Thing = thing  # type: ignore[attr-defined]
    target = f"{PLUGIN}:Thing"

    def hook(name: str, call: Any) -> None:
        call.__name__ = name
        setattr(made, name, hookimpl(call))

    if kind == "environment":
        hook(
            "skillbench_register_environments",
            lambda register: register("bad", target, splits=("train", "test")),
        )
    elif kind == "policy":
        hook("skillbench_register_policies", lambda register: register("bad", target))
    elif kind == "memory":
        hook("skillbench_register_memories", lambda register: register("bad", target))
    elif kind == "trainer":
        hook("skillbench_register_trainers", lambda register: register("bad", target))
    else:
        hook("skillbench_register_methods", lambda register: register(thing))
    return made


@pytest.fixture
def failures(tmp_path: Path, monkeypatch: Any) -> Any:
    """Check a component; what failed, as {check: everything it says}."""
    monkeypatch.setenv("SKILLBENCH_LOAD_PLUGINS", "")

    def call(kind: str, thing: Any) -> dict[str, str]:
        made = plugin(kind, thing)
        monkeypatch.setitem(sys.modules, PLUGIN, made)
        found: dict[str, str] = {}
        for subject in subjects(PLUGIN, tmp_path):
            for check in checks_of(subject.kind):
                place = tmp_path / check.name
                place.mkdir()
                outcome = run(check, Subject(subject.kind, subject.name, subject.registry, place))
                if outcome.state == "failed":
                    assert outcome.why and outcome.mend
                    found[check.name] = f"{outcome.what}; {outcome.why}; {outcome.mend}"
        return found

    return call


@pytest.mark.parametrize(
    ("kind", "thing"),
    [("environment", KitWorld), ("policy", KitPlayer), ("memory", GoodMemory)],
)
def test_sound_components_pass(failures: Any, kind: str, thing: Any) -> None:
    assert failures(kind, thing) == {}


@pytest.mark.parametrize(
    ("kind", "thing", "check", "message"),
    [
        ("environment", Clock, "same_task_seed_and_actions_give_the_same_texts", "played twice differs at turn 0"),
        ("environment", Shared, "live_instances_do_not_touch_each_other", "in `self`, not in the class"),
        ("environment", Stale, "reset_forgets_the_last_episode", "set every attribute of an episode anew"),
        ("environment", Overlapping, "splits_are_stable_and_apart", "scored on what it was trained on"),
        ("environment", Shuffling, "splits_are_stable_and_apart", "another order"),
        ("environment", DoneIsWon, "random_play_ends_and_does_not_solve_everything", "merely over"),
        ("environment", Fragile, "hostile_actions_are_answered", "embedded null byte"),
        ("policy", Backwards, "each_request_gets_its_answer_in_order", "in the order of the requests"),
        ("policy", Moody, "a_seed_makes_an_answer_repeatable", "request.params.seed alone"),
        ("memory", Leaky, "episodes_from_outside_train_are_refused", "raise skillbench.errors.LeakError"),
        ("memory", Restless, "a_frozen_memory_learns_nothing", "observe after freeze was accepted"),
        ("memory", Pickled, "its_state_survives_the_disk", "pickles run code"),
        ("memory", Greedy, "contexts_keep_to_their_budget", "a budget of 0 tokens got 1350"),
        ("memory", Untraced, "skills_are_stable_and_say_where_they_are_from", "set Skill.source_tasks"),
        ("trainer", Peeking, "a_stage_learns_and_leaves_a_checkpoint", "the train split alone"),
        ("method", Method("bad", trainers=("sftt",), memory="kit-none"), "a_method_names_what_exists", "the trainer 'sftt'"),
    ],
)  # fmt: skip
def test_a_broken_component_is_caught(
    failures: Any, kind: str, thing: Any, check: str, message: str
) -> None:
    found = failures(kind, thing)
    assert check in found, found
    assert message in found[check]


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("import no_such_package_at_all", "failed to import: ModuleNotFoundError"),
        ("skillbench_api = 99", "was written for plugin API 99; this skillbench has 1"),
        (
            "import skillbench\n@skillbench.hookimpl\n"
            "def skillbench_register_environment(register): pass",
            "did you mean 'skillbench_register_environments'",
        ),
        ("def skillbench_register_methods(register): pass", "lacks the @skillbench.hookimpl"),
        ("x = 1", "registers nothing: implement a skillbench_register_"),
    ],
)
def test_a_plugin_that_cannot_be_loaded_says_why(
    tmp_path: Path, monkeypatch: Any, source: str, message: str
) -> None:
    (tmp_path / "sb_broken_one.py").write_text(source + "\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setenv("SKILLBENCH_LOAD_PLUGINS", "")
    monkeypatch.delitem(sys.modules, "sb_broken_one", raising=False)
    with pytest.raises(PluginError, match="sb_broken_one") as error:
        list(subjects("sb_broken_one", tmp_path))
    assert message in str(error.value)


def test_an_unknown_plugin_is_wrong_usage(capsys: Any) -> None:
    assert main(["check", "no_such_plugin"]) == 2
    assert "no plugin 'no_such_plugin'" in capsys.readouterr().err


def test_what_is_refused_is_reported_with_exit_code_one(tmp_path: Path, capsys: Any) -> None:
    source = (
        "import skillbench\n"
        "from skillbench.checks.world import KitWorld\n"
        "class Bad(KitWorld):\n"
        "    def fingerprint(self, split): return ''\n"
        "@skillbench.hookimpl\n"
        "def skillbench_register_environments(register):\n"
        "    register('bad', 'sb_cli_bad:Bad', splits=('train', 'test'))\n"
    )
    (tmp_path / "sb_cli_bad.py").write_text(source)
    sys.path.insert(0, str(tmp_path))
    try:
        code = main(["check", "sb_cli_bad", "--only", "environment"])
    finally:
        sys.path.remove(str(tmp_path))
    out = capsys.readouterr().out
    assert code == 1
    assert "FAILED   fingerprints tell splits apart" in out
    assert "why:" in out and "mend:" in out and "1 failed" in out
