"""A whole step of TRL's RLOOTrainer and GRPOTrainer against ours, on one-turn episodes.

TRL generates, scores, makes its advantages and its loss; what it sampled becomes our episodes, with
the same rewards, and the gradients must be parallel.
"""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))
from methods_fakes import tiny_model, tiny_tokenizer

torch = pytest.importorskip("torch")
pytest.importorskip("trl")

from skillbench_methods.credit import training_rows  # noqa: E402
from skillbench_methods.grpo import DEFAULTS  # noqa: E402
from skillbench_methods.row_trainer import RowTrainer  # noqa: E402

from skillbench.records import Episode, Step, Task  # noqa: E402

GROUP = 4


def score(ids):
    return float(sum(ids) % 7 > 2)  # solved or not; nothing the model could know


def trl_step(kind, directory):
    """One step of a TRL trainer: its inputs, its advantages, and the gradients of its loss."""
    import trl
    from datasets import Dataset

    model = tiny_model(5, scale=3.0)
    more = {"loss_type": "dapo"} if kind == "GRPO" else {}
    args = getattr(trl, f"{kind}Config")(
        output_dir=str(directory),
        use_cpu=True,
        bf16=False,
        gradient_checkpointing=False,
        report_to="none",
        save_strategy="no",
        disable_tqdm=True,
        beta=0.0,
        temperature=1.0,
        max_completion_length=6,
        num_generations=GROUP,
        per_device_train_batch_size=4 * GROUP,
        gradient_accumulation_steps=1,
        max_steps=1,
        seed=3,
        **more,
    )
    prompts = ["seek red", "seek blue task", "look green", "a hint"]
    trainer = getattr(trl, f"{kind}Trainer")(
        model=model,
        reward_funcs=lambda completion_ids, **_: [score(ids) for ids in completion_ids],
        args=args,
        train_dataset=Dataset.from_dict({"prompt": prompts}),
        processing_class=tiny_tokenizer(),
    )
    seen = {}
    own = trainer._compute_loss

    def watched(module, inputs):
        loss = own(module, inputs)
        params = dict(model.named_parameters())
        found = torch.autograd.grad(loss, list(params.values()), retain_graph=True)
        seen.update(inputs={k: v.clone() for k, v in inputs.items() if torch.is_tensor(v)})
        seen.update(grads=dict(zip(params, found)))
        return loss

    trainer._compute_loss = watched
    trainer.train()
    return seen["inputs"], seen["grads"]


def episodes_of(inputs):
    """What TRL sampled, as episodes of one turn."""
    out = []
    for prompt, pm, answer, am in zip(
        inputs["prompt_ids"],
        inputs["prompt_mask"],
        inputs["completion_ids"],
        inputs["completion_mask"],
    ):
        asked = tuple(prompt[pm.bool()].tolist())
        ids = tuple(answer[am.bool()].tolist())
        step = Step("o", "r", "a", prompt_ids=asked, token_ids=ids, logprobs=(-1.0,) * len(ids))
        won = score(ids) > 0
        task = Task(str(asked), "tiny", "train", "red", "seek")
        out.append(Episode(task, 0, "success" if won else "truncated", won, (step,)))
    return out


@pytest.mark.parametrize(("kind", "estimator"), [("RLOO", "rloo"), ("GRPO", "grpo")])
def test_gradients_are_parallel_to_those_of_a_whole_trl_step(kind, estimator, tmp_path):
    inputs, theirs = trl_step(kind, tmp_path)
    episodes = episodes_of(inputs)
    assert len({e.task.id for e in episodes}) == 4
    config = {
        **DEFAULTS, "estimator": estimator, "std_eps": 1e-4, "invalid_penalty": 0.0,
        "old_logprobs": "recompute",
    }  # fmt: skip
    rows, counts = training_rows(episodes, config)
    assert counts["kept_groups"] >= 2
    by_episode = {row.episode: row.advantages[0] for row in rows}
    expected = inputs["advantages"].tolist()
    for i, value in enumerate(expected):
        assert by_episode.get(i, 0.0) == pytest.approx(value, abs=1e-3)
    _, ours = RowTrainer(tiny_model(5, scale=3.0), config).gradients(rows)
    a = torch.cat([ours[n].flatten() for n in theirs if n in ours]).double()
    b = torch.cat([theirs[n].flatten() for n in theirs if n in ours]).double()
    cosine = float(a @ b / (a.norm() * b.norm()))
    print(f"{kind}: cosine {cosine:.8f}, kept groups {counts['kept_groups']} of 4")
    assert set(ours) == set(theirs)
    assert cosine > 0.9999
