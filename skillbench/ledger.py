"""The one ledger: every model call and every span of device time, for learning and for scoring.

A line is {phase, role, model, tokens in/cached/out, calls, usd, wall_s, device_s}. A line of role
`device` says what devices reported of a whole stage or arm (devices.py): {energy_j,
gpu_memory_bytes}, each only where it was reported. What is spent in
`score`, `baseline` and `retry` is evaluation; every other phase is learning. Work that was redone
after a kill is on the ledger twice, since it was paid twice. Who makes a call knows its price:
`usd` comes with the usage of policies and teachers.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping
from typing import Any

from .records import Usage
from .store import Lines

EVALUATION = ("score", "baseline", "retry", "retry_baseline")
PHASES = ("experience", "distill", "sft", "rl", "evolve", *EVALUATION)
ROLES = ("policy", "teacher", "trainer", "embedding", "device")
KEYS = {
    "input_tokens": "in",
    "cached_tokens": "cached",
    "output_tokens": "out",
    "calls": "calls",
    "usd": "usd",
    "wall_s": "wall_s",
    "device_s": "device_s",
}


class Ledger:
    """Appends spends to ledger.jsonl."""

    def __init__(self, lines: Lines) -> None:
        self._lines = lines
        self.budget: Any = None  # see budget.py

    def spend(self, phase: str, role: str, usage: Usage, *, model: str = "", **extra: Any) -> None:
        """Write one line. `extra` says whose it is (seed, stage)."""
        line: dict[str, Any] = {"at": round(time.time(), 3), "phase": phase, "role": role}
        if model:
            line["model"] = model
        for field, key in KEYS.items():
            value = getattr(usage, field)
            if value:
                line[key] = round(value, 6) if isinstance(value, float) else value
        self._lines.append(line | {k: v for k, v in extra.items() if v is not None})
        if self.budget is not None:
            self.budget.add(line)

    def report(self, phase: str, figures: Mapping[str, Any], **extra: Any) -> None:
        """Write what devices reported of a span of work."""
        line = {"at": round(time.time(), 3), "phase": phase, "role": "device", **figures}
        self._lines.append(line | {k: v for k, v in extra.items() if v is not None})


def total(lines: Iterable[Mapping[str, Any]]) -> dict[str, Any]:
    """Sum ledger lines: {tokens_in, tokens_cached, tokens_out, calls, usd, wall_s, device_s}."""
    sums = dict.fromkeys(KEYS.values(), 0)
    for line in lines:
        for key in sums:
            sums[key] += line.get(key, 0)
    return {
        "tokens_in": sums["in"],
        "tokens_cached": sums["cached"],
        "tokens_out": sums["out"],
        "calls": sums["calls"],
        "usd": round(sums["usd"], 6),
        "wall_s": round(sums["wall_s"], 3),
        "device_s": round(sums["device_s"], 3),
    }


def usage_total(usage: Usage) -> dict[str, Any]:
    """A usage in the shape of `total`."""
    return total([{key: getattr(usage, field) for field, key in KEYS.items()}])


def summarize(lines: Iterable[Mapping[str, Any]]) -> dict[str, Any]:
    """Totals of learning, by phase and role, and of both arms of the evaluation."""
    by_phase: dict[str, list[Mapping[str, Any]]] = {}
    by_role: dict[str, list[Mapping[str, Any]]] = {}
    learn: list[Mapping[str, Any]] = []
    for line in lines:
        if line["role"] == "device":
            continue  # says nothing of tokens, calls or money
        by_phase.setdefault(line["phase"], []).append(line)
        if line["phase"] not in EVALUATION:
            learn.append(line)
            by_role.setdefault(line["role"], []).append(line)
    return {
        "learn": total(learn)
        | {
            "by_phase": {p: total(x) for p, x in sorted(by_phase.items()) if p not in EVALUATION},
            "by_role": {r: total(x) for r, x in sorted(by_role.items())},
        },
        "score": total(by_phase.get("score", ())),
        "baseline": total(by_phase.get("baseline", ())),
    }
