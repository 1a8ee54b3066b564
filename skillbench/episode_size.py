"""How many tokens an episode is, for plans: measured on a few train tasks, not on a model.

A few train tasks are walked at random, and their texts are laid out as the policy's prompts are.
An episode is a share of its step limit; how many tokens of it are read, cached and held follows
from whether prompts are one growing transcript or are built anew at each step.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from .agent import Agent
from .agent import estimate_tokens as count
from .leakage import TRAIN
from .rollout import seed_of

ANSWER = 0.2  # an answer's share of the tokens that it may have
OBSERVATION = 150  # tokens of a turn where it cannot be measured
WALKS, WALK = 3, 8  # train tasks that are walked, and steps of each


@dataclass(frozen=True)
class EpisodeSize:
    """Mean tokens of what an episode is made of, and how it is put together."""

    steps: float
    window: int  # turns of a prompt that is built anew; 0 = one growing transcript
    system: int
    turn: int
    answer: int
    measured: bool = True
    why_not: str = ""  # what kept it from being measured, if that was an error

    @property
    def read(self) -> float:
        """Prompt tokens of all its steps."""
        k = self.steps
        if self.window:
            return k * self._prompt
        return k * self.system + self.turn * k * (k + 1) / 2 + self.answer * k * (k - 1) / 2

    @property
    def fresh(self) -> float:
        """Those of them that no prefix cache holds."""
        if self.window:  # the instructions alone stay in front
            return self.system + self.steps * (self._prompt - self.system)
        return self.system + self.steps * self.turn + (self.steps - 1) * self.answer

    @property
    def held(self) -> float:
        """Tokens of it in the KV cache at its end; of one row of an update, too."""
        if self.window:
            return float(self._prompt + self.answer)
        return self.system + self.steps * (self.turn + self.answer)

    @property
    def rows(self) -> float:
        """Tokens that an update reads of it."""
        return self.steps * self.held if self.window else self.held

    @property
    def _prompt(self) -> int:
        """Of a prompt that is built anew: instructions, the first turn, the last ones."""
        return self.system + (self.window + 2) * self.turn + self.window * self.answer


def measure(config: Any, environment: Any, steps: float, skills: int) -> EpisodeSize:
    """The size of an episode of so many steps, with so many tokens of skills in its prompts.

    `environment` may be None: turns have a size by assumption then.
    """
    style = config["agent"]["style"] or config["policy"].get("style") or "chat"
    if style == "auto":  # of a policy that asks the model
        style = "chat"
    agent = Agent.make(config["agent"], style, temperature=1.0, top_p=1.0)
    answer = round(ANSWER * agent.params(0).max_tokens)
    system = count(agent.system(getattr(environment, "instructions", ""), "")) + skills
    turns: list[int] = []
    why_not = ""
    try:
        turns = list(_walk(agent, environment))
    except Exception as error:  # whatever an environment raises: a plan goes on without it
        why_not = first_line(error)
    turn = round(sum(turns) / len(turns)) if turns else OBSERVATION
    window = int(config["agent"]["history"])
    return EpisodeSize(steps, window, system, turn, answer, bool(turns), why_not)


def _walk(agent: Agent, environment: Any) -> Iterator[int]:
    """Tokens of each turn of the walks."""
    from .session import Blank

    if environment is None:
        return
    rng = random.Random(0)
    for task in sorted(environment.tasks(TRAIN), key=lambda t: seed_of(t.id))[:WALKS]:
        script = agent.begin(environment, Blank(), task)
        text, info = environment.reset(seed=0, options={"task": task.id})
        for _ in range(WALK):
            allowed = info.get("admissible")
            yield count(agent.observe(script, environment, text, allowed))
            if not allowed:
                break
            text, _, terminated, truncated, info = environment.step(rng.choice(allowed))
            if terminated or truncated:
                break


def first_line(error: BaseException) -> str:
    """An error in a line."""
    return (str(error).splitlines() or [type(error).__name__])[0]
