"""skills, filler, shuffled, frozen: skillrl's bank with frozen weights, and its placebos as rows.

All four play and learn the same train episodes: `experience` makes the first bank, `practice` lets
it learn from failures. What they show at test differs: the skills; as many lines about nothing; the
skills of another task type; the bank as `experience` left it. If `skills` gains no more than
`filler`, its content is not what helps. The placebos of a trained method are settings:
`--method skillrl --set memory=filler`.
"""

from __future__ import annotations

from skillbench.protocols import Method

NOTES = {
    "skills": ("skillbank", "the skill bank of skillrl, weights frozen"),
    "filler": ("filler", "placebo: as many lines about nothing"),
    "shuffled": ("shuffled", "placebo: skills of another task type"),
    "frozen": ("frozen", "control: the first bank, never refined"),
}
METHODS = tuple(
    Method(
        name=name,
        memory=memory,
        trainers=("experience", "practice"),
        teacher="causal",
        defaults={"trainer": {"practice": {"rounds": 2}}},
        paper="arXiv:2602.08234" if name == "skills" else "",
        notes=notes,
    )
    for name, (memory, notes) in NOTES.items()
)
