"""Make the embedded model from nothing: `python -m skillbench_policies.household.pretrain`.

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
import shutil
import subprocess
import sys
import time
from pathlib import Path

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

HERE = Path(__file__).parent
WINDOW_SHARE = 0.2  # of all tokens, first: single decisions and short episodes, in small batches
SHORT_LENGTH = 320
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


def initialise(model, tokenizer, seed: int) -> None:
    """Start from attention that already looks somewhere useful; nothing of the task is put in.

    Two heads of the first layer look one and two tokens back (what a short convolution does in
    other architectures), the others at tokens like their own, near or far: keys equal queries, in
    the slow dimensions of the rotary embedding. A listed or reached name starts beside its plain
    name (tokenizer.kin). After Trockman and Kolter, "Mimetic Initialization of Self-Attention
    Layers" (arXiv:2305.09828). From the usual start, comparing the wanted name with a list had not
    appeared after five million tokens.
    """
    import torch

    from . import tokenizer as tok

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
            for head in range(heads):
                rows = slice(head * size, (head + 1) * size)
                if number == 0 and head < 2:
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
        shift = {m: torch.randn(table.shape[1], generator=generator) * 0.05 for m in (" a", " at")}
        for piece, name in tok.kin().items():
            here, plain = tokenizer.convert_tokens_to_ids([piece, name])
            table[here] = table[plain] + shift[piece.rpartition(" ")[0]]


def encode(tokenizer, demo) -> tuple[list[int], list[bool]]:
    """Token ids of a demonstration and which of them are taught."""
    ids: list[int] = []
    taught: list[bool] = []

    def add(text: str, teach: bool) -> None:
        new = tokenizer(text, add_special_tokens=False)["input_ids"]
        ids.extend(new)
        taught.extend([teach] * len(new))

    if demo.system:
        add(f"<|system|>{demo.system}<|end|>", False)
    for observation, response, teach in demo.turns:
        add(f"<|user|>{observation}<|end|><|assistant|>", False)
        add(f"{response}<|end|>", teach)
    return ids, taught


def pools(tokenizer, start: int, total: int, batch_tokens: int, seen: int, rank=0, world=1):
    """Yield (batch, tokens of all ranks, where a pool ends) for ever, from demonstration `start`.

    Every rank draws the same pool and takes its share of the batches, so that all agree on the
    schedule without a word.
    """
    from .demos import demo, window

    index = start
    while True:
        first = seen < WINDOW_SHARE * total
        limit = batch_tokens // 2 if first else batch_tokens
        drawn: list[tuple[list[int], list[bool]]] = []
        while len(drawn) < POOL:
            item = encode(tokenizer, window(index) if first and index % 4 else demo(index))
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
        turns = [order[i : i + world] for i in range(0, len(order) - world + 1, world)]
        for number, turn in enumerate(turns):
            tokens = sum(len(ids) for i in turn for ids, _ in batches[i])
            seen += tokens
            yield batches[turn[rank]], tokens, (index if number == len(turns) - 1 else None)


def average_gradients(model, world: int) -> None:
    """Average over ranks, in one message."""
    import torch

    parameters = [p for p in model.parameters() if p.grad is not None]
    flat = torch.cat([p.grad.reshape(-1) for p in parameters])
    torch.distributed.all_reduce(flat)
    flat /= world
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


def data_digest() -> str:
    """Digest of the code that decides the training data."""
    import skillbench_alfworld

    alfworld = Path(skillbench_alfworld.__file__).parent
    files = [HERE / n for n in ("demos.py", "player.py", "tokenizer.py")]
    files += [alfworld / n for n in ("generator.py", "layouts.py", "phrases.py", "engine.py")]
    return hashlib.sha256(b"".join(f.read_bytes() for f in files)).hexdigest()[:16]


def _commit() -> str:
    try:
        return subprocess.run(
            ["git", "rev-parse", "HEAD"], cwd=HERE, capture_output=True, text=True, check=True
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
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--size", default="small")
    parser.add_argument("--tokens", type=float, default=40e6)
    parser.add_argument("--batch-tokens", type=int, default=8192)
    parser.add_argument("--lr", type=float, default=3e-3)
    parser.add_argument("--read", type=float, default=0.3, help="weight of the game's texts, early")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--save-s", type=float, default=120.0)
    args = parser.parse_args(argv)

    import torch
    from transformers import AutoModelForCausalLM, Qwen2ForCausalLM

    from . import tokenizer as tok

    world, rank = int(os.environ.get("WORLD_SIZE", "1")), int(os.environ.get("RANK", "0"))
    if world > 1:  # under torchrun
        torch.distributed.init_process_group("gloo")
    torch.set_num_threads(args.threads)
    torch.manual_seed(args.seed)
    tokenizer = tok.build()
    args.out.mkdir(parents=True, exist_ok=True)
    last = args.out / "last"
    progress = {"seen": 0, "index": args.seed * 10_000_000, "steps": 0, "spent_s": 0.0}
    if last.exists():
        model = AutoModelForCausalLM.from_pretrained(last, dtype=torch.float32)
        progress = json.loads((last / "progress.json").read_text())
    else:
        model = Qwen2ForCausalLM(model_config(len(tokenizer), args.size))
        initialise(model, tokenizer, args.seed)
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
        tokenizer, progress["index"], total, args.batch_tokens, progress["seen"], rank, world
    ):
        for group in optimizer.param_groups:
            group["lr"] = learning_rate(progress["seen"], total, args.lr)
        first = progress["seen"] < WINDOW_SHARE * total
        loss, count = loss_of(model, batch, args.read if first else 0.0)
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        if world > 1:
            average_gradients(model, world)
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
        "command": "python -m skillbench_policies.household.pretrain " + " ".join(sys.argv[1:]),
        "commit": _commit(),
        "data_digest": data_digest(),
        "data": "scripted player on generated train games; no other source",
        "tokens": progress["seen"],
        "steps": progress["steps"],
        "parameters": sum(p.numel() for p in model.parameters()),
        "loss": mean,
        "spent_s": progress["spent_s"] + time.time() - started,
        "torch": torch.__version__,
    }
    (final / "provenance.json").write_text(json.dumps(provenance, indent=2) + "\n")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
