"""The row trainer: what must not matter does not, and what must be noticed is."""

from __future__ import annotations

import copy
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))
from methods_fakes import tiny_model

torch = pytest.importorskip("torch")

from skillbench_methods.row_trainer import RowTrainer, SamplerMismatch  # noqa: E402
from skillbench_methods.rows import Row, with_advantage  # noqa: E402
from skillbench_methods.scoring import Scorer, collate  # noqa: E402


def sampled_rows(model, n=6, temperature=1.0, seed=0):
    """Rows whose log-probabilities are the model's own."""
    generator = torch.Generator().manual_seed(seed)
    rows = []
    for i in range(n):
        prompt = torch.randint(4, 28, (1, 3 + i), generator=generator)
        ids = torch.randint(4, 28, (1, 5 + 2 * i), generator=generator)
        mask = [1, 1] + [
            int(torch.rand((), generator=generator) < 0.6) for _ in range(ids.shape[1] - 2)
        ]
        with torch.no_grad():
            logits = model(torch.cat([prompt, ids], 1)).logits[0, prompt.shape[1] - 1 : -1]
        logp = torch.log_softmax(logits / temperature, -1).gather(1, ids[0][:, None])[:, 0].tolist()
        row = Row(
            tuple(prompt[0].tolist()),
            tuple(ids[0].tolist()),
            tuple(mask),
            tuple(x * m for x, m in zip(logp, mask)),
            (0.0,) * len(mask),
            episode=i,
        )
        rows.append(with_advantage(row, (-1.0) ** i * (1 + i / 7)))
    return rows


def weights(model):
    return {n: p.detach().clone() for n, p in model.named_parameters()}


def distance(a, b):
    return max(float((a[n] - b[n]).abs().max()) for n in a)


def test_micro_batches_change_nothing():
    results = []
    for budget in (20, 100_000):
        model = tiny_model()
        trainer = RowTrainer(model, {"lr": 1e-3, "micro_tokens": budget})
        metrics = trainer.update(sampled_rows(model))
        results.append((weights(model), metrics))
    assert distance(results[0][0], results[1][0]) < 1e-5
    assert results[0][1]["loss"] == pytest.approx(results[1][1]["loss"], abs=1e-6)
    assert results[0][1]["grad_norm"] == pytest.approx(results[1][1]["grad_norm"], rel=1e-5)


def test_recomputed_log_probabilities_are_the_samplers():
    model = tiny_model()
    rows = sampled_rows(model, temperature=0.7)
    trainer = RowTrainer(model, {"temperature": 0.7})
    assert trainer.probe(rows) < 1e-5
    assert trainer.update(rows)["logp_diff"] < 1e-5


def test_a_sampler_at_another_temperature_or_with_old_weights_is_noticed():
    model = tiny_model(scale=3.0)
    rows = sampled_rows(model, temperature=0.3)
    before = weights(model)
    with pytest.raises(SamplerMismatch, match="nats per token"):
        RowTrainer(model, {"temperature": 1.0}).update(rows)
    assert distance(before, weights(model)) == 0.0
    RowTrainer(model, {"temperature": 1.0, "logp_limit": 0.0}).update(rows)  # switched off
    other = tiny_model(seed=9, scale=3.0)
    with pytest.raises(SamplerMismatch):
        RowTrainer(other).update(sampled_rows(model))


def test_a_small_drift_is_warned_of():
    model = tiny_model(scale=3.0)
    trainer = RowTrainer(model, {"logp_warn": 1e-9})
    with pytest.warns(RuntimeWarning, match="differ by"):
        trainer.update(sampled_rows(model))


def test_learning_makes_good_rows_likelier_and_bad_ones_less_likely():
    model = tiny_model()
    rows = sampled_rows(model)
    trainer = RowTrainer(model, {"lr": 1e-3, "old_logprobs": "sampler", "epochs": 4})
    trainer.update(rows)
    batch = collate(rows, [0.0] * len(rows), "cpu")
    with torch.no_grad():
        logps, _ = Scorer(model)(batch.input_ids, batch.where, batch.targets)
    change = logps - batch.sampled
    assert (
        float(change[batch.advantages > 0].mean()) > 0 > float(change[batch.advantages < 0].mean())
    )


def test_one_row_per_step_has_the_gradients_of_the_transcript():
    model = tiny_model()
    rows = sampled_rows(model)
    apart = []
    for row in rows:  # each run of sampled tokens with all that stood before it
        ids, at = row.prompt_ids + row.response_ids, 0
        while at < len(row.mask):
            end = at + 1
            while end < len(row.mask) and row.mask[end] == row.mask[at]:
                end += 1
            if row.mask[at]:
                start = len(row.prompt_ids)
                part = slice(at, end)
                apart.append(
                    Row(
                        ids[: start + at],
                        row.response_ids[part],
                        row.mask[part],
                        row.logprobs[part],
                        row.advantages[part],
                    )
                )
            at = end
    trainer = RowTrainer(model, {"logp_limit": 0.0})
    loss, grads = trainer.gradients(rows)
    other, same = trainer.gradients(apart)
    assert len(apart) > len(rows)
    assert other == pytest.approx(loss, abs=1e-6)
    assert max(float((grads[n] - same[n]).abs().max()) for n in grads) < 1e-6


def test_gradient_checkpointing_changes_nothing_but_memory():
    results = []
    for option in (False, True):
        model = tiny_model()
        trainer = RowTrainer(model, {"lr": 1e-3, "gradient_checkpointing": option})
        trainer.update(sampled_rows(model))
        assert not model.is_gradient_checkpointing
        results.append(weights(model))
    assert distance(*results) < 1e-6


def test_bfloat16_computes_a_step_near_that_of_float32_and_keeps_weights_in_float32():
    found = {}
    for option in (False, True):
        model = tiny_model(scale=3.0)
        rows = sampled_rows(model)
        config = {"bf16": option, "logp_limit": 0.0, "logp_warn": 9.0}
        _, grads = RowTrainer(model, config).gradients(rows)
        assert all(p.dtype == torch.float32 for p in model.parameters())
        found[option] = torch.cat([g.flatten() for g in grads.values()])
    cosine = torch.nn.functional.cosine_similarity(found[False], found[True], 0)
    assert not torch.equal(found[False], found[True])
    assert float(cosine) > 0.99


def test_a_sampler_that_is_a_little_off_is_corrected_up_to_a_cap():
    """A token weighs p_trained / p_sampled, at most the cap: the gradient is a weighted sum."""
    model = tiny_model(scale=3.0)
    (row,) = sampled_rows(model, n=1)
    shift = 0.5  # nats: the sampler gave the first token less than the model does

    def gradient(logprobs, advantages, **config):
        moved = Row(row.prompt_ids, row.response_ids, row.mask, logprobs, advantages)
        trainer = RowTrainer(model, {"logp_limit": 0.0, "logp_warn": 9.0, **config})
        return trainer.gradients([moved])[1]

    off = (row.logprobs[0] - shift, *row.logprobs[1:])
    for cap, weight in ((10.0, 2.718281828**shift), (1.25, 1.25)):
        ours = gradient(off, row.advantages, importance_cap=cap)
        heavier = (row.advantages[0] * weight, *row.advantages[1:])
        expected = gradient(row.logprobs, heavier)
        assert max(float((ours[n] - expected[n]).abs().max()) for n in ours) < 1e-5
    found = RowTrainer(model, {"logp_limit": 0.0, "logp_warn": 9.0, "importance_cap": 1.25}).update(
        [Row(row.prompt_ids, row.response_ids, row.mask, off, row.advantages)]
    )
    assert found["capped"] == pytest.approx(1 / row.trained)
    assert found["importance"] == pytest.approx((row.trained - 1 + 1.25) / row.trained, abs=1e-4)
    with pytest.raises(ValueError, match="set one of them"):
        RowTrainer(model, {"importance_cap": 2.0, "old_logprobs": "sampler"})


def test_no_rows_no_step():
    model = tiny_model()
    before = weights(model)
    trainer = RowTrainer(model, {"lr": 1.0})
    assert trainer.update([])["optimizer_steps"] == 0
    assert distance(before, weights(model)) == 0.0


def test_several_optimiser_steps_read_every_row_once_an_epoch():
    model = tiny_model()
    trainer = RowTrainer(model, {"minibatches": 3, "epochs": 2})
    assert trainer.update(sampled_rows(model))["optimizer_steps"] == 6
    plan = trainer._plan(sampled_rows(model), seed=4)
    assert sorted(i for part in plan[:3] for i in part) == list(range(6))


def test_the_samplers_log_probabilities_serve_where_they_are_right():
    found = {}
    for how in ("recompute", "sampler", "auto"):
        model = tiny_model()
        trainer = RowTrainer(model, {"minibatches": 3, "lr": 1e-2, "old_logprobs": how})
        trainer.update(sampled_rows(model))
        found[how] = weights(model)
    assert distance(found["auto"], found["sampler"]) == 0.0
    assert distance(found["recompute"], found["sampler"]) < 1e-5
    with pytest.raises(ValueError, match="old_logprobs"):
        RowTrainer(tiny_model(), {"old_logprobs": "other"})
    trainer = RowTrainer(tiny_model())
    assert [trainer._recompute(d) for d in (1e-6, 1e-2)] == [False, True]


def test_saved_and_loaded_state_goes_on_exactly(tmp_path):
    config = {"lr": 1e-2, "minibatches": 2, "warmup": 5}
    straight, broken = tiny_model(), tiny_model()
    a = RowTrainer(straight, config)
    b = RowTrainer(broken, config)
    rows = sampled_rows(straight)
    a.update(rows, seed=1)
    b.update(rows, seed=1)
    b.save(tmp_path)
    resumed = copy.deepcopy(broken)
    c = RowTrainer(resumed, config)
    c.load(tmp_path)
    loose = {"logp_limit": 0.0}
    a.config.update(loose)
    c.config.update(loose)
    a.update(rows, seed=2)
    c.update(rows, seed=2)
    assert distance(weights(straight), weights(resumed)) == 0.0
    assert sorted(p.name for p in tmp_path.iterdir()) == ["optimizer.json", "optimizer.safetensors"]


def test_kl_and_entropy_terms():
    model = tiny_model()
    rows = [with_advantage(r, 1e-9) for r in sampled_rows(model)]
    reference = tiny_model(seed=5, scale=2.0)
    with pytest.raises(ValueError, match="reference"):
        RowTrainer(model, {"kl_coef": 0.1})
    trainer = RowTrainer(
        model, {"kl_coef": 1.0, "lr": 1e-3, "logp_limit": 0.0}, reference=reference
    )
    first = trainer.update(rows)["kl"]
    for _ in range(10):
        last = trainer.update(rows)["kl"]
    assert 0 < last < first
    model = tiny_model(scale=4.0)
    rows = [with_advantage(r, 1e-9) for r in sampled_rows(model)]
    trainer = RowTrainer(model, {"entropy_coef": 1.0, "lr": 1e-3, "logp_limit": 0.0})
    first = trainer.update(rows)["entropy"]
    for _ in range(5):
        last = trainer.update(rows)["entropy"]
    assert last > first


def test_dual_clip_bounds_the_loss_of_bad_tokens():
    from skillbench_methods.scoring import policy_loss

    logps, old = torch.tensor([3.0, 0.0]), torch.tensor([0.0, 0.0])
    bad = torch.tensor([-1.0, -1.0])
    plain, _ = policy_loss(logps, old, bad)
    bounded, _ = policy_loss(logps, old, bad, dual_clip=3.0)
    assert plain[0] > 20
    assert bounded.tolist() == pytest.approx([3.0, 1.0])


def test_chunked_logits_equal_whole_ones():
    model = tiny_model()
    rows = sampled_rows(model)
    batch = collate(rows, [1.0] * len(rows), "cpu")
    grads = []
    for chunk in (4096, 7):
        logps, entropy = Scorer(model, chunk=chunk)(batch.input_ids, batch.where, batch.targets)
        (logps * batch.advantages).sum().backward()
        grads.append(
            (
                logps.detach(),
                entropy.detach(),
                {n: p.grad.clone() for n, p in model.named_parameters()},
            )
        )
        model.zero_grad()
    assert torch.allclose(grads[0][0], grads[1][0], atol=1e-6)
    assert torch.allclose(grads[0][1], grads[1][1], atol=1e-6)
    assert distance(grads[0][2], grads[1][2]) < 1e-5


def test_loss_aggregations_differ_as_named():
    model = tiny_model()
    rows = [with_advantage(r, 1.0) for r in sampled_rows(model)]
    found = {
        name: RowTrainer(tiny_model(), {"loss_agg": name, "norm_tokens": 100}).gradients(rows)[0]
        for name in ("token-mean", "seq-mean", "seq-sum-norm")
    }
    assert found["token-mean"] == pytest.approx(-1.0, abs=1e-5)
    assert found["seq-mean"] == pytest.approx(-1.0, abs=1e-5)
    mean_tokens = sum(r.trained for r in rows) / len(rows)
    assert found["seq-sum-norm"] == pytest.approx(-mean_tokens / 100, abs=1e-5)
    with pytest.raises(ValueError, match="loss_agg"):
        RowTrainer(model, {"loss_agg": "sum"}).gradients(rows)


RANKS = """
import json, os, sys
sys.path.insert(0, {here!r})
import torch
from methods_fakes import tiny_model
from test_methods_row_trainer import sampled_rows
from skillbench_methods.row_trainer import RowTrainer
model = tiny_model()
rows = sampled_rows(model, n=5)
rank, world = int(os.environ["RANK"]), int(os.environ["WORLD_SIZE"])
trainer = RowTrainer(model, {{"lr": 1e-2, "micro_tokens": 30}})
metrics = trainer.update(rows[rank::world])
if rank == 0:
    total = sum(float(p.detach().double().abs().sum()) for p in model.parameters())
    print(json.dumps([total, metrics["loss"], metrics["tokens_trained"], metrics["logp_diff"]]), flush=True)
torch.distributed.barrier()  # a rank that leaves while the other still listens may end in abort()
torch.distributed.destroy_process_group()
"""


@pytest.mark.slow
def test_two_ranks_do_what_one_does(tmp_path):
    import json
    import os
    import socket
    import subprocess

    pytest.importorskip("accelerate")
    script = tmp_path / "ranks.py"
    script.write_text(RANKS.format(here=str(Path(__file__).parent)))
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        port = str(s.getsockname()[1])
    started = []
    for rank in range(2):
        env = {
            **os.environ,
            "RANK": str(rank),
            "LOCAL_RANK": str(rank),
            "WORLD_SIZE": "2",
            "MASTER_ADDR": "127.0.0.1",
            "MASTER_PORT": port,
            "OMP_NUM_THREADS": "1",
            "ACCELERATE_USE_CPU": "true",
            "PYTHONPATH": os.pathsep.join(p for p in sys.path if p),
        }
        started.append(
            subprocess.Popen(
                [sys.executable, str(script)],
                env=env,
                text=True,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
            )
        )
    outputs = [p.communicate(timeout=300) for p in started]
    assert all(p.returncode == 0 for p in started), outputs
    found = json.loads(outputs[0][0].strip().splitlines()[-1])
    model = tiny_model()
    metrics = RowTrainer(model, {"lr": 1e-2, "micro_tokens": 30}).update(sampled_rows(model, n=5))
    total = sum(float(p.detach().double().abs().sum()) for p in model.parameters())
    alone = [total, metrics["loss"], metrics["tokens_trained"], metrics["logp_diff"]]
    assert found == pytest.approx(alone, rel=1e-5, abs=1e-6)
