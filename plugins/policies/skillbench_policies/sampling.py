"""Sampling that depends on the request alone: one uniform number per token, from its seed.

The numbers come from numpy's Philox generator keyed by `SamplingParams.seed` and are turned into
tokens through the inverse cumulative distribution. So a completion does not depend on which other
requests happened to share its batch, except through the last bits of the logits.

Log-probabilities are those of the model at the sampling temperature over the whole vocabulary:
what importance ratios need. They are not renormalised for `top_p` or for a constraint, and greedy
decoding (temperature 0) reports them at temperature 1.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

CHUNK = 64


class Uniforms:
    """An endless stream of numbers in [0, 1), decided by a seed."""

    def __init__(self, seed: int) -> None:
        self._generator = np.random.Generator(np.random.Philox(key=seed % 2**64))
        self._numbers: list[float] = []
        self._next = 0

    def __next__(self) -> float:
        if self._next == len(self._numbers):
            # Below 1 - 1e-9, so that rounding never reaches past the last possible token.
            fresh = np.minimum(self._generator.random(CHUNK), 1 - 1e-9)
            self._numbers, self._next = fresh.tolist(), 0
        self._next += 1
        return self._numbers[self._next - 1]


def sample(
    logits: Any,
    temperatures: Sequence[float],
    top_ps: Sequence[float],
    numbers: Sequence[float],
    limits: Sequence[tuple[bool, Sequence[int]] | None] | None = None,
) -> tuple[list[int], list[float]]:
    """Draw one token per row of `logits` [rows, vocabulary].

    `numbers` are uniform in [0, 1). `limits` may hold, per row, `(True, ids)` to allow only those
    ids or `(False, ids)` to forbid them. Returns token ids and log-probabilities (see above).
    """
    import torch

    logits = logits.float()
    if any(t <= 0 for t in temperatures):
        scale = torch.tensor([t if t > 0 else 1.0 for t in temperatures], device=logits.device)
        logits = logits / scale[:, None]
    elif any(t != 1 for t in temperatures):
        if len(set(temperatures)) == 1:
            logits = logits / temperatures[0]
        else:
            logits = logits / torch.tensor(temperatures, device=logits.device)[:, None]
    logprobs = torch.log_softmax(logits, -1)
    allowed = logprobs
    if limits is not None and any(limit is not None for limit in limits):
        allowed = logprobs.clone()
        for row, limit in enumerate(limits):
            if limit is None:
                continue
            only, ids = limit
            if only:
                kept = allowed[row, list(ids)]
                allowed[row] = -torch.inf
                allowed[row, list(ids)] = kept
            else:
                allowed[row, list(ids)] = -torch.inf
    # The best allowed token also serves where everything allowed has underflowed to 0.
    probabilities = allowed.exp()
    if any(p < 1 for p in top_ps):
        probabilities = _nucleus(probabilities, top_ps)
    # Double precision: a running sum of 150,000 floats would lose the tail.
    running = probabilities.cumsum(-1, dtype=torch.float64)
    total = running[:, -1:]
    target = torch.tensor(numbers, dtype=torch.float64, device=logits.device)[:, None] * total
    tokens = torch.searchsorted(running, target, right=True).clamp_(max=logits.shape[-1] - 1)
    tokens = tokens[:, 0]
    greedy = [t <= 0 for t in temperatures]
    if any(greedy) or limits is not None:
        best = allowed.argmax(-1)
        use = torch.tensor(greedy, device=logits.device) | (total[:, 0] <= 0)
        tokens = torch.where(use, best, tokens)
    chosen = logprobs.gather(-1, tokens[:, None])[:, 0]
    return tokens.tolist(), chosen.tolist()


def _nucleus(probabilities: Any, top_ps: Sequence[float]) -> Any:
    """Zero everything outside the smallest set of tokens that holds `top_p` of each row's mass."""
    import torch

    ordered, index = probabilities.sort(dim=-1, descending=True, stable=True)
    before = ordered.cumsum(-1, dtype=torch.float64) - ordered
    total = before[:, -1:] + ordered[:, -1:]
    limit = torch.tensor(top_ps, dtype=torch.float64, device=probabilities.device)[:, None]
    ordered = ordered.masked_fill((before >= limit * total) & (before > 0), 0.0)
    return torch.zeros_like(probabilities).scatter_(-1, index, ordered)
