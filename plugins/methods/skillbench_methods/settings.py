"""Settings of the update that every policy-gradient stage shares (row_trainer.py, scoring.py).

A file of its own, so that registering a stage does not import torch.
"""

from __future__ import annotations

from typing import Any

UPDATE: dict[str, Any] = {
    "lr": 1e-6,  # learning rate
    "warmup": 0,  # optimiser steps of linear warm-up, then constant
    "betas": [0.9, 0.999],  # of AdamW
    "weight_decay": 0.01,  # of AdamW
    "grad_clip": 1.0,  # largest norm of the gradient
    "clip_low": 0.2,  # ratios below 1 - this are clipped
    "clip_high": 0.2,  # ratios above 1 + this are clipped
    "dual_clip": 0.0,  # > 0: a negative advantage costs at most this times its size
    "kl_coef": 0.0,  # weight of the divergence from the first weights
    "entropy_coef": 0.0,  # weight of the entropy
    "loss_agg": "token-mean",  # or "seq-mean", "seq-sum-norm": how the loss of tokens is averaged
    "norm_tokens": 0,  # what seq-sum-norm divides by
    "temperature": 1.0,  # of the play that is learned from
    "epochs": 1,  # passes over the rows of one update
    "minibatches": 1,  # optimiser steps per epoch
    # What ratios after the first optimiser step refer to. "auto": the sampler's own log-probs where
    # the check found them equal to recomputed ones.
    "old_logprobs": "auto",  # or "recompute", "sampler": the log-probs that ratios refer to
    "micro_tokens": 8192,  # tokens of one forward pass
    # > 0 corrects for a sampler that is not quite the trained model (vLLM, bfloat16): each token
    # weighs min(p_trained / p_sampled, importance_cap), both under the weights of the rollout.
    "importance_cap": 0.0,  # largest weight of a token that corrects for the sampler; 0: none
    "bf16": False,  # compute in bfloat16; weights and moments stay float32
    "gradient_checkpointing": False,  # less memory, a third more computation
    "logp_warn": 0.02,  # mean |recomputed - sampled| in nats that is told
    "logp_limit": 0.2,  # mean |recomputed - sampled| in nats; 0 switches the check off
}
