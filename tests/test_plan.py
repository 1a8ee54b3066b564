"""The plan of `--dry-run`, held against what recorded runs took and what papers say."""

from __future__ import annotations

import json
import shlex
from pathlib import Path
from typing import Any

import pytest

from skillbench.config import resolve
from skillbench.hardware import DEVICES, Fleet
from skillbench.planning import plan
from skillbench.registry import get

ROOT = Path(__file__).parent.parent
RECORDS = [
    path
    for path in sorted((ROOT / "leaderboard" / "results").glob("*--household--*.json"))
    if json.loads(path.read_text())["cost"]["learn"]["device_s"]  # not of those that learn nothing
]
pytest.importorskip("skillbench_policies")
pytest.importorskip("skillbench_alfworld")


def planned(method: str, *sets: str, **options: Any) -> Any:
    options = {"environment": "alfworld"} | options
    return plan(resolve(method=method, sets=sets, **options), get())


@pytest.mark.parametrize("path", RECORDS, ids=lambda p: p.stem[-8:])
def test_recorded_runs_took_what_the_plan_says(path: Path) -> None:
    """Device time of learning, and tokens sampled: within a factor of 1.5 of the ledger."""
    result = json.loads(path.read_text())
    words = shlex.split(result["command"])
    sets = [words[i + 1] for i, word in enumerate(words) if word == "--set"]
    made = planned(result["method"], *sets, split=result["split"])
    seeds = result["seeds"]
    learn = result["cost"]["learn"]
    assert 1 / 1.5 <= made.learn_hours * 3600 / (learn["device_s"] / seeds) <= 1.5
    out = sum(p.tokens_out for p in made.phases if p.name not in ("score", "baseline"))
    assert 1 / 1.5 <= out / (learn["tokens_out"] / seeds) <= 1.5


# Device-hours of one training run as published (sources: docs/presets.md).
PUBLISHED = (
    ("skillrl", "Qwen/Qwen2.5-7B-Instruct", 8, 236),
    ("gigpo", "Qwen/Qwen2.5-1.5B-Instruct", 2, 30.2),
    ("grpo", "Qwen/Qwen3-4B", 8, 166),
)


@pytest.mark.parametrize(("method", "model", "devices", "hours"), PUBLISHED)
def test_published_runs_took_what_the_plan_says(method, model, devices, hours) -> None:
    made = planned(
        method, f"plan.devices={devices}", profile=f"paper/{method}", policy=f"hf:{model}"
    )
    assert 0.5 <= made.learn_hours / hours <= 2


PRESETS = sorted((ROOT / "tasks" / "profiles").rglob("*.toml"))


@pytest.mark.parametrize("kind", ["hf", "vllm"])
@pytest.mark.parametrize("environment", ["alfworld", "webshop", "searchqa"])
@pytest.mark.parametrize("path", PRESETS, ids=lambda p: p.stem)
def test_every_line_of_a_preset_means_something(path: Path, environment: str, kind: str) -> None:
    """As a file of the user's, where an unknown key is an error; the model is not fetched."""
    pytest.importorskip(f"skillbench_{environment}")
    method = path.stem if path.parent.name == "paper" else "skillrl"
    text = path.read_text()
    policy = "household" if path.stem == "quick" else f"{kind}:Qwen/Qwen2.5-7B-Instruct"
    config = resolve(method=method, environment=environment, profile=str(path), policy=policy)
    plan(config, get())
    if path.parent.name == "paper":
        assert config["trainer"]["grpo"]["estimator"] == ("grpo" if method == "skillrl" else method)
        for line in text.splitlines():
            if " = " in line and not line.startswith("#"):
                assert any(f"# [{who}]" in line for who in "SVO"), f"{line} has no source"


def test_paper_presets_are_chosen_by_name() -> None:
    for name in ("paper/skillrl", "full", "small", "small-80gb"):
        config = resolve(
            method="skillrl", environment="alfworld", profile=name, policy="hf:Qwen/Qwen2.5-7B"
        )
        assert config["profile"] == name
        assert config["trainer"]["sft"]["max_rows"] in (300, 400)


@pytest.mark.parametrize("profile", ["small", "small-80gb"])
def test_small_presets_train_adapters_and_fit(profile: str) -> None:
    model = {"small": "Qwen/Qwen2.5-1.5B-Instruct", "small-80gb": "Qwen/Qwen2.5-7B-Instruct"}
    for environment in ("alfworld", "webshop", "searchqa"):
        pytest.importorskip(f"skillbench_{environment}")
        for policy in ("", f"hf:{model[profile]}", f"vllm:{model[profile]}"):
            made = planned("skillrl", environment=environment, profile=profile, policy=policy)
            assert any("(fits)" in line for line in made.text())
            assert any("adapters of rank 32" in text for text in made.assumptions)
    # What the presets say of adapters is for those that have a large model.
    options = {"method": "skillrl", "environment": "alfworld", "profile": profile}
    assert resolve(policy="household", **options)["policy"]["lora_rank"] == 0
    assert resolve(**options)["policy"]["train_dtype"] == "bfloat16"
    # Without them the larger model of each does not fit.
    whole = planned("skillrl", "policy.lora_rank=0", profile=profile, policy=policy)
    assert any("DOES NOT FIT" in line for line in whole.text())


def test_the_plan_takes_the_rank_from_the_policy() -> None:
    """Of a 3B model: 16 bytes a parameter without adapters, 2 or 4 and the adapters with them."""
    trained = ("trained weights", "gradients", "optimizer")

    def bytes_each(*sets: str, policy: str = "vllm") -> float:
        sets = ("plan.device=H100", "plan.devices=1", *sets)
        made = planned("grpo", *sets, policy=f"{policy}:Qwen/Qwen2.5-3B-Instruct")
        return sum(made.memory[key] for key in trained) * 1e9 / 3.086e9

    assert bytes_each() == pytest.approx(16, rel=0.001)
    assert 4 < bytes_each("policy.lora_rank=32") < 4.4
    lean = ("policy.lora_rank=32", "policy.train_dtype=bfloat16")
    assert 2 < bytes_each(*lean) < 2.4
    assert bytes_each("policy.lora_rank=64", lean[1]) > bytes_each(*lean)
    # The module of hf samples, too: only adapters are beside it.
    assert 0 < bytes_each("policy.lora_rank=32", policy="hf") < 0.4


def test_the_plan_changes_no_run() -> None:
    one = resolve(method="base", environment="alfworld")
    two = resolve(
        method="base", environment="alfworld", sets=["plan.device=H100", "plan.devices=8"]
    )
    assert one.digest == two.digest
    assert not one.differences(two)


def test_memory_of_a_7b_model_on_8_devices() -> None:
    from skillbench_policies.shapes import shape

    fleet = Fleet(DEVICES["H100"], 8, 4, shape("hf", "Qwen/Qwen2.5-7B-Instruct"))
    memory = fleet.memory_gb(
        trains=True, reference=True, lora=0, micro_tokens=8192, held=4096, live=64
    )
    assert memory["engine weights"] == pytest.approx(2 * 7.616 / 4, rel=0.01)
    assert memory["optimizer"] == pytest.approx(8 * 7.616 / 8, rel=0.01)
    # 2 (keys, values) x 28 layers x 4 heads x 128 x 2 bytes = 57,344 bytes a token
    assert memory["kv cache"] == pytest.approx(32 * 4096 * 57_344 / 4 / 1e9)
    lora = fleet.memory_gb(
        trains=True, reference=True, lora=16, micro_tokens=8192, held=4096, live=64
    )
    assert lora["optimizer"] < memory["optimizer"] / 50


def test_teacher_calls_are_priced_and_an_api_policy_needs_no_device() -> None:
    made = planned("skillrl", "trainer.sft=false", "trainer.grpo=false", teacher="openai:o3")
    (teacher,) = [p for p in made.phases if p.role == "teacher"]
    assert teacher.usd == pytest.approx((2 * teacher.tokens_in + 8 * teacher.tokens_out) / 1e6)
    assert any("teacher: about" in line for line in made.text())
    few = ("trainer.sft=false", "trainer.grpo=false", "teacher.batch=true")
    half = planned("skillrl", *few, teacher="openai:o3")
    assert [p.usd for p in half.phases if p.role == "teacher"] == pytest.approx([teacher.usd / 2])
    assert "the teacher's batches cost 0.5 of its price" in half.assumptions
    api = planned(
        "base", "policy.usd_per_mtok_in=2.0", "policy.usd_per_mtok_out=8.0", policy="openai:x"
    )
    assert api.fleet is None
    assert api.usd > 0


def test_a_device_without_figures_is_named() -> None:
    from skillbench.errors import UsageError

    with pytest.raises(UsageError, match="did you mean 'H100'"):
        planned("base", "plan.device=H10", policy="hf:Qwen/Qwen2.5-7B")
