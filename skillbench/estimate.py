"""What a suite will cost, before it begins: episodes and policy calls at most.

Trainers say how many episodes they play (`episodes(table)`, a static method); a stage whose trainer
says nothing counts as 0 and is named. What rows share is counted once. Time is only known from rows
that have finished here: seconds per episode, learning included.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from . import environments
from .sharing import Shared, baseline_key, stage_key

if TYPE_CHECKING:
    from .suite import Suite


@dataclass(frozen=True)
class Estimate:
    """Episodes by row, and bounds over all."""

    episodes: Mapping[str, int] = field(default_factory=dict)
    learn: int = 0
    score: int = 0
    saved: int = 0
    calls: int = 0
    unknown: tuple[str, ...] = ()

    def text(self) -> str:
        """One line."""
        line = (
            f"{len(self.episodes)} rows: at most {self.learn:,} episodes of learning and "
            f"{self.score:,} of scoring ({self.saved:,} more are shared), {self.calls:,} policy "
            "calls"
        )
        if self.unknown:
            line += f"; not counted: {', '.join(self.unknown)}"
        return line


def estimate(suite: Suite, shared: Shared, registry: Any = None) -> Estimate:
    """Count what the rows that are not finished will play."""
    from . import panel

    if registry is None:
        from .registry import get

        registry = get()
    seen = set(shared.index())
    panels: dict[tuple[str, ...], tuple[int, int]] = {}
    by_row: dict[str, int] = {}
    learn = score = saved = calls = 0
    unknown: set[str] = set()
    for row in suite.rows:
        config = row.config
        if (shared.directory / row.directory / "result.json").is_file():
            by_row[row.name] = 0
            continue
        split, tasks = config["run"]["split"], config["run"]["tasks"]
        place = (json.dumps(config["env"], sort_keys=True), split, str(tasks))
        if place not in panels:
            environment = environments.factory(config, registry)()
            size = len(panel.load(environment, split, tasks).tasks)
            panels[place] = size, int(environment.max_steps)
        size, steps = panels[place]
        steps = config["run"]["max_steps"] or steps
        method = registry.methods[config["method"]]
        stages = [s for s in method.trainers if config["trainer"][s]["enabled"]]
        bare = not stages and config["memory"]["name"] == "none"
        bare = bare and not (config["score"]["extra_steps"] or config["score"]["extra_tokens"])
        mine = 0
        for seed in range(config["run"]["seeds"]):
            for stage in stages:
                trainer = registry.trainers[stage].load()
                count = getattr(trainer, "episodes", None)
                n = int(count(config["trainer"][stage])) if count is not None else 0
                if count is None:
                    unknown.add(stage)
                key = stage_key(config, stages, stage, seed)
                if getattr(trainer, "shareable", False) and key in seen:
                    saved += n
                    continue
                seen.add(key)
                learn, mine = learn + n, mine + n
            attempts = config["score"]["attempts"]
            both = 0 if bare or not config["score"]["baseline"] else size
            key = baseline_key(config, seed)
            if both and key in seen:
                saved += both
                arms = size * attempts + both * (attempts - 1)
            else:
                arms = (size + both) * attempts
                seen.update({key} if both else ())
            score, mine = score + arms, mine + arms
        by_row[row.name] = mine
        calls += mine * steps
    return Estimate(by_row, learn, score, saved, calls, tuple(sorted(unknown)))


def rate(directory: Path, suite: Suite) -> float | None:
    """Seconds per episode over the rows that finished here, or None without any."""
    seconds = episodes = 0.0
    for row in suite.rows:
        path = directory / row.directory
        if not (path / "took.json").is_file():
            continue
        seconds += json.loads((path / "took.json").read_text(encoding="utf-8"))["wall_s"]
        files = [path / "episodes.jsonl", *path.glob("learn/*/episodes.jsonl")]
        for file in files:
            if file.is_file():
                with file.open("rb") as lines:
                    episodes += sum(1 for _ in lines)
    return seconds / episodes if episodes else None
