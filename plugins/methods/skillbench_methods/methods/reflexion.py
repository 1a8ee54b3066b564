"""reflexion: try a task again with reflections on what went wrong.

Paper: Shinn et al. 2023 (arXiv:2303.11366). Reflections belong to one task, so on a panel that is
played once the method equals its baseline, and says so. Its own measure is the retry protocol:
unsolved panel tasks are tried again, `score.attempts` times in all, with reflections in between;
`retries` of the result reports "solved within k" beside pass@k of the same policy at equal
attempts, apart from the scores, since it uses the panel's outcomes as feedback. The stage
`practice` plays the same protocol on train tasks. Simplified: no heuristic that ends an attempt
early. Settings that match the paper: `memory.window=3 score.attempts=12`.
"""

from __future__ import annotations

from skillbench.protocols import Method

METHOD = Method(
    name="reflexion",
    memory="reflections",
    trainers=("practice",),
    teacher="causal",
    defaults={
        "trainer": {"practice": {"attempts": 3, "rounds": 1, "tasks": 30}},
        "score": {"attempts": 3},
    },
    paper="arXiv:2303.11366",
    notes="reflections between attempts at one task: see `retries` of the result",
)
