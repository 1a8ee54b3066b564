"""evolver: principles distilled from the policy's own episodes, scored by use, under GRPO.

Paper: EvolveR (arXiv:2510.16079), made for search QA; here on any environment by the same means.
The bank learns from successes and failures at every look, not from failures alone. See the memory
`principles` for score, merging and pruning, and for what is simplified. Settings that match the
paper: `trainer.grpo.group=8 tasks=128 lr=1e-6 kl_coef=0.001`, `evolve.every=1`, `memory.share=0.25
merge=0.85 prune_below=0.3 clean_every=10`.
"""

from __future__ import annotations

from skillbench.protocols import Method

METHOD = Method(
    name="evolver",
    memory="principles",
    trainers=("experience", "sft", "grpo"),
    teacher="causal",
    defaults={"evolve": {"every": 1}},
    paper="arXiv:2510.16079",
    stage="trained",
    notes="self-distilled principles with scores, GRPO",
)
