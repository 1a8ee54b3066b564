"""The row trainer's loss and gradients equal TRL's GRPOTrainer on the same rows."""

from __future__ import annotations

import random
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))
from methods_fakes import tiny_model, tiny_tokenizer

torch = pytest.importorskip("torch")
pytest.importorskip("trl")

from skillbench_methods.row_trainer import RowTrainer  # noqa: E402
from skillbench_methods.rows import Row  # noqa: E402


def random_rows(n: int = 12, seed: int = 0) -> list[Row]:
    rng = random.Random(seed)
    rows = []
    for i in range(n):
        prompt = tuple(rng.randrange(4, 28) for _ in range(rng.randint(3, 15)))
        size = rng.randint(5, 30)
        response = tuple(rng.randrange(3, 28) for _ in range(size))
        mask = [int(rng.random() < 0.5) for _ in range(size)]
        mask[0] = 1  # a row begins with something sampled
        value = rng.gauss(0, 1)
        logprobs = tuple(m * rng.gauss(-3.3, 0.4) for m in mask)  # near those of the model
        rows.append(
            Row(
                prompt,
                response,
                tuple(mask),
                logprobs,
                tuple(value * m for m in mask),
                group=i // 4,
            )
        )
    return rows


def trl_gradients(rows: list[Row], loss_type: str, temperature: float, old: str, directory: Path):
    """Loss and gradients by TRL's own code on left-padded prompts and right-padded completions."""
    from datasets import Dataset
    from trl import GRPOConfig, GRPOTrainer

    model = tiny_model(3, scale=3.0)
    args = GRPOConfig(
        output_dir=str(directory),
        use_cpu=True,
        bf16=False,
        gradient_checkpointing=False,
        report_to="none",
        loss_type=loss_type,
        temperature=temperature,
        num_generations=2,
        per_device_train_batch_size=2,
        gradient_accumulation_steps=1,
        steps_per_generation=1,
    )
    trainer = GRPOTrainer(
        model=model,
        reward_funcs=lambda completions, **_: [0.0] * len(completions),
        args=args,
        train_dataset=Dataset.from_dict({"prompt": ["a", "b"]}),
        processing_class=tiny_tokenizer(),
    )
    trainer.current_gradient_accumulation_steps = 1
    left = max(len(r.prompt_ids) for r in rows)
    right = max(len(r.response_ids) for r in rows)

    def pad(values, width, *, before=False):
        fill = [0] * (width - len(values))
        return fill + list(values) if before else list(values) + fill

    inputs = {
        "prompt_ids": torch.tensor([pad(r.prompt_ids, left, before=True) for r in rows]),
        "prompt_mask": torch.tensor(
            [pad([1] * len(r.prompt_ids), left, before=True) for r in rows]
        ),
        "completion_ids": torch.tensor([pad(r.response_ids, right) for r in rows]),
        "completion_mask": torch.tensor([pad([1] * len(r.response_ids), right) for r in rows]),
        "tool_mask": torch.tensor([pad(r.mask, right) for r in rows]),
        "advantages": torch.tensor([max(r.advantages, key=abs) for r in rows]),
        "num_items_in_batch": torch.tensor(float(sum(r.trained for r in rows))),
    }
    if old == "sampler":
        inputs["old_per_token_logps"] = torch.tensor([pad(r.logprobs, right) for r in rows])
    trainer.model.train()
    loss = trainer._compute_loss(trainer.model, inputs)
    loss.backward()
    grads = {n: p.grad.clone() for n, p in model.named_parameters() if p.grad is not None}
    return float(loss.detach()), grads


@pytest.mark.parametrize(
    ("loss_type", "loss_agg", "temperature", "old"),
    [
        ("dapo", "token-mean", 1.0, "recompute"),
        ("dapo", "token-mean", 0.7, "sampler"),  # ratios away from 1, some of them clipped
        ("grpo", "seq-mean", 1.0, "sampler"),
    ],
)
def test_loss_and_gradients_equal_trl(loss_type, loss_agg, temperature, old, tmp_path):
    rows = random_rows()
    expected, reference = trl_gradients(rows, loss_type, temperature, old, tmp_path)
    trainer = RowTrainer(
        tiny_model(3, scale=3.0),
        {
            "loss_agg": loss_agg,
            "temperature": temperature,
            "micro_tokens": 100,
            "old_logprobs": old,
        },
    )
    loss, grads = trainer.gradients(rows)
    worst = max(
        float((grads[n] - g).norm() / g.norm().clamp(min=1e-12)) for n, g in reference.items()
    )
    print(
        f"{loss_type}, {old}: loss {loss:.7f}, TRL's {expected:.7f}; "
        f"worst relative gradient difference {worst:.2e}"
    )
    assert loss == pytest.approx(expected, rel=1e-5, abs=1e-7)
    assert grads.keys() == reference.keys()
    assert worst < 1e-5
