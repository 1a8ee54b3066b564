"""Measure the `hf` policy: 64 episodes of 20 turns with a tiny random model, made on the spot.

    python plugins/policies/bench.py [--workers 2] [--kv-heads 1] [--episodes 64] [--turns 20]

Prints episodes per second of wall time and of CPU time (workers included), and a digest of all
sampled tokens, which must not depend on the number of workers.
"""

from __future__ import annotations

import argparse
import asyncio
import hashlib
import os
import random
import sys
import tempfile
import time
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
sys.path.insert(0, str(Path(__file__).parent / "tests"))

TEXT = "You arrive at desk 1. On the shelf 2 you see a mug 1, and a pen 3. Nothing happens."


def cpu_seconds(workers: object) -> float:
    """CPU time of this process and of the live workers."""
    own = os.times()
    total = own.user + own.system
    for worker in getattr(workers, "workers", ()):
        stat = Path(f"/proc/{worker.process.pid}/stat").read_text().rpartition(")")[2].split()
        total += (int(stat[11]) + int(stat[12])) / os.sysconf("SC_CLK_TCK")
    return total


async def play(policy: object, turns: int, observations: list[list[str]], limits: random.Random):
    """Play all episodes side by side; yield nothing but the completions of the last turn."""
    from skillbench.records import Request, SamplingParams

    messages: list[list[dict[str, str]]] = [
        [{"role": "system", "content": "- look in every drawer before you go on"}]
        for _ in observations
    ]
    for turn in range(turns):
        requests = []
        for i, texts in enumerate(observations):
            messages[i].append({"role": "user", "content": texts[turn]})
            params = SamplingParams(max_tokens=limits.randint(10, 18), seed=i * 1000 + turn)
            requests.append(Request(str(i), turn, tuple(messages[i]), params))
        answers = await policy.generate(requests)
        for i, answer in enumerate(answers):
            messages[i].append({"role": "assistant", "content": answer.text})
    return answers


def main() -> None:
    """Run it once and print one line."""
    import tiny_models
    from skillbench_policies.hf import HFPolicy

    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--workers", type=int, default=0)
    parser.add_argument("--kv-heads", type=int, default=4)
    parser.add_argument("--episodes", type=int, default=64)
    parser.add_argument("--turns", type=int, default=20)
    options = parser.parse_args()
    rng, words = random.Random(0), TEXT.split()
    with tempfile.TemporaryDirectory() as folder:
        tokenizer = tiny_models.tokenizer(tiny_models.OWN, size=1024)
        model = tiny_models.model(
            tokenizer,
            vocab_size=1024,
            hidden_size=128,
            num_hidden_layers=4,
            num_attention_heads=4,
            num_key_value_heads=options.kv_heads,
            intermediate_size=352,
            initializer_range=0.02,
        )
        model.save_pretrained(folder)
        tokenizer.save_pretrained(folder)

        def text(tokens: int) -> str:
            said = ""
            while len(tokenizer(said)["input_ids"]) < tokens:
                said += " " + rng.choice(words)
            return said

        observations = [
            [text(21 + rng.randint(-8, 8)) for _ in range(options.turns)]
            for _ in range(options.episodes)
        ]
        policy = HFPolicy(folder, {"workers": options.workers})
        try:
            # Once unmeasured: imports, the engine's self-check, the start of the workers.
            asyncio.run(play(policy, 1, [["hello"]] * max(options.workers, 1), random.Random(1)))
            for i in range(max(options.workers, 1)):
                policy.release(str(i))
            wall, cpu = time.perf_counter(), cpu_seconds(policy._workers)
            answers = asyncio.run(play(policy, options.turns, observations, rng))
            wall = time.perf_counter() - wall
            cpu = cpu_seconds(policy._workers) - cpu
        finally:
            policy.close()
    tokens = sum(a.usage.input_tokens + a.usage.output_tokens for a in answers)
    digest = hashlib.sha256(repr([a.token_ids for a in answers]).encode()).hexdigest()[:12]
    n = options.episodes
    print(
        f"workers {options.workers}, key-value heads {options.kv_heads}, {n} episodes x "
        f"{options.turns} turns, {tokens / n:.0f} tokens each: {n / wall:.1f} episodes/s wall, "
        f"{n / cpu:.1f} per CPU second ({wall:.1f} s wall, {cpu:.1f} s CPU), digest {digest}"
    )


if __name__ == "__main__":
    main()
