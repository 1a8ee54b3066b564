"""The contracts that plugins implement. Data flows one way: learn, freeze, score, report.

An `Environment` gives tasks and texts, a `Policy` turns messages into completions, a `SkillMemory`
decides what the model may look up, a `Trainer` is one stage of learning, a `Teacher` turns
episodes into skills, and a `Method` names a combination of them as data.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

from .records import (
    Completion,
    Context,
    Episode,
    Request,
    Skill,
    Task,
    Update,
    Usage,
)

if TYPE_CHECKING:
    from .environment import Environment


def __getattr__(name: str) -> Any:
    # gymnasium takes 0.4 s to import; only those who touch an environment pay for it.
    if name == "Environment":
        from .environment import Environment

        return Environment
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


@runtime_checkable
class Policy(Protocol):
    """Turns chat messages into completions, asynchronously, batched across episodes.

    `batching` is "gather" (the loop hands over whatever requests wait, as one batch) or "stream"
    (each request at once, `concurrency` of them at a time). `style` names the prompt layout in
    skillbench/prompts that the policy reads best.
    """

    name: str
    batching: str
    concurrency: int
    style: str
    trainable: bool

    async def generate(self, requests: Sequence[Request]) -> list[Completion]:
        """Answer each request, in order. Raises PolicyError; a list may hold one per request."""
        ...

    def release(self, episode_id: str) -> None:
        """Forget what is kept for an episode that has ended."""
        ...

    def close(self) -> None:
        """Free processes, sockets and memory."""
        ...


class TrainablePolicy(Policy, Protocol):
    """A policy whose weights a trainer may change."""

    def model(self) -> Any:
        """The torch module that is trained, on the training device."""
        ...

    def tokenizer(self) -> Any:
        """The transformers tokenizer whose chat template made the prompts."""
        ...

    def sync(self, version: str) -> None:
        """Make the sampler use the module's present weights; `version` names them."""
        ...

    def save(self, directory: Path) -> None:
        """Write weights and tokenizer as safetensors and JSON."""
        ...

    def load(self, directory: Path) -> None:
        """Read them back, into module and sampler."""
        ...


class SkillMemory(Protocol):
    """What the agent can look up and learn into. Writes from outside train raise LeakError."""

    def context(self, task: Task, history: Sequence[Any], budget: int) -> Context:
        """Return what to show for a task, within `budget` tokens (0 means nothing)."""
        ...

    def observe(self, episode: Episode) -> None:
        """Note one finished train episode (usage statistics, utilities); cheap."""
        ...

    def update(
        self, episodes: Sequence[Episode], teacher: Teacher | None, *, step: int = 0
    ) -> Update:
        """Learn from train episodes, with the teacher's help."""
        ...

    def freeze(self) -> None:
        """From here on `observe` and `update` raise LeakError."""
        ...

    def skills(self) -> list[Skill]:
        """The present entries, in a stable order."""
        ...

    def save(self, directory: Path) -> None:
        """Write the whole state as text files."""
        ...

    def load(self, directory: Path) -> None:
        """Read it back."""
        ...


class Teacher(Protocol):
    """Turns episodes into skills. Spends through the ledger that it is given."""

    name: str

    def distill(self, episodes: Sequence[Episode], *, step: int = 0) -> list[Skill]:
        """First bank: skills from successes, lessons from failures."""
        ...

    def refine(
        self, failures: Sequence[Episode], skills: Sequence[Skill], *, max_new: int, step: int = 0
    ) -> tuple[list[Skill], list[Skill]]:
        """Return (new skills, refined ones, whose `parent` names the skill that each replaces)."""
        ...


@dataclass(frozen=True)
class Checkpoint:
    """What a stage of learning left behind: a directory, and which weights it holds (or none)."""

    directory: Path
    weights: Path | None = None
    metrics: Mapping[str, Any] = field(default_factory=dict)


class LearnContext(Protocol):
    """What a trainer sees. It holds no panel, and every task and episode in it is from train."""

    config: Mapping[str, Any]  # the trainer's own table
    evolve: Mapping[str, Any]  # the run's `evolve` table
    seed: int
    directory: Path  # this stage's own directory, kept over a resume
    shared: dict[str, Any]  # what earlier stages left for later ones; JSON-ready values
    policy: Any
    memory: SkillMemory
    teacher: Teacher | None
    environment: Environment

    def tasks(self, n: int, *, step: int = 0) -> list[Task]:
        """`n` train tasks for learning step `step`, stratified by task type, reproducible."""
        ...

    def rollout(
        self,
        tasks: Sequence[Task],
        *,
        repeats: int = 1,
        phase: str = "rollout",
        step: int = 0,
        memory: SkillMemory | None = None,
        tokens: bool = True,
        policy: Any = None,
    ) -> list[Episode]:
        """Play each task `repeats` times through the one loop; grouped by task, in task order."""
        ...

    def spend(self, phase: str, role: str, usage: Usage, *, model: str = "") -> None:
        """Write a line on the ledger."""
        ...

    def log(self, step: int, metrics: Mapping[str, Any]) -> None:
        """Append a line to metrics.jsonl and move the progress display."""
        ...

    def snapshot(self, step: int) -> None:
        """Save the memory as skills/step_N.json."""
        ...


class Trainer(Protocol):
    """One stage of learning. Resumable: `fit` called again on its directory goes on."""

    def fit(self, context: LearnContext) -> Checkpoint:
        """Learn from train episodes; may change the policy's weights and the memory."""
        ...


@dataclass(frozen=True)
class Method:
    """A named combination, as data: each ablation is a field that `--set` can change.

    `trainers` are the stages of learning in order (names of registered trainers), each switched by
    `--set trainer.NAME=false`. `defaults` is a nested table laid over the components' own.
    """

    name: str
    memory: str = "none"
    trainers: tuple[str, ...] = ()
    teacher: str | None = None
    defaults: Mapping[str, Any] = field(default_factory=dict)
    paper: str = ""
    stage: str = "frozen"  # "frozen" weights or "trained" ones: decides how intervals are made
    notes: str = ""


EpisodeCallback = Callable[[Episode], None]
Generate = Callable[[Sequence[Request]], Awaitable[list[Completion]]]
