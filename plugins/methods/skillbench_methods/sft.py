"""Stage "sft": cold start on demonstrations that were made with the new bank in the prompt.

The paper lets the teacher write demonstrations that nobody plays (SkillRL, arXiv:2602.08234,
appendix C). Here every demonstration is a train episode that the environment counted as solved:
`source="rejection"` lets the policy itself play with the skills shown and keeps what succeeded
(shortest first, spread over the task types); `source="expert"` lets the environment's expert play
in the same prompts. Loss is on the policy's own tokens of a whole transcript; what the environment
said is read, not learned.

Each row keeps its source task, in sft_rows.jsonl of the stage's directory. Rows are written before
training begins, so a run that is killed in training makes no new ones, and training starts over
from the weights that the stage was given (`save_steps` > 0 lets long runs go on from the trainer's
own checkpoints).
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from skillbench.errors import UsageError
from skillbench.protocols import Checkpoint, LearnContext
from skillbench.records import Completion, Episode, Request, Usage

from . import checkpoints
from .experience import summary
from .guards import trained_model, usable
from .rows import episode_rows

DEFAULTS: dict[str, Any] = {
    "source": "rejection",  # or "expert"
    "tasks": 60,  # played to find demonstrations
    "repeats": 2,  # episodes of each task
    "temperature": 1.0,  # of the demonstrations
    "per_task": 1,  # demonstrations kept of one task
    "max_rows": 512,  # rows to train on, at most
    "min_rows": 4,  # with fewer the weights stay as they are
    "epochs": 3,  # passes over the rows
    "lr": 1e-4,  # learning rate
    "scheduler": "cosine",  # of the learning rate, by transformers' name
    "warmup_ratio": 0.05,  # share of the steps
    "weight_decay": 0.01,  # of AdamW
    "grad_clip": 1.0,  # largest norm of the gradient
    "batch": 16,  # rows of one optimiser step
    "micro_batch": 8,  # rows of one forward pass
    "rows": "transcript",  # or "steps": one row per step, the published form
    "max_length": 0,  # longer rows are left out; 0: none is
    "save_steps": 0,  # steps between checkpoints; 0: at the end alone
    "bf16": False,  # compute in bfloat16; weights stay float32
    "gradient_checkpointing": False,  # less memory, a third more computation
    "thought": "",  # what an expert demonstration thinks
    "launch": "",  # accelerate's configuration of processes that train: a file, "ddp", "fsdp"
    "launch_devices": "",  # GPUs of these processes, e.g. "4,5,6,7"; "": all that are visible
}


class Sft:
    """Trainer of the stage; see the module's docstring."""

    trains = True
    shareable = True  # it depends on its own table and on the stages before it

    @staticmethod
    def episodes(config: Mapping[str, Any]) -> int:
        """How many episodes a stage with this table plays at most."""
        return int(config["tasks"]) * int(config["repeats"])

    @staticmethod
    def plan(config: Mapping[str, Any], evolve: Mapping[str, Any], types: int) -> dict[str, float]:
        """What it costs: a wave of demonstrations, half of them solved, and read per epoch."""
        solved = 1.0 if config["source"] == "expert" else 0.5
        kept = min(int(config["repeats"]), int(config["per_task"])) * int(config["tasks"])
        rows = min(solved * Sft.episodes(config), kept, int(config["max_rows"]))
        return {"episodes": Sft.episodes(config), "trained": rows * int(config["epochs"])}

    def fit(self, context: LearnContext) -> Checkpoint:
        """Make the demonstrations, train on them, save the weights."""
        config = {**DEFAULTS, **context.config}
        trained_model(context.policy, "sft")
        done = checkpoints.latest(context.directory)
        if done is not None:
            context.policy.load(done[0] / "policy")
            context.policy.sync("sft")
            context.memory.load(context.directory / "bank")
            return Checkpoint(context.directory, done[0] / "policy", done[1])
        path = context.directory / "sft_rows.jsonl"
        if path.exists():
            context.memory.load(context.directory / "bank")
        else:
            made = self._demonstrate(context, config)
            # The memory has seen these episodes: its counts belong to the rows. Rows come last,
            # since their being there says that both are.
            context.memory.save(context.directory / "bank")
            _write(path, made)
        rows, head = _read(path)
        sources = sorted({r["task"] for r in rows})
        metrics: dict[str, Any] = {**head, "rows": len(rows)}
        if len(rows) >= int(config["min_rows"]):
            began = time.perf_counter()
            found, devices = self._train(context, config, rows, path)
            metrics |= found
            wall = time.perf_counter() - began
            tokens = int(metrics["tokens_read"])
            usage = Usage(input_tokens=tokens, wall_s=wall, device_s=wall * devices)
            context.spend("sft", "trainer", usage)
            metrics["update_s"] = wall
        else:
            metrics["skipped"] = f"{len(rows)} demonstrations, fewer than {config['min_rows']}"
        context.policy.sync("sft")
        context.shared["sft"] = {"rows": len(rows), "tasks": sources}
        context.log(0, metrics)
        metrics["source_tasks"] = sources  # the runner checks them against the panel
        final = checkpoints.write(
            context.directory, 0, metrics, lambda p: context.policy.save(p / "policy")
        )
        return Checkpoint(context.directory, final / "policy", metrics)

    def _train(
        self, context: LearnContext, config: dict[str, Any], rows: Sequence[Any], path: Path
    ) -> tuple[dict[str, Any], int]:
        """Train the policy's module in place; return losses and counts, and how many devices."""
        work = context.directory / "trainer"
        if config["launch"]:
            from . import sft_job

            return sft_job.launch(context.policy, config, path, work, seed=context.seed)
        from .trl_bridge import supervised

        policy = context.policy
        return supervised(
            policy.model(), policy.tokenizer(), rows, config, work, seed=context.seed
        ), 1

    def _demonstrate(self, context: LearnContext, config: dict[str, Any]) -> list[dict[str, Any]]:
        """Play, keep the solved ones; the first entry of the list is about all of them."""
        tasks = context.tasks(int(config["tasks"]), step=0)
        policy = None
        if config["source"] == "expert":
            policy = Demonstrator(context.environment, context.policy, str(config["thought"]))
        elif config["source"] != "rejection":
            raise UsageError(
                f"trainer.sft.source is 'rejection' or 'expert', not {config['source']!r}"
            )
        played = context.rollout(
            tasks, repeats=int(config["repeats"]), phase="sft", step=0, policy=policy
        )
        episodes = usable(played)
        if config["source"] == "rejection":
            for e in episodes:
                context.memory.observe(e)
        head = {**summary(episodes), "invalid": len(played) - len(episodes)}
        limit = int(config["max_length"])
        out: list[dict[str, Any]] = [head]
        for e in select(episodes, int(config["per_task"]), int(config["max_rows"])):
            for row in episode_rows(e, form=str(config["rows"])):
                if limit and row.length > limit:
                    continue
                ids = row.prompt_ids + row.response_ids
                kept = (0,) * len(row.prompt_ids) + row.mask
                out.append(
                    {
                        "task": e.task.id,
                        "split": e.task.split,
                        "task_type": e.task.task_type,
                        "skill_ids": list(e.skill_ids),
                        "bank_version": e.bank_version,
                        "source": config["source"],
                        "input_ids": list(ids),
                        "labels": [t if k else -100 for t, k in zip(ids, kept)],
                    }
                )
        return out


def select(episodes: Sequence[Episode], per_task: int, limit: int) -> list[Episode]:
    """Solved train episodes: the shortest of each task, types in turn, at most `limit`."""
    solved = [(len(e.steps), i, e) for i, e in enumerate(episodes) if e.success]
    taken: dict[str, int] = {}
    queues: dict[str, list[Episode]] = {}
    for _, _, e in sorted(solved, key=lambda entry: entry[:2]):
        if taken.get(e.task.id, 0) < per_task:
            taken[e.task.id] = taken.get(e.task.id, 0) + 1
            queues.setdefault(e.task.task_type, []).append(e)
    picked: list[Episode] = []
    waiting = [queues[t] for t in sorted(queues)]
    while len(picked) < limit and any(waiting):
        for queue in waiting:
            if queue and len(picked) < limit:
                picked.append(queue.pop(0))
    return picked


class Demonstrator:
    """The environment's expert as a policy: its actions, in the learner's prompts and tokens.

    An episode's ids only grow: what the chat template adds to what is held is tokenised on its
    own, so that a demonstration becomes one row.
    """

    name, batching, concurrency, trainable = "expert", "gather", 1, False

    def __init__(self, environment: Any, learner: Any, thought: str) -> None:
        self.environment, self.thought = environment, thought
        self.tokenizer, self.style = learner.tokenizer(), learner.style
        self._live: dict[str, tuple[Iterator[str], str, list[int]]] = {}

    async def generate(self, requests: Sequence[Request]) -> list[Completion]:
        """The expert's next action in each episode; an expert that has none left says nothing."""
        return [self._answer(r) for r in requests]

    def _answer(self, request: Request) -> Completion:
        if request.episode_id not in self._live:
            plan = self.environment.expert(request.task)
            if plan is None:
                raise UsageError(
                    f"environment {self.environment.name!r} has no expert; "
                    "use --set trainer.sft.source=rejection"
                )
            self._live[request.episode_id] = (plan, "", [])
        plan, held_text, held_ids = self._live[request.episode_id]
        prompt = self.tokenizer.apply_chat_template(
            list(request.messages), tokenize=False, add_generation_prompt=True
        )
        if held_text and prompt.startswith(held_text):
            ids = held_ids + self._ids(prompt[len(held_text) :])
        else:
            ids = self._ids(prompt)
        text = f"<think>{self.thought}</think><action>{next(plan, '')}</action>"
        end = self.tokenizer.eos_token or ""
        sampled = self._ids(text + end)
        self._live[request.episode_id] = (plan, prompt + text + end, ids + sampled)
        return Completion(
            text=text,
            usage=Usage(input_tokens=len(ids), output_tokens=len(sampled), calls=1),
            token_ids=tuple(sampled),
            logprobs=(0.0,) * len(sampled),
            prompt_ids=tuple(ids),
            model="expert",
        )

    def _ids(self, text: str) -> list[int]:
        return self.tokenizer(text, add_special_tokens=False)["input_ids"]

    def release(self, episode_id: str) -> None:
        """Forget an episode."""
        self._live.pop(episode_id, None)

    def close(self) -> None:
        """Nothing to free."""


def _write(path: Path, rows: Sequence[dict[str, Any]]) -> None:
    draft = path.with_suffix(".tmp")
    with draft.open("w", encoding="utf-8") as out:
        for row in rows:
            out.write(json.dumps(row) + "\n")
        out.flush()
        os.fsync(out.fileno())
    draft.replace(path)


def _read(path: Path) -> tuple[list[dict[str, Any]], dict[str, Any]]:
    lines = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    return lines[1:], lines[0]
