"""grpo: the trainer of skillrl without its skills: what reinforcement learning does by itself.

Paper: Shao et al. 2024 (arXiv:2402.03300); on text environments as in verl-agent (Feng et al. 2025,
arXiv:2505.10978), which SkillRL builds on. Simplified: a transcript is one row; no KL term unless
`trainer.grpo.kl_coef` is set. Settings nearest to the published ALFWorld run: `tasks=16 group=8
iterations=150 lr=1e-6 kl_coef=0.01 entropy_coef=0.001 invalid_penalty=0.1 advantage_stats=steps`.
"""

from __future__ import annotations

from skillbench.protocols import Method

METHOD = Method(
    name="grpo",
    memory="none",
    trainers=("grpo",),
    defaults={"evolve": {"enabled": False}},
    paper="arXiv:2402.03300",
    stage="trained",
    notes="GRPO without skills",
)
