"""Configuration: merge order, unknown keys, types, digest, and the way back from config.toml."""

from __future__ import annotations

import json
import types

import pytest

import skillbench
from skillbench import config as configuration
from skillbench.commandline import command_line
from skillbench.errors import ConfigError, RunDirError, UnknownNameError, UsageError
from skillbench.registry import Registry


@pytest.fixture
def registry() -> Registry:
    plugin = types.ModuleType("pantry")

    @skillbench.hookimpl
    def skillbench_register_environments(register):
        register(
            "kitchen",
            "x:y",
            splits=("train", "seen", "unseen"),
            defaults={"size": 3, "engine": "native"},
            policy="household",
        )
        register("garden", "x:y", splits=("train", "test"), defaults={"weeds": True})

    @skillbench.hookimpl
    def skillbench_register_policies(register):
        register("household", "x:y", trainable=True, defaults={"threads": 1})
        register("hf", "x:y", takes_model=True, defaults={"dtype": "auto", "price": {}})
        register("remote", "x:y", takes_model="optional", defaults={"model": "standard"})

    @skillbench.hookimpl
    def skillbench_register_memories(register):
        register("none", "x:y")
        register("skillbank", "x:y", defaults={"top_k": 6, "threshold": 0.4, "kinds": ["general"]})

    @skillbench.hookimpl
    def skillbench_register_trainers(register):
        register("sft", "x:y", defaults={"steps": 10, "lr": 1e-4})
        register("grpo", "x:y", defaults={"steps": 5, "note": None})

    @skillbench.hookimpl
    def skillbench_register_teachers(register):
        register("causal", "x:y", defaults={"max_skills": 40})
        register("openai", "x:y", takes_model=True)

    @skillbench.hookimpl
    def skillbench_register_methods(register):
        register(skillbench.Method("base"))
        register(
            skillbench.Method(
                "skillrl",
                memory="skillbank",
                trainers=("sft", "grpo"),
                teacher="causal",
                defaults={"memory": {"top_k": 4}, "trainer": {"sft": {"steps": 20}}},
            )
        )

    for name, value in list(locals().items()):
        if name.startswith("skillbench_"):
            setattr(plugin, name, value)
    found = Registry()
    found.plugins.add("pantry", plugin)
    assert not found.fill().broken
    return found


@pytest.fixture
def resolve(registry, tmp_path):
    def call(*sets: str, profile: str = "", **options):
        path = tmp_path / "p.toml"
        path.write_text(profile)
        options = {"method": "skillrl", "environment": "kitchen"} | options
        return configuration.resolve(
            registry=registry, sets=sets, **{"profile": str(path)} | options
        )

    return call


def test_every_default_is_written_out(resolve):
    config = resolve()
    assert config["env"] == {
        "name": "kitchen",
        "size": 3,
        "engine": "native",
        **configuration.ISOLATION,
    }
    assert config["policy"] == {"name": "household", "model": "", "threads": 1}
    assert config["teacher"] == {"name": "causal", "model": "", "max_skills": 40}
    assert config["run"]["split"] == "unseen"
    assert config["trainer"]["grpo"] == {"enabled": True, "steps": 5, "note": None}
    assert list(config)[:3] == ["method", "environment", "profile"]


def test_merge_order(resolve):
    assert resolve()["memory"]["top_k"] == 4  # method over component
    profile = "[memory]\ntop_k = 2\n[run]\nseeds = 2\n"
    assert resolve(profile=profile)["memory"]["top_k"] == 2  # profile over method
    assert resolve(profile=profile, seeds=3)["run"]["seeds"] == 3  # flag over profile
    assert resolve("memory.top_k=1", "memory.top_k=9", profile=profile)["memory"]["top_k"] == 9


def test_a_profile_may_say_more_for_one_environment(resolve):
    profile = "[memory]\ntop_k = 2\nthreshold = 0.1\n[for.kitchen.memory]\ntop_k = 3\n"
    kitchen = resolve(profile=profile)["memory"]
    garden = resolve(profile=profile, environment="garden", policy="remote")["memory"]
    assert (kitchen["top_k"], kitchen["threshold"]) == (3, 0.1)
    assert (garden["top_k"], garden["threshold"]) == (2, 0.1)


def test_a_profile_may_say_more_for_one_policy(resolve):
    profile = (
        "policy = 'hf:large'\n[trainer.sft]\nlr = 1.0\n"
        "[for.hf.policy]\ndtype = 'bfloat16'\n[for.hf.trainer.sft]\nlr = 2.0\n"
    )
    large, small = resolve(profile=profile), resolve(profile=profile, policy="household")
    assert (large["policy"]["dtype"], large["trainer"]["sft"]["lr"]) == ("bfloat16", 2.0)
    assert (small["policy"]["threads"], small["trainer"]["sft"]["lr"]) == (1, 1.0)
    other = resolve("policy=hf:other", profile=profile)["policy"]  # by whatever layer it is chosen
    assert (other["model"], other["dtype"]) == ("other", "bfloat16")
    assert resolve("policy.dtype=float32", profile=profile)["policy"]["dtype"] == "float32"
    with pytest.raises(ConfigError, match=r"for.hf: the policy is chosen outside of for"):
        resolve(profile="[for.hf]\npolicy = 'remote'\n")


def test_the_environment_says_who_plays(resolve):
    assert resolve()["policy"]["name"] == "household"
    assert resolve(environment="garden", policy="remote")["policy"]["name"] == "remote"
    with pytest.raises(UsageError, match="'garden' names no default policy; choose one with"):
        resolve(environment="garden")


def test_shorthands(resolve):
    config = resolve("memory=none", "trainer.sft=false", "evolve=false", "policy=hf:org/m:8b")
    assert config["memory"] == {"name": "none"}
    assert config["trainer"]["sft"]["enabled"] is False
    assert config["evolve"]["enabled"] is False
    assert (config["policy"]["name"], config["policy"]["model"]) == ("hf", "org/m:8b")


def test_a_key_of_every_stage_that_has_it(resolve):
    stages = resolve("trainer.steps=7", "trainer.sft.steps=8", "trainer.lr=1e-5")["trainer"]
    assert (stages["sft"]["steps"], stages["grpo"]["steps"]) == (8, 7)
    assert (stages["sft"]["lr"], "lr" in stages["grpo"]) == (1e-5, False)
    with pytest.raises(ConfigError, match=r"no stage of the method has a key 'step'; did you mean"):
        resolve("trainer.step=7")
    with pytest.raises(ConfigError, match=r"trainer.sft.steps takes int"):
        resolve("trainer.steps=many")


def test_settings_of_a_component_that_was_swapped_are_left_out(resolve):
    profile = (
        "[memory]\nthreshold = 0.1\n[env]\nweeds = false\n[policy]\nname = 'hf'\nmodel = 'm'\n"
    )
    config = resolve("memory=none", profile=profile, policy="household")
    assert config["memory"] == {"name": "none"}
    assert config["policy"]["model"] == ""
    assert resolve(profile=profile)["policy"]["model"] == "m"
    assert resolve(profile=profile, policy="hf")["policy"]["model"] == "m"
    assert resolve(profile="[trainer.grpo]\nsteps = 1\n", method="base")["trainer"] == {}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            "memory.topk=1",
            r"unknown key 'memory.topk'; did you mean 'top_k'\? keys of memory: name, top_k",
        ),
        ("memroy.top_k=1", r"unknown table 'memroy'; did you mean 'memory'\?"),
        ("policy.dtype=x", r"unknown key 'policy.dtype' \(policy 'hf' has it\)"),
        ("trainer.gpro=false", r"has no stage 'gpro'; did you mean 'grpo'\? its stages: sft, grpo"),
        ("trainer.sft.lr=fast", r"trainer.sft.lr takes float \(default 0.0001\), not 'fast'"),
        ("run.seeds=1.5", r"run.seeds takes int"),
        ("run.seeds=true", r"run.seeds takes int"),
        ("run.seeds=0", r"run.seeds is at least 1"),
        ("memory.kinds=3", r"memory.kinds takes list"),
        ("agent=3", r"'agent' is a table"),
        ("agent.budget.x=3", r"agent.budget takes int"),
        ("env=garden", r"use --env garden"),
        ("env.name=garden", r"the environment is chosen with --env"),
        ("method=base", r"use --method base"),
        ("memory", r"KEY=VALUE"),
        ("memory..x=1", r"KEY=VALUE"),
        ("memory=nope", r"unknown memory 'nope'"),
        ("policy=hf", r"policy 'hf' needs a model: --policy hf:MODEL"),
        ("policy=household:x", r"policy 'household' takes no model"),
        ("teacher=openai", r"teacher 'openai' needs a model"),
        ("score.chunk=0", r"score.chunk is at least 1"),
    ],
)
def test_errors_of_set_say_what_and_what_instead(resolve, text, message):
    with pytest.raises(UsageError, match=message):
        resolve(text)


@pytest.mark.parametrize(
    ("profile", "message"),
    [
        ("[memory]\ntopk = 1", r"profile .*p.toml: unknown key 'memory.topk'"),
        ("[runn]\nseeds = 1", r"unknown table 'runn'; did you mean 'run'"),
        ("seeds = 3", r"'seeds' is a table"),
        ("[run\n", r"is not valid TOML"),
        ("[trainer.rloo]\nsteps = 1", r"has no stage 'rloo'"),
        ("[trainer]\nsft = 3", r"trainer.sft is a table or true/false"),
    ],
)
def test_errors_of_a_profile_name_the_file(resolve, profile, message):
    with pytest.raises(ConfigError, match=message):
        resolve(profile=profile)


def test_a_profile_for_an_unknown_environment(resolve):
    with pytest.raises(
        ConfigError, match=r"for.kichen: unknown environment or policy; did you mean 'kitche"
    ):
        resolve(profile="[for.kichen.memory]\ntop_k = 3\n")


def test_unknown_names(resolve):
    with pytest.raises(
        UnknownNameError, match=r"unknown method 'skilrl'; did you mean 'skillrl'\?"
    ):
        resolve(method="skilrl")
    with pytest.raises(UnknownNameError, match="unknown environment 'kichen'"):
        resolve(environment="kichen")
    with pytest.raises(
        UsageError, match=r"unknown split 'unsen' of kitchen; did you mean 'unseen'\?"
    ):
        resolve(split="unsen")


def test_unknown_profiles(registry):
    options = {"method": "base", "environment": "kitchen", "registry": registry}
    with pytest.raises(UsageError, match=r"unknown profile 'quik'; did you mean 'quick'\?"):
        configuration.resolve(profile="quik", **options)
    with pytest.raises(UsageError, match=r"profile file 'no/such.toml' does not exist"):
        configuration.resolve(profile="no/such.toml", **options)


def test_values_keep_the_type_of_the_default(resolve):
    config = resolve(
        "policy=remote:7", "memory.threshold=1", "memory.kinds=['a','b']", "env.engine=3"
    )
    assert config["policy"]["model"] == "7"
    assert config["memory"]["threshold"] == 1.0
    assert isinstance(config["memory"]["threshold"], float)
    assert config["memory"]["kinds"] == ["a", "b"]
    assert config["env"]["engine"] == "3"
    assert resolve("trainer.sft.lr=1e-3")["trainer"]["sft"]["lr"] == 1e-3


def test_free_tables_take_any_key(resolve):
    config = resolve("policy=hf:m", "policy.price.input=0.5", "policy.price.output=2")
    assert config["policy"]["price"] == {"input": 0.5, "output": 2}
    json.dumps(config.as_dict())


def test_a_policys_own_default_model_stays(resolve):
    assert resolve("policy=remote")["policy"]["model"] == "standard"
    assert resolve(policy="remote")["policy"]["model"] == "standard"


def test_digest_ignores_where_the_run_lies(resolve):
    assert resolve(out="a").digest == resolve(out="b").digest
    assert resolve().digest != resolve(seeds=2).digest


def test_config_toml_reads_back_equal(resolve, tmp_path):
    config = resolve(
        "policy=hf:m", "trainer.sft.lr=1e-6", "policy.price.input=0.1", out="somewhere"
    )
    (tmp_path / "config.toml").write_text(config.to_toml())
    again = configuration.load(tmp_path)
    assert again.digest == config.digest
    assert again.differences(config) == []
    assert resolve().differences(resolve(seeds=2)) == ["run.seeds: 1 -> 2"]


def test_an_edited_or_missing_config_is_an_error(resolve, tmp_path):
    with pytest.raises(RunDirError, match=r"no run in .*: it has no config.toml"):
        configuration.load(tmp_path)
    text = resolve().to_toml().replace("seeds = 1", "seeds = 9")
    (tmp_path / "config.toml").write_text(text)
    with pytest.raises(RunDirError, match="was changed after the run began"):
        configuration.load(tmp_path)
    (tmp_path / "config.toml").write_text("[[")
    with pytest.raises(RunDirError, match="cannot be read as TOML"):
        configuration.load(tmp_path)


def test_tables_are_copies(resolve):
    config = resolve()
    config["env"]["size"] = 99
    assert config["env"]["size"] == 3
    with pytest.raises(AttributeError):
        config.data = {}  # type: ignore[misc]


@pytest.mark.parametrize(
    ("sets", "options", "words"),
    [
        ((), {}, ""),
        ((), {"seeds": 3, "split": "seen"}, " --split seen --seeds 3"),
        (("trainer.sft=false",), {}, " --set trainer.sft=false"),
        (("memory=none",), {"policy": "hf:a/b"}, " --policy hf:a/b --set memory=none"),
        (("evolve=false", "trainer.sft.lr=1e-6", "policy=remote:7"), {},
         " --policy remote:7 --set trainer.sft.lr=1e-06 --set evolve=false"),
        (("memory.kinds=['a']", "env.engine=3"), {"teacher": "openai:o3"},
         """ --teacher openai:o3 --set 'env.engine="3"' --set 'memory.kinds=["a"]'"""),
    ],
)  # fmt: skip
def test_a_configuration_knows_the_command_that_makes_it(registry, sets, options, words):
    import shlex

    options = {"method": "skillrl", "environment": "kitchen", "registry": registry} | options
    config = configuration.resolve(sets=sets, **options)
    line = command_line(config, registry)
    assert line == "skillbench run --method skillrl --env kitchen" + words
    again = shlex.split(line)
    given = [again[i + 1] for i, word in enumerate(again) if word == "--set"]
    names = {"--policy": "policy", "--teacher": "teacher"}
    flags = {key: again[again.index(flag) + 1] for flag, key in names.items() if flag in again}
    assert configuration.resolve(sets=given, **options | flags).digest == config.digest


@pytest.mark.parametrize("name", ["quick"])
def test_shipped_profiles_name_real_keys(name):
    from skillbench import layers
    from skillbench.registry import get

    path = layers.tasks_dir() / "profiles" / f"{name}.toml"  # by path, nothing is passed over
    options = {"method": "skillrl", "environment": "alfworld", "profile": str(path)}
    named = configuration.resolve(**options | {"profile": name}, registry=get())
    assert configuration.resolve(**options, registry=get())["trainer"] == named["trainer"]
