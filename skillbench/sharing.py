"""Runs of one suite share what is the same: finished stages of learning, and baselines.

A stage of learning is the same in two runs if everything that it can depend on is: environment,
policy, agent, memory, teacher, step limits, seed, and its own table and those of all stages before
it. A trainer says `shareable = True` where that is all (a stage that reads `evolve` must not). What
is shared is copied into the run, ledger included: each method pays for its cold start as if it had
made it alone, and a run stays complete by itself. The baseline is shared where policy, panel and
scoring are the same.

shared.json of the suite says which run has what; manifest.json of a run says what it was given.
"""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .store import RunDir, read_lines, write_atomic

if TYPE_CHECKING:
    from .session import Session

PLAYED_BY = ("environment", "env", "policy", "agent")
NOT_BASELINE = (
    "attempts",
    "extra_steps",
    "extra_tokens",
    "show",
    "baseline",
    "bootstrap",
    "record",
)


def stage_key(config: Mapping[str, Any], stages: Iterable[str], stage: str, seed: int) -> str:
    """A digest over everything that a stage's outcome can depend on."""
    before = []
    for name in stages:
        before.append([name, config["trainer"][name]])
        if name == stage:
            break
    run = {k: config["run"][k] for k in ("split", "max_steps")}
    parts = {k: config[k] for k in (*PLAYED_BY, "memory", "teacher")}
    return _digest({**parts, "run": run, "seed": seed, "stages": before})


def baseline_key(config: Mapping[str, Any], seed: int) -> str:
    """A digest over everything that the baseline's episodes can depend on."""
    run = {k: config["run"][k] for k in ("split", "tasks", "max_steps")}
    score = {k: v for k, v in config["score"].items() if k not in NOT_BASELINE}
    parts = {k: config[k] for k in PLAYED_BY}
    return "baseline-" + _digest({**parts, "run": run, "score": score, "seed": seed})


class Shared:
    """What the runs of one suite directory have in common."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.file = directory / "shared.json"

    def index(self) -> dict[str, str]:
        """Which run holds what: key -> name of the run's directory."""
        return json.loads(self.file.read_text(encoding="utf-8")) if self.file.is_file() else {}

    def offer(self, key: str, run: RunDir) -> None:
        """Say that a run has finished something; the first one stays the source."""
        known = self.index()
        if key not in known and run.path.parent == self.directory:
            write_atomic(self.file, json.dumps(known | {key: run.path.name}, indent=1) + "\n")

    def source(self, key: str, run: RunDir) -> Path | None:
        """The run that has it, if another one does."""
        name = self.index().get(key)
        path = self.directory / name if name else None
        return path if path is not None and path.is_dir() and path != run.path else None

    # ------------------------------------------------------------------ stages of learning

    def take_stage(self, session: Session, seed: int, stage: str) -> bool:
        """Copy a finished stage into the run; done.json comes last, as when it is learned."""
        if not _shareable(session, stage):
            return False
        key = stage_key(session.config, session.stages, stage, seed)
        found = self.source(key, session.run)
        if found is None:
            return False
        root = f"learn/{seed}"
        session.reporter.start(f"seed {seed}: {stage}, as learned in {found.name}")
        ours, theirs = session.run.path / root, found / root
        copy_whole(theirs / "memory" / stage, ours / "memory" / stage)
        for path in sorted((theirs / "skills").glob("*.json")):
            kept = json.loads(path.read_text(encoding="utf-8"))["stage"]
            if kept == stage or path.name == "start.json":
                session.run.write(f"{root}/skills/{path.name}", path.read_text(encoding="utf-8"))
        for name in ("episodes.jsonl", "metrics.jsonl"):
            append_lines(session.run, found, f"{root}/{name}", lambda d: d.get("stage") == stage)
        mine = (seed, stage)
        append_lines(
            session.run, found, "ledger.jsonl", lambda d: (d.get("seed"), d.get("stage")) == mine
        )
        session.run.sync()
        note(session.run, {"seed": seed, "stage": stage, "run": found.name})
        copy_whole(theirs / stage, ours / stage)
        return True

    def offer_stage(self, session: Session, seed: int, stage: str) -> None:
        """Let other runs have a stage that is done."""
        if _shareable(session, stage):
            self.offer(stage_key(session.config, session.stages, stage, seed), session.run)

    # ------------------------------------------------------------------ baselines

    def take_baseline(self, session: Session, seed: int) -> list[dict[str, Any]]:
        """Copy the baseline of another run; returns its lines of episodes.jsonl."""
        found = self.source(baseline_key(session.config, seed), session.run)
        if found is None:
            return []

        def mine(line: Mapping[str, Any]) -> bool:
            return (line.get("arm"), line.get("seed")) == ("baseline", seed)

        if session.config["score"]["record"]:
            append_lines(session.run, found, "completions.jsonl", mine)
        append_lines(
            session.run,
            found,
            "ledger.jsonl",
            lambda d: (d.get("phase"), d.get("seed")) == ("baseline", seed),
        )
        lines = append_lines(session.run, found, "episodes.jsonl", mine)
        note(session.run, {"seed": seed, "stage": "baseline", "run": found.name})
        return lines

    def offer_baseline(self, session: Session, seed: int) -> None:
        """Let other runs have a baseline that is complete."""
        self.offer(baseline_key(session.config, seed), session.run)


def _shareable(session: Session, stage: str) -> bool:
    """Whether this stage and all before it depend on nothing but what the key holds."""
    upto = session.stages[: session.stages.index(stage) + 1]
    return all(getattr(session.registry.trainers[name].load(), "shareable", False) for name in upto)


def append_lines(
    run: RunDir, source: Path, name: str, chosen: Callable[[Mapping[str, Any]], bool]
) -> list[dict[str, Any]]:
    """Append the chosen lines of another run's file; what a killed attempt had copied stays."""
    theirs = [line for line in read_lines(source / name) if chosen(line)]
    have = {json.dumps(line, sort_keys=True) for line in run.read(name) if chosen(line)}
    lines = run.lines(name)
    for line in theirs:
        if json.dumps(line, sort_keys=True) not in have:
            lines.append(line)
    lines.sync()
    return theirs


def copy_whole(source: Path, target: Path) -> None:
    """Copy a directory: complete under its name, or not there."""
    draft = target.with_name(target.name + ".copy")
    shutil.rmtree(draft, ignore_errors=True)
    shutil.rmtree(target, ignore_errors=True)
    shutil.copytree(source, draft)
    draft.rename(target)


def note(run: RunDir, entry: Mapping[str, Any]) -> None:
    manifest = run.load_json("manifest.json")
    taken = [e for e in manifest.get("shared", []) if e != entry]
    run.write_json("manifest.json", manifest | {"shared": [*taken, dict(entry)]})


def _digest(value: Any) -> str:
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), default=list)
    return hashlib.sha256(text.encode()).hexdigest()[:24]
