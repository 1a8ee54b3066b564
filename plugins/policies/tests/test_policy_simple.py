"""Expert and random, what is registered, and the packaged model's error when it is missing."""

from __future__ import annotations

import asyncio
import dataclasses
from collections import Counter

import pytest
import skillbench_policies
from skillbench_policies import expert, household_policy, models, options, players, scripted
from skillbench_policies.random_policy import RandomPolicy

from skillbench import registry
from skillbench.errors import DataError, UsageError
from skillbench.records import Request, SamplingParams, Task

COMMANDS = ("go to desk 1", "inventory", "look")


def ask(policy, request):
    return asyncio.run(policy.generate([request]))[0].text


def request(seed=0, admissible=COMMANDS, episode="e", turns=("first",), environment="toy"):
    messages = [{"role": "system", "content": ""}]
    for i, text in enumerate(turns):
        messages += [{"role": "assistant", "content": "<action>x</action>"}] if i else []
        messages.append({"role": "user", "content": text})
    task = Task("t", environment, "train", "put", "put it")
    return Request(
        episode, len(turns) - 1, tuple(messages), SamplingParams(seed=seed), admissible, task
    )


def test_random_is_uniform_and_seeded():
    policy = RandomPolicy(None, {})
    drawn = [ask(policy, request(seed)) for seed in range(600)]
    assert drawn == [ask(policy, request(seed)) for seed in range(600)]
    counts = Counter(drawn)
    assert set(counts) == {f"<action>{c}</action>" for c in COMMANDS}
    assert min(counts.values()) > 150


@pytest.mark.parametrize("admissible", [None, ()])
def test_random_needs_commands(admissible, environments):
    with pytest.raises(UsageError, match="lists none"):
        ask(RandomPolicy(None, {}), request(admissible=admissible, environment="plain"))


def test_random_plays_what_the_environment_makes_up(environments):
    policy = RandomPolicy(None, {})
    drawn = [ask(policy, request(seed, None)) for seed in range(20)]
    assert drawn == [ask(policy, request(seed, None)) for seed in range(20)]
    assert set(drawn) == {"<action>first 0</action>", "<action>first 1</action>"}
    assert ask(policy, request()).removeprefix("<action>").partition("<")[0] in COMMANDS


def guess(observation, rng):
    return f"{observation} {rng.randrange(2)}"


class Player:
    """Says what it has seen so far."""

    def __init__(self, first, advice=()):
        self.seen, self.advice = [first], list(advice)

    def observe(self, text):
        self.seen.append(text)

    def acted(self, command):
        self.seen.append(command)

    def decide(self, rng):
        return " ".join(self.advice), "+".join(self.seen)

    def act(self, observation, admissible):
        self.seen.append(observation)
        return "+".join(self.seen)


@pytest.fixture
def environments(monkeypatch):
    class WithExpert:
        expert_player = scripted_player = f"{__name__}:Player"
        random_player = f"{__name__}:guess"

    class Without:
        pass

    made = registry.Registry()
    adder = made._environments("test")
    adder("toy", "toy_module:WithExpert", splits=("train",))
    adder("plain", "toy_module:Without", splits=("train",))
    classes = {
        "toy_module:WithExpert": WithExpert,
        "toy_module:Without": Without,
        WithExpert.expert_player: Player,
        WithExpert.random_player: guess,
    }
    monkeypatch.setattr(registry, "get", lambda: made)
    monkeypatch.setattr(registry, "load_target", lambda target, **_: classes[target])
    players._load.cache_clear()
    yield
    players._load.cache_clear()


def test_expert_plays_from_observations(environments):
    policy = expert.ExpertPolicy(None, {})
    assert ask(policy, request(turns=("a",))) == "<action>a+a</action>"
    assert ask(policy, request(turns=("a", "b"))) == "<action>a+a+b</action>"
    assert ask(policy, request(turns=("c",), episode="f")) == "<action>c+c</action>"
    # A player that missed a turn, or was released, is made anew from the transcript.
    policy.release("e")
    assert ask(policy, request(turns=("a", "b", "c"))) == "<action>a+a+b+c</action>"


def test_expert_of_an_environment_without_one(environments):
    with pytest.raises(UsageError, match="'plain' has no player for policy expert"):
        ask(expert.ExpertPolicy(None, {}), request(environment="plain"))


def test_scripted_is_the_environments_player_and_reads_the_advice(environments):
    policy = scripted.ScriptedPolicy(None, {})
    heard = request(turns=("a", "b"))
    system = {"role": "system", "content": "- look up\n- look down"}
    heard = dataclasses.replace(heard, messages=(system, *heard.messages[1:]))
    assert ask(policy, heard) == "<think>look up look down</think><action>a+x+b</action>"
    with pytest.raises(UsageError, match="'plain' has no player for policy scripted"):
        ask(policy, request(environment="plain", episode="f"))


def test_registration_names_every_option():
    seen = {}
    skillbench_policies.skillbench_register_policies(
        lambda name, target, **rest: seen.update({name: {"target": target, **rest}})
    )
    names = {
        "household",
        "shopper",
        "reader",
        "hf",
        "vllm",
        "openai",
        "scripted",
        "expert",
        "random",
    }
    assert set(seen) == names
    assert seen["household"]["defaults"]["style"] == "compact"
    assert seen["hf"]["trainable"] and seen["hf"]["takes_model"] is True
    assert not seen["openai"].get("trainable") and not seen["scripted"].get("trainable")
    for name in names:
        registry.load_target(seen[name]["target"])


@pytest.mark.parametrize("name", ["household", "shopper", "reader"])
def test_missing_checkpoint(monkeypatch, tmp_path, name):
    monkeypatch.setattr(models, "HERE", tmp_path / "none")
    policy = getattr(household_policy, f"{name.capitalize()}Policy")
    with pytest.raises(DataError, match=f"packaged {name} model is missing.*README"):
        policy(None, {})


def test_household_is_hf_in_the_compact_style(tmp_path):
    pytest.importorskip("transformers")
    import tiny_models

    made = tiny_models.directory(tmp_path, tiny_models.OWN)
    policy = household_policy.HouseholdPolicy(str(made), {})
    assert policy.style == "compact" and policy.config == options.HOUSEHOLD
    assert ask(policy, request()) is not None
