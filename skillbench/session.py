"""What one run holds while it runs: its parts, its directory, its ledger, and one event loop.

There is one policy instance at a time, in a known state: the weights as they came, or those of a
directory. Stages and arms ask for the state that they need, so that nothing learned in one seed can
reach the baseline or the next seed.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from . import environments, prices, provenance
from .agent import Agent
from .askers import streams
from .budget import Budget, Gate, Spender
from .config import NONE_MEMORY
from .devices import Meter
from .errors import PluginError
from .ledger import Ledger
from .panel import Panel
from .protocols import Method
from .records import Completion, Context, Episode, Skill, Task, Usage
from .reporting import Reporter
from .rollout import Loop, Slot, play
from .store import RunDir


@dataclass(frozen=True)
class RunInfo:
    """What hooks are told about a run."""

    directory: Path
    config: Any


class Blank:
    """The memory of the baseline: shows nothing, holds nothing."""

    name = NONE_MEMORY
    version = ""

    def context(self, task: Task, history: Sequence[Any] = (), budget: int = 0) -> Context:
        """Show nothing."""
        return Context()

    def skills(self) -> list[Skill]:
        """No entries."""
        return []


class Session:
    """The parts of a run, made from its configuration."""

    def __init__(self, config: Any, registry: Any, run: RunDir, reporter: Reporter) -> None:
        self.config, self.registry, self.run, self.reporter = config, registry, run, reporter
        self.info = RunInfo(run.path, config)
        self.method: Method = registry.methods[config["method"]]
        self.stages = [
            name
            for name in self.method.trainers
            if config["trainer"].get(name, {}).get("enabled", True)
        ]
        self.ledger = Ledger(run.lines("ledger.jsonl"))
        self.budget: Budget | None = None
        self.shared: Any = None  # of a suite: what other runs have learned already (sharing.py)
        self.meter = Meter.find()
        self._factory: Any = None
        self.environment = self.make_environment()
        self._asyncio = asyncio.Runner()
        self._policy: Any = None
        self._weights: Path | None = None  # of the live policy; None: as they came
        self._dirty = False

    @property
    def seeds(self) -> list[int]:
        """The run's seeds."""
        return list(range(self.config["run"]["seeds"]))

    @property
    def has_memory(self) -> bool:
        """Whether the method shows anything at all."""
        return self.config["memory"]["name"] != NONE_MEMORY

    @property
    def beyond(self) -> dict[str, Any]:
        """What the method's episodes may spend beyond the step limit: arguments of `play`."""
        table = self.config["score"]
        return {k: table[k] for k in ("extra_steps", "extra_tokens") if table[k]}

    @property
    def label(self) -> str:
        """How results name the environment."""
        return self.environment.label or self.environment.name

    @property
    def policy_label(self) -> str:
        """How results name the policy: NAME or NAME:MODEL."""
        table = self.config["policy"]
        return f"{table['name']}:{table['model']}" if table.get("model") else table["name"]

    def make_environment(self) -> Any:
        """A fresh instance; one per live episode."""
        if self._factory is None:
            self._factory = environments.factory(self.config, self.registry)
        return self._factory()

    def make_memory(self, seed: int, stage: str | None = None) -> Any:
        """A fresh memory, its embedding calls booked on the ledger."""
        table = {k: v for k, v in self.config["memory"].items() if k != "name"}
        factory = self.registry.memories[self.config["memory"]["name"]].load()
        return factory(table, teacher_spend=self.spender(seed=seed, stage=stage))

    def make_teacher(self, seed: int, stage: str) -> Any:
        """The teacher, or None where the method has none."""
        table = dict(self.config["teacher"])
        name, model = table.pop("name", ""), table.pop("model", "") or None
        if not name:
            return None
        factory = self.registry.teachers[name].load()
        spend = self.spender(seed=seed, stage=stage)
        return factory(model, table, spend=spend, environment=self.environment)

    def spender(self, **extra: Any) -> Spender:
        """A function (phase, role, usage, model) that writes on the ledger."""
        seed = extra.get("seed")
        folder = None if seed is None else self.run.path / "learn" / str(seed) / "answers"
        return Spender(self.ledger, self.budget, extra, folder)

    def limit(self, max_usd: float) -> None:
        """Stop before the bill of this run passes a limit."""
        tables = {role: self.config[role] for role in ("policy", "teacher")}
        lines = self.run.read("ledger.jsonl")
        rates = prices.rates(provenance.hardware())
        self.budget = self.ledger.budget = Budget(max_usd, rates, tables, lines)

    @contextmanager
    def metered(self, phase: str, **extra: Any) -> Iterator[None]:
        """Book what devices report of the work inside: one ledger line, none where they do not.

        A span that is cut short by a kill is not booked.
        """
        with self.meter.span() as found:
            yield
        if found.known:
            self.ledger.report(phase, found.known, **extra)

    def policy(self, weights: Path | None = None) -> Any:
        """The policy with the weights of a directory, or as it comes (None)."""
        if self._policy is not None and weights is None and (self._dirty or self._weights):
            self.close_policy()
        if self._policy is None:
            table = dict(self.config["policy"])
            name, model = table.pop("name"), table.pop("model", "") or None
            self._policy = self.registry.policies[name].load()(model, table)
            self._weights, self._dirty = None, False
            self._note()
        if weights is not None and (self._dirty or weights != self._weights):
            if not hasattr(self._policy, "load"):
                raise PluginError(
                    f"policy {self.policy_label!r} cannot load the weights of {weights}: "
                    "use a trainable policy, or switch the trainers off"
                )
            self._policy.load(weights)
            self._weights, self._dirty = weights, False
        return self._policy

    def _note(self) -> None:
        """Keep in the manifest what a result needs to know of the policy, once it is gone."""
        manifest = self.run.load_json("manifest.json")
        if manifest is not None and "style" not in manifest:
            manifest["style"] = getattr(self._policy, "style", "")
            manifest["oracle"] = bool(getattr(self._policy, "oracle", False))
            self.run.write_json("manifest.json", manifest)

    def mark_dirty(self) -> None:
        """A trainer has the policy: its weights are no longer those of any directory."""
        self._dirty = True

    def mark_clean(self) -> None:
        """The trainer said that it changed no weights."""
        self._dirty = False

    def close_policy(self) -> None:
        """Free the policy."""
        if self._policy is not None:
            self._policy.close()
        self._policy, self._weights, self._dirty = None, None, False

    def agent(self, style: str, table: Any) -> Agent:
        """The agent for a style; `table` may hold temperature and top_p."""
        return Agent.make(
            self.config["agent"],
            style,
            temperature=float(table.get("temperature", 1.0)),
            top_p=float(table.get("top_p", 1.0)),
        )

    def play(
        self,
        slots: Sequence[Slot],
        *,
        agent: Agent,
        policy: Any,
        memory: Any,
        phase: str,
        tokens: bool = False,
        on_episode: Callable[[Slot, Episode, list[Completion]], None] | None = None,
        live: int = 0,
        extra_steps: float = 0.0,
        extra_tokens: int = 0,
        **extra: Any,
    ) -> list[Episode]:
        """Play slots through the loop; every call goes on the ledger under `phase`.

        `extra_steps` (a share) and `extra_tokens` let episodes go on beyond the step limit. At most
        `run.live` episodes, or else `live`, are played at a time: what a policy keeps of them (KV
        caches, sessions) is bounded by it. A policy that streams begins the next one when one has
        ended; for one that batches the next so many begin when all before have ended, which keeps
        the composition of batches a matter of the slots alone.
        """

        def on_call(role: str, usage: Usage, model: str) -> None:
            model = model or (self.policy_label if role == "policy" else "")
            self.ledger.spend(phase, role, usage, model=model, **extra)

        loop = Loop(
            agent=agent,
            policy=policy,
            memory=memory,
            make_environment=self.make_environment,
            max_steps=self.config["run"]["max_steps"],
            extra_steps=extra_steps,
            extra_tokens=extra_tokens,
            retries=self.config["score"]["retries"],
            tokens=tokens,
            bank_version=bank_version(memory),
            on_episode=on_episode,
            on_call=on_call,
            gate=None if self.budget is None else Gate(self.budget, phase),
            live=int(self.config["run"]["live"]) or live,
        )
        size = max(len(slots), 1)
        if not streams(policy):
            size = loop.live or size
        played: list[Episode] = []
        for start in range(0, len(slots), size):
            played += self._asyncio.run(play(slots[start : start + size], loop))
        return played

    def notify(self, hook: str, **arguments: Any) -> None:
        """Tell the plugins; what they raise does not reach the run."""
        plugins = getattr(self.registry, "plugins", None)
        if plugins is not None:
            plugins.notify(hook, **arguments)

    def close(self) -> None:
        """Free everything."""
        try:
            self.close_policy()
        finally:
            self._asyncio.close()
            self.reporter.finish()


def bank_version(memory: Any) -> str:
    """The memory's own version, or a digest over the ids of its skills."""
    version = getattr(memory, "version", None)
    if isinstance(version, str):
        return version
    from .rollout import seed_of

    ids = sorted(skill.id for skill in memory.skills())
    return f"{seed_of(*ids):08x}" if ids else ""


def by_kind(skills: Iterable[Skill]) -> dict[str, int]:
    """How many skills of each kind."""
    counts: dict[str, int] = {}
    for skill in skills:
        counts[skill.kind] = counts.get(skill.kind, 0) + 1
    return dict(sorted(counts.items()))


def panel_tasks(panel: Panel, size: int) -> list[list[Task]]:
    """The panel in chunks of fixed composition."""
    return [list(panel.tasks[i : i + size]) for i in range(0, len(panel.tasks), size)]
