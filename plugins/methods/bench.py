"""Whole transcripts against one row per step: what the same update reads, and how long it takes.

    python plugins/methods/bench.py [--episodes N] [--steps N] [--env NAME] [--policy NAME]

The embedded policy plays train games, none of which ends before `--steps` in the rows that are
measured; then the row trainer makes one update from each form of the same rows, with the same
advantages and from the same weights. Loss and gradient norm must agree, and are printed.
"""

from __future__ import annotations

import argparse
import asyncio
import copy
import os
import sys
import time

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")


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


def main() -> int:
    """Run it once and print one line for each form."""
    from skillbench_methods.row_trainer import RowTrainer
    from skillbench_methods.rows import FORMS, episode_rows

    from skillbench.registry import get

    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--episodes", type=int, default=16)
    parser.add_argument("--steps", type=int, default=20)
    parser.add_argument("--env", default="alfworld")
    parser.add_argument("--policy", default="household")
    given = parser.parse_args()
    name, _, model = given.policy.partition(":")
    policy = get().policies[name].load()(model or None, {"workers": 0})
    played = episodes(given.env, policy, given.episodes, given.steps)
    read: dict[str, float] = {}
    spent: dict[str, float] = {}
    for form in FORMS:
        rows = [
            row
            for i, episode in enumerate(played)
            for row in episode_rows(episode, 1.0 - 2.0 * (i % 2), index=i, form=form)
        ]
        trainer = RowTrainer(copy.deepcopy(policy.model()), {"lr": 1e-4})
        wall, cpu = time.perf_counter(), time.process_time()
        found = trainer.update(rows)
        wall, spent[form] = time.perf_counter() - wall, time.process_time() - cpu
        read[form] = found["tokens_read"]
        sys.stdout.write(
            f"{form:<10} {len(played)} episodes of {given.steps} steps, {found['rows']:.0f} rows, "
            f"{found['tokens_read']:,.0f} tokens read, {found['tokens_trained']:,.0f} learned; "
            f"{wall:.1f} s wall, {spent[form]:.1f} s CPU; loss {found['loss']:.6f}, gradient "
            f"{found['grad_norm']:.4f}\n"
        )
    sys.stdout.write(
        f"one row per step reads {read['steps'] / read['transcript']:.1f} times the tokens and "
        f"takes {spent['steps'] / spent['transcript']:.1f} times the CPU time\n"
    )
    policy.close()
    return 0


if __name__ == "__main__":
    sys.exit(main())
