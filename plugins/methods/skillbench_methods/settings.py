"""Settings of the update that every policy-gradient stage shares (row_trainer.py, scoring.py).

A file of its own, so that registering a stage does not import torch.
"""

from __future__ import annotations

from typing import Any

UPDATE: dict[str, Any] = {
    "lr": 1e-6,
    "warmup": 0,  # optimiser steps of linear warm-up, then constant
    "betas": [0.9, 0.999],
    "weight_decay": 0.01,
    "grad_clip": 1.0,
    "clip_low": 0.2,
    "clip_high": 0.2,
    "dual_clip": 0.0,
    "kl_coef": 0.0,
    "entropy_coef": 0.0,
    "loss_agg": "token-mean",
    "norm_tokens": 0,
    "temperature": 1.0,
    "epochs": 1,
    "minibatches": 1,  # optimiser steps per epoch
    # What ratios after the first optimiser step refer to: "recompute", "sampler", or "auto": the
    # sampler's own where the check found them equal.
    "old_logprobs": "auto",
    "micro_tokens": 8192,
    "logp_warn": 0.02,
    "logp_limit": 0.2,  # mean |recomputed - sampled| in nats; 0 switches the check off
}
