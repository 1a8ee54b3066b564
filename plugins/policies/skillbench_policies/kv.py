"""The KV cache of many transcripts, and the attention that reads it.

Every forward is *packed*: the new tokens of all rows lie one after another in one sequence
[1, tokens], so that the linear layers never compute padding, however ragged the turns are. Only
attention needs to know the rows. It gets at them through transformers' attention interface: while
`attending(...)` is active, the model's attention implementation is `attention` below, which writes
the new keys and values in place and reads each row's own history. Any model that goes through the
interface works unchanged; what it cannot express (sinks, soft caps) is refused.

Rows live in blocks of `ROWS`, left-aligned: slot = position. Nothing is ever shifted, padded or
compacted; a finished row is simply free for the next episode. A block in which most rows append
one token is one batched product; anything else goes row by row with its exact length.
"""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

ROWS = 16  # rows of a block: large enough to batch, small enough for ragged lengths and for L2/L3
GRAIN = 128  # capacities grow in multiples of this many positions, plus an odd stride
NAME = "skillbench_kv"


class Unsupported(Exception):
    """The model's attention asks for something that this cache does not compute."""


class Block:
    """Keys and values of up to `ROWS` transcripts, per layer as [ROWS * heads, capacity, dim]."""

    def __init__(self) -> None:
        self.used = [False] * ROWS
        self.lengths = [0] * ROWS
        self.capacity = 0
        self.keys: dict[int, Any] = {}
        self.values: dict[int, Any] = {}

    def reserve(self, length: int) -> None:
        """Make room for `length` positions in every row, keeping what is held."""
        if length <= self.capacity:
            return
        # The odd stride keeps rows from falling on the same cache sets.
        # Growing by a quarter, not by doubling: this is most of the memory of a run.
        want = max(length, self.capacity + self.capacity // 4)
        capacity = (want + GRAIN - 1) // GRAIN * GRAIN + 8
        held = max(self.lengths)
        for store in (self.keys, self.values):
            for layer, old in store.items():
                new = old.new_zeros(old.shape[0], capacity, old.shape[2])
                new[:, :held] = old[:, :held]
                store[layer] = new
        self.capacity = capacity

    def tensors(self, layer: int, key: Any, value: Any) -> tuple[Any, Any]:
        """The layer's stores; made at the first use, when shapes and dtype are known."""
        if layer not in self.keys:
            # Zeros, not empty: masked positions are multiplied, and 0 * nan is nan.
            self.keys[layer] = key.new_zeros(ROWS * key.shape[1], self.capacity, key.shape[3])
            self.values[layer] = value.new_zeros(
                ROWS * value.shape[1], self.capacity, value.shape[3]
            )
        return self.keys[layer], self.values[layer]


@dataclass(frozen=True)
class Row:
    """One transcript's place in the cache."""

    block: Block
    index: int

    @property
    def length(self) -> int:
        """Positions held."""
        return self.block.lengths[self.index]

    def truncate(self, length: int) -> None:
        """Forget everything from position `length` on."""
        self.block.lengths[self.index] = min(length, self.length)


class Cache:
    """All blocks of one policy."""

    def __init__(self) -> None:
        self.blocks: list[Block] = []

    def take(self) -> Row:
        """A free row, empty."""
        for block in self.blocks:
            if not all(block.used):
                break
        else:
            block = Block()
            self.blocks.append(block)
        index = block.used.index(False)
        block.used[index] = True
        block.lengths[index] = 0
        return Row(block, index)

    def give(self, row: Row) -> None:
        """Hand a row back. A block that nobody uses any more is dropped with its memory."""
        row.block.used[row.index] = False
        row.block.lengths[row.index] = 0
        if not any(row.block.used) and row.block in self.blocks:
            self.blocks.remove(row.block)

    def clear(self) -> None:
        """Free everything."""
        self.blocks.clear()


@dataclass
class Part:
    """The tokens of one block within a packed forward: `start` .. `start + sum(counts)`."""

    block: Block
    start: int
    rows: list[int] = field(default_factory=list)
    counts: list[int] = field(default_factory=list)
    batched: bool = False
    span: int = 0  # batched: rows 0..span of the block take part in the product
    longest: int = 0
    scatter: Any = None  # batched with idle rows: packed index of each row
    gather: Any = None
    index: dict[int, Any] = field(default_factory=dict)  # write positions, by number of heads
    masks: dict[Any, Any] = field(default_factory=dict)

    @property
    def total(self) -> int:
        return sum(self.counts)


@dataclass
class Plan:
    """One packed forward. `rows` must come grouped by block; `last` is each row's last token."""

    parts: list[Part]
    last: list[int]
    positions: list[int]


def plan(rows: Sequence[Row], counts: Sequence[int]) -> Plan:
    """Lay out a forward in which row i appends `counts[i]` (>= 1) tokens."""
    parts: list[Part] = []
    positions: list[int] = []
    last: list[int] = []
    for row, count in zip(rows, counts, strict=True):
        if not parts or parts[-1].block is not row.block:
            parts.append(Part(row.block, len(positions)))
        part = parts[-1]
        part.rows.append(row.index)
        part.counts.append(count)
        past = row.length
        positions.extend(range(past, past + count))
        last.append(len(positions) - 1)
        part.longest = max(part.longest, past + count)
    for part in parts:
        part.block.reserve(part.longest)
        part.span = max(part.rows) + 1
        # The batched product also computes idle rows, so it must not be mostly those.
        part.batched = max(part.counts) == 1 and 2 * len(part.rows) > part.span
    return Plan(parts, last, positions)


def commit(done: Plan) -> None:
    """Note that the planned tokens are now held."""
    for part in done.parts:
        for index, count in zip(part.rows, part.counts, strict=True):
            part.block.lengths[index] += count


_active = threading.local()


@contextlib.contextmanager
def attending(model: Any, current: Plan) -> Iterator[None]:
    """While active, `model` runs packed over the cache as `current` says."""
    _register()
    config = model.config
    before = config._attn_implementation
    config._attn_implementation = NAME
    _active.plan = current
    try:
        yield
    finally:
        _active.plan = None
        config._attn_implementation = before


def _register() -> None:
    from transformers.modeling_utils import ALL_ATTENTION_FUNCTIONS

    if NAME not in ALL_ATTENTION_FUNCTIONS:
        # No mask function goes with it: without one, transformers builds no mask at all.
        ALL_ATTENTION_FUNCTIONS.register(NAME, attention)


def attention(
    module: Any,
    query: Any,
    key: Any,
    value: Any,
    attention_mask: Any,
    scaling: float | None = None,
    sliding_window: int | None = None,
    **kwargs: Any,
) -> tuple[Any, None]:
    """Attention of a packed forward: query [1, heads, tokens, dim] -> [1, tokens, heads, dim]."""
    current: Plan = _active.plan
    for name in ("softcap", "s_aux", "position_bias"):
        if kwargs.get(name) is not None:
            raise Unsupported(f"attention with {name}")
    if query.shape[0] != 1 or key.shape[2] != len(current.positions):
        raise Unsupported("attention that is not causal self-attention over the new tokens")
    scale = query.shape[-1] ** -0.5 if scaling is None else scaling
    layer = module.layer_idx
    out = query.new_empty(query.shape[2], query.shape[1], value.shape[3])
    for part in current.parts:
        keys, values = _write(part, layer, key, value)
        if part.batched:
            _batched(part, query, keys, values, scale, sliding_window, out)
        else:
            _row_by_row(part, query, keys, values, scale, sliding_window, out)
    return out.unsqueeze(0), None


def _write(part: Part, layer: int, key: Any, value: Any) -> tuple[Any, Any]:
    keys, values = part.block.tensors(layer, key, value)
    heads = key.shape[1]
    index = part.index.get(heads)
    if index is None:
        import torch

        capacity, lengths = part.block.capacity, part.block.lengths
        base = [
            row * heads * capacity + lengths[row] + i
            for row, count in zip(part.rows, part.counts, strict=True)
            for i in range(count)
        ]
        flat = torch.tensor(base, device=key.device)
        offsets = torch.arange(heads, device=key.device) * capacity
        index = part.index[heads] = (offsets[:, None] + flat).view(-1)
    end = part.start + part.total
    for store, new in ((keys, key), (values, value)):
        fresh = new[0, :, part.start : end]
        store.view(-1, store.shape[2]).index_copy_(0, index, fresh.reshape(-1, store.shape[2]))
    return keys, values


def _batched(
    part: Part, query: Any, keys: Any, values: Any, scale: float, window: int | None, out: Any
) -> None:
    """One token per row: scores of all rows of the block as one batched product."""
    import torch

    n = len(part.rows)
    heads = keys.shape[0] // ROWS
    q = query[0, :, part.start : part.start + n].transpose(0, 1)  # [n, query heads, dim]
    if n != part.span:
        if part.scatter is None:
            place = [0] * part.span
            for i, row in enumerate(part.rows):
                place[row] = i
            part.scatter = torch.tensor(place, device=q.device)
            part.gather = torch.tensor(part.rows, device=q.device)
        q = q[part.scatter]
    q = q.reshape(part.span * heads, -1, q.shape[-1])
    k = keys[: part.span * heads, : part.longest]
    v = values[: part.span * heads, : part.longest]
    mask = _span_mask(part, heads, window, q)
    scores = torch.baddbmm(mask, q, k.transpose(1, 2), alpha=scale)
    weights = torch.softmax(scores, -1, dtype=torch.float32).to(v.dtype)
    result = torch.bmm(weights, v).view(part.span, -1, v.shape[2])
    out[part.start : part.start + n] = result if n == part.span else result[part.gather]


def _span_mask(part: Part, heads: int, window: int | None, like: Any) -> Any:
    """0 where a row may look, a very negative number elsewhere: [span * heads, 1, longest]."""
    import torch

    mask = part.masks.get((heads, window))
    if mask is None:
        lengths = [part.block.lengths[row] for row in range(part.span)]
        for row in part.rows:
            lengths[row] += 1
        ends = torch.tensor(lengths, device=like.device)[:, None]
        slots = torch.arange(part.longest, device=like.device)
        hidden = slots >= ends
        if window is not None:
            hidden |= slots < ends - window
        mask = torch.zeros(hidden.shape, dtype=like.dtype, device=like.device)
        mask.masked_fill_(hidden, torch.finfo(like.dtype).min)
        mask = mask[:, None].expand(-1, heads, -1).reshape(-1, 1, part.longest)
        part.masks[heads, window] = mask
    return mask


def _row_by_row(
    part: Part, query: Any, keys: Any, values: Any, scale: float, window: int | None, out: Any
) -> None:
    """Any number of tokens per row, each row over exactly its own positions."""
    import torch

    heads = keys.shape[0] // ROWS
    start = part.start
    for row, count in zip(part.rows, part.counts, strict=True):
        past = part.block.lengths[row]
        end = past + count
        q = query[:, :, start : start + count]
        k = keys[row * heads : (row + 1) * heads, :end].unsqueeze(0)
        v = values[row * heads : (row + 1) * heads, :end].unsqueeze(0)
        mask = None
        causal = count > 1
        if window is not None or (past and count > 1):
            causal = False
            mask = part.masks.get(("row", row, window))
            if mask is None:
                at = torch.arange(past, end, device=q.device)[:, None]
                slots = torch.arange(end, device=q.device)
                hidden = slots > at
                if window is not None:
                    hidden |= slots <= at - window
                mask = torch.zeros(hidden.shape, dtype=q.dtype, device=q.device)
                mask.masked_fill_(hidden, torch.finfo(q.dtype).min)
                part.masks["row", row, window] = mask
        result = torch.nn.functional.scaled_dot_product_attention(
            q,
            k,
            v,
            attn_mask=mask,
            is_causal=causal,
            scale=scale,
            enable_gqa=q.shape[1] != heads,
        )
        out[start : start + count] = result[0].transpose(0, 1)
        start += count
