"""Gates for a pretrained checkpoint, teacher-forced on demonstrations that training never drew.

`python -m skillbench_policies.pretraining.gates WORLD DIR` prints, per kind of decision, how often
the most likely token is the player's and the probability that it gets. Ends with 1 where a gate of
the world is missed.
"""

from __future__ import annotations

import argparse
import json
from collections import defaultdict
from pathlib import Path

from .worlds import World, encode, load_world

VALIDATION = 900_000_000  # demonstrations from here on are never trained on


def measure(
    world: World, directory: Path, count: int = 300, *, windows: bool = False
) -> dict[str, dict[str, float]]:
    """Mean probability and arg-max accuracy per decision, over `count` validation demonstrations."""  # noqa: E501
    import torch
    from transformers import AutoModelForCausalLM

    model = AutoModelForCausalLM.from_pretrained(directory, dtype=torch.float32).eval()
    tokenizer = world.tokenizer()
    sums: dict[str, list[float]] = defaultdict(lambda: [0.0, 0.0, 0.0])
    for index in range(VALIDATION, VALIDATION + count):
        item = (world.window if windows else world.demo)(index)
        ids, _ = encode(tokenizer, item)
        starts = [
            i + 1
            for i, t in enumerate(ids)
            if t == tokenizer.convert_tokens_to_ids("<|assistant|>")
        ]
        with torch.inference_mode():
            probabilities = model(input_ids=torch.tensor([ids])).logits[0].softmax(-1)
        for number, kind, prefix, piece in world.decisions(item):
            at = starts[number] + len(tokenizer(prefix, add_special_tokens=False)["input_ids"]) - 1
            want = tokenizer(piece, add_special_tokens=False)["input_ids"][0]
            row = sums[kind]
            row[0] += 1
            row[1] += float(probabilities[at, want])
            row[2] += float(probabilities[at].argmax() == want)
    return {
        k: {"n": n, "p": round(p / n, 3), "accuracy": round(a / n, 3)}
        for k, (n, p, a) in sorted(sums.items())
    }


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("world", help="a module, or a name such as household")
    parser.add_argument("directory", type=Path)
    parser.add_argument("--count", type=int, default=300)
    parser.add_argument("--windows", action="store_true", help="single decisions, not episodes")
    args = parser.parse_args(argv)
    world = load_world(args.world)
    result = measure(world, args.directory, args.count, windows=args.windows)
    missed = {k: g for k, g in world.GATES.items() if result.get(k, {"p": 0.0})["p"] < g}
    print(json.dumps({"gates": result, "missed": missed}, indent=1))
    return 0 if not missed else 1


if __name__ == "__main__":
    raise SystemExit(main())
