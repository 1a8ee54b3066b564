"""One small policy-gradient loop over rows: torch, and accelerate where there are several ranks.

A step is: rows sorted by length into micro-batches of a token budget; for each, log-probabilities
at sampled positions, clipped loss, backward; then one clip and one AdamW step. Losses are sums
divided by the *global* token count of the optimiser step, so how rows fall into micro-batches or
ranks changes nothing. Loss and gradients equal TRL 1.16's `GRPOTrainer._compute_loss` on the same
rows (tests/test_methods_trl_parity.py).

The sampler's log-probabilities are compared with recomputed ones before the first step of every
update: a sampler that missed a weight sync, or that samples at another temperature than the one
trained at, shows there, and above `logp_limit` it is an error instead of a bad run.
"""

from __future__ import annotations

import contextlib
import math
import random
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch

from skillbench.errors import SkillbenchError

from . import optimizer_state
from .optimizer_state import whole
from .ranks import Ranks
from .rows import Row, micro_batches
from .scoring import Batch, Scorer, collate, k3, policy_loss, token_weights
from .settings import UPDATE

OLD = ("auto", "recompute", "sampler")
SUMS = ("loss", "clip_share", "entropy", "kl", "diff", "importance", "capped")
CLOSE = 1e-3  # nats; a sampler this near to the trained weights needs no recomputation


class SamplerMismatch(SkillbenchError):
    """The sampler's log-probabilities are not those of the weights that are being trained."""


class RowTrainer:
    """Updates a model from rows. `config`: see settings.UPDATE; further keys are ignored."""

    def __init__(
        self, model: Any, config: Mapping[str, Any] | None = None, *, reference: Any = None
    ) -> None:
        self.config = {**UPDATE, **{k: v for k, v in (config or {}).items() if k in UPDATE}}
        c = self.config
        if c["old_logprobs"] not in OLD:
            raise ValueError(f"old_logprobs is one of {', '.join(OLD)}, not {c['old_logprobs']!r}")
        if c["importance_cap"] and c["old_logprobs"] == "sampler":
            raise ValueError(
                "importance_cap > 0 corrects what old_logprobs='sampler' counts as a step of the "
                "policy; set one of them"
            )
        self.model = model
        self.steps = 0
        named = [(n, p) for n, p in model.named_parameters() if p.requires_grad]
        self._names = [n for n, _ in named]
        self.optimizer: Any = torch.optim.AdamW(
            [p for _, p in named],
            lr=float(c["lr"]),
            betas=tuple(c["betas"]),
            weight_decay=float(c["weight_decay"]),
        )
        self.scorer: Any = Scorer(model, float(c["temperature"]))
        self.reference = None
        if c["kl_coef"]:
            if reference is None:
                raise ValueError("kl_coef > 0 needs a reference model")
            self.reference = Scorer(reference.eval(), float(c["temperature"]))
        self.ranks = Ranks()
        self.scorer, self.optimizer = self.ranks.prepare(self.scorer, self.optimizer)
        self.device = self.ranks.device or next(model.parameters()).device

    # ------------------------------------------------------------------ one update

    def update(self, rows: Sequence[Row], *, seed: int = 0) -> dict[str, float]:
        """Learn from this rank's rows. Returns metrics; without rows anywhere nothing changes."""
        rows = [r for r in rows if r.trained]
        tokens = int(self.ranks.sum(sum(r.trained for r in rows)))
        out: dict[str, float] = {
            "rows": self.ranks.sum(len(rows)),
            "tokens_trained": tokens,
            "tokens_read": self.ranks.sum(sum(r.length for r in rows)),
            "optimizer_steps": 0,
        }
        if not tokens:
            return out
        torch.manual_seed(seed)  # for models with dropout: a resumed run draws the same
        plan = self._plan(rows, seed)
        with self._training():
            totals = self._steps(rows, plan)
        steps = len(plan)
        out["optimizer_steps"] = steps
        for key in ("loss", "grad_norm", "clip_share", "entropy", "kl", "importance", "capped"):
            if key in totals:
                out[key] = totals[key] / steps
        out["logp_diff"] = totals["logp_diff"]
        out["skipped_steps"] = totals.get("skipped_steps", 0.0)
        return out

    def _steps(self, rows: Sequence[Row], plan: Sequence[Sequence[int]]) -> dict[str, float]:
        """Take the optimiser steps of a plan; return metrics summed over them."""
        old: dict[int, Any] = {}
        totals: dict[str, float] = {}
        for n, chosen in enumerate(plan):
            sums, tokens = self._accumulate(rows, chosen, old, first=n == 0)
            if n == 0:
                totals["logp_diff"] = sums["diff"] / max(1, tokens)
                self._check_sampler(totals["logp_diff"])
                if len(plan) > 1 and self._recompute(totals["logp_diff"]):
                    old = self._score_all(rows)  # while the weights are still those of the rollout
            self._step(sums, tokens, totals)
        return totals

    @contextlib.contextmanager
    def _training(self) -> Iterator[None]:
        """The model in training mode, with gradient checkpointing if that is wanted."""
        was_training = self.model.training
        less_memory = bool(self.config["gradient_checkpointing"])
        self.model.train()
        if less_memory:
            self.model.gradient_checkpointing_enable({"use_reentrant": False})
            if hasattr(self.model, "enable_input_require_grads") and _adapters(self.model):
                self.model.enable_input_require_grads()  # the frozen embedding cuts the graph
        try:
            yield
        finally:
            if less_memory:
                self.model.gradient_checkpointing_disable()
            self.model.train(was_training)

    def _cast(self) -> Any:
        """Computation in bfloat16, if that is wanted."""
        wanted = bool(self.config["bf16"])
        return torch.autocast(self.device.type, torch.bfloat16, enabled=wanted)

    def _plan(self, rows: Sequence[Row], seed: int) -> list[list[int]]:
        """Which rows each optimiser step reads. The same number of steps on every rank."""
        c = self.config
        parts = max(1, int(c["minibatches"]))
        plan = []
        for epoch in range(max(1, int(c["epochs"]))):
            order = list(range(len(rows)))
            if parts > 1:
                random.Random(f"{seed}-{epoch}").shuffle(order)
            plan += [order[i::parts] for i in range(parts)]
        if self.ranks.alone:
            plan = [p for p in plan if p]
        return plan

    def _recompute(self, diff: float) -> bool:
        """Whether the ratios of later steps refer to recomputed log-probabilities."""
        how = self.config["old_logprobs"]
        if self.config["importance_cap"]:
            return True
        return how == "recompute" or (how == "auto" and diff > CLOSE)

    def _accumulate(
        self,
        rows: Sequence[Row],
        chosen: Sequence[int],
        old: Mapping[int, Any],
        *,
        first: bool,
    ) -> tuple[dict[str, float], int]:
        """Gradients of one optimiser step; return sums over its tokens, and their number.

        In the first step of an update the weights are those of the rollout: the ratio is 1.
        """
        c = self.config
        subset = [rows[i] for i in chosen]
        tokens = int(self.ranks.sum(sum(r.trained for r in subset)))
        weights = token_weights(
            subset,
            c["loss_agg"],
            tokens=tokens,
            sequences=int(self.ranks.sum(len(subset))),
            norm_tokens=int(c["norm_tokens"]),
        )
        cap = float(c["importance_cap"])
        sums = dict.fromkeys(SUMS, 0.0)
        batches = self._batches(subset, weights)
        for n, (batch, where) in enumerate(batches):
            with self._cast():
                logps, entropy = self.ranks.forward(self.scorer, batch, last=n == len(batches) - 1)
            if first or not where:
                reference_point = logps.detach()
            elif old:
                reference_point = torch.cat([old[chosen[i]] for i in where])
            else:
                reference_point = batch.sampled
            advantages = batch.advantages
            if cap and where:
                # Here the reference point is the trained model's own, under the rollout's weights.
                ratio = torch.exp(reference_point - batch.sampled)
                advantages = advantages * ratio.clamp(max=cap)
                sums["importance"] += float(ratio.clamp(max=cap).sum())
                sums["capped"] += float((ratio > cap).sum())
            per_token, clipped = policy_loss(
                logps,
                reference_point,
                advantages,
                clip_low=float(c["clip_low"]),
                clip_high=float(c["clip_high"]),
                dual_clip=float(c["dual_clip"]),
            )
            if self.reference is not None:
                with torch.no_grad(), self._cast():
                    fixed, _ = self.reference(batch.input_ids, batch.where, batch.targets)
                kl = k3(logps, fixed)
                per_token = per_token + float(c["kl_coef"]) * kl
                sums["kl"] += float(kl.detach().sum()) if where else 0.0
            if c["entropy_coef"]:
                per_token = per_token - float(c["entropy_coef"]) * entropy
            loss = (per_token * batch.weights).sum()
            if where:  # else it only keeps the ranks in step
                sums["loss"] += float(loss.detach())
                sums["clip_share"] += float(clipped.sum())
                sums["entropy"] += float(entropy.detach().sum())
                sums["diff"] += float((logps.detach() - batch.sampled).abs().sum())
            self.ranks.backward(self.scorer, loss, last=n == len(batches) - 1)
        return {k: self.ranks.sum(v) for k, v in sums.items()}, tokens

    def _step(self, sums: Mapping[str, float], tokens: int, totals: dict[str, float]) -> None:
        """Clip, step, and add to the update's totals. A gradient that is not finite is left out."""
        c = self.config
        norm = self.ranks.clip(self.model.parameters(), float(c["grad_clip"]))
        self._set_lr()
        if math.isfinite(norm):
            self.optimizer.step()
        else:
            totals["skipped_steps"] = totals.get("skipped_steps", 0) + 1
        self.optimizer.zero_grad(set_to_none=True)
        self.steps += 1
        totals["grad_norm"] = totals.get("grad_norm", 0.0) + norm
        totals["loss"] = totals.get("loss", 0.0) + sums["loss"]
        for key, shown in (
            ("clip_share", True),
            ("entropy", True),
            ("kl", self.reference is not None),
            ("importance", bool(c["importance_cap"])),
            ("capped", bool(c["importance_cap"])),
        ):
            if shown:
                totals[key] = totals.get(key, 0.0) + sums[key] / max(1, tokens)

    def gradients(self, rows: Sequence[Row]) -> tuple[float, dict[str, Any]]:
        """Loss and gradients of one optimiser step that is then not taken (for tests).

        With old_logprobs="sampler" the ratio is taken to the rows' own log-probabilities.
        """
        self.model.train()
        first = self.config["old_logprobs"] != "sampler"
        sums, _ = self._accumulate(rows, range(len(rows)), {}, first=first)
        grads = {n: p.grad.clone() for n, p in self.model.named_parameters() if p.grad is not None}
        self.optimizer.zero_grad(set_to_none=True)
        return sums["loss"], grads

    # ------------------------------------------------------------------ checking the sampler

    def probe(self, rows: Sequence[Row]) -> float:
        """Mean |recomputed - sampled| log-probability over the rows, in nats."""
        rows = [r for r in rows if r.trained]
        scores = self._score_all(rows)
        total = sum(
            float((scores[i] - torch.tensor(_kept(r), device=self.device)).abs().sum())
            for i, r in enumerate(rows)
        )
        return total / max(1, sum(r.trained for r in rows))

    def _check_sampler(self, diff: float) -> None:
        limit, warn = float(self.config["logp_limit"]), float(self.config["logp_warn"])
        if limit and not diff <= limit:
            self.optimizer.zero_grad(set_to_none=True)
            raise SamplerMismatch(
                f"sampled and recomputed log-probabilities differ by {diff:.3g} nats per token "
                f"(limit {limit:g}): the sampler does not have the weights that are trained, or it "
                f"samples otherwise than trained (temperature {self.config['temperature']:g}, "
                "top_p 1, no constraint on tokens). Check the policy's sync() and its sampling "
                "settings; --set trainer.grpo.logp_limit=0 switches the check off"
            )
        if limit and diff > warn:
            import warnings

            warnings.warn(
                f"sampled and recomputed log-probabilities differ by {diff:.3g} nats per token",
                RuntimeWarning,
                stacklevel=3,
            )

    # ------------------------------------------------------------------ pieces

    def _batches(
        self, rows: Sequence[Row], weights: Sequence[float]
    ) -> list[tuple[Batch, list[int]]]:
        """Micro-batches with the indices of their rows; every rank gets the same number."""
        groups = micro_batches(rows, int(self.config["micro_tokens"]))
        out = [
            (collate([rows[i] for i in g], [weights[i] for i in g], self.device), g) for g in groups
        ]
        for _ in range(int(self.ranks.max(len(out))) - len(out)):
            dummy = Row((0,), (0,), (1,), (0.0,), (0.0,))
            out.append((collate([dummy], [0.0], self.device), []))
        return out

    @torch.no_grad()
    def _score_all(self, rows: Sequence[Row]) -> dict[int, Any]:
        """Log-probabilities of each row's sampled tokens under the present weights."""
        model = self.scorer.module if hasattr(self.scorer, "module") else self.scorer
        scores: dict[int, Any] = {}
        # As many forwards on every rank: where weights are sharded, each gathers them.
        for batch, group in self._batches(rows, [0.0] * len(rows)):
            with self._cast():
                logps, _ = model(batch.input_ids, batch.where, batch.targets)
            if group:
                for i, part in zip(group, logps.split([rows[i].trained for i in group])):
                    scores[i] = part
        return scores

    def _set_lr(self) -> None:
        warmup = int(self.config["warmup"])
        scale = min(1.0, (self.steps + 1) / warmup) if warmup else 1.0
        for group in self.optimizer.param_groups:
            group["lr"] = float(self.config["lr"]) * scale

    def weights(self) -> dict[str, Any]:
        """What is trained, by name, whole; every rank calls this where weights are sharded."""
        return dict(zip(self._names, map(whole, optimizer_state.parameters(self.optimizer))))

    def save(self, directory: Path) -> None:
        """Write the optimiser's moments as safetensors and its step count as JSON.

        Every rank calls this; the first one writes.
        """
        optimizer_state.save(
            self.optimizer, self._names, self.steps, directory, write=self.ranks.first
        )

    def load(self, directory: Path) -> None:
        """Read them back; the model must already hold the matching weights."""
        self.steps = optimizer_state.load(self.optimizer, self._names, directory)


def _adapters(model: Any) -> bool:
    return hasattr(model, "peft_config")


def _kept(row: Row) -> list[float]:
    return [x for x, m in zip(row.logprobs, row.mask) if m]
