"""rloo, gigpo, sft, sft+grpo: training without a memory.

The stage `grpo` with other advantages over the same rows, and the cold start by itself.

`rloo`      leave-one-out advantages (Ahmadian et al. 2024, arXiv:2402.14740)
`gigpo`     episode advantages and step advantages among equal states (Feng et al. 2025,
            arXiv:2505.10978). Settings that match the paper: `trainer.grpo.discount=0.95
            step_weight=1 advantage_stats=steps`, `normalise=false` for WebShop,
            `anchor_similarity=0.9` for search
`sft`       fine-tuning on the policy's own successes (rejection sampling; `source=expert`)
`sft+grpo`  the same, then GRPO: the strong plain baseline of D2Skill (arXiv:2603.28716)

Discounted returns (RetroAgent's ablation, arXiv:2603.08561) are an option of grpo and rloo:
`--set trainer.grpo.discount=0.95`. Statistics over steps, as the released code of verl-agent has
them: `--set trainer.grpo.advantage_stats=steps`.
"""

from __future__ import annotations

from typing import Any

from skillbench.protocols import Method


def _rl(estimator: str, **options: Any) -> dict[str, Any]:
    return {
        "evolve": {"enabled": False},
        "trainer": {"grpo": {"estimator": estimator, **options}},
    }


METHODS = (
    Method(
        name="rloo",
        trainers=("grpo",),
        defaults=_rl("rloo"),
        paper="arXiv:2402.14740",
        stage="trained",
        notes="leave-one-out advantages",
    ),
    Method(
        name="gigpo",
        trainers=("grpo",),
        defaults=_rl("gigpo", discount=0.95),
        paper="arXiv:2505.10978",
        stage="trained",
        notes="episode and anchor-state step advantages",
    ),
    Method(
        name="sft",
        trainers=("sft",),
        stage="trained",
        notes="fine-tuning on the policy's own successes",
    ),
    Method(
        name="sft+grpo",
        trainers=("sft", "grpo"),
        defaults=_rl("grpo"),
        paper="arXiv:2603.28716",
        stage="trained",
        notes="cold start, then GRPO, without skills",
    ),
)
