"""Log-probabilities of sampled tokens, and the losses over them. torch, no loop, no state.

Rows are padded on the right. A causal model never looks to its right, so no attention mask is
needed, and logits are computed at sampled positions alone: the backbone runs on everything, the
language-model head only where a token was sampled (of a 600-token household episode about 100).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn
from torch.utils.checkpoint import checkpoint

from .rows import Row

# Models whose head does more than one matrix product are scored through their own forward.
_HEAD_EXTRAS = (
    "final_logit_softcapping",
    "logit_scale",
    "logits_scaling",
    "lm_head_multiplier",
    "output_multiplier",
)


@dataclass
class Batch:
    """Rows as tensors. `where` are flat positions in (batch, time) whose next token was sampled."""

    input_ids: Any  # (B, T) long, right-padded
    where: Any  # (N,) long: flat index of the position *before* each sampled token
    targets: Any  # (N,) long
    sampled: Any  # (N,) float: the sampler's log-probabilities
    advantages: Any  # (N,) float
    row: Any  # (N,) long: which row of the batch a token belongs to
    weights: Any  # (N,) float: share of each token in the loss
    size: int


def collate(rows: Sequence[Row], weights: Sequence[float], device: Any, pad: int = 0) -> Batch:
    """Build the tensors of one micro-batch; `weights` is what one token of each row weighs."""
    width = max(r.length for r in rows)
    ids = torch.full((len(rows), width), pad, dtype=torch.long)
    where: list[int] = []
    targets: list[int] = []
    sampled: list[float] = []
    advantages: list[float] = []
    owner: list[int] = []
    share: list[float] = []
    for b, row in enumerate(rows):
        ids[b, : row.length] = torch.tensor(row.prompt_ids + row.response_ids)
        start = b * width + len(row.prompt_ids) - 1
        for j, m in enumerate(row.mask):
            if m:
                where.append(start + j)
                targets.append(row.response_ids[j])
                sampled.append(row.logprobs[j])
                advantages.append(row.advantages[j])
                owner.append(b)
                share.append(weights[b])
    f32 = torch.float32
    return Batch(
        ids.to(device),
        torch.tensor(where, dtype=torch.long, device=device),
        torch.tensor(targets, dtype=torch.long, device=device),
        torch.tensor(sampled, dtype=f32, device=device),
        torch.tensor(advantages, dtype=f32, device=device),
        torch.tensor(owner, dtype=torch.long, device=device),
        torch.tensor(share, dtype=f32, device=device),
        len(rows),
    )


class Scorer(nn.Module):
    """A causal language model as a function from a batch to log-probabilities and entropies.

    A module of its own, so that `accelerate` can wrap it: the wrapper then sees one forward.
    """

    def __init__(self, model: Any, temperature: float = 1.0, chunk: int = 4096) -> None:
        super().__init__()
        self.model = model
        self.temperature = temperature
        self.chunk = chunk

    # What sharding asks a transformers model: which layers stay whole, and what is tied.

    @property
    def _no_split_modules(self) -> Any:
        return getattr(_unwrap_peft(self.model), "_no_split_modules", None)

    def get_input_embeddings(self) -> Any:
        """Those of the model."""
        return _unwrap_peft(self.model).get_input_embeddings()

    def get_output_embeddings(self) -> Any:
        """Those of the model: its head."""
        return _unwrap_peft(self.model).get_output_embeddings()

    def tie_weights(self) -> None:
        """Tie them again."""
        _unwrap_peft(self.model).tie_weights()

    def forward(self, input_ids: Any, where: Any, targets: Any) -> tuple[Any, Any]:
        """Return log-probabilities and entropies, (N,) each, in float32 at the temperature."""
        core = _unwrap_peft(self.model)
        config = core.config.get_text_config()
        extras = any(getattr(config, name, None) not in (None, 1, 1.0) for name in _HEAD_EXTRAS)
        if extras:
            logits = self.model(input_ids=input_ids, use_cache=False).logits
            return self._score(logits.flatten(0, 1)[where], targets)
        hidden = core.base_model(input_ids=input_ids, use_cache=False).last_hidden_state
        hidden = hidden.flatten(0, 1)[where]
        head = core.get_output_embeddings()
        if hidden.shape[0] <= self.chunk:
            return self._score(head(hidden), targets)
        parts = []  # large vocabularies: recompute the logits of a chunk instead of keeping them

        def part(h: Any, t: Any) -> tuple[Any, Any]:
            return self._score(head(h), t)

        for i in range(0, hidden.shape[0], self.chunk):
            h, t = hidden[i : i + self.chunk], targets[i : i + self.chunk]
            parts.append(checkpoint(part, h, t, use_reentrant=False))
        return torch.cat([p[0] for p in parts]), torch.cat([p[1] for p in parts])

    def _score(self, logits: Any, targets: Any) -> tuple[Any, Any]:
        logps = torch.log_softmax(logits.float() / self.temperature, dim=-1)
        entropy = -(logps.exp() * logps).sum(-1)
        return logps.gather(-1, targets[:, None]).squeeze(-1), entropy


def _unwrap_peft(model: Any) -> Any:
    return model.get_base_model() if hasattr(model, "get_base_model") else model


def policy_loss(
    logps: Any,
    old: Any,
    advantages: Any,
    *,
    clip_low: float = 0.2,
    clip_high: float = 0.2,
    dual_clip: float = 0.0,
) -> tuple[Any, Any]:
    """Clipped policy-gradient loss of each token (PPO, arXiv:1707.06347), and where it clipped.

    `dual_clip` > 0 bounds the loss of tokens with a negative advantage at `-dual_clip * A`
    (arXiv:1912.09729; verl uses 3).
    """
    ratio = torch.exp(logps - old)
    plain = ratio * advantages
    bound = ratio.clamp(1 - clip_low, 1 + clip_high) * advantages
    loss = -torch.minimum(plain, bound)
    if dual_clip:
        loss = torch.where(advantages < 0, torch.minimum(loss, -dual_clip * advantages), loss)
    clipped = (bound < plain).float()
    return loss, clipped


def k3(logps: Any, reference: Any) -> Any:
    """The low-variance estimate of KL(policy || reference) of each token, clamped as verl does."""
    d = reference - logps
    return (torch.exp(d) - d - 1).clamp(-10.0, 10.0)


def token_weights(
    rows: Sequence[Row], loss_agg: str, *, tokens: int, sequences: int, norm_tokens: int = 0
) -> list[float]:
    """What one sampled token of each row weighs, so that a sum over micro-batches is the loss.

    "token-mean" (TRL "dapo"): 1 / all sampled tokens of the optimiser step. "seq-mean" (TRL
    "grpo"): mean over the row's tokens, then over rows. "seq-sum-norm" (Dr. GRPO): the row's sum
    over rows and a constant, `norm_tokens`.
    """
    if loss_agg == "token-mean":
        return [1.0 / max(1, tokens)] * len(rows)
    if loss_agg == "seq-mean":
        return [1.0 / max(1, r.trained) / max(1, sequences) for r in rows]
    if loss_agg == "seq-sum-norm":
        if norm_tokens <= 0:
            raise ValueError("loss_agg='seq-sum-norm' needs norm_tokens > 0")
        return [1.0 / norm_tokens / max(1, sequences)] * len(rows)
    raise ValueError(
        f"loss_agg must be 'token-mean', 'seq-mean' or 'seq-sum-norm', not {loss_agg!r}"
    )
