"""Conformance of trainers and methods: each is tried in small whole runs.

The runs play in the kit's toy world with the kit's player, or where --env and --policy say.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from ..config import resolve
from ..errors import LeakError, SkillbenchError, UsageError
from ..lazy import describe
from ..protocols import Method
from ..registry import Registry
from ..runner import execute
from . import world
from .kit import NotApplicable, Subject, Unfit, conformance, need
from .policy import UNSAFE

SMALL = ("run.tasks=6", "score.chunk=6", "score.bootstrap=50", "score.retries=0")
KIT = "kit"


def trial(subject: Subject) -> tuple[Registry, Method, str, str]:
    """A registry with the kit's world in it, and what to run there: method, environment, policy."""
    registry = subject.registry
    if world.NAME not in registry.environments:
        registry.plugins.add(KIT, world)
        fresh = Registry(registry.plugins).fill()
        for name in ("environments", "policies", "memories", "trainers", "teachers", "methods"):
            setattr(registry, name, getattr(fresh, name))
    memory = "skillbank" if "skillbank" in registry.memories else "kit-none"
    if subject.kind == "trainer":
        teacher = "causal" if "causal" in registry.teachers else None
        stage = "trained" if trains(subject) else "frozen"
        method = Method("kit-trial", memory, (subject.name,), teacher, stage=stage)
        if "kit-trial" not in registry.methods:
            registry.methods.add("kit-trial", method, KIT)
        method = registry.methods["kit-trial"]
    else:
        method = subject.entry
    return registry, method, subject.environment or world.NAME, subject.policy or "kit-player"


def trains(subject: Subject) -> bool:
    return bool(getattr(subject.registry.trainers[subject.name].load(), "trains", False))


def configure(subject: Subject, *sets: str) -> tuple[Any, Registry]:
    registry, method, environment, policy = trial(subject)
    if method.name == "kit-trial" and method.trainers != (subject.name,):
        raise NotApplicable("another trainer is on trial in this registry")
    config = resolve(
        method=method.name,
        environment=environment,
        policy=policy,
        sets=(*SMALL, *(f"{k}={v}" for k, v in subject.settings.items()), *sets),
        registry=registry,
    )
    return config, registry


def go(subject: Subject, name: str, *, resume: bool = False) -> tuple[dict[str, Any], Path]:
    """Run it whole. NotApplicable where it says that it needs another policy or more packages."""
    config, registry = configure(subject)
    place = subject.directory / name
    try:
        where: dict[str, Any] = {"resume": place} if resume else {"out": place}
        return execute(config, registry=registry, **where), place
    except LeakError as error:
        raise Unfit(
            str(error),
            why="learning sees the train split alone",
            mend="play tasks from context.tasks(n), and update the memory with those episodes",
        ) from error
    except UsageError as error:
        raise NotApplicable(f"{error} (choose with --policy and --env)") from error


def played(place: Path) -> list[Any]:
    """What was played while learning: who, what, how it ended."""
    lines = [
        json.loads(line)
        for file in sorted(place.glob("learn/*/episodes.jsonl"))
        for line in file.read_text(encoding="utf-8").splitlines()
    ]
    rows = [
        (x["stage"], x["phase"], x["step"], x["task"]["id"], x["repeat"], x.get("call", 0),
         x["outcome"], [s["action"] for s in x["steps"]])
        for x in lines
    ]  # fmt: skip
    return sorted(rows, key=str)


def frozen(place: Path) -> list[Any]:
    """What learning left behind: hashes of weights and bank."""
    return [
        {
            k: v
            for k, v in json.loads(p.read_text()).items()
            if k in ("bank_version", "skills", "rows")
        }
        for p in sorted(place.glob("learn/*/frozen.json"))
    ]


@conformance("trainer")
def a_stage_learns_and_leaves_a_checkpoint(subject: Subject) -> None:
    result, place = go(subject, "run")
    done = json.loads((place / "learn/0" / subject.name / "done.json").read_text())
    unsafe = [p.name for p in place.rglob("*") if p.suffix in UNSAFE]
    need(
        not unsafe,
        f"it left {', '.join(sorted(set(unsafe)))}",
        why="pickles run code when they are loaded; run directories are shared",
        mend="write safetensors and JSON (policy.save does)",
    )
    need(
        not trains(subject) or done["weights"],
        "it says that it trains (trains = True), and its Checkpoint names no weights",
        why="what is scored are the weights that the checkpoint names",
        mend="return Checkpoint(directory, weights=directory / 'final') after policy.save there",
    )
    need(
        result["leaks"]["count"] == 0,
        f"the run leaks: {result['leaks']['found'][:2]}",
        why="learning sees the train split alone",
        mend="play tasks from context.tasks(n); source_tasks are ids of train tasks",
    )


@conformance("trainer")
def learning_twice_gives_the_same(subject: Subject) -> None:
    _, one = go(subject, "one")
    _, two = go(subject, "two")
    need(
        played(one) == played(two) and frozen(one) == frozen(two),
        "the same configuration and seed learned something else the second time",
        why="nobody could repeat the result",
        mend="draw from context.seed, and let no set, clock or directory listing decide an order",
    )


@conformance("trainer")
def fit_goes_on_where_it_was_killed(subject: Subject) -> None:
    _, whole = go(subject, "whole")
    if (subject.policy or "kit-player") != "kit-player":
        raise NotApplicable("only the kit's player can be interrupted at a chosen call")
    calls = 4
    with interrupted(subject, calls):
        try:
            go(subject, "killed")
        except KeyboardInterrupt:
            pass
        else:
            raise NotApplicable(f"it makes no more than {calls} calls")
    _, killed = go(subject, "killed", resume=True)
    rows = played(killed)
    identities = [row[:6] for row in rows]
    need(
        len(set(map(str, identities))) == len(identities),
        "an episode is on disk twice after a resume",
        why="it would be counted twice",
        mend="play through context.rollout, which knows what is on disk",
    )
    need(
        frozen(killed) == frozen(whole),
        "a run that was killed and resumed ends with another bank than an uninterrupted one",
        why="results would depend on the luck of the machine",
        mend="keep progress in context.directory and in the memory's snapshots, and read it back "
        "at the beginning of fit",
    )


class interrupted:
    """Inside, the kit's player is interrupted after `calls` calls."""

    def __init__(self, subject: Subject, calls: int) -> None:
        self.calls = calls

    def __enter__(self) -> None:
        self.original: Callable[..., None] = world.KitPlayer.__init__
        calls, original = self.calls, self.original

        def __init__(player: Any, *arguments: Any) -> None:
            original(player, *arguments)
            player.stop_after = calls

        world.KitPlayer.__init__ = __init__  # type: ignore[method-assign,assignment]

    def __exit__(self, *error: Any) -> None:
        world.KitPlayer.__init__ = self.original  # type: ignore[method-assign]


@conformance("method")
def a_method_names_what_exists(subject: Subject) -> None:
    method: Method = subject.entry
    tables = [("trainer", name, "trainers") for name in method.trainers]
    tables += [("teacher", method.teacher, "teachers")] if method.teacher else []
    tables += [("memory", method.memory or "none", "memories")]
    for kind, name, table in tables:
        need(
            name in getattr(subject.registry, table),
            f"it names the {kind} {name!r}, which nothing installed registers",
            why="every run of it would end at once",
            mend=f"register it, correct the name (`skillbench list {table}`), or install its plugin",
        )
    need(
        method.stage in ("frozen", "trained"),
        f"stage is {method.stage!r}",
        why="it decides how intervals are made",
        mend='use "trained" where weights or a memory are learned anew per seed, else "frozen"',
    )
    weights = [
        name
        for name in method.trainers
        if getattr(subject.registry.trainers[name].load(), "trains", False)
    ]
    need(
        not weights or method.stage == "trained",
        f"{', '.join(weights)} trains weights, and stage is {method.stage!r}",
        why="intervals of trained methods need several learning seeds",
        mend='set stage="trained"',
    )


@conformance("method")
def its_defaults_and_ablations_resolve(subject: Subject) -> None:
    _, method, _, _ = trial(subject)
    configure(subject)
    for text in ablations(method):
        try:
            configure(subject, text)
        except SkillbenchError as error:
            raise Unfit(
                f"--set {text} does not resolve: {describe(error)}",
                why="what a part is worth is measured by leaving it out",
                mend="give the method's defaults as nested tables of keys that its parts have",
            ) from error


def ablations(method: Method) -> Iterator[str]:
    yield from (f"trainer.{name}=false" for name in method.trainers)
    yield "memory=none"
    yield "evolve=false"


@conformance("method")
def it_runs_whole_and_leaks_nothing(subject: Subject) -> None:
    result, _ = go(subject, "run")
    need(
        result["leaks"]["count"] == 0,
        f"the run leaks: {result['leaks']['found'][:2]}",
        why="learning sees the train split alone",
        mend="see the trainer's or the memory's own failures",
    )
    need(
        result["outcomes"]["invalid"] == 0,
        f"{result['outcomes']['invalid']} episodes were invalid",
        why="under 98 % valid a result is not ranked",
        mend="see `error` in episodes.jsonl",
    )
