"""react: reason and act with a few demonstrations in the prompt; nothing is learned.

Paper: Yao et al. 2023 (arXiv:2210.03629). Two fixed demonstrations per task type, here solutions of
the environment's expert on train tasks (the policy's own where there is no expert), cut to the
token budget; they show actions and observations, no thoughts, since nobody wrote any. Every policy
of skillbench may think before it acts, so zero-shot ReAct is the baseline of every run; also `--set
trainer.practice=false`. Settings that match the paper: `memory.k=2 agent.budget=2000
score.temperature=0`.
"""

from __future__ import annotations

from skillbench.protocols import Method

METHOD = Method(
    name="react",
    memory="trajectories",
    trainers=("practice",),
    defaults={
        "memory": {"retrieval": "type", "k": 2},
        "trainer": {"practice": {"player": "auto", "rounds": 1, "tasks": 60}},
    },
    paper="arXiv:2210.03629",
    notes="few-shot: fixed demonstrations per task type",
)
