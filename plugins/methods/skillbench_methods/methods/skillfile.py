"""skillfile: one pass over logged train episodes gives one file of advice.

Paper: "Reason Wide" (arXiv:2608.07885), the cheapest way to learn: log some 50 train episodes, let
a strong model write one file, keep it in the prompt. Here the teacher writes it; a coding agent
that runs statistics over the logs is not part of this. Settings that match the paper:
`trainer.experience.tasks=50 repeats=1`, `agent.budget=2000`, a strong `--teacher openai:MODEL`.
"""

from __future__ import annotations

from skillbench.protocols import Method

METHOD = Method(
    name="skillfile",
    memory="skillfile",
    trainers=("experience",),
    teacher="causal",
    defaults={"trainer": {"experience": {"tasks": 50, "repeats": 1}}},
    paper="arXiv:2608.07885",
    notes="one file of advice from one pass over logged episodes",
)
