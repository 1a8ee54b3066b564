"""What an agent loop of verl plays with: one episode of ours, in tokens that verl's engine samples.

`skillbench export verl` writes the loop itself (verl_export.py); it imports verl, this does not.
The engine is whatever answers `await generate(request_id=, prompt_ids=, sampling_params=)` with
`token_ids` and `log_probs`. An episode goes through the same loop, prompts and memory as in a run
of skillbench, and becomes rows by the same rule (rows.py): one row for an append-only transcript.
The bank is read again when its files have changed, so that a new version reaches the next episode.
Tasks are of the train split alone.
"""

from __future__ import annotations

import functools
import uuid
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from skillbench import environments
from skillbench.agent import Agent
from skillbench.config import load
from skillbench.errors import LeakError, PolicyError
from skillbench.leakage import TRAIN
from skillbench.records import Completion, Episode, Request, Task, Usage
from skillbench.rollout import Loop, Slot, play

from .credit import step_rewards
from .rows import Row, episode_rows


class EnginePolicy:
    """A policy in front of verl's engine; keeps the ids of each transcript."""

    name, batching, concurrency, style, trainable = "verl", "stream", 1, "chat", True

    def __init__(self, engine: Any, tokenizer: Any, sampling: dict[str, Any]) -> None:
        self.engine, self.tokenizer, self.sampling = engine, tokenizer, sampling
        self._held: dict[str, tuple[str, tuple[int, ...]]] = {}
        self._names: dict[str, str] = {}

    async def generate(self, requests: Sequence[Request]) -> list[Completion]:
        """Answer each request with sampled tokens. Raises PolicyError for an empty answer."""
        return [await self._answer(request) for request in requests]

    async def _answer(self, request: Request) -> Completion:
        prompt = self.tokenizer.apply_chat_template(
            [dict(m) for m in request.messages], tokenize=False, add_generation_prompt=True
        )
        text, ids = self._held.get(request.episode_id, ("", ()))
        if text and prompt.startswith(text):
            ids = ids + self._ids(prompt[len(text) :])
        else:
            ids = self._ids(prompt)
        sampling = {**self.sampling, "max_tokens": request.params.max_tokens}
        # One name per episode keeps its requests on the server that has its prefix cached.
        name = self._names.setdefault(request.episode_id, uuid.uuid4().hex)
        output = await self.engine.generate(
            request_id=name, prompt_ids=list(ids), sampling_params=sampling
        )
        sampled = tuple(output.token_ids)
        if not sampled:
            raise PolicyError("the engine of verl answered without a token")
        raw = self.tokenizer.decode(sampled, skip_special_tokens=False)
        self._held[request.episode_id] = (prompt + raw, ids + sampled)
        return Completion(
            text=self.tokenizer.decode(sampled, skip_special_tokens=True),
            usage=Usage(input_tokens=len(ids), output_tokens=len(sampled), calls=1),
            token_ids=sampled,
            logprobs=tuple(output.log_probs) if output.log_probs else (0.0,) * len(sampled),
            prompt_ids=ids,
            model="verl",
        )

    def _ids(self, text: str) -> tuple[int, ...]:
        return tuple(self.tokenizer(text, add_special_tokens=False)["input_ids"])

    def release(self, episode_id: str) -> None:
        """Forget an episode."""
        self._held.pop(episode_id, None)
        self._names.pop(episode_id, None)

    def close(self) -> None:
        """Nothing to free."""


class Game:
    """Plays train tasks as the configuration of a run says, with the bank of a directory."""

    def __init__(self, config_path: str, bank: str = "") -> None:
        from skillbench.registry import get

        self.config, self.registry = load(Path(config_path)), get()
        self.bank = Path(bank) if bank else None
        self.make_environment = environments.factory(self.config, self.registry)
        self.tasks = {task.id: task for task in self.make_environment().tasks(TRAIN)}
        self._memory: Any = None
        self._stamp: float | None = None

    def memory(self) -> Any:
        """The bank as its directory holds it now."""
        found = [p.stat().st_mtime for p in self.bank.rglob("*")] if self.bank else []
        stamp = max(found, default=0.0)
        if self._memory is None or stamp != self._stamp:
            table = {k: v for k, v in self.config["memory"].items() if k != "name"}
            factory = self.registry.memories[self.config["memory"]["name"]].load()
            self._memory = factory(table, teacher_spend=lambda *a, **k: None)
            if self.bank and found:
                self._memory.load(self.bank)
            self._memory.freeze()
            self._stamp = stamp
        return self._memory

    def task(self, name: str) -> Task:
        """A train task. Raises LeakError for any other."""
        if name not in self.tasks:
            raise LeakError(f"{name!r} is no train task: training sees the train split alone")
        return self.tasks[name]

    async def play(
        self, engine: Any, tokenizer: Any, sampling: dict[str, Any], task: str, repeat: int = 0
    ) -> tuple[Episode, list[Row], float]:
        """Play one episode; returns it, its rows, and its reward as stage `grpo` counts it.

        Raises PolicyError for an episode that is invalid, which must not be trained on.
        """
        table = {"temperature": sampling.get("temperature", 1.0)}
        agent = Agent.make(
            self.config["agent"], "chat", temperature=table["temperature"], top_p=1.0
        )
        memory = self.memory()
        loop = Loop(
            agent=agent,
            policy=EnginePolicy(engine, tokenizer, sampling),
            memory=memory,
            make_environment=self.make_environment,
            max_steps=self.config["run"]["max_steps"],
            retries=self.config["score"]["retries"],
            tokens=True,
            bank_version=str(getattr(memory, "version", "")),
        )
        (episode,) = await play([Slot(self.task(task), 0, "verl", 0, repeat)], loop)
        if episode.outcome == "invalid":
            raise PolicyError(f"episode of {task!r} is invalid: {episode.error}")
        stage = self.config["trainer"].get("grpo", {})
        reward = sum(step_rewards(episode, float(stage.get("invalid_penalty", 0.0)), 0.0))
        return episode, episode_rows(episode), reward


@functools.cache
def game(config_path: str, bank: str = "") -> Game:
    """The game of a configuration; verl makes a loop per episode, this is made once a process."""
    return Game(config_path, bank)
