"""Shards: `run --shard i/n` scores its share of the panel, and `merge` puts shards together.

A shard is a run directory with the same configuration (and digest) as the whole run, and with
shard.json {index, count, complete}; it has no result.json, since it is no result. The cells seed by
seed, chunk by chunk, are dealt out in runs of neighbours: with at least as many chunks as shards no
chunk is cut, so a shard asks for the same batches as the whole run does and gets the same answers.
With fewer, chunks are cut by panel position; answers of a policy that batches may then differ in
their last digits (`--set score.chunk=N` makes the chunks small enough).

Neighbours also mean that with as many seeds as shards each learns one seed. Where several shards
score one seed, each learns it again, unless `--learned RUN` gives them what a run has learned.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .errors import RunDirError, UsageError
from .ledger import EVALUATION
from .sharing import append_lines, copy_whole, note
from .store import RunDir

FILE = "shard.json"


@dataclass(frozen=True)
class Shard:
    """Number `index` of `count`, from 0."""

    index: int
    count: int

    @classmethod
    def parse(cls, text: str) -> Shard:
        """Read "i/n". Raises UsageError."""
        index, slash, count = text.partition("/")
        if not (slash and index.isdecimal() and count.isdecimal()):
            raise UsageError(f"--shard takes i/n, e.g. 0/4, not {text!r}")
        shard = cls(int(index), int(count))
        if shard.index >= shard.count:
            raise UsageError(
                f"--shard {text}: the shards of {count} are 0/{count} ... {shard.count - 1}/{count}"
            )
        return shard

    def __str__(self) -> str:
        return f"{self.index}/{self.count}"

    def share(self, panel: Sequence[str], seeds: Sequence[int], chunk: int) -> dict[int, set[str]]:
        """The task ids that are this shard's, by seed; seeds without any are left out.

        Raises UsageError where there are more shards than episodes.
        """
        chunks = [panel[i : i + chunk] for i in range(0, len(panel), chunk)]
        cells = [(seed, tuple(ids)) for seed in seeds for ids in chunks]
        if len(cells) < self.count:
            cells = [(seed, (task,)) for seed in seeds for task in panel]
        if len(cells) < self.count:
            raise UsageError(f"--shard {self}: there are only {len(cells)} tasks to share out")
        first, last = (i * len(cells) // self.count for i in (self.index, self.index + 1))
        out: dict[int, set[str]] = {}
        for seed, ids in cells[first:last]:
            out.setdefault(seed, set()).update(ids)
        return out


def read(directory: Path) -> tuple[Shard, bool] | None:
    """(shard, complete) of a run directory; None for a whole run. Raises RunDirError."""
    data = RunDir(directory).load_json(FILE)
    if data is None:
        return None
    try:
        return Shard(int(data["index"]), int(data["count"])), bool(data["complete"])
    except (KeyError, TypeError, ValueError) as error:
        raise RunDirError(f"{directory / FILE} is not a shard's: {error!r}") from error


def write(run: RunDir, shard: Shard, *, complete: bool = False, **more: Any) -> dict[str, Any]:
    """Write shard.json; returns its content."""
    data = {"index": shard.index, "count": shard.count, "complete": complete, **more}
    run.write_json(FILE, data)
    return data


def adopt(session: Any, source: Path, seed: int) -> None:
    """Copy what another run of the same configuration has learned of a seed, ledger included.

    Raises RunDirError where the run has other settings, or has not learned that seed.
    """
    from .config import load

    run: RunDir = session.run
    root = f"learn/{seed}"
    if run.load_json(f"{root}/frozen.json") is not None:
        return
    theirs = load(source)
    if theirs.digest != session.config.digest:
        changed = "; ".join(theirs.differences(session.config)) or "(the digest alone)"
        raise RunDirError(f"{source} has learned with other settings (its own -> ours): {changed}")
    if not (source / root / "frozen.json").is_file():
        raise RunDirError(
            f"{source} has not learned seed {seed} to its end: "
            f"go on with it first, skillbench run --resume {source}"
        )
    append_lines(
        run,
        source,
        "ledger.jsonl",
        lambda d: d.get("seed") == seed and d["phase"] not in EVALUATION,
    )
    note(run, {"seed": seed, "stage": "all", "run": source.name})
    run.sync()
    copy_whole(source / root, run.path / root)
