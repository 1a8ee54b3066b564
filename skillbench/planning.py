"""The plan that `run --dry-run` prints: episodes, tokens, memory, device-hours, teacher, dollars.

Nothing is loaded or fetched: the model is its shape (the policy's `shape`, from a local config.json
or from published figures), texts are measured on a few train tasks (episode_size.py). Trainers say
what they play and read (`plan`, a static method, or at least `episodes`). Rules for time and memory
are in hardware.py, a plan and its text in plans.py. Whatever is assumed is said.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from . import environments, hardware, panel, prices
from .episode_size import first_line, measure
from .errors import SkillbenchError
from .hardware import CPU, Fleet, device, here
from .lazy import load_target
from .leakage import TRAIN
from .plans import FULL, Phase, Plan

SOLVED_GROUPS = 2 / 3  # share of episodes whose group carries a gradient
SHOWN = 0.5  # tokens of skills in a prompt, as a share of their budget


def plan(config: Any, registry: Any) -> Plan:
    """Make the plan of a run. Raises UsageError for a device without figures."""
    return _Planner(config, registry).plan()


class _Planner:
    def __init__(self, config: Any, registry: Any) -> None:
        self.config, self.registry = config, registry
        self.notes: list[str] = []
        self.environment: Any = None
        try:
            self.environment = environments.factory(config, registry)()
        except SkillbenchError as error:
            self.notes.append(f"the environment cannot be asked here ({first_line(error)})")
        own = int(getattr(self.environment, "max_steps", 50))
        self.limit = int(config["run"]["max_steps"]) or own
        steps = max(1.0, float(config["plan"]["step_share"]) * self.limit)
        self.method = registry.methods[config["method"]]
        self.stages = [s for s in self.method.trainers if config["trainer"][s]["enabled"]]
        self.entry = registry.policies[config["policy"]["name"]]
        shown = config["memory"]["name"] != "none"
        skills = round(SHOWN * config["agent"]["budget"]) if shown else 0
        self.size = measure(config, self.environment, steps, skills)
        if self.size.why_not:
            self.notes.append(f"no train task can be walked here ({self.size.why_not})")
        self.fleet = self._fleet()

    def plan(self) -> Plan:
        phases = [p for stage in self.stages for p in self._stage(stage)]
        n = self._panel()
        chunk = min(int(self.config["score"]["chunk"]), n) or 1
        arms = ["score"]
        shown = self.config["memory"]["name"] != "none"
        if (self.stages or shown) and self.config["score"]["baseline"]:
            arms.append("baseline")
        phases += [self._play(arm, n, n / chunk) for arm in arms]
        table = prices.newest()
        rate = 0.0
        memory: Mapping[str, float] = {}
        if self.fleet is not None:
            rate = (table.rate(self.fleet.device.name) or 0.0) * 3600
            if not rate:
                self.notes.append(f"{self.fleet.device.name} has no price in the table: 0 USD")
            memory = self._memory(max(chunk, *self._live()))
            memory = self._room(memory)
        size = self.size
        self.notes.insert(
            0,
            f"episodes of {size.steps:.3g} of {self.limit} steps (plan.step_share); turns of "
            f"{size.turn} tokens ({'walked' if size.measured else 'not measured'}), answers of "
            f"{size.answer}, instructions and skills of {size.system}; "
            f"{SOLVED_GROUPS:.0%} of the groups carry a gradient",
        )
        if self.fleet is not None and not self.fleet.device.is_cpu:
            self.notes.append(
                f"{self._trained()}; shares of the data sheet's rates as in skillbench/hardware.py"
            )
        return Plan(
            int(self.config["run"]["seeds"]), tuple(phases), memory, self.fleet, rate, table.date,
            tuple(self.notes),
        )  # fmt: skip

    # ------------------------------------------------------------------ what there is

    def _panel(self) -> int:
        run = self.config["run"]
        try:
            return len(panel.load(self.environment, run["split"], run["tasks"]).tasks)
        except (SkillbenchError, AttributeError):
            pass
        name, split = self.config["environment"], run["split"]
        rows = [r for r in panel.committed() if r["split"] == split and name in r["environment"]]
        n = run["tasks"] or max((len(r["ids"]) for r in rows), default=0)
        if not n:
            self.notes.append("the panel is not known here: scoring is not counted")
        return n

    def _fleet(self) -> Fleet | None:
        table, policy = self.config["plan"], self.config["policy"]
        shape = self._shape(policy.get("model", ""))
        if shape is None:
            self.notes.append("the policy runs elsewhere or has no known shape: no device time")
            return None
        name = table["device"] or here() or CPU
        number = int(table["devices"]) or (int(policy.get("workers", 0)) or 1)
        tensor = int(policy.get("tensor_parallel", 1) or 1)
        return Fleet(device(name), number, min(tensor, number), shape)

    def _shape(self, model: str) -> Mapping[str, int] | None:
        """Ask the policy; for a policy without a say, whoever knows the model."""
        if not self.entry.shape and not model:
            return None
        if not self.entry.shape and not self.entry.trainable:
            return None  # e.g. an API: its devices are not ours
        asked = [self.entry, *self.registry.policies.values()]
        for target in dict.fromkeys(e.shape for e in asked if e.shape):
            shape = load_target(target, what="shape")(self.config["policy"]["name"], model)
            if shape is not None:
                return shape
        return None

    # ------------------------------------------------------------------ what is done

    def _stage(self, stage: str) -> Iterator[Phase]:
        trainer = self.registry.trainers[stage].load()
        table = self.config["trainer"][stage]
        types = self._types()
        if hasattr(trainer, "plan"):
            work = dict(trainer.plan(table, self.config["evolve"], types))
        elif hasattr(trainer, "episodes"):
            work = {"episodes": trainer.episodes(table)}
        else:
            self.notes.append(f"stage {stage!r} does not say what it does: not counted")
            return
        episodes, waves = float(work.get("episodes", 0)), float(work.get("waves", 1))
        yield self._play(stage, episodes, waves)
        read = float(work.get("trained", 0))
        if read:
            each = self.size.rows
            read *= SOLVED_GROUPS if work.get("groups") else 1.0
            # A sampler in this process has the log-probabilities that training needs.
            apart = self.fleet is not None and not self.fleet.device.is_cpu
            passes = float(work.get("reference", 0)) + apart * float(work.get("old", 0))
            scored = read * passes
            phase = Phase(stage, "trainer", tokens_in=(read + scored) * each)
            if self.fleet is not None:
                train = 6 if self.fleet.device.is_cpu else hardware.TRAIN_FLOPS
                phase.device_s = self.fleet.flops_s(train, read * each, hardware.TRAIN)
                phase.device_s += self.fleet.flops_s(
                    hardware.SCORE_FLOPS, scored * each, hardware.PREFILL
                )
            yield phase
        calls = float(work.get("teacher_calls", 0))
        if calls and self.config["teacher"].get("model"):
            yield self._teacher(stage, calls)

    def _play(self, name: str, episodes: float, waves: float) -> Phase:
        size = self.size
        sampled = episodes * size.steps * size.answer
        phase = Phase(
            name, "policy", episodes, episodes * size.steps, episodes * size.read,
            episodes * (size.read - size.fresh), sampled,
        )  # fmt: skip
        if self.fleet is not None and episodes:
            phase.device_s = self.fleet.generation_s(
                fresh=episodes * size.fresh,
                out=sampled,
                waves=waves,
                live=episodes / waves,
                turns=self.limit,
                answer=size.answer,
                held=size.held,
            )
        else:
            phase.usd = self._charged("policy", phase)
        return phase

    def _teacher(self, stage: str, calls: float) -> Phase:
        table = self.config["teacher"]
        shown = int(table.get("examples", 12)) * min(int(table.get("steps", 20)), self.size.steps)
        each = 1000 + shown * (self.size.turn + self.size.answer)
        phase = Phase(stage, "teacher", 0, calls, calls * each, 0.0, calls * 1500)
        phase.usd = self._charged("teacher", phase)
        note = f"the teacher's batches cost {table.get('batch_discount', 1):g} of its price"
        if table.get("batch") and note not in self.notes:
            self.notes.append(note)
        return phase

    def _charged(self, who: str, phase: Phase) -> float:
        table = self.config[who]
        spend = {"in": phase.tokens_in, "cached": phase.cached, "out": phase.tokens_out}
        usd = prices.charged(table, spend, prices.newest())
        if usd is None and table.get("model"):
            self.notes.append(f"no price is known for {who} {table['model']!r}: 0 USD")
        return usd or 0.0

    def _types(self) -> int:
        try:
            return max(1, len({task.task_type for task in self.environment.tasks(TRAIN)}))
        except Exception:
            return 6  # no train data here; only teacher calls depend on it

    def _live(self) -> list[float]:
        out = [1.0]
        for stage in self.stages:
            trainer = self.registry.trainers[stage].load()
            if hasattr(trainer, "plan"):
                work = trainer.plan(self.config["trainer"][stage], self.config["evolve"], 1)
                out.append(work["episodes"] / max(1, work.get("waves", 1)))
        return out

    def _room(self, memory: Mapping[str, float]) -> Mapping[str, float]:
        """The KV cache gets what is left; fewer episodes are in it at a time then."""
        assert self.fleet is not None
        wanted = memory["kv cache"]
        rest = FULL * self.fleet.device.memory - (sum(memory.values()) - wanted)
        if 0 < rest < wanted:
            self.notes.append(
                f"a KV cache for all episodes would be {wanted:.3g} GB; with what is left about "
                f"{rest / wanted:.0%} of them are held at a time, which this does not count as time"
            )
            return {**memory, "kv cache": rest}
        return memory

    def _memory(self, live: float) -> Mapping[str, float]:
        assert self.fleet is not None
        policy, trains = self.config["policy"], self._training()
        return self.fleet.memory_gb(
            trains=bool(trains),
            reference=any(t.get("kl_coef") for t in trains),
            lora=_rank(policy),
            micro_tokens=max((self._micro_tokens(t) for t in trains), default=0),
            held=self.size.held,
            live=live,
            checkpointing=all(t.get("gradient_checkpointing", True) for t in trains),
            width=4 if self._trained_in() == "float32" else 2,
            # A type of its own for training, or subprocesses that sample, mean a copy for each.
            apart="train_dtype" in policy or bool(policy.get("workers")),
        )

    def _training(self) -> list[Mapping[str, Any]]:
        """Tables of the stages that change weights."""
        return [
            self.config["trainer"][stage]
            for stage in self.stages
            if getattr(self.registry.trainers[stage].load(), "trains", False)
        ]

    def _micro_tokens(self, table: Mapping[str, Any]) -> int:
        """Tokens of one forward pass of an update: a bound, or so many rows."""
        rows = int(table.get("micro_batch", 0) or 0)
        return int(table.get("micro_tokens", 0) or 0) or round(rows * self.size.held)

    def _trained_in(self) -> str:
        """Type of the weights that are trained (float32), or that adapters are trained on."""
        assert self.fleet is not None
        policy = self.config["policy"]
        if not _rank(policy):
            return "float32"  # else steps of the size of a learning rate would be rounded away
        name = str(policy.get("train_dtype", policy.get("dtype", "float32")))
        here = "float32" if self.fleet.device.is_cpu else "bfloat16"
        return here if name == "auto" else name

    def _trained(self) -> str:
        """What is trained, in words."""
        assert self.fleet is not None
        if not self._training():
            return "nothing is trained"
        rank, kind = _rank(self.config["policy"]), self._trained_in()
        what = f"weights, gradients and moments in {kind}"
        if rank:
            what = f"adapters of rank {rank} in float32 on frozen weights in {kind}"
        shared = ", sharded over all devices" if self.fleet.count > 1 else ""
        return f"training: {what}{shared}"


def _rank(policy: Mapping[str, Any]) -> int:
    """Rank of the adapters that a policy trains; 0 where all weights are trained."""
    return int(policy.get("lora_rank", 0) or 0)
