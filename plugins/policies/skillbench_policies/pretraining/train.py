"""Make an embedded model from nothing: `python -m skillbench_policies.pretraining WORLD --out DIR`.

WORLD is a module (worlds.py says what it holds), or the name of one of this package:
`household` is skillbench_policies.household.world.

Seeded and resumable: batch number k is a pure function of k, the schedule a pure function of the
tokens seen, and a checkpoint (weights and optimizer as safetensors, progress as JSON) is written
atomically every few minutes. Loss is on what the player says alone. The first fifth uses single
decisions and short episodes in small batches, in which copying and comparing names is learnt
soonest. The packaged checkpoint's
provenance.json holds the command, commit, digest of the code that makes the data, and the gates.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import math
import os
import random
import shutil
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path

from .worlds import World, encode, load_world

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

WINDOW_SHARE = 0.2  # of all tokens, first: single decisions and short episodes, in small batches
SHORT_LENGTH = 320
FIRST_PIECE = 262  # after special tokens and the 256 bytes
POOL = 128  # demonstrations drawn at once and cut into length-sorted batches


def model_config(vocab_size: int, size: str):
    """Shape of the model: `small` has about 1M parameters, `base` about 2M."""
    from transformers import Qwen2Config

    hidden, layers, ffn = {"small": (128, 4, 384), "base": (192, 4, 512)}[size]
    return Qwen2Config(
        vocab_size=vocab_size,
        hidden_size=hidden,
        num_hidden_layers=layers,
        num_attention_heads=hidden // 32,
        num_key_value_heads=hidden // 32,
        intermediate_size=ffn,
        max_position_embeddings=4096,
        tie_word_embeddings=True,
        initializer_range=0.05,
        rope_parameters={"rope_type": "default", "rope_theta": 200_000.0},
        bos_token_id=None,
        eos_token_id=1,
        pad_token_id=0,
    )


def initialise(model, tokenizer, kin: Mapping[str, str], seed: int) -> None:
    """Start from attention that already looks somewhere useful; nothing of the task is put in.

    Two heads of the first layer look one and two tokens back (what a short convolution does in
    other architectures), the others at tokens like their own, near or far: keys equal queries, in
    the slow dimensions of the rotary embedding. What a head reads from a token it writes back as it
    is (output projection: the transpose of the value projection), so that a copy needs no more than
    a look. A listed or reached name starts beside its plain name (`kin`). After Trockman, Kolter,
    "Mimetic Initialization of Self-Attention Layers" (arXiv:2305.09828). From the usual start,
    comparing the wanted name with a list had not appeared after five million tokens; copying random
    pieces (`drill`) appeared after 0.3 million with transposed projections, and not within 0.5
    without.
    """
    import torch

    config = model.config
    width, heads = config.hidden_size, config.num_attention_heads
    size = width // heads
    half = size // 2
    speeds = config.rope_parameters["rope_theta"] ** (-torch.arange(half) / half)
    slow = torch.cat([speeds, speeds]) < 0.003  # turns less than a radian over 300 tokens
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for number, layer in enumerate(model.model.layers):
            query, key = layer.self_attn.q_proj, layer.self_attn.k_proj
            read, write = layer.self_attn.v_proj, layer.self_attn.o_proj
            for head in range(heads):
                rows = slice(head * size, (head + 1) * size)
                shifted = number == 0 and head < 2
                values = torch.randn(size, width, generator=generator) * width**-0.5
                read.weight[rows] = values
                write.weight[:, rows] = values.T * (0.5 if shifted else 1.0)
                if shifted:
                    back = head + 1
                    query.weight[rows] *= 0.1
                    key.weight[rows] *= 0.1
                    for i, strength in enumerate((7.5, 7.5, 6.3)):
                        query.bias[rows.start + i] = strength
                        key.bias[rows.start + i] = strength * torch.cos(back * speeds[i])
                        key.bias[rows.start + half + i] = strength * torch.sin(back * speeds[i])
                    continue
                scale = torch.where(slow, 1.8, 0.3) * width**-0.5
                weight = torch.randn(size, width, generator=generator) * scale[:, None]
                query.weight[rows] = weight
                key.weight[rows] = weight
        table = model.get_input_embeddings().weight
        marks = sorted({piece.removesuffix(name) for piece, name in kin.items()})
        shift = {m: torch.randn(table.shape[1], generator=generator) * 0.05 for m in marks}
        for piece, name in kin.items():
            here, plain = tokenizer.convert_tokens_to_ids([piece, name])
            table[here] = table[plain] + shift[piece.removesuffix(name)]


def drill(vocabulary: int, index: int) -> tuple[list[int], list[bool]]:
    """Random pieces, then the same again, taught: what makes induction heads soonest.

    Where a world's answers seldom copy (one identifier among forty pieces), copying had not
    appeared after two million tokens of the world alone.
    """
    rng = random.Random(f"drill {index}")
    some = [rng.randrange(FIRST_PIECE, vocabulary) for _ in range(rng.randint(8, 40))]
    return some * 2, [False] * (len(some) + 1) + [True] * (len(some) - 1)


def pools(
    world: World,
    tokenizer,
    start: int,
    total: int,
    batch_tokens: int,
    seen: int,
    rank=0,
    ranks=1,
    windows=WINDOW_SHARE,
    drills=0.0,
):
    """Yield (batch, tokens of all ranks, where a pool ends) for ever, from demonstration `start`.

    Every rank draws the same pool and takes its share of the batches, so that all agree on the
    schedule without a word.
    """
    index = start
    while True:
        first = seen < windows * total
        limit = batch_tokens // 2 if first else batch_tokens
        drawn: list[tuple[list[int], list[bool]]] = []
        if seen < drills * total:
            drawn = [drill(len(tokenizer), index + i) for i in range(POOL)]
            index += POOL
        while len(drawn) < POOL:
            item = encode(tokenizer, (world.window if first and index % 4 else world.demo)(index))
            index += 1
            if not first or len(item[0]) <= SHORT_LENGTH:
                drawn.append(item)
        drawn.sort(key=lambda item: len(item[0]))
        batches: list[list] = []
        batch: list = []
        width = 0
        for item in drawn:
            width = max(width, len(item[0]))
            if batch and width * (len(batch) + 1) > limit:
                batches.append(batch)
                batch, width = [], len(item[0])
            batch.append(item)
        batches.append(batch)
        order = sorted(
            range(len(batches)), key=lambda i: hashlib.md5(f"{index} {i}".encode()).digest()
        )
        turns = [order[i : i + ranks] for i in range(0, len(order) - ranks + 1, ranks)]
        for number, turn in enumerate(turns):
            tokens = sum(len(ids) for i in turn for ids, _ in batches[i])
            seen += tokens
            yield batches[turn[rank]], tokens, (index if number == len(turns) - 1 else None)


def average_gradients(model, ranks: int) -> None:
    """Average over ranks, in one message."""
    import torch

    parameters = [p for p in model.parameters() if p.grad is not None]
    flat = torch.cat([p.grad.reshape(-1) for p in parameters])
    torch.distributed.all_reduce(flat)
    flat /= ranks
    start = 0
    for p in parameters:
        p.grad.copy_(flat[start : start + p.numel()].view_as(p))
        start += p.numel()


def loss_of(model, batch, read: float = 0.0):
    """Mean cross-entropy over taught tokens, plus `read` times that over the game's own texts.

    Logits are made only where they are needed. The game's texts repeat names ("You arrive at shelf
    2. On the shelf 2"), so reading them teaches copying early.
    """
    import torch

    width = max(len(ids) for ids, _ in batch)
    ids = torch.zeros(len(batch), width, dtype=torch.long)
    mask = torch.zeros(len(batch), width, dtype=torch.bool)
    for row, (tokens, taught) in enumerate(batch):
        ids[row, : len(tokens)] = torch.tensor(tokens)
        mask[row, : len(tokens)] = torch.tensor(taught)
    hidden = model.model(input_ids=ids).last_hidden_state  # right padding, causal: no mask needed
    where = mask[:, 1:]
    logits = model.lm_head(hidden[:, :-1][where])
    loss = torch.nn.functional.cross_entropy(logits, ids[:, 1:][where])
    if read:
        rest = ~where & (ids[:, 1:] != 0)
        logits = model.lm_head(hidden[:, :-1][rest])
        loss = loss + read * torch.nn.functional.cross_entropy(logits, ids[:, 1:][rest])
    return loss, int(where.sum())


def learning_rate(seen: int, total: int, peak: float) -> float:
    """Linear warm-up over 1 %, then cosine to 2 % of the peak."""
    warm = 0.01 * total
    if seen < warm:
        return peak * (seen + 1) / warm
    share = min(1.0, (seen - warm) / (total - warm))
    return peak * (0.02 + 0.98 * 0.5 * (1 + math.cos(math.pi * share)))


def data_digest(world: World) -> str:
    """Digest of the code that decides the training data."""
    return hashlib.sha256(b"".join(f.read_bytes() for f in world.sources())).hexdigest()[:16]


def _commit() -> str:
    try:
        return subprocess.run(
            ["git", "rev-parse", "HEAD"],
            cwd=Path(__file__).parent,
            capture_output=True,
            text=True,
            check=True,
        ).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return "unknown"


def save_checkpoint(out: Path, model, optimizer, progress: dict) -> None:
    """Write to a fresh directory, then swap it in."""
    from safetensors.torch import save_file

    new, old = out / "last.new", out / "last"
    shutil.rmtree(new, ignore_errors=True)
    new.mkdir(parents=True)
    model.save_pretrained(new)
    state = optimizer.state_dict()["state"]
    tensors = {f"{i}.{k}": v.reshape(-1).clone() for i, s in state.items() for k, v in s.items()}
    save_file(tensors, new / "optimizer.safetensors")
    (new / "progress.json").write_text(json.dumps(progress))
    if old.exists():
        shutil.rmtree(out / "last.old", ignore_errors=True)
        old.rename(out / "last.old")
    new.rename(old)


def load_optimizer(directory: Path, optimizer, parameters) -> None:
    """Restore AdamW moments saved by `save_checkpoint`."""
    from safetensors.torch import load_file

    tensors = load_file(directory / "optimizer.safetensors")
    for i, p in enumerate(parameters):
        keys = [k for k in tensors if k.split(".")[0] == str(i)]
        if keys:
            optimizer.state[p] = {
                k.split(".", 1)[1]: tensors[k].reshape(() if k.endswith("step") else p.shape)
                for k in keys
            }


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("world", help="a module, or a name such as household")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--init", type=Path, help="begin with these weights, not from nothing")
    parser.add_argument("--size", default="small")
    parser.add_argument("--tokens", type=float, default=40e6)
    parser.add_argument("--batch-tokens", type=int, default=8192)
    parser.add_argument("--lr", type=float, default=3e-3)
    parser.add_argument(
        "--windows", type=float, default=WINDOW_SHARE, help="share of tokens in single decisions"
    )
    parser.add_argument(
        "--drills", type=float, default=0.0, help="share of tokens in copying random pieces, first"
    )
    parser.add_argument("--read", type=float, default=0.3, help="weight of the game's texts, early")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--save-s", type=float, default=120.0)
    args = parser.parse_args(argv)

    import torch
    from transformers import AutoModelForCausalLM, Qwen2ForCausalLM

    world = load_world(args.world)
    ranks, rank = int(os.environ.get("WORLD_SIZE", "1")), int(os.environ.get("RANK", "0"))
    if ranks > 1:  # under torchrun
        torch.distributed.init_process_group("gloo")
    torch.set_num_threads(args.threads)
    torch.manual_seed(args.seed)
    tokenizer = world.tokenizer()
    args.out.mkdir(parents=True, exist_ok=True)
    last = args.out / "last"
    progress = {"seen": 0, "index": args.seed * 10_000_000, "steps": 0, "spent_s": 0.0}
    if last.exists():
        model = AutoModelForCausalLM.from_pretrained(last, dtype=torch.float32)
        progress = json.loads((last / "progress.json").read_text())
    elif args.init:
        model = AutoModelForCausalLM.from_pretrained(args.init, dtype=torch.float32)
    else:
        model = Qwen2ForCausalLM(model_config(len(tokenizer), args.size))
        initialise(model, tokenizer, world.kin(), args.seed)
    model.train()
    decay = [p for p in model.parameters() if p.dim() > 1]
    plain = [p for p in model.parameters() if p.dim() <= 1]
    optimizer = torch.optim.AdamW(
        [{"params": decay, "weight_decay": 0.1}, {"params": plain, "weight_decay": 0.0}],
        betas=(0.9, 0.98),
    )
    if last.exists():
        load_optimizer(last, optimizer, [*decay, *plain])
    total = int(args.tokens)
    started = saved = time.time()
    mean, log = None, (args.out / "log.jsonl").open("a")
    for batch, tokens, boundary in pools(
        world,
        tokenizer,
        progress["index"],
        total,
        args.batch_tokens,
        progress["seen"],
        rank,
        ranks,
        args.windows,
        args.drills,
    ):
        for group in optimizer.param_groups:
            group["lr"] = learning_rate(progress["seen"], total, args.lr)
        reads = args.drills * total <= progress["seen"] < args.windows * total
        loss, count = loss_of(model, batch, args.read if reads else 0.0)
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        if ranks > 1:
            average_gradients(model, ranks)
        norm = torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        progress["seen"] += tokens
        progress["steps"] += 1
        mean = loss.item() if mean is None else 0.97 * mean + 0.03 * loss.item()
        if progress["steps"] % 20 == 0 and rank == 0:
            line = {**progress, "loss": round(mean, 4), "norm": round(float(norm), 3),
                    "taught": count, "wall_s": round(time.time() - started, 1)}  # fmt: skip
            log.write(json.dumps(line) + "\n")
            log.flush()
        done = progress["seen"] >= total
        if boundary is not None:  # resume only where a pool ends, so that no demonstration is lost
            progress["index"] = boundary
            if rank == 0 and (done or time.time() - saved > args.save_s):
                now = time.time()
                save_checkpoint(
                    args.out, model, optimizer,
                    {**progress, "spent_s": progress["spent_s"] + now - started},
                )  # fmt: skip
                saved = now
            if done:
                break
    if rank:
        return 0
    final = args.out / "final"
    model.save_pretrained(final)
    tokenizer.save_pretrained(final)
    provenance = {
        "command": "python -m skillbench_policies.pretraining " + " ".join(sys.argv[1:]),
        "commit": _commit(),
        "data_digest": data_digest(world),
        "data": world.DATA,
        "init": str(args.init) if args.init else "nothing",
        "tokens": progress["seen"],
        "steps": progress["steps"],
        "parameters": sum(p.numel() for p in model.parameters()),
        "loss": mean,
        "spent_s": progress["spent_s"] + time.time() - started,
        "torch": torch.__version__,
    }
    (final / "provenance.json").write_text(json.dumps(provenance, indent=2) + "\n")
    return 0
