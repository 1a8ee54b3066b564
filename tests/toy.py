"""A whole toy world for the core's tests: environment, policy, memory, teacher-less trainers, methods.

Every task hides one of five doors, decided by the task's type. Without help the policy guesses from
the request's seed; a skill line "TYPE: door N" in the prompt, or a learned weight, tells it. So
learning helps by construction, and everything is deterministic. The environment and the policy have
switches that make them fail. `python toy.py OUT [resume] [key=value ...]` runs it; with
TOY_KILL=N the process kills itself in the middle of its Nth write.
"""

from __future__ import annotations

import json
import os
import random
import signal
import sys
from pathlib import Path
from typing import Any

from skillbench import Checkpoint, Method, hookimpl
from skillbench.environment import Environment
from skillbench.errors import LeakError, PolicyError
from skillbench.records import Completion, Context, Skill, Task, Update, Usage, to_json
from skillbench.records import skill_from_json as from_json

DOORS = ("door 1", "door 2", "door 3", "door 4", "door 5")
TYPES = {"blue": "door 4", "green": "door 2", "red": "door 3"}
SIZES = {"train": 60, "test": 30}


class ToyEnvironment(Environment):
    """Open the right door within three tries; opening a wrong one says so."""

    name = "toy"
    max_steps = 3
    instructions = "Open the door that fits."

    def __init__(self, fault: str = "", fault_every: int = 0, blocking: bool = False) -> None:
        self.fault, self.fault_every, self.blocking = fault, fault_every, blocking

    def tasks(self, split: str) -> list[Task]:
        kinds = sorted(TYPES)
        return [
            Task(f"{split}-{i:03d}", "toy", split, kinds[i % 3], f"open the {kinds[i % 3]} door")
            for i in range(SIZES[split])
        ]

    def fingerprint(self, split: str) -> str:
        return f"toy-{split}-{SIZES[split]}"

    def reset(self, *, seed: int | None = None, options: Any = None) -> tuple[str, dict]:
        task = options["task"]
        number = int(task.partition("-")[2])
        self.kind = sorted(TYPES)[number % 3]
        if self.fault == "reset" and self.fault_every and number % self.fault_every == 0:
            raise OSError("the toy broke")
        return f"BANNER\nA {self.kind} room with five doors.", self._info(False)

    def step(self, action: str) -> tuple[str, float, bool, bool, dict]:
        won = action == TYPES[self.kind]
        info = self._info(won) | {"invalid_action": action not in DOORS}
        info["metrics"] = {"warmth": 0.75 if won else 0.25}
        return ("It opens." if won else "Nothing behind it."), float(won), won, False, info

    def compact(self, text: str) -> str:
        return text.removeprefix("BANNER\n")

    def _info(self, won: bool) -> dict:
        return {"success": won, "admissible": list(DOORS)}


class ToyPolicy:
    """Follows skill lines and its weights, else guesses from the seed of the request."""

    name, batching, concurrency, style, trainable = "toy", "gather", 1, "compact", True

    def __init__(self, model: str | None, config: Any) -> None:
        self.config = dict(config)
        self.batching = self.config.get("batching", "gather")
        self.weights: dict[str, str] = {}
        self.batches: list[list[str]] = []
        self.released: list[str] = []
        self.calls: dict[str, int] = {}

    async def generate(self, requests: Any) -> list[Any]:
        self.batches.append([r.episode_id for r in requests])
        if self.config.get("fail") == "all":
            raise RuntimeError("no such model")
        return [self._one(r) for r in requests]

    def _one(self, request: Any) -> Any:
        task = request.task.id
        if self.config.get("fail") == "once":  # each task's first request fails, the retry works
            self.calls[task] = self.calls.get(task, 0) + 1
            if self.calls[task] == 1:
                return PolicyError("server said 503")
        if self.config.get("fail") == "some" and int(task.partition("-")[2]) % 5 == 0:
            return PolicyError("server said 500")
        kind = request.task.task_type
        system = request.messages[0]["content"]
        rng = random.Random(request.params.seed)
        door = rng.choice(DOORS)
        if f"{kind}: " in system and rng.random() < 0.5:
            door = system.split(f"{kind}: ")[1].split("\n")[0]
        elif kind in self.weights and rng.random() < 0.4:
            door = self.weights[kind]
        words = len(" ".join(m["content"] for m in request.messages).split())
        return Completion(
            f"<think>hm</think><action>{door}</action>",
            usage=Usage(input_tokens=words, output_tokens=4, calls=1, device_s=0.001),
            token_ids=(1, 2),
            logprobs=(-0.5, -0.1),
            prompt_ids=tuple(range(words)),
            model="toy",
        )

    def release(self, episode_id: str) -> None:
        self.released.append(episode_id)

    def close(self) -> None:
        self.weights = {}

    def save(self, directory: Path) -> None:
        Path(directory).mkdir(parents=True, exist_ok=True)
        (Path(directory) / "weights.json").write_text(json.dumps(self.weights, sort_keys=True))

    def load(self, directory: Path) -> None:
        self.weights = json.loads((Path(directory) / "weights.json").read_text())


class ToyMemory:
    """One skill per task type."""

    def __init__(self, config: Any, *, teacher_spend: Any = None) -> None:
        self.bank: dict[str, Skill] = {}
        self.frozen = False

    def context(self, task: Task, history: Any, budget: int) -> Context:
        skill = self.bank.get(task.task_type)
        return Context(f"- {skill.principle}", (skill.id,)) if skill else Context()

    def observe(self, episode: Any) -> None:
        self.update([episode], None)

    def update(self, episodes: Any, teacher: Any, *, step: int = 0) -> Update:
        if self.frozen or any(e.task.split != "train" for e in episodes):
            raise LeakError("toy memory: not from train, or frozen")
        added = []
        for episode in episodes:
            kind = episode.task.task_type
            if episode.success and kind not in self.bank:
                door = episode.steps[-1].action
                self.bank[kind] = Skill(
                    title=kind,
                    principle=f"{kind}: {door}",
                    kind="task_type",
                    task_type=kind,
                    source_tasks=(episode.task.id,),
                    step=step,
                )
                added.append(self.bank[kind].id)
        return Update(added=tuple(added))

    def freeze(self) -> None:
        self.frozen = True

    def skills(self) -> list[Skill]:
        return [self.bank[kind] for kind in sorted(self.bank)]

    def save(self, directory: Path) -> None:
        rows = {kind: to_json(skill) for kind, skill in sorted(self.bank.items())}
        (Path(directory) / "bank.json").write_text(json.dumps(rows))

    def load(self, directory: Path) -> None:
        rows = json.loads((Path(directory) / "bank.json").read_text())
        self.bank = {kind: from_json(row) for kind, row in rows.items()}


class ToyDistill:
    """Stage one: play, keep skills from successes."""

    def fit(self, context: Any) -> Checkpoint:
        for step in range(context.config.get("steps", 2)):
            tasks = context.tasks(6, step=step)
            episodes = context.rollout(tasks, repeats=2, step=step)
            context.memory.update(episodes, context.teacher, step=step)
            if context.config.get("poison"):  # a skill that claims a panel task as its source
                context.memory.bank["red"] = Skill("red", "red: door 3", source_tasks=("test-001",))
            won = sum(e.success for e in episodes) / len(episodes)
            context.snapshot(step)
            context.log(step, {"success": won, "n": len(episodes)})
        context.shared["seen"] = len(context.memory.skills())
        return Checkpoint(context.directory)


class ToyTrain:
    """Stage two: learn doors as weights; checkpoints each step in its directory."""

    ledger_phase, trains = "rl", True

    def fit(self, context: Any) -> Checkpoint:
        assert "seen" in context.shared or context.config["alone"]
        state = context.directory / "state.json"
        first = 0
        if state.exists():
            first = json.loads(state.read_text())["step"]
            context.policy.load(context.directory)
        for step in range(first, context.config.get("steps", 3)):
            episodes = context.rollout(context.tasks(3, step=step), repeats=2, step=step)
            for episode in episodes:
                if episode.success:
                    kind, door = episode.task.task_type, episode.steps[-1].action
                    context.policy.weights.setdefault(kind, door)
            context.spend("rl", "trainer", Usage(device_s=0.5))
            won = sum(e.success for e in episodes) / len(episodes)
            context.log(step, {"success": won, "n": len(episodes)})
            context.policy.save(context.directory)
            temporary = context.directory / "state.tmp"
            temporary.write_text(json.dumps({"step": step + 1}))
            os.replace(temporary, state)
        context.policy.save(context.directory / "final")
        rows = [t.id for t in context.tasks(3)]
        return Checkpoint(context.directory, context.directory / "final", {"source_tasks": rows})


@hookimpl
def skillbench_register_environments(register):
    """The toy world."""
    register(
        "toy",
        "toy:ToyEnvironment",
        splits=("train", "test"),
        default_split="test",
        defaults={"fault": "", "fault_every": 0, "blocking": False},
    )


@hookimpl
def skillbench_register_policies(register):
    """The toy player."""
    defaults = {"fail": "", "batching": "gather"}
    register("toy", "toy:ToyPolicy", trainable=True, defaults=defaults)
    register("stubborn", "toy:ToyPolicy", defaults=defaults)


@hookimpl
def skillbench_register_memories(register):
    """The toy bank, and a core-only stand-in for `none`."""
    register("toy", "toy:ToyMemory")
    register("none", "toy:ToyMemory")


@hookimpl
def skillbench_register_trainers(register):
    """Two stages."""
    register("toydistill", "toy:ToyDistill", defaults={"steps": 2, "poison": False})
    register("toytrain", "toy:ToyTrain", defaults={"steps": 3, "alone": False})


@hookimpl
def skillbench_register_methods(register):
    """The policy as it is, and both stages."""
    register(Method("base"))
    register(Method("toyskill", memory="toy", trainers=("toydistill", "toytrain"), stage="trained"))
    register(Method("toybank", memory="toy", trainers=("toydistill",)))


def registry() -> Any:
    """A registry that holds the toy world alone."""
    from skillbench.registry import Registry

    made = Registry()
    made.plugins.add("toy", sys.modules["toy"])
    filled = made.fill()
    assert not filled.broken, filled.broken
    return filled


def config(method: str = "toyskill", *sets: str, seeds: int = 1) -> Any:
    """A resolved configuration for the toy world."""
    from skillbench.config import resolve

    return resolve(
        method=method,
        environment="toy",
        policy="toy",
        seeds=seeds,
        sets=("score.chunk=7", "score.bootstrap=200", *sets),
        registry=registry(),
    )


def die_at(event: int) -> None:
    """Kill this process, as by kill -9, in the middle of its Nth write to a run directory."""
    from skillbench import store

    real_write, real_replace = os.write, os.replace
    count = 0

    def due() -> bool:
        nonlocal count
        count += 1
        return count == event

    class Os:
        def __getattr__(self, name: str) -> Any:
            return getattr(os, name)

        def write(self, fd: int, data: bytes) -> int:
            if due():
                real_write(fd, data[: len(data) // 2])
                os.kill(os.getpid(), signal.SIGKILL)
            return real_write(fd, data)

        def replace(self, old: Any, new: Any) -> None:
            if due():
                os.kill(os.getpid(), signal.SIGKILL)
            real_replace(old, new)

    store.os = Os()  # type: ignore[assignment]


if __name__ == "__main__":
    sys.modules["toy"] = sys.modules["__main__"]
    from skillbench.runner import execute

    out, *rest = sys.argv[1:]
    if os.environ.get("TOY_KILL"):
        die_at(int(os.environ["TOY_KILL"]))
    place = {"resume": out} if rest[:1] == ["resume"] else {"out": out}
    sets = [value for value in rest if "=" in value]
    execute(config("toyskill", *sets, seeds=2), registry=registry(), **place)
