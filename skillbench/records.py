"""The records that flow through skillbench: frozen, JSON-ready, with no behaviour of their own.

A `Task` is played in an `Episode` of `Step`s; a `Policy` answers a `Request` with a `Completion`;
a memory holds `Skill`s, answers with a `Context` and reports an `Update`. Everything that costs
something carries a `Usage`.
"""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

Outcome = Literal["success", "failure", "truncated", "invalid"]
OUTCOMES: tuple[Outcome, ...] = ("success", "failure", "truncated", "invalid")
if TYPE_CHECKING:
    Message = Mapping[str, str]
else:  # isolated environments import this file on Python 3.8, too
    Message = dict  # {"role": "system" | "user" | "assistant", "content": text}


@dataclass(frozen=True)
class Task:
    """One episode's problem. `id` is unique within (environment, split)."""

    id: str
    environment: str
    split: str
    task_type: str
    goal: str
    meta: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Usage:
    """What one call or one episode spent. Tokens are counts, times are seconds, usd is dollars."""

    input_tokens: int = 0
    cached_tokens: int = 0
    output_tokens: int = 0
    calls: int = 0
    usd: float = 0.0
    wall_s: float = 0.0
    device_s: float = 0.0

    def __add__(self, other: Usage) -> Usage:
        return Usage(
            *(getattr(self, f.name) + getattr(other, f.name) for f in dataclasses.fields(self))
        )


@dataclass(frozen=True)
class SamplingParams:
    """How a completion is sampled. `seed` makes one completion reproducible on its own."""

    temperature: float = 1.0
    top_p: float = 1.0
    max_tokens: int = 64
    stop: tuple[str, ...] = ()
    seed: int = 0


@dataclass(frozen=True)
class Request:
    """One question to a policy: the whole transcript so far, plus what the policy may need.

    `episode_id` is stable over the steps of one episode, so that a policy can keep the KV cache
    of a transcript: `messages` only ever grows at its end within one `episode_id`.
    `admissible` and `task` are for policies that choose among commands (random, constrained);
    `private` is for the oracle `expert` alone and is empty for every scored policy.
    """

    episode_id: str
    step: int
    messages: tuple[Message, ...]
    params: SamplingParams = SamplingParams()
    admissible: tuple[str, ...] | None = None
    task: Task | None = None


@dataclass(frozen=True)
class Completion:
    """A policy's answer. Token ids and log-probabilities are present for trainable policies.

    `prompt_ids` is the whole prompt as the model saw it, `token_ids` what was sampled (stop token
    included) and `logprobs` the sampler's natural-log probability of each sampled token.
    """

    text: str
    usage: Usage = Usage()
    token_ids: tuple[int, ...] | None = None
    logprobs: tuple[float, ...] | None = None
    prompt_ids: tuple[int, ...] | None = None
    finish_reason: str = "stop"
    model: str = ""


@dataclass(frozen=True)
class Step:
    """One turn: what was seen, what was answered, what was done, and what it earned.

    `observation` is the text before the action. `valid` is False when no action could be read from
    the response or the environment said that the action is not one of its commands. `prompt` is
    the user turn as the model saw it, where that differs from the observation (else empty), so
    that an episode holds its whole transcript.
    """

    observation: str
    response: str
    action: str
    reward: float = 0.0
    valid: bool = True
    prompt_ids: tuple[int, ...] | None = None
    token_ids: tuple[int, ...] | None = None
    logprobs: tuple[float, ...] | None = None
    prompt: str = ""


@dataclass(frozen=True)
class Episode:
    """One attempt at a task.

    `success` is the environment's word for "solved" (never "done"); `score` is its graded score in
    [0, 1] (equal to success where the environment has no other). `outcome` is `invalid` only for
    infrastructure faults, and `error` then says which. `final_observation` is what the last action
    led to.
    """

    task: Task
    seed: int
    outcome: Outcome
    success: bool
    steps: tuple[Step, ...] = ()
    score: float = 0.0
    final_observation: str = ""
    skill_ids: tuple[str, ...] = ()
    bank_version: str = ""
    usage: Usage = Usage()
    wall_s: float = 0.0
    attempt: int = 0
    context_truncated: bool = False
    error: str | None = None
    system: str = ""  # the system message: instructions and the skills shown
    metrics: Mapping[str, float] = field(default_factory=dict)  # further scores of the environment
    withheld: tuple[str, ...] | None = (
        None  # skills left out by chance (showing.py); None: no chance
    )


@dataclass(frozen=True)
class Skill:
    """One entry of a memory. Ids are content hashes, so that equal skills are one skill.

    `kind` is "general", "task_type" (then `task_type` says which) or "mistake" (then `principle` is
    what to do instead and `title` what went wrong). `source_tasks` are the train tasks whose
    episodes it was distilled from; `step` is the learning step at which it was made and `parent`
    the skill that it refines.
    """

    title: str
    principle: str
    when_to_apply: str = ""
    kind: Literal["general", "task_type", "mistake"] = "general"
    task_type: str | None = None
    source_tasks: tuple[str, ...] = ()
    source_split: str = "train"
    step: int = 0
    parent: str | None = None
    author: str = ""
    meta: Mapping[str, Any] = field(default_factory=dict)

    @property
    def id(self) -> str:
        """Content hash over what the model can read: 12 hex digits after the kind's letter."""
        # Lone surrogates count as "?", which is what a file makes of them.
        text = "\x1f".join(
            (self.kind, self.task_type or "", self.title, self.principle, self.when_to_apply)
        )
        return self.kind[0] + "_" + hashlib.sha256(text.encode(errors="replace")).hexdigest()[:12]


@dataclass(frozen=True)
class Context:
    """What a memory wants the model to read for one task, and which skills that shows."""

    text: str = ""
    skill_ids: tuple[str, ...] = ()
    usage: Usage = Usage()
    truncated: bool = False
    withheld: tuple[str, ...] | None = None  # picked, and left out by chance (showing.py)


@dataclass(frozen=True)
class Update:
    """What one learning update changed in a memory: skill ids."""

    added: tuple[str, ...] = ()
    changed: tuple[str, ...] = ()
    removed: tuple[str, ...] = ()


def whole(text: str) -> str:
    """The text with each lone surrogate, which no file and no server takes, replaced by "?"."""
    return text if text.isascii() else text.encode(errors="replace").decode()


def to_json(record: Any, *, omit: tuple[str, ...] = ()) -> dict[str, Any]:
    """Return a JSON-ready dict of a record, without empty optional fields or those in `omit`."""
    out: dict[str, Any] = {}
    for f in dataclasses.fields(record):
        value = getattr(record, f.name)
        if f.name in omit or value is None:
            continue
        out[f.name] = _plain(value, omit)
    if isinstance(record, Skill):
        out["id"] = record.id
    return out


def _plain(value: Any, omit: tuple[str, ...]) -> Any:
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return to_json(value, omit=omit)
    if isinstance(value, Mapping):
        return {str(k): _plain(v, omit) for k, v in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(v, omit) for v in value]
    return value


TOKEN_FIELDS = ("prompt_ids", "token_ids", "logprobs")  # left out of episodes.jsonl


def episode_from_json(data: Mapping[str, Any]) -> Episode:
    """Rebuild an episode from its JSON line (token fields are absent there)."""
    kw = dict(data)
    kw["task"] = Task(**data["task"])
    kw["steps"] = tuple(Step(**s) for s in data.get("steps", ()))
    kw["usage"] = Usage(**data.get("usage", {}))
    kw["skill_ids"] = tuple(data.get("skill_ids", ()))
    if data.get("withheld") is not None:
        kw["withheld"] = tuple(data["withheld"])
    return Episode(**kw)


def skill_from_json(data: Mapping[str, Any]) -> Skill:
    """Rebuild a skill from JSON; a stored `id` is ignored, since ids are content hashes."""
    kw = {k: v for k, v in data.items() if k != "id"}
    kw["source_tasks"] = tuple(data.get("source_tasks", ()))
    return Skill(**kw)
