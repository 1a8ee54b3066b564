"""A run again, without its model: the recorded answers through the same loop and environments.

`replay` plays every scored episode from completions.jsonl in a temporary copy of the run, with the
frozen memory that the run left, and compares episodes and scores with those of the run. Equal
means: the environment, the prompts, the memory and the scoring of this checkout are those that the
run was made with. Times are not compared, nor the texts of errors, nor what failed attempts cost.
"""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from . import panel as panels
from .config import load
from .errors import PolicyError, RunDirError
from .records import Completion, Usage
from .reporting import Reporter
from .result import build, comparable, no_baseline
from .score import Scoring
from .session import Session
from .store import RunDir, read_lines

COPIED = ("frozen.json", "episodes.jsonl", "metrics.jsonl", "skills", "memory/frozen")
LEFT_OUT = ("wall_s", "usage", "error", "attempt")


class Recorded:
    """A policy that answers with what was recorded; it knows nothing else."""

    name, batching, concurrency, trainable = "recorded", "gather", 1, False

    def __init__(self, lines: Sequence[Mapping[str, Any]], style: str) -> None:
        self.style, self.arm = style, ""
        self._lines = {(line["arm"], line["seed"], line["task"]): line for line in lines}

    async def generate(self, requests: Sequence[Any]) -> list[Any]:
        """The answer of each request's step, or a PolicyError where none was recorded."""
        return [self._one(request) for request in requests]

    def _one(self, request: Any) -> Completion | PolicyError:
        name = request.episode_id.rpartition("/")[2]
        seed = int(request.episode_id.split("/")[1])
        line = self._lines.get((self.arm, seed, request.task.id))
        if line is None or int(name.partition("#")[0]) < line["attempt"]:
            return PolicyError("no answer was recorded for this attempt")
        if request.step >= len(line["completions"]):
            return PolicyError(f"no answer was recorded for step {request.step}")
        answer = line["completions"][request.step]
        return Completion(
            answer["text"],
            Usage(answer["in"], answer["cached"], answer["out"], 1),
            finish_reason=answer["finish"],
            model=answer["model"],
        )

    def release(self, episode_id: str) -> None:
        """Nothing is kept."""

    def close(self) -> None:
        """Nothing is held."""


def replay(
    directory: Path, *, registry: Any = None, reporter: Reporter | None = None
) -> dict[str, Any]:
    """{episodes, equal, differences: [{arm, seed, task, what}], scores_equal, score_differences}.

    Raises RunDirError where the run has not finished or recorded no answers.
    """
    if registry is None:
        from .registry import get

        registry = get()
    config = load(directory)
    answers = list(read_lines(directory / "completions.jsonl"))
    if not answers:
        raise RunDirError(
            f"{directory} recorded no answers (score.record=false): it cannot be replayed"
        )
    with tempfile.TemporaryDirectory(prefix="replay-") as folder:
        copy = Path(folder) / "run"
        run = RunDir.create(copy, config)
        _copy(directory, copy, config["run"]["seeds"])
        with run:
            session = Session(config, registry, run, reporter or Reporter())
            try:
                result = _score(session, answers)
            finally:
                session.close()
        found = _compare(directory, copy)
    old = RunDir(directory).load_json("result.json")
    if old is None:
        raise RunDirError(f"{directory} has not finished; go on with: skillbench run --resume")
    found["score_differences"] = _score_differences(comparable(old), comparable(result))
    found["scores_equal"] = not found["score_differences"]
    return found


def _copy(directory: Path, copy: Path, seeds: int) -> None:
    shutil.copy(directory / "manifest.json", copy / "manifest.json")
    for seed in range(seeds):
        for name in COPIED:
            source, target = (base / "learn" / str(seed) / name for base in (directory, copy))
            if source.is_dir():
                shutil.copytree(source, target)
            elif source.is_file():
                target.parent.mkdir(parents=True, exist_ok=True)
                shutil.copy(source, target)


def _score(session: Session, answers: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Score both arms with the recorded answers; return the result."""
    manifest = session.run.load_json("manifest.json")
    recorded = Recorded(answers, manifest.get("style") or "")
    session.policy = lambda weights=None: recorded  # type: ignore[method-assign]
    run = session.config["run"]
    panel = panels.load(session.environment, run["split"], run["tasks"])
    scoring = Scoring(session, panel)
    for seed in session.seeds:
        frozen = session.run.load_json(f"learn/{seed}/frozen.json")
        if frozen is None:
            raise RunDirError(f"learn/{seed}/frozen.json is missing: the run has not finished")
        recorded.arm = "method"
        scoring.method(seed, frozen)
        if no_baseline(session) is None:
            recorded.arm = "baseline"
            scoring.baseline(seed)
    from .runner import _unfit

    return build(session, panel, why_not=_unfit(session))


def _compare(directory: Path, copy: Path) -> dict[str, Any]:
    """Episode by episode: which are the same but for times."""
    sides = []
    for place in (directory, copy):
        lines = read_lines(place / "episodes.jsonl")
        sides.append({(e["arm"], e["seed"], e["task"]["id"]): e for e in lines})
    differences = []
    for key, old in sides[0].items():
        what = _difference(old, sides[1].get(key))
        if what:
            differences.append(dict(zip(("arm", "seed", "task"), key)) | {"what": what})
    for key in sides[1].keys() - sides[0].keys():
        what = "is not in the run"
        differences.append(dict(zip(("arm", "seed", "task"), key)) | {"what": what})
    n = len(sides[0])
    return {"episodes": n, "equal": n - len(differences), "differences": differences}


def _difference(old: Mapping[str, Any], new: Mapping[str, Any] | None) -> str:
    """The first thing that differs, in words; empty if nothing does."""
    if new is None:
        return "was not played again"
    for number, (was, now) in enumerate(zip(old.get("steps", ()), new.get("steps", ()))):
        for key in sorted({*was, *now}):
            if was.get(key) != now.get(key):
                return f"step {number}: {key} was {_cut(was.get(key))}, now {_cut(now.get(key))}"
    for key in sorted({*old, *new} - {*LEFT_OUT, "steps"}):
        if old.get(key) != new.get(key):
            return f"{key} was {_cut(old.get(key))}, now {_cut(new.get(key))}"
    was, now = (len(side.get("steps", ())) for side in (old, new))
    return "" if was == now else f"had {was} steps, now {now}"


def _cut(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 120 else text[:117] + "..."


def _score_differences(old: Mapping[str, Any], new: Mapping[str, Any]) -> list[str]:
    """Keys of result.json whose figures came out differently.

    Intervals are left out: they are a matter of this checkout's statistics, not of the episodes.
    """
    keys = ("scores", "by_task_type", "outcomes", "baseline", "delta", "skills", "leaks")
    return [key for key in keys if _figures(old.get(key)) != _figures(new.get(key))]


def _figures(value: Any) -> Any:
    """A part of a result without what is inferred from it."""
    inferred = ("ci95", "p", "interval", "test", "note", "reason")
    if isinstance(value, Mapping):
        return {k: _figures(v) for k, v in value.items() if k not in inferred}
    return value
