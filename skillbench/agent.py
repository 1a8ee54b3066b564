"""The agent: what a policy is shown, and which action its answer means.

An episode is one transcript that only ever grows: a system message (instructions, and the skills
that the memory picked for the task, shown from the first step), then observation and answer in
turn. Stable prefixes let vLLM's prefix cache and a kept KV cache pay, and training reads each token
once. The texts are files in prompts/STYLE; which style is used is the policy's choice.

Skills are never truncated here: the memory gets a token budget and keeps to it. Old observations
may be (`agent.history`, `agent.observation_chars`), and then the episode says so.
"""

from __future__ import annotations

import functools
import math
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from string import Template
from typing import Any

from .errors import UsageError, suggest
from .records import Context, Episode, Message, SamplingParams, Task

PROMPTS = Path(__file__).parent / "prompts"
CUT = " [...]"


def estimate_tokens(text: str) -> int:
    """Estimate the tokens of a text from its words (1.35 a word), as budgets are counted."""
    return math.ceil(len(text.split()) * 1.35)


@dataclass(frozen=True)
class Style:
    """One prompt layout, read from prompts/NAME."""

    name: str
    system: Template
    skills: Template
    turn: Template
    admissible: Template
    max_tokens: int
    compact: bool

    @property
    def lists_commands(self) -> bool:
        """Whether a turn names the admissible commands."""
        return bool(self.admissible.template.strip())


@functools.cache
def load_style(name: str) -> Style:
    """Read a style. Raises UsageError with the nearest name for one that does not exist."""
    folder = PROMPTS / name
    if not name or not (folder / "style.toml").is_file():
        known = sorted(p.parent.name for p in PROMPTS.glob("*/style.toml"))
        raise UsageError(
            f"unknown prompt style {name!r}{suggest(name, known)} known: {', '.join(known)}"
        )
    text = {
        part: Template((folder / f"{part}.md").read_text(encoding="utf-8").removesuffix("\n"))
        for part in ("system", "skills", "turn", "admissible")
    }
    settings = tomllib.loads((folder / "style.toml").read_text(encoding="utf-8"))
    return Style(name=name, **text, max_tokens=settings["max_tokens"], compact=settings["compact"])


@dataclass(frozen=True)
class Action:
    """What an answer means: the text for the environment, and whether it was readable."""

    text: str
    readable: bool


def parse(response: str, admissible: frozenset[str] | None) -> Action:
    """Read the action out of an answer.

    It is the first <action>...</action> after the last </think>. Without one, the whole answer
    counts if it is a command that is possible now (or if commands are free text); anything else
    goes to the environment as it stands and is an invalid step.
    """
    rest = response.rpartition("</think>")[2]
    start = rest.find("<action>")
    if start >= 0:
        end = rest.find("</action>", start)
        # A stop string may have swallowed the closing tag: the rest of the line is the action.
        inner = rest[start + 8 : end] if end >= 0 else rest[start + 8 :].strip().partition("\n")[0]
        text = inner.strip()
        if admissible is not None and text not in admissible and text.lower() in admissible:
            text = text.lower()
        return Action(text, bool(text))
    text = rest.strip()
    if admissible is None:
        return Action(text, bool(text))
    if text in admissible:
        return Action(text, True)
    if text.lower() in admissible:
        return Action(text.lower(), True)
    return Action(text or response.strip(), False)


@dataclass
class Transcript:
    """The growing messages of one live episode."""

    context: Context
    messages: list[Message]
    prompts: list[str] = field(default_factory=list)
    cut: bool = False

    @property
    def system(self) -> str:
        """The system message."""
        return self.messages[0]["content"]


@dataclass(frozen=True)
class Agent:
    """Builds transcripts in one style; holds no state of an episode."""

    style: Style
    budget: int = 256
    max_tokens: int = 0
    history: int = 0
    observation_chars: int = 0
    temperature: float = 0.4
    top_p: float = 1.0

    @classmethod
    def make(
        cls, table: Mapping[str, Any], policy_style: str, *, temperature: float, top_p: float
    ) -> Agent:
        """Make one from the `agent` table of the configuration."""
        return cls(
            style=load_style(table.get("style") or policy_style or "chat"),
            budget=table.get("budget", 256),
            max_tokens=table.get("max_tokens", 0),
            history=table.get("history", 0),
            observation_chars=table.get("observation_chars", 0),
            temperature=temperature,
            top_p=top_p,
        )

    def system(self, instructions: str, skills: str) -> str:
        """The system message: instructions, and the skills where there are any."""
        text = self.style.system.substitute(instructions=instructions)
        return text + self.style.skills.substitute(skills=skills) if skills else text

    def begin(self, environment: Any, memory: Any, task: Task) -> Transcript:
        """Open a transcript: ask the memory what to show for the task."""
        context = memory.context(task, (), self.budget) if self.budget else Context()
        system = self.system(getattr(environment, "instructions", ""), context.text)
        return Transcript(context, [{"role": "system", "content": system}], cut=context.truncated)

    def observe(self, script: Transcript, environment: Any, text: str, admissible: Any) -> str:
        """Add an observation as a user turn; return the turn's text."""
        first = len(script.messages) == 1
        if first and self.style.compact and hasattr(environment, "compact"):
            text = environment.compact(text)
        if self.observation_chars and len(text) > self.observation_chars:
            text = text[: self.observation_chars] + CUT
            script.cut = True
        turn = self.style.turn.template
        shown = text if turn == "$observation" else self.style.turn.substitute(observation=text)
        if admissible is not None and self.style.lists_commands:
            shown += self.style.admissible.substitute(admissible=", ".join(admissible))
        script.messages.append({"role": "user", "content": shown})
        return shown

    def answer(self, script: Transcript, response: str) -> None:
        """Add the policy's answer."""
        script.messages.append({"role": "assistant", "content": response})

    def shown(self, script: Transcript) -> tuple[Message, ...]:
        """The messages of the next request: all, or the first turn and the last `history`."""
        messages = script.messages
        tail = len(messages) - (2 * self.history + 1)
        if not self.history or tail <= 1:
            return tuple(messages)
        script.cut = True
        # Chat templates want the roles to alternate: the first user turn, which holds the task,
        # and the oldest kept observation become one turn.
        text = messages[1]["content"] + "\n" + CUT.strip() + "\n" + messages[tail]["content"]
        return (messages[0], {"role": "user", "content": text}, *messages[tail + 1 :])

    def params(self, seed: int) -> SamplingParams:
        """How the answer is sampled."""
        return SamplingParams(
            temperature=self.temperature,
            top_p=self.top_p,
            max_tokens=self.max_tokens or self.style.max_tokens,
            stop=(),
            seed=seed,
        )


def transcript(episode: Episode) -> list[Message]:
    """Rebuild the messages of a finished episode (a window, `agent.history`, is not applied)."""
    messages: list[Message] = [{"role": "system", "content": episode.system}]
    for step in episode.steps:
        messages.append({"role": "user", "content": step.prompt or step.observation})
        messages.append({"role": "assistant", "content": step.response})
    return messages
