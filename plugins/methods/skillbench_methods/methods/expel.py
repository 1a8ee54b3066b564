"""expel: rules with votes, and retrieved successes.

Paper: Zhao et al. 2023 (arXiv:2308.10144). Train tasks are gathered with up to three attempts each
and reflections in between; pairs and groups of episodes change the rules. See the memory `rules`
for the vote arithmetic and for what is simplified. Settings that match the paper: `memory.limit=20
demos=2 chunk=8`, `trainer.practice.attempts=4 rounds=1`.
"""

from __future__ import annotations

from skillbench.protocols import Method

METHOD = Method(
    name="expel",
    memory="rules",
    trainers=("practice",),
    teacher="causal",
    defaults={"trainer": {"practice": {"attempts": 2}}},
    paper="arXiv:2308.10144",
    notes="rules with votes and retrieved successes",
)
