"""`skillbench merge`: the shards of a run, put together into the run that they are parts of.

Episodes, completions and attempts are those of all shards, in the order seed, arm, panel. What was
learned of a seed is taken from one shard; where several learned it, they must have come to the
same weights and the same bank. The ledger holds everything that was spent, so a seed that four
shards learned was paid for four times. The result is computed from these files like that of any
run, and equals that of the unsharded run but for times and costs.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from . import shards
from .config import Config, load
from .errors import RunDirError, UsageError
from .reporting import Reporter
from .session import Session
from .sharing import copy_whole
from .store import RunDir, guarded, read_lines

FILES = ("episodes.jsonl", "completions.jsonl", "attempts.jsonl")
SAME = ("weights_sha256", "bank_sha256")


def merge(
    out: Path,
    parts: Sequence[Path],
    *,
    registry: Any = None,
    reporter: Reporter | None = None,
) -> dict[str, Any]:
    """Merge shards into a new run directory; return the content of its result.json.

    The directory appears when it is complete. Raises UsageError where shards are missing, double or
    unfinished, RunDirError where they do not belong together.
    """
    if registry is None:
        from .registry import get

        registry = get()
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise RunDirError(f"{out} exists already: choose another place for the merged run")
    config, ordered = check(parts)
    draft = out.with_name(out.name + ".merging")
    with guarded(draft, out):
        shutil.rmtree(draft, ignore_errors=True)
    with RunDir.create(draft, config) as run, guarded(draft, out):
        run.write_json("manifest.json", _manifest(ordered))
        for line in _ledger(ordered):
            run.lines("ledger.jsonl").append(line)
        for seed, source in _learned(config, ordered).items():
            copy_whole(source / f"learn/{seed}", run.path / f"learn/{seed}")
        session = Session(config, registry, run, reporter or Reporter())
        try:
            result = _join(session, ordered)
        finally:
            session.close()
    with guarded(out, out):
        if out.exists():
            out.rmdir()
        draft.rename(out)
    return result


def _join(session: Session, parts: Sequence[Path]) -> dict[str, Any]:
    """Write the lines of all shards in the order of a whole run, then its result."""
    from . import panel as panels
    from .runner import finish

    table = session.config["run"]
    panel = panels.load(session.environment, table["split"], table["tasks"])
    manifest = session.run.load_json("manifest.json")
    if panel.id != manifest["panel"]:
        raise RunDirError(f"the shards were scored on {manifest['panel']}, here is {panel.id}")
    place = {task: number for number, task in enumerate(panel.ids)}
    for name in FILES:
        lines = [line for part in parts for line in read_lines(part / name)]
        if name == "attempts.jsonl":  # of whole seeds, and in an order of its own
            chosen = lines
        else:
            chosen = sorted(
                lines, key=lambda d: (d["seed"], d["arm"] != "method", _place(d, place))
            )
        for line in chosen:
            session.run.lines(name).append(line)
    return finish(session, panel)


def _place(line: Mapping[str, Any], place: Mapping[str, int]) -> int:
    task = line["task"]
    return place[task if isinstance(task, str) else task["id"]]


def check(parts: Sequence[Path]) -> tuple[Config, list[Path]]:
    """The configuration of some shards, and the shards in order.

    Raises UsageError that names every shard that is missing, double or unfinished.
    """
    if not parts:
        raise UsageError("merge needs the shards of a run: skillbench merge OUT SHARD SHARD ...")
    config = load(parts[0])
    by_index: dict[int, list[Path]] = {}
    counts: dict[int, Path] = {}
    wrong = []
    for part in parts:
        other = load(part)
        if other.digest != config.digest:
            keys = "; ".join(config.differences(other)) or "(the digest alone)"
            raise RunDirError(f"{parts[0]} and {part} are of different runs: {keys}")
        found = shards.read(part)
        if found is None:
            raise UsageError(f"{part} is a whole run, not a shard: it was run without --shard")
        shard, complete = found
        counts.setdefault(shard.count, part)
        by_index.setdefault(shard.index, []).append(part)
        if not complete:
            wrong.append(f"shard {shard} is not finished: skillbench run --resume {part}")
    if len(counts) > 1:
        told = ", ".join(f"{n} ({part})" for n, part in counts.items())
        raise UsageError(f"these are shards of different numbers of shards: {told}")
    (count,) = counts
    missing = [f"{i}/{count}" for i in range(count) if i not in by_index]
    if missing:
        wrong.append(f"missing: {', '.join(missing)}; run each with the same options and --shard")
    for index, places in sorted(by_index.items()):
        if len(places) > 1:
            told = " and ".join(map(str, places))
            wrong.append(f"shard {index}/{count} is given {len(places)} times: {told}")
    if wrong:
        raise UsageError(f"{len(parts)} of {count} shards cannot be merged:\n" + "\n".join(wrong))
    return config, [by_index[i][0] for i in range(count)]


def _manifest(parts: Sequence[Path]) -> dict[str, Any]:
    """That of the first shard, with what the others say of themselves beside it."""
    found = [RunDir(part).load_json("manifest.json") for part in parts]
    first = found[0]
    for part, manifest in zip(parts, found):
        for key, what in (("panel", "panels"), ("data", "data"), ("git", "commits")):
            ours, theirs = first[key], manifest[key]
            if key == "git" and ours and theirs:
                ours, theirs = ours["sha"], theirs["sha"]
            if ours != theirs:
                raise RunDirError(f"{parts[0]} and {part} were made with different {what}")
    keys = ("at", "git", "hardware", "versions")
    return {
        **first,
        "at": min(m["at"] for m in found),
        "resumed": [entry for m in found for entry in m["resumed"]],
        "shards": [{k: m[k] for k in keys} for m in found],
    }


def _ledger(parts: Sequence[Path]) -> Iterator[dict[str, Any]]:
    """Every line once: what a shard was given of another's learning stands in both."""
    seen: set[str] = set()
    for part in parts:
        lines = [(json.dumps(d, sort_keys=True), d) for d in read_lines(part / "ledger.jsonl")]
        yield from (line for key, line in lines if key not in seen)
        seen.update(key for key, _ in lines)


def _learned(config: Config, parts: Sequence[Path]) -> dict[int, Path]:
    """Which shard's learning to take for each seed. Raises RunDirError where two differ."""
    out: dict[int, Path] = {}
    known: dict[int, Any] = {}
    for part in parts:
        for seed in range(config["run"]["seeds"]):
            frozen = RunDir(part).load_json(f"learn/{seed}/frozen.json")
            if frozen is None:
                continue
            if seed not in out:
                out[seed], known[seed] = part, frozen
            elif any(known[seed][key] != frozen[key] for key in SAME):
                raise RunDirError(
                    f"{out[seed]} and {part} learned seed {seed} to different weights or banks, so "
                    "they are not one run: run the shards with --learned RUN, which gives all of "
                    "them what one has learned"
                )
    return out
