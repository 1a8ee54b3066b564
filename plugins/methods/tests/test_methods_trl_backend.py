"""`backend=trl` takes the same step as our own loop, on the same rows."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))
from methods_fakes import tiny_model

torch = pytest.importorskip("torch")
pytest.importorskip("trl")

from skillbench_methods.grpo import row_trainer  # noqa: E402
from skillbench_methods.row_trainer import SamplerMismatch  # noqa: E402
from test_methods_trl_parity import random_rows  # noqa: E402

from skillbench.errors import ConfigError, UsageError  # noqa: E402

BASE = {"lr": 1e-3, "micro_tokens": 150, "logp_limit": 0.0, "old_logprobs": "recompute"}


def updated(backend, **config):
    """The weights after an update from twelve rows, and its metrics."""
    model = tiny_model(3, scale=3.0)
    reference = tiny_model(4, scale=3.0) if config.get("kl_coef") else None
    trainer = row_trainer(backend)(model, {**BASE, **config}, reference=reference)
    found = trainer.update(random_rows(), seed=5)
    return torch.cat([p.detach().flatten() for p in model.parameters()]), found, trainer


@pytest.mark.parametrize(
    "config",
    [
        {},
        {"loss_agg": "seq-mean", "temperature": 0.7, "dual_clip": 3.0},
        {"loss_agg": "seq-sum-norm", "norm_tokens": 40},
        {"minibatches": 3, "epochs": 2, "clip_high": 0.05, "clip_low": 0.05, "warmup": 4},
        {"importance_cap": 1.2, "entropy_coef": 0.01, "kl_coef": 0.05},
    ],
    ids=["plain", "seq-mean", "seq-sum-norm", "steps", "correction"],
)
def test_an_update_changes_the_weights_as_our_own_does(config):
    start = torch.cat([p.detach().flatten() for p in tiny_model(3, scale=3.0).parameters()])
    ours, mine, _ = updated("torch", **config)
    theirs, found, _ = updated("trl", **config)
    moved = (ours - start).norm()
    print(f"{config}: moved {moved:.4f}, apart {(ours - theirs).norm():.2e}")
    assert moved > 1e-2
    # AdamW turns gradients of nearly zero into whole steps, whatever their sign.
    assert float((ours - theirs).norm() / moved) < 0.02
    assert found["optimizer_steps"] == mine["optimizer_steps"]
    assert found["tokens_trained"] == mine["tokens_trained"]
    assert found["logp_diff"] == pytest.approx(mine["logp_diff"], rel=1e-4)
    for key in ("grad_norm", "clip_share", "importance", "capped"):
        if key in mine:
            assert found[key] == pytest.approx(mine[key], rel=1e-3, abs=1e-6), key


def test_moments_outlive_an_update_and_the_model_is_as_it_was(tmp_path):
    _, _, trainer = updated("trl")
    assert "forward" not in trainer.model.__dict__
    state = next(iter(trainer.optimizer.state.values()))
    assert float(state["step"]) == 1
    trainer.update(random_rows(seed=1), seed=6)
    assert float(next(iter(trainer.optimizer.state.values()))["step"]) == 2
    trainer.save(tmp_path)
    again = row_trainer("trl")(trainer.model, BASE)
    again.load(tmp_path)
    assert again.steps == 2


def test_a_sampler_with_other_weights_is_an_error_and_changes_nothing():
    model = tiny_model(3, scale=3.0)
    before = [p.detach().clone() for p in model.parameters()]
    trainer = row_trainer("trl")(model, {**BASE, "logp_limit": 1e-3})
    with pytest.raises(SamplerMismatch):
        trainer.update(random_rows())
    assert all(torch.equal(a, b) for a, b in zip(before, model.parameters()))


def test_an_unknown_backend_is_an_error():
    with pytest.raises(ConfigError, match=r"backend is 'tlr'; did you mean 'trl'\?"):
        row_trainer("tlr")


def test_a_dual_clip_that_trl_does_not_have_is_an_error():
    with pytest.raises(UsageError, match=r"must be above 1 \+ clip_high \(1\.28\)"):
        row_trainer("trl")(tiny_model(3), {**BASE, "dual_clip": 1.2, "clip_high": 0.28})


@pytest.mark.parametrize("backend", ["torch", "trl"])
def test_a_gradient_that_is_not_finite_is_left_out(backend):
    model = tiny_model(3, scale=3.0)
    before = [p.detach().clone() for p in model.parameters()]
    rows = random_rows()
    rows[0] = replace(
        rows[0], advantages=tuple(m * float("inf") if m else 0.0 for m in rows[0].mask)
    )
    found = row_trainer(backend)(model, BASE).update(rows)
    assert found["skipped_steps"] == 1
    assert all(torch.equal(a, b) for a, b in zip(before, model.parameters()))
