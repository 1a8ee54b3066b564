"""A leaderboard file: a run's result, trimmed, with the outcome of every episode; and its check.

    result's own keys   scores, by_task_type, outcomes, baseline, delta, cost, break_even, ...
    episodes            outcome and cost of each episode (outcomes.py): the scores follow from it
    learned_from        task ids that skills and training rows came from, and episodes played
    bills               what each learning run cost: provider dollars, device seconds
    command, commit, variant, digest

No prompt, no text of an episode, no path and no key is in it. `faults` recomputes what can be
recomputed, and compares the tasks with the committed panel, so a file whose figures were changed,
that lacks or repeats a task, that belongs to another panel, or whose bank touches a panel task is
found. It is no proof against somebody who invents all the episodes; the badge "reproduced" is.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from . import money, outcomes, panel, prices, stats
from .errors import DataError
from .leakage import IMPORTED, TRAIN
from .store import finite, read_lines

FORMAT = 1
VALID_SHARE = 0.98
NEEDED = (
    "schema", "method", "environment", "panel", "split", "profile", "policy", "seeds", "scores",
    "config_digest", "rankable",
)  # fmt: skip
KEPT = (
    *NEEDED, "panel_info", "by_task_type", "outcomes", "baseline", "delta", "cost",
    "break_even", "skills", "curve", "leaks", "why_not", "provenance",
)  # fmt: skip
PATH = re.compile(r"(?:^|[\s=:\"',(])((?:/[\w.+@-]+){2,}/?|[A-Za-z]:\\[\w\\.-]+)")
KEY = re.compile(r"\b(?:sk|hf|ghp|gho|xox[a-z])[-_][A-Za-z0-9_-]{16,}")
MEAN, ENDS = 2e-6, 0.02  # how far stated figures may be from recomputed ones (share of the range)


def make(
    directory: Path,
    result: Mapping[str, Any],
    *,
    command: str,
    commit: str,
    variant: str,
    teacher: str = "",
    panels: Sequence[Mapping[str, Any]] | None = None,
) -> dict[str, Any]:
    """The leaderboard file of a finished run. Raises DataError where its episodes do not fit."""
    manifest = json.loads((directory / "manifest.json").read_text(encoding="utf-8"))
    learned = bool(manifest.get("stages"))
    found = outcomes.collect(read_lines(directory / "episodes.jsonl"), learned=learned)
    found = _in_panel_order(found, result, panel.committed() if panels is None else panels)
    ledger = list(read_lines(directory / "ledger.jsonl"))
    rates = prices.rates(manifest["hardware"])
    learning, wall = money.bills(ledger, int(result["seeds"]), rates)
    row = {key: result[key] for key in KEPT if key in result}
    row |= {"format": FORMAT, "learned": learned, "command": command, "commit": commit}
    row |= {key: text for key, text in (("variant", variant), ("teacher", teacher)) if text}
    row["bills"] = [
        {"usd": round(bill.usd, 6), "device_s": round(bill.device_s, 3), "wall_s": round(s, 3)}
        for bill, s in zip(learning, wall)
    ]
    row["overheads"] = {k: round(v, 6) for k, v in money.overheads(ledger, rates).items() if v}
    row["learned_from"] = sources = learned_from(directory, int(result["seeds"]))
    if not (result.get("leaks") or {}).get("count"):
        # The run's own scan knew the train split: these ids exist there as well.
        sources["shared"] = sorted(set(found.tasks) & {*sources["skills"], *sources["rows"]})
    row["episodes"] = outcomes.to_json(found)
    row = _without_paths(finite(row))
    row["digest"] = digest(row)
    return row


def _in_panel_order(
    found: outcomes.Outcomes, result: Mapping[str, Any], panels: Sequence[Mapping[str, Any]]
) -> outcomes.Outcomes:
    """Columns in the panel's order, on which resampling depends; by id without one."""
    named = [p for p in panels if p["name"] == _panel_name(result)]
    place = {task: i for i, task in enumerate(named[0]["ids"])} if named else {}
    order = sorted(
        range(len(found.tasks)),
        key=lambda i: (place.get(found.tasks[i], len(place)), found.tasks[i]),
    )
    return found.reordered(order)


def _panel_name(result: Mapping[str, Any]) -> str:
    return str(result["panel"]).rpartition("@")[0].split("[:")[0]


def learned_from(directory: Path, seeds: int) -> dict[str, Any]:
    """Where what was learned came from: {skills: [ids], rows: [ids], splits: {SPLIT: n}, imported}.

    `splits` counts learning episodes, and skills of another split than train.
    """
    skills: set[str] = set()
    rows: set[str] = set()
    splits: dict[str, int] = {}
    imported = 0
    for seed in range(seeds):
        root = directory / "learn" / str(seed)
        final = root / "skills" / "final.json"
        bank = json.loads(final.read_text(encoding="utf-8"))["skills"] if final.is_file() else []
        for skill in bank:
            skills.update(skill.get("source_tasks", ()))
            imported += skill.get("source_split") == IMPORTED
            if skill.get("source_split", TRAIN) not in (TRAIN, IMPORTED):
                splits[skill["source_split"]] = splits.get(skill["source_split"], 0) + 1
        frozen = root / "frozen.json"
        if frozen.is_file():
            rows.update(json.loads(frozen.read_text(encoding="utf-8")).get("rows", ()))
        for line in read_lines(root / "episodes.jsonl"):
            split = line["task"]["split"]
            splits[split] = splits.get(split, 0) + 1
    out: dict[str, Any] = {"skills": sorted(skills), "rows": sorted(rows), "splits": splits}
    out["imported"] = imported
    return out


def digest(row: Mapping[str, Any]) -> str:
    """sha256 over the content of a file without its own digest."""
    rest = {key: value for key, value in row.items() if key not in ("digest", "file")}
    text = json.dumps(rest, sort_keys=True, ensure_ascii=False, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()


def dumps(row: Mapping[str, Any]) -> str:
    """The file's text: one key a line, the table of episodes one row a line."""
    lines = []
    for key, value in row.items():
        if key == "episodes":
            inner = ",\n".join(f"  {_line(k)}: {_table(v)}" for k, v in value.items())
            lines.append(f' "episodes": {{\n{inner}\n }}')
        else:
            lines.append(f" {_line(key)}: {_line(value)}")
    return "{\n" + ",\n".join(lines) + "\n}\n"


def _table(value: Any) -> str:
    if not isinstance(value, Mapping):
        return _line(value)
    inner = ",\n".join(
        f"   {_line(k)}: [\n    " + ",\n    ".join(_line(row) for row in rows) + "]"
        for k, rows in value.items()
    )
    return "{\n" + inner + "}"


def _line(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(", ", ": "))


def _without_paths(value: Any) -> Any:
    """Absolute paths are cut to their last part: they say where, not what."""
    if isinstance(value, str):
        return PATH.sub(_last_part, value)
    if isinstance(value, Mapping):
        return {key: _without_paths(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_without_paths(item) for item in value]
    return value


def _last_part(found: re.Match[str]) -> str:
    whole, path = found.group(0), found.group(1)
    return whole[: len(whole) - len(path)] + re.split(r"[/\\]", path.rstrip("/\\"))[-1]


def faults(row: Any, panels: Sequence[Mapping[str, Any]] | None = None) -> list[str]:
    """What is wrong with a file, in words; an empty list when nothing is.

    `panels` are the committed panels (default: those of this checkout).
    """
    if not isinstance(row, Mapping):
        return ["is not a JSON object"]
    needed = (*NEEDED, "episodes", "learned", "learned_from", "bills", "digest")
    out = [f"lacks {key!r}" for key in needed if key not in row]
    if out:
        return out
    if digest(row) != row["digest"]:
        out.append("was changed after it was written: its digest is another")
    if not row["rankable"] and not row.get("why_not"):
        out.append("is not rankable but does not say why (why_not)")
    out += _private(row)
    try:
        found = outcomes.from_json(row["episodes"], learned=bool(row["learned"]))
    except DataError as error:
        return [*out, str(error)]
    out += _panel_faults(row, found, panel.committed() if panels is None else panels)
    out += _leak_faults(row, found)
    out += _score_faults(row, found)
    return out


def _private(row: Mapping[str, Any]) -> list[str]:
    text = json.dumps({k: v for k, v in row.items() if k != "episodes"}, ensure_ascii=False)
    out = []
    if KEY.search(text):
        out.append("holds what looks like a key")
    if _without_paths(row) != row:
        out.append("holds an absolute path")
    return out


def _panel_faults(
    row: Mapping[str, Any], found: outcomes.Outcomes, panels: Sequence[Mapping[str, Any]]
) -> list[str]:
    """The tasks must be those of the committed panel, each once, and valid enough."""
    out = []
    info = row.get("panel_info") or {}
    place = (row["environment"], row["split"], _panel_name(row))
    named = [p for p in panels if (p["environment"], p["split"], p["name"]) == place]
    if named:
        whole, n = named[0], len(found.tasks)
        wanted = list(whole["ids"])
        part = re.search(r"\[:(\d+)\]@", str(row["panel"]))
        wanted = wanted[: int(part[1])] if part else wanted
        have, known = set(found.tasks), set(wanted)
        missing = [task for task in wanted if task not in have]
        strange = [task for task in found.tasks if task not in known]
        if missing:
            out.append(f"lacks {len(missing)} tasks of the panel, e.g. {missing[0]!r}")
        if strange:
            out.append(f"holds {len(strange)} tasks that the panel lacks, e.g. {strange[0]!r}")
        text = "\n".join((whole["environment"], whole["split"], whole["fingerprint"], *wanted))
        name = f"{whole['name']}[:{n}]" if part else whole["name"]
        if f"{name}@{hashlib.sha256(text.encode()).hexdigest()[:12]}" != row["panel"]:
            out.append(f"panel {row['panel']} is not the committed {whole['name']}")
        if info.get("fingerprint") != whole["fingerprint"]:
            out.append("was scored on other data than the panel's (fingerprint)")
    elif row["rankable"]:
        out.append(f"panel {row['panel']} is not committed: it cannot be rankable")
    for name, arm in (("method", found.method), ("baseline", found.baseline)):
        if arm is None:
            continue
        if len(arm.letters) != row["seeds"]:
            out.append(f"{name}: {len(arm.letters)} seeds of episodes, {row['seeds']} stated")
        gone = sum(letters.count(outcomes.MISSING) for letters in arm.letters)
        if gone and row["rankable"]:
            out.append(f"{name}: {gone} episodes are missing")
        if arm.valid_share < VALID_SHARE and row["rankable"]:
            out.append(f"{name}: only {arm.valid_share:.1%} of the episodes are valid")
    return out


def _leak_faults(row: Mapping[str, Any], found: outcomes.Outcomes) -> list[str]:
    """What was learned must come from train. Ids that train has as well are no evidence."""
    sources = row["learned_from"]
    held_out = set(found.tasks) - set(sources.get("shared", ()))
    out = []
    for what in ("skills", "rows"):
        bad = sorted(held_out & set(sources.get(what, ())))
        if bad and row["rankable"]:
            out.append(f"{what} come from {len(bad)} panel tasks, e.g. {bad[0]!r}")
    other = {split: n for split, n in sources.get("splits", {}).items() if split != TRAIN}
    if other and row["rankable"]:
        out.append(f"was learned outside train: {other}")
    stated = (row.get("leaks") or {}).get("count", 0)
    if row["rankable"] and (stated or sources.get("imported")):
        out.append("states leaks or skills of unknown origin: it cannot be rankable")
    return out


def _score_faults(row: Mapping[str, Any], found: outcomes.Outcomes) -> list[str]:
    """Scores, outcomes, difference and cost per episode must follow from the episodes."""
    out = []
    for what, stated, computed in comparisons(row, found):
        if not _agree(stated, computed):
            out.append(f"{what} is stated as {_said(stated)}; the episodes give {_said(computed)}")
    return out


def comparisons(
    row: Mapping[str, Any], found: outcomes.Outcomes
) -> list[tuple[str, Any, Mapping[str, Any]]]:
    """(what, as stated, as recomputed) for everything that follows from the episodes."""
    pairs: list[tuple[str, Any, Any]] = []
    base = row.get("baseline") or {}
    arms = [("", row, found.method, found.learned)]
    if found.baseline is not None:
        arms.append(("baseline ", base, found.baseline, False))
    elif base.get("scores"):
        pairs.append(("baseline episodes", base["scores"].get("success"), {"mean": None}))
    for prefix, stated, arm, learned in arms:
        scores = stated.get("scores") or {}
        computed = {
            "success": arm.success,
            "success_invalid_as_failure": arm.lost,
            "steps": np.where(np.isnan(arm.success), np.nan, arm.figure("steps")),
        }
        for name, values in computed.items():
            if name in scores:
                ours = stats.summary(values, learned=learned)
                pairs.append((f"{prefix}{name}", scores[name], ours))
        by_type = stats.by_group(arm.success, found.types, learned=learned)
        for kind in sorted({*by_type, *(stated.get("by_task_type") or {})}):
            theirs = (stated.get("by_task_type") or {}).get(kind)
            pairs.append((f"{prefix}success of {kind}", theirs, by_type.get(kind)))
        counts = {"counts": arm.counts}
        pairs.append((f"{prefix}outcomes", {"counts": stated.get("outcomes")}, counts))
    if found.baseline is not None:
        delta = stats.paired(found.method.success, found.baseline.success, learned=found.learned)
        pairs.append(("difference", row.get("delta"), delta))
    return pairs


def _agree(stated: Any, computed: Any) -> bool:
    if not isinstance(stated, Mapping) or not isinstance(computed, Mapping):
        return stated is None and computed is None
    if "counts" in computed:
        return stated["counts"] == computed["counts"]
    one, other = stated.get("mean"), computed.get("mean")
    if one is None or other is None:
        return one is None and other is None
    if stated.get("n") != computed.get("n") or abs(one - other) > MEAN * max(1.0, abs(other)):
        return False
    ends, ours = stated.get("ci95"), computed.get("ci95")
    if not ends or not ours:
        return not ends and not ours
    # Resampling differs between versions of the random generator; shares of the width forgive it.
    room = max(ENDS, 0.15 * (ours[1] - ours[0]))
    return all(abs(a - b) <= room for a, b in zip(ends, ours))


def _said(value: Any) -> str:
    if not isinstance(value, Mapping):
        return "nothing"
    if "counts" in value:
        return str(value["counts"])
    if value.get("mean") is None:
        return "nothing"
    ends = value.get("ci95") or ("?", "?")
    return f"{value['mean']} {list(ends)} n={value.get('n')}"


def account(row: Mapping[str, Any]) -> money.Account:
    """The money of a row, from its episodes and bills at today's prices."""
    found = outcomes.from_json(row["episodes"], learned=bool(row["learned"]))
    rates = prices.rates((row.get("provenance") or {}).get("hardware") or {})
    learning = [money.Bill(bill["usd"], bill["device_s"]) for bill in row["bills"]]
    wall = {"learn": sum(bill.get("wall_s", 0.0) for bill in row["bills"])}
    extra = row.get("overheads") or {}
    return money.account(found, learning, rates, policy=str(row["policy"]), extra=extra, wall=wall)


def file_name(result: Mapping[str, Any]) -> str:
    """The name a result is committed under: what it is, and the digest of its configuration."""
    parts = (result["environment"], result["split"], result["method"], result["policy"])
    plain = "--".join(re.sub(r"[^A-Za-z0-9_.-]+", "-", str(part)) for part in parts)
    return f"{plain}--{result['config_digest'][:8]}.json"
