"""result.json: a function of the files of a run, so that it can be computed again at any time.

    schema, method, environment, panel, split, profile, policy, seeds, config_digest
    panel_info     {name, n, fingerprint, committed, task_types}
    scores         {success, success_invalid_as_failure, score?, steps, valid, METRIC...}, each
                   {mean, ci95, n}
    by_task_type   {TYPE: {mean, ci95, n}} of success
    outcomes       {success, failure, truncated, invalid}: episodes over all seeds
    baseline       {scores, by_task_type, outcomes, cost} of the same policy without the method, or
                   {reason} where it was not scored or is the same thing
    delta          {mean, ci95, p, n, test, by_task_type} of success, method - baseline, paired
    cost           {learn: {..., by_phase, by_role}, per_episode, per_success, money: dollars at the
                   dated prices; learning is one learning run's bill there, the mean over seeds}
    retries        with score.attempts > 1: solved within k attempts (see retries.py), not a score
    break_even     {episodes, ci95, against, unit, reason, gain_per_use, gain_ci95, bill,
                   value_per_success, value_is}
    skills         {initial, final, by_kind, tokens_per_episode, per_seed}
    curve          [{step, stage, stage_step, success, n, skills}]: success on train while learning
    leaks          {count, checked, unknown, found, overlap, peeks}
    rankable, why_not, provenance

`success` is over valid episodes; `success_invalid_as_failure` counts the invalid ones as lost. With
no invalid episode they are equal. The JSON schema is schema/result.schema.json.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from . import devices, money, outcomes, prices, retries, stats
from .agent import estimate_tokens
from .leakage import TRAIN, overlap, scan
from .ledger import summarize, total
from .panel import Panel
from .records import OUTCOMES, skill_from_json
from .score import BASELINE, METHOD
from .session import Session
from .store import RunDir

SCHEMA = 1
VALID_SHARE = 0.98
COSTS = ("cost", "break_even", "provenance")  # what a resumed run may answer differently


def comparable(result: Mapping[str, Any]) -> dict[str, Any]:
    """A result without times and costs: what must be equal after any number of resumes."""
    out = {key: value for key, value in result.items() if key not in COSTS}
    out["baseline"] = {k: v for k, v in (out.get("baseline") or {}).items() if k not in COSTS}
    return out


class Arm:
    """The scored episodes of one arm."""

    def __init__(
        self, lines: Iterable[Mapping[str, Any]], panel: Panel, seeds: list[int], learned: bool
    ) -> None:
        self.panel, self.seeds, self.learned = panel, seeds, learned
        self.lines = list(lines)
        self.types = [task.task_type for task in panel.tasks]

    def matrix(self, value: Any, *, invalid: float | None = None) -> np.ndarray:
        """seeds x tasks of `value(line)`; invalid episodes are `invalid` (None: nan)."""
        values = {
            (line["seed"], line["task"]["id"]): (
                invalid if line["outcome"] == "invalid" else float(value(line))
            )
            for line in self.lines
        }
        return stats.matrix(values, self.seeds, self.panel.ids)

    @property
    def success(self) -> np.ndarray:
        """seeds x tasks: 1 solved, 0 not, nan invalid."""
        return self.matrix(lambda line: line["success"])

    def describe(self, draws: int) -> dict[str, Any]:
        """Scores, scores by task type, outcomes."""
        kw: Any = {"learned": self.learned, "draws": draws}
        lost = self.matrix(lambda line: line["success"], invalid=0.0)
        valid = self.matrix(lambda line: 1.0, invalid=0.0)
        score = self.matrix(lambda line: line["score"])
        scores = {
            "success": stats.summary(self.success, **kw),
            "success_invalid_as_failure": stats.summary(lost, **kw),
            "steps": stats.summary(self.matrix(lambda line: len(line.get("steps", ()))), **kw),
            "valid": stats.summary(valid, **kw),
        }
        if not np.array_equal(score, self.success, equal_nan=True):
            scores["score"] = stats.summary(score, **kw)
        for name in sorted({n for line in self.lines for n in line.get("metrics", ())}):
            values = self.matrix(
                lambda line, name=name: line.get("metrics", {}).get(name, math.nan)
            )
            scores[name] = stats.summary(values, **kw)
        outcomes = dict.fromkeys(OUTCOMES, 0)
        for line in self.lines:
            outcomes[line["outcome"]] += 1
        return {
            "scores": scores,
            "by_task_type": stats.by_group(self.success, self.types, **kw),
            "outcomes": outcomes,
        }

    @property
    def valid_share(self) -> float:
        """Valid episodes over those that the panel asks for."""
        asked = len(self.seeds) * len(self.panel.tasks)
        return sum(line["outcome"] != "invalid" for line in self.lines) / asked if asked else 0.0

    def cost(self, ledger: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
        """Cost per episode and per success: the episodes' own usage, wall time of the ledger."""
        spent = total(_usage_line(line["usage"]) for line in self.lines)
        spent["wall_s"] = ledger["wall_s"]
        spent["steps"] = sum(len(line.get("steps", ())) for line in self.lines)
        won = sum(line["outcome"] == "success" for line in self.lines)
        return _per(spent, len(self.lines)), _per(spent, won)


def _usage_line(usage: Mapping[str, Any]) -> dict[str, Any]:
    names = {"in": "input_tokens", "cached": "cached_tokens", "out": "output_tokens"}
    line = {short: usage.get(long, 0) for short, long in names.items()}
    return line | {k: usage.get(k, 0) for k in ("calls", "usd", "device_s")}


def _per(spent: Mapping[str, Any], n: int) -> dict[str, Any]:
    return {key: round(value / n, 6) if n else None for key, value in spent.items()}


def build(session: Session, panel: Panel, *, why_not: list[str] | None = None) -> dict[str, Any]:
    """Compute the result of a finished run from its files."""
    config, run = session.config, session.run
    draws = config["score"]["bootstrap"]
    learned = bool(session.stages)
    lines: dict[str, list[dict[str, Any]]] = {METHOD: [], BASELINE: []}
    ids = set(panel.ids)
    for line in run.read("episodes.jsonl"):
        if line["task"]["id"] in ids:
            # Steps are only counted; the texts of a hundred thousand episodes fill a gigabyte.
            line["steps"] = range(len(line.get("steps", ())))
            lines[line["arm"]].append(line)
    ours = Arm(lines[METHOD], panel, session.seeds, learned)
    ledger = list(run.read("ledger.jsonl"))
    spend = summarize(ledger)
    per_episode, per_success = ours.cost(spend["score"])
    cost = {"learn": spend["learn"], "per_episode": per_episode, "per_success": per_success}
    books = account(session, lines[METHOD] + lines[BASELINE], ledger, spend)
    cost["money"] = books.summary()
    cost["devices"] = devices.summarize(ledger, session.meter.why)
    result: dict[str, Any] = {
        "schema": SCHEMA,
        "method": config["method"],
        "environment": session.label,
        "panel": panel.id,
        "split": panel.split,
        "profile": config["profile"],
        "policy": session.policy_label,
        "seeds": len(session.seeds),
        "config_digest": config.digest,
        "panel_info": {
            "name": panel.name,
            "n": len(panel.tasks),
            "fingerprint": panel.fingerprint,
            "committed": panel.committed,
            "task_types": {kind: ours.types.count(kind) for kind in sorted(set(ours.types))},
        },
        **ours.describe(draws),
    }
    reasons = list(why_not or ())
    if ours.valid_share < VALID_SHARE:
        reasons.append(_invalid("the method", ours))
    theirs = Arm(lines[BASELINE], panel, session.seeds, False)
    if lines[BASELINE]:
        b_episode, b_success = theirs.cost(spend["baseline"])
        b_cost = {"per_episode": b_episode, "per_success": b_success}
        result["baseline"] = {**theirs.describe(draws), "cost": b_cost}
        kw: Any = {"learned": learned, "draws": draws}
        result["delta"] = stats.paired(ours.success, theirs.success, **kw)
        result["delta"]["by_task_type"] = _by_type(ours, theirs, **kw)
        result["break_even"] = books.against(draws=draws)
        if theirs.valid_share < VALID_SHARE:
            reasons.append(_invalid("the baseline", theirs))
    else:
        why = no_baseline(session)
        result["baseline"] = {"reason": why}
        result["delta"] = {"mean": None, "ci95": None, "p": None, "n": 0, "reason": why}
        result["break_even"] = {"episodes": None, "ci95": None, "against": None, "reason": why}
    result["cost"] = cost
    if config["score"]["attempts"] > 1:
        result["retries"] = retries.summarize(session, panel, lines)
    frozen = {seed: run.load_json(f"learn/{seed}/frozen.json") for seed in session.seeds}
    result["skills"] = _skills(session, ours, frozen)
    result["curve"] = curve(run, session.stages, session.seeds)
    result["leaks"] = leaks = _leaks(session, panel, frozen)
    if leaks["count"]:
        reasons.append(f"{leaks['count']} sources of what was learned are outside train or leak")
    if leaks["unknown"]:
        reasons.append(f"{leaks['unknown']} skills are of unknown origin (an imported bank)")
    if panel.split == TRAIN:
        reasons.append("scored on the train split")
    if not panel.committed:
        reasons.append(f"no committed panel of {session.label}, split {panel.split}")
    result["rankable"] = not reasons
    result["why_not"] = reasons
    result["provenance"] = _provenance(session, frozen)
    return result


def account(
    session: Session,
    lines: Iterable[Mapping[str, Any]],
    ledger: Sequence[Mapping[str, Any]],
    spend: Mapping[str, Any],
) -> money.Account:
    """The run in dollars."""
    found = outcomes.collect(lines, learned=bool(session.stages))
    rates = prices.rates(session.run.load_json("manifest.json")["hardware"])
    learning, learned = money.bills(ledger, len(session.seeds), rates)
    wall = {name: spend[name]["wall_s"] for name in ("score", "baseline")}
    wall["learn"] = sum(learned)
    extra = money.overheads(ledger, rates)
    label = session.policy_label
    return money.account(found, learning, rates, policy=label, extra=extra, wall=wall)


def no_baseline(session: Session) -> str | None:
    """Why no baseline is scored; None where one is."""
    if not session.stages and not session.has_memory and not session.beyond:
        return "the method is the policy as it is: it is its own baseline"
    if not session.config["score"]["baseline"]:
        return "switched off (score.baseline=false)"
    return None


def _invalid(who: str, arm: Arm) -> str:
    return f"{arm.valid_share:.1%} of the episodes of {who} are valid; {VALID_SHARE:.0%} are needed"


def _by_type(ours: Arm, theirs: Arm, **kw: Any) -> dict[str, Any]:
    a, b = ours.success, theirs.success
    out = {}
    for kind in sorted(set(ours.types)):
        columns = [i for i, name in enumerate(ours.types) if name == kind]
        out[kind] = stats.paired(a[:, columns], b[:, columns], **kw)
    return out


def _skills(session: Session, arm: Arm, frozen: Mapping[int, Any]) -> dict[str, Any]:
    """Bank sizes (means over seeds) and how many tokens of skills an episode shows."""
    per_seed = [(frozen[s] or {}).get("skills", {}) for s in session.seeds]
    agent = session.agent(_style(session), {})
    bare = estimate_tokens(agent.system(session.environment.instructions, ""))
    shown = [
        estimate_tokens(line["system"]) - bare if line.get("skill_ids") else 0
        for line in arm.lines
        if line.get("system") is not None
    ]
    kinds = sorted({kind for row in per_seed for kind in row.get("by_kind", {})})
    share = session.config["score"].get("show")
    return {
        **({} if share is None else {"show": share}),
        "initial": _mean([row.get("initial", 0) for row in per_seed]),
        "final": _mean([row.get("final", 0) for row in per_seed]),
        "by_kind": {
            k: _mean([row.get("by_kind", {}).get(k, 0) for row in per_seed]) for k in kinds
        },
        "tokens_per_episode": _mean(shown),
        "per_seed": per_seed,
    }


def _style(session: Session) -> str:
    """The style that episodes were played in; the policy itself may be gone by now."""
    return session.run.load_json("manifest.json").get("style") or ""


def _mean(values: Sequence[float]) -> float:
    value = round(sum(values) / len(values), 3) if values else 0
    return int(value) if value == int(value) else value


def curve(run: RunDir, stages: list[str], seeds: list[int]) -> list[dict[str, Any]]:
    """Success on train tasks at each learning step, over all seeds.

    From the lines that trainers log with `success`; of a step that was redone the last line counts.
    """
    rows: dict[tuple[int, int], dict[int, dict[str, Any]]] = {}
    for seed in seeds:
        for line in run.read(f"learn/{seed}/metrics.jsonl"):
            if line.get("success") is not None and line["stage"] in stages:
                place = (stages.index(line["stage"]), line["step"])
                rows.setdefault(place, {})[seed] = line
    out = []
    for index, (place, by_seed) in enumerate(sorted(rows.items())):
        lines = list(by_seed.values())
        counts = [int(line.get("episodes", line.get("n", 0)) or 0) for line in lines]
        weights = counts if all(counts) else [1] * len(lines)
        success = sum(w * line["success"] for w, line in zip(weights, lines)) / sum(weights)
        out.append(
            {
                "step": index,
                "stage": stages[place[0]],
                "stage_step": place[1],
                "success": round(success, 6),
                "n": sum(counts),
                "skills": _mean([line.get("skills", 0) for line in lines]),
            }
        )
    return out


def _leaks(session: Session, panel: Panel, frozen: Mapping[int, Any]) -> dict[str, Any]:
    """Scan banks, training rows and learning episodes of all seeds."""
    run = session.run
    skills, rows, played = [], [], []
    for seed in session.seeds:
        final = run.load_json(f"learn/{seed}/skills/final.json") or {"skills": []}
        skills += [skill_from_json(data) for data in final["skills"]]
        rows += (frozen[seed] or {}).get("rows", [])
        played += [
            (line["task"]["split"], line["task"]["id"])
            for line in run.read(f"learn/{seed}/episodes.jsonl")
        ]
    known = session.environment.tasks(TRAIN) if skills or rows or played else []
    goals, train_goals = ([task.goal for task in tasks] for tasks in (panel.tasks, known))
    found = scan(
        panel=panel.ids,
        train={task.id for task in known},
        skills=skills,
        rows=rows,
        episodes=played,
        goals=goals,
        train_goals=train_goals,
    )
    text = overlap({skill.id: skill for skill in skills}.values(), goals, train_goals)
    return found | {"overlap": text, "peeks": _peeks(played, panel)}


def _peeks(played: Sequence[tuple[str, str]], panel: Panel) -> int:
    """Learning episodes on the panel's split: how often learning looked at what is scored."""
    return sum(split == panel.split for split, _ in played)


def _provenance(session: Session, frozen: Mapping[int, Any]) -> dict[str, Any]:
    manifest = session.run.load_json("manifest.json")
    keys = ("weights_sha256", "bank_sha256", "bank_version")
    return {
        **{k: manifest[k] for k in ("versions", "git", "hardware", "plugins", "data")},
        "started": manifest["at"],
        "resumed": len(manifest["resumed"]),
        "frozen": [{k: (frozen[s] or {}).get(k) for k in keys} for s in session.seeds],
    }
