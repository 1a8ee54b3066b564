"""knn: the most similar solved train episodes as demonstrations.

Synapse (arXiv:2306.07863) and the strong, cheap baseline of later studies. The policy's own
successes by default; `--set trainer.practice.player=expert` retrieves the expert's. Neighbours are
the nearest goals of the task's type, `memory.k` of them (1, 3, 7), in the token budget that all
memories have; raise `agent.budget` to about 1000 for seven whole ones. Simplified: one retrieval
per episode, by the goal alone.
"""

from __future__ import annotations

from skillbench.protocols import Method

METHOD = Method(
    name="knn",
    memory="trajectories",
    trainers=("practice",),
    defaults={"memory": {"retrieval": "goal", "k": 3}},
    paper="arXiv:2306.07863",
    notes="nearest solved train episodes as demonstrations",
)
