"""`trainer.backend=trl`: the same rows, updated by TRL's GRPOTrainer instead of our own loop.

GRPOTrainer wants to generate by itself. `_generate_and_score_completions`, which gives it a batch
of rows with advantages, is overridden: what it returns are our rows. The optimiser is ours, so that
its moments outlive the trainer, which is made anew for each update. Loss, clipping, steps and
accumulation are TRL's.

Known of TRL 1.16, and dealt with here:
- rows that do not divide by the number of micro-batches are dropped silently: rows with an empty
  mask fill up; where a mean over rows counts these, advantages are scaled up;
- all rows of a step are padded to the longest one, which makes updates slower than ours;
- the methods that are overridden are private, hence the bound on TRL's version in pyproject.toml.

One process: every rank would need the same number of rows.
"""

from __future__ import annotations

import math
import tempfile
from collections.abc import Mapping, Sequence
from typing import Any

import torch

from skillbench.errors import UsageError

from .row_trainer import RowTrainer
from .rows import Row
from .scoring import k3, policy_loss, token_weights
from .trl_bridge import as_it_was

LOSSES = {"token-mean": "dapo", "seq-mean": "grpo", "seq-sum-norm": "dr_grpo"}
KEYS = ("prompt_ids", "prompt_mask", "completion_ids", "completion_mask", "tool_mask")


class TrlTrainer(RowTrainer):
    """As RowTrainer, with TRL's loss and loop.

    Raises UsageError with several ranks, and for a `dual_clip` that TRL's loss does not have.
    """

    def __init__(
        self, model: Any, config: Mapping[str, Any] | None = None, *, reference: Any = None
    ) -> None:
        super().__init__(model, config, reference=reference)
        if not self.ranks.alone:
            raise UsageError(
                "trainer.grpo.backend=trl trains in one process; use backend=torch with several"
            )
        if self.config["loss_agg"] not in LOSSES:
            token_weights([], self.config["loss_agg"], tokens=1, sequences=1)  # says what is known
        dual, high = float(self.config["dual_clip"]), float(self.config["clip_high"])
        if dual and dual <= 1 + high:
            raise UsageError(
                f"trainer.grpo.backend=trl cannot have dual_clip={dual:g}: TRL bounds the ratio of "
                f"every token there, so it must be above 1 + clip_high ({1 + high:g}); raise it, "
                "set it to 0, or use backend=torch"
            )

    def _steps(self, rows: Sequence[Row], plan: Sequence[Sequence[int]]) -> dict[str, float]:
        """The optimiser steps of a plan, each with a generation batch of its own."""
        c = self.config
        later = len(plan) > 1 and c["old_logprobs"] != "sampler"
        old: dict[int, Any] = {}
        if later or c["importance_cap"]:
            old = self._score_all(rows)  # while the weights are still those of the rollout
        micro = max(self._micro_batches([rows[i] for i in chosen]) for chosen in plan)
        batches = [
            self._inputs([rows[i] for i in chosen], [old.get(i) for i in chosen], micro, n == 0)
            for n, chosen in enumerate(plan)
        ]
        self._fresh_lr()
        with tempfile.TemporaryDirectory() as folder, as_it_was(self.model):
            trainer = _trainer(self, folder, batches, micro)
            try:
                trainer.train()
            finally:
                self.optimizer.zero_grad(set_to_none=True)
                trainer.accelerator.free_memory()
        self.steps += len(plan)
        history = [e for e in trainer.state.log_history if "grad_norm" in e]
        totals = {
            "loss": sum(e["loss"] for e in history),
            "grad_norm": sum(float(e["grad_norm"]) for e in history),
            "logp_diff": trainer.logp_diff,
            "skipped_steps": trainer.skipped,
            **trainer.means,
        }
        if self.reference is None:
            del totals["kl"]
        if c["importance_cap"]:
            for key in ("importance", "capped"):
                totals[key] = sum(batch[key] for batch in batches)
        return totals

    def _micro_batches(self, rows: Sequence[Row]) -> int:
        """How many micro-batches a step needs: all of its rows are as long as the longest one."""
        prompt = max(len(r.prompt_ids) for r in rows)
        answer = max(len(r.response_ids) for r in rows)
        fit = max(1, int(self.config["micro_tokens"]) // (prompt + answer))
        return -(-len(rows) // fit)

    def _inputs(
        self, rows: Sequence[Row], old: Sequence[Any], micro: int, first: bool
    ) -> dict[str, Any]:
        """What TRL's loss reads: tensors of (N, T), N a multiple of `micro`, and counts."""
        c = self.config
        size = -(-len(rows) // micro) * micro
        left = max(len(r.prompt_ids) for r in rows)
        right = max(len(r.response_ids) for r in rows)
        longs = {key: torch.zeros(size, left if "prompt" in key else right).long() for key in KEYS}
        floats = {k: torch.zeros(size, right) for k in ("advantages", "sampled", "old", "weights")}
        tokens = sum(r.trained for r in rows)
        shares = token_weights(
            rows,
            c["loss_agg"],
            tokens=tokens,
            sequences=len(rows),
            norm_tokens=int(c["norm_tokens"]),
        )
        longs["prompt_mask"][:, -1] = 1  # a row that fills up must attend to something
        longs["completion_mask"][:, 0] = 1
        capped = weighed = 0.0
        for i, row in enumerate(rows):
            n, m = len(row.prompt_ids), len(row.response_ids)
            longs["prompt_ids"][i, left - n :] = torch.tensor(row.prompt_ids)
            longs["prompt_mask"][i, left - n :] = 1
            longs["completion_ids"][i, :m] = torch.tensor(row.response_ids)
            longs["completion_mask"][i, :m] = 1
            mask = torch.tensor(row.mask)
            longs["tool_mask"][i, :m] = mask
            value = torch.tensor(row.advantages) * mask
            floats["sampled"][i, :m] = torch.tensor(row.logprobs)
            floats["weights"][i, :m] = shares[i] * mask
            if old[i] is not None:
                floats["old"][i, :m][mask.bool()] = old[i].float().cpu()
            else:
                floats["old"][i, :m] = floats["sampled"][i, :m]
            if c["importance_cap"]:
                cap = float(c["importance_cap"])
                ratio = torch.exp(floats["old"][i, :m] - floats["sampled"][i, :m]) * mask
                capped += float((ratio > cap).sum())
                weighed += float(ratio.clamp(max=cap).sum())
                # The loss is proportional to a token's advantage, whichever side is clipped.
                value = value * ratio.clamp(max=cap)
            floats["advantages"][i, :m] = value
        # Means over rows count those that fill up.
        spread = size / len(rows) if c["loss_agg"] != "token-mean" else 1.0
        floats["advantages"] *= spread
        out = {k: v.to(self.device) for k, v in {**longs, **floats}.items()}
        out |= {"tokens": tokens, "spread": spread, "first": first}
        out |= {"importance": weighed / max(1, tokens), "capped": capped / max(1, tokens)}
        return out

    def _fresh_lr(self) -> None:
        """The rate without warm-up: TRL's scheduler multiplies it."""
        for group in self.optimizer.param_groups:
            group["lr"] = float(self.config["lr"])
            group.pop("initial_lr", None)


def _trainer(ours: TrlTrainer, folder: str, batches: Sequence[dict[str, Any]], micro: int) -> Any:
    """A GRPOTrainer whose n-th generation is the n-th of `batches`."""
    from datasets import Dataset
    from transformers import PrinterCallback, ProgressCallback
    from trl import GRPOConfig, GRPOTrainer

    c = ours.config

    class FromRows(GRPOTrainer):
        """TRL's trainer with rows that are there already."""

        logp_diff = 0.0
        skipped = 0
        _served = 0
        _compared = 0
        _now: Any = None

        def __init__(self, **how: Any) -> None:
            super().__init__(**how)
            # Over the tokens of each step, which TRL's own metrics are not.
            self.means = {"clip_share": 0.0, "entropy": 0.0, "kl": 0.0}

        def _generate_and_score_completions(self, inputs: Any) -> dict[str, Any]:
            batch = batches[self._served]
            self._served += 1
            out = {k: batch[k] for k in (*KEYS, "advantages", "sampled", "weights")}
            out["num_items_in_batch"] = torch.tensor(float(batch["tokens"]), device=ours.device)
            if not batch["first"]:
                out["old_per_token_logps"] = batch["old"]
            if ours.reference is not None:
                out["ref_per_token_logps"] = _score(ours.reference, batch)
            self.beta = float(c["kl_coef"]) * batch["spread"]
            return out

        def _get_per_token_logps_and_entropies(self, *args: Any, **how: Any) -> Any:
            found = super()._get_per_token_logps_and_entropies(*args, **how)
            now = self._now
            now["entropies"] = found[1]
            self._count(found[0].detach(), found[1].detach())
            if self._served == 1 and self._compared < micro:
                # The first step: the weights are still those of the rollout.
                self._compared += 1
                diff = ((found[0].detach() - now["sampled"]).abs() * now["tool_mask"]).sum()
                self.logp_diff += float(diff) / max(1, batches[0]["tokens"])
                if self._compared == micro:
                    ours._check_sampler(self.logp_diff)
            return found

        def _count(self, logps: Any, entropies: Any) -> None:
            now = self._now
            share = now["tool_mask"] / now["num_items_in_batch"]
            self.means["entropy"] += float((entropies * share).sum())
            if "old_per_token_logps" in now:
                old, value = now["old_per_token_logps"], now["advantages"]
                limits = {"clip_low": float(c["clip_low"]), "clip_high": float(c["clip_high"])}
                _, clipped = policy_loss(logps, old, value, **limits)
                self.means["clip_share"] += float((clipped * share).sum())
            if "ref_per_token_logps" in now:
                self.means["kl"] += float((k3(logps, now["ref_per_token_logps"]) * share).sum())

        def _clip_grad_norm(self, model: Any) -> Any:
            norm = super()._clip_grad_norm(model)
            if not math.isfinite(float(norm)):  # as in our own loop, such a step is left out
                self.skipped += 1
                for parameter in model.parameters():
                    parameter.grad = None
            return norm

        def _compute_loss(self, model: Any, inputs: dict[str, Any]) -> Any:
            self._now = inputs
            loss = super()._compute_loss(model, inputs)
            if c["entropy_coef"]:
                bonus = (inputs["entropies"] * inputs["weights"]).sum()
                loss = loss - float(c["entropy_coef"]) * bonus
            return loss

    gpu = ours.device.type == "cuda"
    arguments = GRPOConfig(
        output_dir=folder,
        max_steps=len(batches),
        per_device_train_batch_size=2,  # of the prompts that nobody generates from
        gradient_accumulation_steps=micro,
        steps_per_generation=micro,
        num_generations=2,
        num_iterations=1,
        loss_type=LOSSES[c["loss_agg"]],
        max_completion_length=int(c["norm_tokens"]) or 1,  # what dr_grpo divides by
        scale_rewards="none",
        use_bias_correction_kl=False,  # else the gradient of the KL term is not ours
        beta=0.0,  # a reference model of TRL's own would be loaded; see above
        epsilon=float(c["clip_low"]),
        epsilon_high=float(c["clip_high"]),
        delta=float(c["dual_clip"]) or None,
        temperature=float(c["temperature"]),
        max_grad_norm=float(c["grad_clip"]),
        learning_rate=float(c["lr"]),
        use_cpu=not gpu,
        bf16=bool(c["bf16"]),
        gradient_checkpointing=False,  # RowTrainer has switched it on
        dataloader_pin_memory=gpu,
        shuffle_dataset=False,
        save_strategy="no",
        logging_steps=1,
        logging_nan_inf_filter=False,
        report_to="none",
        disable_tqdm=True,
    )
    warmup = int(c["warmup"])
    taken = ours.steps

    def scale(step: int) -> float:
        return min(1.0, (taken + step + 1) / warmup) if warmup else 1.0

    trainer = FromRows(
        model=ours.model,
        reward_funcs=_no_reward,
        args=arguments,
        train_dataset=Dataset.from_dict({"prompt": ["-"] * micro}),
        processing_class=_tokenizer(),
        optimizers=(ours.optimizer, torch.optim.lr_scheduler.LambdaLR(ours.optimizer, scale)),
    )
    for callback in (PrinterCallback, ProgressCallback):  # stdout belongs to the command line
        trainer.remove_callback(callback)
    return trainer


def _no_reward(completions: Sequence[Any], **_: Any) -> list[float]:
    return [0.0] * len(completions)


@torch.no_grad()
def _score(reference: Any, batch: Mapping[str, Any]) -> Any:
    """The reference's (a Scorer) log-probabilities of a batch's completions, (N, T)."""
    ids = torch.cat([batch["prompt_ids"], batch["completion_ids"]], 1)
    seen = torch.cat([batch["prompt_mask"], batch["completion_mask"]], 1)
    places = (seen.cumsum(1) - 1).clamp(min=0)
    logits = reference.model(
        input_ids=ids, attention_mask=seen, position_ids=places, use_cache=False
    ).logits
    width = batch["completion_ids"].shape[1]
    scores = torch.log_softmax(
        logits[:, -width - 1 : -1].float() / float(reference.temperature), -1
    )
    return scores.gather(-1, batch["completion_ids"][..., None]).squeeze(-1)


def _tokenizer() -> Any:
    """TRL wants one, and has nothing to tokenise."""
    from tokenizers import Tokenizer, models
    from transformers import PreTrainedTokenizerFast

    inner = Tokenizer(models.WordLevel({"-": 0}, unk_token="-"))
    return PreTrainedTokenizerFast(
        tokenizer_object=inner, unk_token="-", pad_token="-", eos_token="-"
    )
