"""Solved within k attempts: a measure of its own, apart from the scores (`score.attempts` = k > 1).

After scoring, the panel tasks that were not solved are tried again, up to k attempts in all, by
both arms with the same seeds. A memory that has `reflect(episodes, teacher, step=...)` is told of
the failed attempt in between (Reflexion); without that, and for the baseline, it is pass@k. Both
use the outcome on the panel to know when to stop, so neither can be compared with the scores.

The memory that reflects is a copy, frozen against learning and thrown away afterwards: what is
scored never sees it. Attempts lie in attempts.jsonl; an arm that was interrupted is played again
whole, because later attempts depend on what was written after earlier ones.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from . import stats
from .learn import close, load_memory
from .panel import Panel
from .records import TOKEN_FIELDS, Episode, episode_from_json, to_json
from .rollout import Slot
from .session import Blank, panel_tasks

if TYPE_CHECKING:
    from .session import Session

METHOD, BASELINE = "method", "baseline"  # as in score.py
LEDGER = {METHOD: "retry", BASELINE: "retry_baseline"}
FILE = "attempts.jsonl"
NOTE = "uses outcomes on the panel between attempts: not a score, and not ranked"


def play_seed(session: Session, panel: Panel, seed: int, frozen: Mapping[str, Any]) -> None:
    """Play the further attempts of a seed's arms, where they are missing."""
    run = session.run
    done = {(d["arm"], d["seed"]) for d in run.read(FILE) if d.get("complete")}
    first: dict[str, dict[str, Episode]] = {}
    for line in run.read("episodes.jsonl"):
        if line["seed"] == seed:
            kept = {k: v for k, v in line.items() if k not in ("arm", "env_seed")}
            first.setdefault(line["arm"], {})[line["task"]["id"]] = episode_from_json(kept)
    if (METHOD, seed) not in done:
        policy = session.policy(run.path / frozen["weights"] if frozen["weights"] else None)
        memory = load_memory(session, seed, run.path / f"learn/{seed}/memory/frozen")
        memory.freeze()
        try:
            _arm(session, panel, METHOD, seed, policy, memory, first[METHOD])
        finally:
            close(memory)
    if BASELINE in first and (BASELINE, seed) not in done:
        _arm(session, panel, BASELINE, seed, session.policy(), Blank(), first[BASELINE])


def _arm(
    session: Session,
    panel: Panel,
    arm: str,
    seed: int,
    policy: Any,
    memory: Any,
    last: dict[str, Episode],
) -> None:
    """All further attempts of one arm."""
    table = session.config["score"]
    lines = session.run.lines(FILE)
    reflect = getattr(memory, "reflect", None)
    teacher = session.make_teacher(seed, LEDGER[arm]) if reflect is not None else None
    last = dict(last)
    for attempt in range(2, table["attempts"] + 1):
        left = {key for key, e in last.items() if not e.success}
        session.reporter.start(f"seed {seed}: {arm}, attempt {attempt}", total=len(left))
        if reflect is not None:
            failed = [last[t.id] for t in panel.tasks if t.id in left]
            reflect([e for e in failed if e.outcome != "invalid"], teacher, step=attempt)
        for chunk in panel_tasks(panel, table["chunk"]):
            slots = [Slot(t, seed, "score", 0, attempt - 1) for t in chunk if t.id in left]
            played = session.play(
                slots,
                agent=session.agent(getattr(policy, "style", ""), table),
                policy=policy,
                memory=memory,
                phase=LEDGER[arm],
                seed=seed,
                **(session.beyond if arm == METHOD else {}),
            )
            for e in played:
                last[e.task.id] = e
                head = {"arm": arm, "try": attempt, "feedback": reflect is not None}
                lines.append(head | to_json(e, omit=TOKEN_FIELDS))
                session.reporter.advance(1)
    lines.append({"arm": arm, "seed": seed, "complete": True})
    session.run.sync()


def summarize(
    session: Session, panel: Panel, scored: Mapping[str, Sequence[Mapping[str, Any]]]
) -> dict[str, Any]:
    """{attempts, note, method, baseline, delta}; per arm the share solved within 1 .. k tries."""
    k = int(session.config["score"]["attempts"])
    seeds, draws = session.seeds, session.config["score"]["bootstrap"]
    learned = bool(session.stages)
    solved: dict[str, dict[tuple[int, str], int]] = {METHOD: {}, BASELINE: {}}
    feedback = dict.fromkeys(solved, False)
    for arm, lines in scored.items():
        for line in lines:
            if line["success"]:
                solved[arm][line["seed"], line["task"]["id"]] = 1
    for line in session.run.read(FILE):
        if line.get("complete"):
            continue
        feedback[line["arm"]] |= line["feedback"]
        key = (line["seed"], line["task"]["id"])
        if line["success"]:
            at = solved[line["arm"]]
            at[key] = min(at.get(key, line["try"]), line["try"])
    out: dict[str, Any] = {"attempts": k, "note": NOTE}
    tables = {}
    for arm, lines in scored.items():
        if not lines:
            continue
        rows = []
        for attempt in range(1, k + 1):
            values = {
                (seed, task): float(solved[arm].get((seed, task), k + 1) <= attempt)
                for seed in seeds
                for task in panel.ids
            }
            tables[arm] = stats.matrix(values, seeds, panel.ids)
            row = stats.summary(tables[arm], learned=learned and arm == METHOD, draws=draws)
            rows.append({"attempts": attempt, **row})
        out[arm] = {
            "measure": "solved within k, with feedback" if feedback[arm] else "pass@k",
            "within": rows,
        }
    if len(tables) == 2:
        out["delta"] = stats.paired(tables[METHOD], tables[BASELINE], learned=learned, draws=draws)
    return out
