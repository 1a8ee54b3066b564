"""Environment steps per second and memory of the native engine, search included: `make bench`.

Episodes on the official 1,000-product slice where WEBSHOP_DATA has it, else in generated shops: a
search for the instruction (each episode's own, so that no answer comes from memory), offers,
sub-pages, options, a purchase, chosen by seed among what is possible. Times are CPU seconds of this
process, memory is its resident size. Upstream's figure (19.6 steps/s) is quoted from a run of the
unmodified code on the same kind of machine (README).

    python plugins/webshop/bench.py [--steps 5000] [--json]
"""

from __future__ import annotations

import argparse
import json
import random
import sys
import time
from pathlib import Path
from typing import Any

from skillbench_webshop.env import WebshopEnvironment

from skillbench.errors import DataError

UPSTREAM = 19.6  # steps/s, see README


def resident_mb() -> float:
    """Resident memory of this process in MB (Linux), else 0."""
    try:
        pages = int(Path("/proc/self/statm").read_text().split()[1])
    except (OSError, ValueError, IndexError):
        return 0.0
    return pages * 4096 / 1e6


def run(steps: int) -> dict[str, Any]:
    """Play and measure."""
    env = WebshopEnvironment()
    before, began = resident_mb(), time.process_time()
    try:
        tasks, where = env.tasks("small"), "the official 1,000 products"
    except DataError:
        tasks, where = env.tasks("test"), "generated shops"
    env.reset(options={"task": tasks[0].id})
    env.step("search[warm up]")  # builds the index
    load_s = time.process_time() - began
    rng = random.Random(0)
    done = searches = episodes = 0
    spent = 0.0
    while done < steps:
        task = tasks[episodes % len(tasks)]
        episodes += 1
        begin = time.process_time()
        _, info = env.reset(options={"task": task.id})
        over = False
        while not over:
            action = rng.choice(info["admissible"])
            if action.startswith("search["):
                action = f"search[{task.goal} {episodes}]"
                searches += 1
            _, _, ended, cut, info = env.step(action)
            over = ended or cut
            done += 1
        spent += time.process_time() - begin
    return {
        "where": where,
        "steps": done,
        "searches": searches,
        "steps_per_s": round(done / spent),
        "us_per_step": round(spent / done * 1e6, 1),
        "load_s": round(load_s, 2),
        "resident_mb": round(resident_mb(), 1),
        "data_mb": round(resident_mb() - before, 1),
        "times_upstream": round(done / spent / UPSTREAM),
    }


def main(argv: list[str] | None = None) -> int:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("--steps", type=int, default=5000)
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    args = parser.parse_args(argv)
    out = run(args.steps)
    if args.json:
        sys.stdout.write(json.dumps(out) + "\n")
        return 0
    sys.stdout.write(
        f"WebShop engine, {out['where']} (CPU time)\n"
        f"  native  {out['steps_per_s']:>7,} steps/s  {out['us_per_step']:>8,} µs a step  "
        f"({out['steps']:,} steps, {out['searches']:,} of them new searches)\n"
        f"  loaded and indexed in {out['load_s']} s; {out['resident_mb']} MB resident, "
        f"{out['data_mb']} MB of them products and index\n"
        f"  {out['times_upstream']:,} times the {UPSTREAM} steps/s of the unmodified upstream code "
        "(README)\n"
    )
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
