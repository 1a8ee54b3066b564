"""`skillbench export verl`: our episodes in verl's agent loop.

The bridge is played against a fake engine; the loop that is written is imported and constructed
against the real verl where that is installed, else the test is skipped.
"""

from __future__ import annotations

import asyncio
import importlib.util
import json
import shlex
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from skillbench.cli import main
from skillbench.errors import LeakError

pytest.importorskip("skillbench_alfworld")
transformers = pytest.importorskip("transformers")
MODEL = Path(__file__).parents[2] / "policies" / "skillbench_policies" / "household" / "checkpoint"


@pytest.fixture
def out(tmp_path: Path) -> Path:
    words = ["export", "verl", str(tmp_path / "out"), "--env", "alfworld", "--model", str(MODEL)]
    words += ["--profile", "small", "--set", "run.max_steps=4", "--set", "env.train_games=12"]
    assert main(words) == 0
    return tmp_path / "out"


class Engine:
    """Says "look" at each turn, in tokens."""

    def __init__(self, tokenizer: Any) -> None:
        self.answer = tokenizer("<action>look</action>", add_special_tokens=False)["input_ids"]
        self.answer = [*self.answer, tokenizer.eos_token_id]
        self.prompts: list[list[int]] = []
        self.names: set[str] = set()

    async def generate(self, *, request_id: str, prompt_ids: list[int], sampling_params: Any):
        self.prompts.append(prompt_ids)
        self.names.add(request_id)
        logprobs = [-0.5] * len(self.answer)
        return SimpleNamespace(token_ids=list(self.answer), log_probs=logprobs)


def test_an_episode_is_one_row_whose_tokens_only_grow(out: Path) -> None:
    from skillbench_methods.verl_bridge import game

    tokenizer = transformers.AutoTokenizer.from_pretrained(MODEL)
    engine = Engine(tokenizer)
    plays = game(str(out / "config.toml"))
    task = json.loads((out / "train.jsonl").read_text().splitlines()[0])["extra_info"]["task"]
    episode, rows, reward = asyncio.run(plays.play(engine, tokenizer, {"temperature": 1.0}, task))
    assert len(episode.steps) == 4 and episode.outcome == "truncated"
    (row,) = rows
    assert row.trained == 4 * len(engine.answer)
    assert len(engine.names) == 1
    for before, after in zip(engine.prompts, engine.prompts[1:]):
        assert after[: len(before)] == before
    assert reward == 0.0  # not solved, and "look" is a valid command
    with pytest.raises(LeakError, match="train split alone"):
        asyncio.run(plays.play(engine, tokenizer, {}, "unseen-00000"))


def test_what_is_written_names_the_loop_and_the_published_settings(out: Path) -> None:
    assert {p.name for p in out.iterdir()} == {
        "skillbench_agent_loop.py", "agent_loop.yaml", "config.toml", "train.jsonl", "train.sh",
    }  # fmt: skip
    lines = [json.loads(line) for line in (out / "train.jsonl").read_text().splitlines()]
    assert len(lines) == 12 and {line["agent_name"] for line in lines} == {"skillbench"}
    script = (out / "train.sh").read_text()
    assert "actor_rollout_ref.rollout.n=8" in script
    assert subprocess.run(["sh", "-n", str(out / "train.sh")], check=False).returncode == 0


def test_the_loop_is_one_of_verls(out: Path, monkeypatch: Any) -> None:
    loops = pytest.importorskip("verl.experimental.agent_loop.agent_loop")
    from omegaconf import OmegaConf

    spec = importlib.util.spec_from_file_location(
        "skillbench_agent_loop", out / "skillbench_agent_loop.py"
    )
    module = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(sys.modules, "skillbench_agent_loop", module)
    spec.loader.exec_module(module)
    tokenizer = transformers.AutoTokenizer.from_pretrained(MODEL)
    config = OmegaConf.create(
        {"actor_rollout_ref": {"rollout": {"response_length": 4096}}, "data": {}}
    )
    task = json.loads((out / "train.jsonl").read_text().splitlines()[0])["extra_info"]

    async def run() -> Any:
        loop = module.SkillbenchAgentLoop(
            trainer_config=loops.DictConfigWrap(config), server_manager=Engine(tokenizer),
            tokenizer=tokenizer, processor=None, dataset_cls=object,
            data_config=loops.DictConfigWrap(config.data),
        )  # fmt: skip
        assert isinstance(loop, loops.AgentLoopBase)
        return await loop.run({"temperature": 1.0}, extra_info=task)

    output = asyncio.run(run())
    assert isinstance(output, loops.AgentLoopOutput)
    assert len(output.response_ids) == len(output.response_mask) == len(output.response_logprobs)
    assert output.reward_score == 0.0


def test_every_setting_is_one_of_verls(out: Path) -> None:
    found = importlib.util.find_spec("verl")
    if found is None or not found.submodule_search_locations:
        pytest.skip("verl is not installed")
    hydra = pytest.importorskip("hydra")
    folder = Path(found.submodule_search_locations[0]) / "trainer" / "config"
    words = (out / "train.sh").read_text().partition("main_ppo")[2].replace("\\\n", " ")
    overrides = [word for word in shlex.split(words) if "=" in word]
    assert len(overrides) > 20
    with hydra.initialize_config_dir(str(folder), version_base=None):
        config = hydra.compose("ppo_trainer", overrides=overrides)
    rollout = config.actor_rollout_ref.rollout
    assert rollout.agent.default_agent_loop == "skillbench"
    assert rollout.n == 8
