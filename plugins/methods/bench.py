"""Whole transcripts against one row per step: what the same update reads, and how long it takes.

    python plugins/methods/bench.py [--episodes N] [--steps N] [--env NAME] [--policy P] [--record]

The embedded policy plays train games, none of which ends before `--steps` in the rows that are
measured; then the row trainer makes one update from each form of the same rows, from the same
weights. It is checked that both learn the same tokens with the same advantages, and that loss and
gradient norm agree. `--record` adds the figures to bench/RESULTS.md with commit and machine.
"""

from __future__ import annotations

import argparse
import asyncio
import copy
import datetime
import math
import os
import runpy
import sys
import time
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

ROOT = Path(__file__).resolve().parents[2]
SAME = 1e-3  # relative difference of loss and gradient norm that float32 sums may have


def episodes(environment: str, policy: object, count: int, steps: int) -> list:
    """Episodes of at least `steps` steps, cut there, with their token ids."""
    from skillbench.agent import Agent
    from skillbench.registry import get
    from skillbench.rollout import Loop, Slot, play
    from skillbench.session import Blank

    factory = get().environments[environment].load()
    tasks = factory().tasks("train")
    loop = Loop(
        agent=Agent.make({}, policy.style, temperature=1.0, top_p=1.0),
        policy=policy,
        memory=Blank(),
        make_environment=factory,
        max_steps=steps,
        tokens=True,
    )
    found: list = []
    for start in range(0, 20 * count, count):
        slots = [Slot(tasks[i % len(tasks)], 0, "bench") for i in range(start, start + count)]
        found += [e for e in asyncio.run(play(slots, loop)) if len(e.steps) == steps]
        if len(found) >= count:
            break
    return found[:count]


def learned(rows: list[Any]) -> list[tuple[int, int, float, float]]:
    """What an update learns from rows: each sampled token with its episode and advantage."""
    return [
        (row.episode, token, advantage, logprob)
        for row in rows
        for token, advantage, logprob, kept in zip(
            row.response_ids, row.advantages, row.logprobs, row.mask
        )
        if kept
    ]


def main() -> int:
    """Run it once, print one line for each form and one for the ratio; 1 where they disagree."""
    from skillbench_methods.row_trainer import RowTrainer
    from skillbench_methods.rows import FORMS, episode_rows

    from skillbench.registry import get

    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--episodes", type=int, default=16)
    parser.add_argument("--steps", type=int, default=20)
    parser.add_argument("--env", default="alfworld")
    parser.add_argument("--policy", default="household")
    parser.add_argument("--record", action="store_true", help="add the figures to RESULTS.md")
    given = parser.parse_args()
    name, _, model = given.policy.partition(":")
    policy = get().policies[name].load()(model or None, {"workers": 0})
    played = episodes(given.env, policy, given.episodes, given.steps)
    rows = {
        form: [
            row
            for i, episode in enumerate(played)
            for row in episode_rows(episode, 1.0 - 2.0 * (i % 2), index=i, form=form)
        ]
        for form in FORMS
    }
    if learned(rows["transcript"]) != learned(rows["steps"]):
        sys.stdout.write("DIFFERENT: the forms do not learn the same tokens and advantages\n")
        return 1
    # What only the first update of a process pays is no part of either.
    RowTrainer(copy.deepcopy(policy.model()), {"lr": 1e-4}).update(rows["transcript"][:2])
    found: dict[str, dict[str, float]] = {}
    for form in FORMS:
        trainer = RowTrainer(copy.deepcopy(policy.model()), {"lr": 1e-4})
        wall, cpu = time.perf_counter(), time.process_time()
        made = dict(trainer.update(rows[form]))
        made |= {"wall": time.perf_counter() - wall, "cpu": time.process_time() - cpu}
        found[form] = made
        sys.stdout.write(
            f"{form:<10} {len(played)} episodes of {given.steps} steps, {made['rows']:.0f} rows, "
            f"{made['tokens_read']:,.0f} tokens read, {made['tokens_trained']:,.0f} learned; "
            f"{made['wall']:.1f} s wall, {made['cpu']:.1f} s CPU; loss {made['loss']:.6f}, "
            f"gradient {made['grad_norm']:.4f}\n"
        )
    policy.close()
    whole, steps = found["transcript"], found["steps"]
    ratio = (
        f"{steps['tokens_read'] / whole['tokens_read']:.1f} times the tokens read, "
        f"{steps['wall'] / whole['wall']:.1f} times the wall time, "
        f"{steps['cpu'] / whole['cpu']:.1f} times the CPU time"
    )
    sys.stdout.write(f"one row per step: {ratio}; same tokens learned, same advantages\n")
    for key in ("loss", "grad_norm"):
        if not math.isclose(whole[key], steps[key], rel_tol=SAME, abs_tol=1e-5):
            sys.stdout.write(f"DIFFERENT: {key} {whole[key]:.6g} and {steps[key]:.6g}\n")
            return 1
    if given.record:
        where = runpy.run_path(str(ROOT / "bench" / "harness.py"))["machine"]()
        what = f"one update, {len(played)} {given.env} episodes of {given.steps} steps"
        figure = "; ".join(
            f"{form}: {made['tokens_read']:,.0f} tokens read, {made['wall']:.1f} s wall, "
            f"{made['cpu']:.1f} s CPU"
            for form, made in found.items()
        )
        with (ROOT / "bench" / "RESULTS.md").open("a", encoding="utf-8") as file:
            day = datetime.date.today().isoformat()
            file.write(f"| {day} | {what} | {figure}; one row per step: {ratio} | {where} |\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
