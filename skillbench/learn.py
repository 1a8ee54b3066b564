"""Learning: the stages of a method, one after the other, each resumable, each on train alone.

    learn/SEED/episodes.jsonl     what was played, keyed (stage, phase, step, task, repeat, call)
    learn/SEED/metrics.jsonl      one line per `log`; after a resume the last line of a step counts
    learn/SEED/skills/step_N.json the bank at learning step N
    learn/SEED/STAGE/             the trainer's own directory; done.json when the stage is over
    learn/SEED/memory/STAGE/      the memory as the stage left it
    learn/SEED/frozen.json        which weights and which memory are scored, with their hashes

After each stage weights and memory are read back from disk, so that a run that was killed and
resumed goes on from exactly the state that an uninterrupted one has.
"""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from .errors import LeakError, PluginError
from .leakage import TRAIN
from .protocols import Checkpoint
from .provenance import now
from .records import TOKEN_FIELDS, Completion, Episode, Task, Usage, to_json
from .rollout import Slot, seed_of
from .session import Session, bank_version, by_kind
from .store import guarded

WATCHED = ("step", "success", "reward", "loss", "skills")  # what progress shows of the metrics


class Learning:
    """The LearnContext of one stage (see protocols.LearnContext). It holds no panel."""

    def __init__(
        self,
        session: Session,
        *,
        seed: int,
        stage: str,
        policy: Any,
        memory: Any,
        shared: dict[str, Any],
        trainer: Any,
    ) -> None:
        table = {k: v for k, v in session.config["trainer"][stage].items() if k != "enabled"}
        self.config: Mapping[str, Any] = table
        self.evolve: Mapping[str, Any] = session.config["evolve"]
        self.seed, self.stage, self.shared = seed, stage, shared
        self.policy, self.memory = policy, memory
        self.environment = session.environment
        self.teacher = session.make_teacher(seed, stage)
        self._session = session
        self._ledger_phase = getattr(trainer, "ledger_phase", "") or stage
        self._root = f"learn/{seed}"
        self.directory = session.run.path / self._root / stage
        with guarded(self.directory, session.run.path):
            self.directory.mkdir(parents=True, exist_ok=True)
        self._groups: dict[str, list[Task]] | None = None
        self._calls: dict[tuple[str, int, str, int], int] = {}
        self._written = {
            _key(line)
            for line in session.run.read(f"{self._root}/episodes.jsonl")
            if line["stage"] == stage
        }

    def tasks(self, n: int, *, step: int = 0) -> list[Task]:
        """`n` train tasks for a step, the task types in turn.

        Each type is shuffled once per seed and stage and read on from step to step, so steps of
        equal `n` share no task until a type is used up.
        """
        if self._groups is None:
            self._groups = {}
            for task in train_tasks(self.environment):
                self._groups.setdefault(task.task_type, []).append(task)
            for group in self._groups.values():
                group.sort(key=lambda t: (seed_of(self.seed, self.stage, t.id), t.id))
        groups, kinds = self._groups, sorted(self._groups)
        # Types take turns over all steps together: position p belongs to type p % len(kinds).
        first = step * n
        out = []
        for position in range(first, first + n):
            kind = kinds[position % len(kinds)]
            group = groups[kind]
            out.append(group[(position // len(kinds)) % len(group)])
        return out

    def rollout(
        self,
        tasks: Sequence[Task],
        *,
        repeats: int = 1,
        phase: str = "rollout",
        step: int = 0,
        memory: Any = None,
        tokens: bool = True,
        policy: Any = None,
    ) -> list[Episode]:
        """Play each task `repeats` times. Raises LeakError for a task outside train."""
        for task in tasks:
            if task.split != TRAIN:
                raise LeakError(
                    f"learning stage {self.stage!r} asked to play {task.id!r} of the split "
                    f"{task.split!r}: learning sees the train split alone"
                )
        session = self._session
        player = policy if policy is not None else self.policy
        style = getattr(player, "style", "") or getattr(self.policy, "style", "")
        slots = [
            Slot(task, self.seed, f"{self.stage}.{phase}", step, repeat)
            for task in tasks
            for repeat in range(repeats)
        ]
        lines = session.run.lines(f"{self._root}/episodes.jsonl")

        def on_episode(slot: Slot, episode: Episode, _: list[Completion]) -> None:
            identity = (phase, step, slot.task.id, slot.repeat)
            call = self._calls[identity] = self._calls.get(identity, -1) + 1
            line = {"stage": self.stage, "phase": phase, "step": step, "repeat": slot.repeat}
            line |= {"call": call} | to_json(episode, omit=TOKEN_FIELDS)
            if _key(line) not in self._written:
                self._written.add(_key(line))
                lines.append(line)
            session.reporter.advance(1)
            session.notify("skillbench_episode_end", run=session.info, episode=episode)

        session.reporter.start(
            f"seed {self.seed}: {self.stage}, {phase} step {step}", total=len(slots)
        )
        episodes = session.play(
            slots,
            agent=session.agent(style, self.config),
            policy=player,
            memory=memory if memory is not None else self.memory,
            phase=self._ledger_phase if phase == "rollout" else phase,
            tokens=tokens,
            on_episode=on_episode,
            seed=self.seed,
            stage=self.stage,
        )
        lines.sync()
        return episodes

    def spend(self, phase: str, role: str, usage: Usage, *, model: str = "") -> None:
        """Write a line on the ledger."""
        self._session.ledger.spend(
            phase, role, usage, model=model, seed=self.seed, stage=self.stage
        )

    def log(self, step: int, metrics: Mapping[str, Any]) -> None:
        """Append a line to metrics.jsonl and show its figures."""
        line = {"stage": self.stage, "step": step, "skills": len(self.memory.skills()), **metrics}
        self._session.run.lines(f"{self._root}/metrics.jsonl").append(line)
        shown = {k: line[k] for k in WATCHED if isinstance(line.get(k), (int, float))}
        self._session.reporter.advance(0, **shown)

    def snapshot(self, step: int) -> None:
        """Save the memory as skills/step_N.json."""
        write_skills(self._session, self.seed, f"step_{step}", self.memory, self.stage, step)


def train_tasks(environment: Any) -> list[Task]:
    """The train tasks. Raises PluginError if the environment has none, or mislabels them."""
    tasks = list(environment.tasks(TRAIN))
    if not tasks or any(task.split != TRAIN for task in tasks):
        what = "has no train tasks" if not tasks else "lists tasks of another split under 'train'"
        name = environment.label or environment.name
        raise PluginError(f"{name} {what}: methods that learn cannot run on it")
    return tasks


def learn_seed(session: Session, seed: int) -> dict[str, Any]:
    """Run what is missing of a seed's learning; return frozen.json."""
    root = f"learn/{seed}"
    frozen = session.run.load_json(f"{root}/frozen.json")
    if frozen is not None:
        return frozen
    weights: Path | None = None
    bank: Path | None = None
    shared: dict[str, Any] = {}
    rows: set[str] = set()
    for stage in session.stages:
        done = session.run.load_json(f"{root}/{stage}/done.json")
        shelf = session.shared
        if done is None and shelf is not None and shelf.take_stage(session, seed, stage):
            done = session.run.load_json(f"{root}/{stage}/done.json")
        if done is None:
            done = _stage(session, seed, stage, weights, bank, shared)
            if shelf is not None:
                shelf.offer_stage(session, seed, stage)
        shared = done["shared"]
        rows.update(map(str, done["metrics"].get("source_tasks", ())))
        weights = session.run.path / done["weights"] if done["weights"] else weights
        bank = session.run.path / root / "memory" / stage
    return _freeze(session, seed, weights, bank, rows)


def _stage(
    session: Session,
    seed: int,
    stage: str,
    weights: Path | None,
    bank: Path | None,
    shared: dict[str, Any],
) -> dict[str, Any]:
    """Run one stage from the state that the last one left."""
    session.reporter.start(f"seed {seed}: {stage}")
    root = f"learn/{seed}"
    trainer = session.registry.trainers[stage].load()()
    policy = session.policy(weights)
    memory = load_memory(session, seed, bank, stage)
    context = Learning(
        session,
        seed=seed,
        stage=stage,
        policy=policy,
        memory=memory,
        shared=dict(shared),
        trainer=trainer,
    )
    start = session.run.path / root / "skills" / "start.json"
    if not start.exists():
        write_skills(session, seed, "start", memory, "", 0)
    session.mark_dirty()
    phase = getattr(trainer, "ledger_phase", "") or stage
    metered = session.metered(phase, seed=seed, stage=stage)
    with guarded(context.directory, session.run.path), metered:
        checkpoint: Checkpoint = trainer.fit(context)
    if checkpoint.weights is None:
        session.mark_clean()
    save_memory(session, memory, f"{root}/memory/{stage}")
    close(memory)
    kept = checkpoint.weights and Path(checkpoint.weights).relative_to(session.run.path)
    done = {
        "stage": stage,
        "weights": str(kept) if kept else None,
        "metrics": dict(checkpoint.metrics),
        "shared": context.shared,
        "finished": now(),
    }
    session.run.sync()
    session.run.write_json(f"{root}/{stage}/done.json", done)
    return session.run.load_json(f"{root}/{stage}/done.json")


def _freeze(
    session: Session, seed: int, weights: Path | None, bank: Path | None, rows: set[str]
) -> dict[str, Any]:
    """Fix what will be scored: save the memory, hash both, note what it was learned from."""
    root = f"learn/{seed}"
    memory = load_memory(session, seed, bank)
    save_memory(session, memory, f"{root}/memory/frozen")
    skills = memory.skills()
    write_skills(session, seed, "final", memory, "", -1)
    first = _first_bank(session, seed)
    frozen = {
        "weights": str(weights.relative_to(session.run.path)) if weights else None,
        "weights_sha256": digest(weights) if weights else None,
        "bank_version": bank_version(memory),
        "bank_sha256": digest(session.run.path / root / "memory" / "frozen"),
        "skills": {
            "initial": len(skills) if first is None else first,
            "final": len(skills),
            "by_kind": by_kind(skills),
        },
        "rows": sorted(rows),
    }
    close(memory)
    session.run.write_json(f"{root}/frozen.json", frozen)
    return frozen


def _first_bank(session: Session, seed: int) -> int | None:
    """Skills in the first snapshot that learning took, or else those it began with."""
    folder = session.run.path / "learn" / str(seed) / "skills"
    steps = sorted((int(p.stem.removeprefix("step_")), p.name) for p in folder.glob("step_*.json"))
    name = steps[0][1] if steps else "start.json"
    data = session.run.load_json(f"learn/{seed}/skills/{name}")
    return len(data["skills"]) if data else None


def write_skills(
    session: Session, seed: int, name: str, memory: Any, stage: str, step: int
) -> None:
    """Write the entries of a memory as learn/SEED/skills/NAME.json."""
    data = {
        "step": step,
        "stage": stage,
        "version": bank_version(memory),
        "skills": [to_json(skill) for skill in memory.skills()],
    }
    session.run.write_json(f"learn/{seed}/skills/{name}.json", data)


def load_memory(session: Session, seed: int, bank: Path | None, stage: str | None = None) -> Any:
    """A fresh memory with the state of a directory."""
    memory = session.make_memory(seed, stage)
    if bank is not None:
        memory.load(bank)
    return memory


def save_memory(session: Session, memory: Any, name: str) -> None:
    """Write a memory's state, in place of what a killed attempt may have left there."""
    folder = session.run.path / name
    with guarded(folder, session.run.path):
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        memory.save(folder)


def close(memory: Any) -> None:
    """Let a memory free what it holds, if it holds anything."""
    if hasattr(memory, "close"):
        memory.close()


def digest(folder: Path) -> str:
    """sha256 over names and contents of the files in a directory; of tensors alone if it has any.

    What libraries write beside the tensors (cache switches, versions) is not what was learned.
    """
    total = hashlib.sha256()
    found = sorted(p for p in folder.rglob("*") if p.is_file())
    for path in [p for p in found if p.suffix == ".safetensors"] or found:
        total.update(str(path.relative_to(folder)).encode() + b"\0")
        with path.open("rb") as file:
            total.update(hashlib.file_digest(file, "sha256").digest())
    return total.hexdigest()


def _key(line: Mapping[str, Any]) -> tuple[Any, ...]:
    task = line["task"]["id"]
    return line["stage"], line["phase"], line["step"], task, line["repeat"], line.get("call", 0)
