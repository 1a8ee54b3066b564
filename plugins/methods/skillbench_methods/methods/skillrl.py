"""skillrl: a skill bank from experience, a cold start on it, then GRPO while the bank co-evolves.

Paper: Xia et al. 2026, "SkillRL" (arXiv:2602.08234). Three stages, each switched by
`--set trainer.STAGE=false`:
1. experience: the policy plays train tasks; the teacher distills successes into skills and failures
   into lessons (backward causal chaining).
2. sft: demonstrations with the skills in the prompt, solved in the environment.
3. grpo: groups of episodes with skills; every few iterations the bank learns from train failures.

What differs from the paper, on purpose: skills are shown from the first step; demonstrations are
played and not imagined; the bank evolves from train failures only (the released code uses
validation games); transcripts are single rows; ids are content hashes, so that the bank cannot jam.
Ablations: `trainer.sft=false` (no cold start), `evolve=false` (the bank after stage 1),
`memory=none|frozen|shuffled|filler`, `memory=trajectories` (raw trajectories instead of skills).
`--set trainer.grpo.half=true` plays half of each group without the bank, as D2Skill does
(arXiv:2603.28716), and logs `memory_value`, what the bank is worth at each iteration; with
`trainer.grpo.intrinsic=1` the policy is also rewarded for using it.

Settings that match the paper: `trainer.grpo.tasks=16 group=8 iterations=150 lr=1e-6 kl_coef=0.01
entropy_coef=0.001 dual_clip=3 advantage_stats=steps`, `trainer.sft.lr=1e-4 batch=16 epochs=3
max_rows=7500`, `evolve.every=5 threshold=0.4 max_new=3 failures=10`, `teacher=openai:o3`.
"""

from __future__ import annotations

from skillbench.protocols import Method

METHOD = Method(
    name="skillrl",
    memory="skillbank",
    trainers=("experience", "sft", "grpo"),
    teacher="causal",
    paper="arXiv:2602.08234",
    stage="trained",
    notes="experience, cold-start SFT, GRPO with a co-evolving skill bank",
)
