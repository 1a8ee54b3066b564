"""`skillbench export verl OUT`: what verl needs to train on our environments with our bank.

OUT/skillbench_agent_loop.py   an AgentLoopBase of verl (0.9) that plays one of our episodes
OUT/agent_loop.yaml            names it: actor_rollout_ref.rollout.agent.agent_loop_config_path
OUT/config.toml                the resolved configuration: environment, prompts, memory
OUT/bank/                      the memory of the run that was given, if any; re-read on change
OUT/train.jsonl                one line a train task: raw prompt, uid, agent_name, extra_info
OUT/train.sh                   the command, with the hyper-parameters of stage `grpo`
"""

from __future__ import annotations

import argparse
import json
import shlex
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from skillbench.config import resolve
from skillbench.errors import RunDirError, UsageError
from skillbench.leakage import TRAIN

LOOP = '''\
"""An agent loop of verl that plays episodes of skillbench; written by `skillbench export verl`."""

from pathlib import Path
from typing import Any

from skillbench_methods.verl_bridge import game
from verl.experimental.agent_loop.agent_loop import AgentLoopBase, AgentLoopOutput

HERE = Path(__file__).parent


class SkillbenchAgentLoop(AgentLoopBase):
    """One train task per call; one output per row, so one for an append-only transcript."""

    async def run(self, sampling_params: dict[str, Any], **kwargs: Any) -> Any:
        bank = HERE / "bank"
        plays = game(str(HERE / "config.toml"), str(bank) if bank.is_dir() else "")
        info = kwargs["extra_info"]
        episode, rows, reward = await plays.play(
            self.server_manager, self.tokenizer, dict(sampling_params), info["task"]
        )
        extra = {"success": float(episode.success), "bank_version": episode.bank_version}
        length = self.rollout_config.response_length
        outputs = [
            AgentLoopOutput(
                prompt_ids=list(row.prompt_ids),
                response_ids=list(row.response_ids)[:length],
                response_mask=list(row.mask)[:length],
                response_logprobs=list(row.logprobs)[:length],
                reward_score=reward,
                num_turns=2 * len(episode.steps),
                metrics={},
                extra_fields=dict(extra),
            )
            for row in rows
        ]
        return outputs[0] if len(outputs) == 1 else outputs
'''
YAML = """\
- name: skillbench
  _target_: skillbench_agent_loop.SkillbenchAgentLoop
"""


def command(parser: argparse.ArgumentParser) -> Callable[[argparse.Namespace], int]:
    """Fill the parser; returns the handler."""
    parser.add_argument("format", choices=("verl",), metavar="verl", help="who trains with it")
    parser.add_argument("out", metavar="OUT", help="a new directory")
    parser.add_argument("--method", metavar="NAME", default="grpo", help="the method (grpo)")
    parser.add_argument("--env", metavar="NAME", required=True, help="e.g. alfworld")
    parser.add_argument("--profile", metavar="NAME", default="full", help="settings (full)")
    parser.add_argument("--model", metavar="NAME_OR_PATH", required=True, help="what is trained")
    parser.add_argument("--run", metavar="RUN", help="a run whose bank is shown in the prompts")
    parser.add_argument(
        "--set", metavar="KEY=VALUE", action="append", default=[], dest="sets", help="as in run"
    )
    return export


def export(arguments: argparse.Namespace) -> int:
    """Write the directory."""
    config = resolve(
        method=arguments.method,
        environment=arguments.env,
        policy=f"hf:{arguments.model}",
        profile=arguments.profile,
        sets=arguments.sets,
    )
    stage = config["trainer"].get("grpo")
    if not stage or not stage["enabled"]:
        raise UsageError(f"method {arguments.method!r} has no stage grpo for verl to take over")
    out = Path(arguments.out).expanduser()
    if out.exists() and any(out.iterdir()):
        raise RunDirError(f"{out} is not empty: choose another place")
    bank = _bank(arguments.run)
    out.mkdir(parents=True, exist_ok=True)
    (out / "skillbench_agent_loop.py").write_text(LOOP)
    (out / "agent_loop.yaml").write_text(YAML)
    (out / "config.toml").write_text(config.to_toml())
    if bank is not None:
        shutil.copytree(bank, out / "bank")
    count = _tasks(config, out / "train.jsonl")
    (out / "train.sh").write_text(_script(config, stage, arguments.model))
    sys.stdout.write(f"{count} train tasks; train with: cd {out} && sh train.sh\n")
    return 0


def _bank(run: str | None) -> Path | None:
    if run is None:
        return None
    bank = Path(run).expanduser() / "learn" / "0" / "memory" / "frozen"
    if not bank.is_dir():
        raise UsageError(f"{run} has no bank: it has not learned seed 0 to its end")
    return bank


def _tasks(config: Any, path: Path) -> int:
    from skillbench import environments
    from skillbench.registry import get

    tasks = environments.factory(config, get())().tasks(TRAIN)
    with path.open("w", encoding="utf-8") as file:
        for task in tasks:
            line = {
                "data_source": config["environment"],
                "prompt": [{"role": "user", "content": task.goal}],  # the loop makes its own
                "agent_name": "skillbench",
                "ability": task.task_type,
                "extra_info": {"task": task.id, "index": task.id},
            }
            file.write(json.dumps(line, ensure_ascii=False) + "\n")
    return len(tasks)


def _script(config: Any, stage: Any, model: str) -> str:
    """The command line of verl with what stage `grpo` says; one setting a line."""
    steps = config["run"]["max_steps"] or 50
    answer = config["agent"]["max_tokens"] or 512
    settings = {
        "algorithm.adv_estimator": "grpo",
        "algorithm.norm_adv_by_std_in_grpo": stage["normalise"],
        "data.train_files": "train.jsonl",
        "data.val_files": "train.jsonl",
        "data.train_batch_size": stage["tasks"],
        "data.return_raw_chat": True,
        "data.max_prompt_length": 4096,
        "data.max_response_length": steps * answer,
        "actor_rollout_ref.model.path": model,
        "actor_rollout_ref.rollout.name": "vllm",
        "actor_rollout_ref.rollout.mode": "async",
        "actor_rollout_ref.rollout.n": stage["group"],
        "actor_rollout_ref.rollout.temperature": stage["temperature"],
        "actor_rollout_ref.rollout.agent.default_agent_loop": "skillbench",
        "actor_rollout_ref.rollout.agent.agent_loop_config_path": "agent_loop.yaml",
        "actor_rollout_ref.actor.optim.lr": stage["lr"],
        "actor_rollout_ref.actor.clip_ratio_low": stage["clip_low"],
        "actor_rollout_ref.actor.clip_ratio_high": stage["clip_high"],
        "actor_rollout_ref.actor.grad_clip": stage["grad_clip"],
        "actor_rollout_ref.actor.loss_agg_mode": stage["loss_agg"],
        "actor_rollout_ref.actor.entropy_coeff": stage["entropy_coef"],
        "actor_rollout_ref.actor.use_kl_loss": bool(stage["kl_coef"]),
        "actor_rollout_ref.actor.kl_loss_coef": stage["kl_coef"],
        "actor_rollout_ref.actor.kl_loss_type": "low_var_kl",
        "trainer.total_training_steps": stage["iterations"],
        "trainer.val_before_train": False,
        "trainer.test_freq": -1,  # a panel is looked at by `skillbench run`, after learning
        "trainer.n_gpus_per_node": config["plan"]["devices"] or 8,
    }
    lines = ["#!/bin/sh", "set -e", 'cd "$(dirname "$0")"', "PYTHONPATH=. \\"]
    words = [f"  {key}={shlex.quote(str(value))}" for key, value in settings.items()]
    lines.append("python -m verl.trainer.main_ppo \\\n" + " \\\n".join(words) + ' "$@"')
    return "\n".join(lines) + "\n"
