"""Games through one policy: how often an action can be read, tokens a second, prefix-cache hits.

    python plugins/policies/bench_games.py hf:smollm2 vllm:smollm2 [--games 20] [--steps 5]

plays the same generated ALFWorld games with each policy in the policy's own prompt style (chat
template, `<think>` and `<action>`), all side by side, cut after `--steps`. Start-up is not timed.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import sys
import time
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")


def measure(name: str, games: int, steps: int, tokens: int, sets: list[str]) -> str:
    """One line about one policy."""
    from skillbench.agent import Agent, parse
    from skillbench.layers import name_and_model, parse_value
    from skillbench.registry import get
    from skillbench.rollout import Loop, Slot, play
    from skillbench.session import Blank

    registry, chosen = get(), name_and_model(name)
    entry = registry.policies[chosen["name"]]
    options = {key: parse_value(raw) for key, _, raw in (s.partition("=") for s in sets)}
    policy: Any = entry.load()(
        chosen.get("model"), {k: v for k, v in options.items() if k in entry.defaults}
    )
    factory = registry.environments["alfworld"].load()
    loop = Loop(
        agent=Agent.make({"max_tokens": tokens}, policy.style, temperature=0.7, top_p=1.0),
        policy=policy,
        memory=Blank(),
        make_environment=factory,
        max_steps=steps,
    )
    tasks = factory().tasks("seen")
    asyncio.run(play([Slot(tasks[-1], 1, "warm")], Loop(**{**vars(loop), "max_steps": 1})))
    began = time.perf_counter()
    played = asyncio.run(play([Slot(task, 0, "bench") for task in tasks[:games]], loop))
    wall = time.perf_counter() - began
    policy.close()
    answers = [s.response for e in played for s in e.steps]
    n = max(1, len(answers))
    out = sum(e.usage.output_tokens for e in played)
    read = sum(e.usage.input_tokens for e in played)
    cached = sum(e.usage.cached_tokens for e in played)
    readable = sum(parse(text, frozenset()).readable for text in answers)
    thought = sum("<think>" in text and "</think>" in text for text in answers)
    valid = sum(s.valid for e in played for s in e.steps)
    invalid = sum(e.outcome == "invalid" for e in played)
    return (
        f"{name}: {len(played)} games, {len(answers)} steps, invalid {invalid}; an action can be "
        f"read in {readable / n:.0%}, a thought in {thought / n:.0%}, a command of the game in "
        f"{valid / n:.0%}; {out} tokens sampled, {out / wall:.1f}/s; prompts {read} tokens, "
        f"{cached / max(1, read):.0%} from the cache; {wall:.0f} s wall"
    )


def main() -> int:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("policies", nargs="+", help="NAME or NAME:MODEL")
    parser.add_argument("--games", type=int, default=20)
    parser.add_argument("--steps", type=int, default=5)
    parser.add_argument("--tokens", type=int, default=0, help="of an answer; 0: the style's own")
    parser.add_argument("--set", action="append", default=[], dest="sets", metavar="KEY=VALUE")
    given = parser.parse_args()
    for name in given.policies:
        line = measure(name, given.games, given.steps, given.tokens, given.sets)
        sys.stdout.write(line + "\n")
        sys.stdout.flush()
    return 0


if __name__ == "__main__":
    sys.exit(main())
