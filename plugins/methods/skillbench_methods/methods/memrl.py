"""memrl: experiences with learned values, retrieved by similarity, then by value.

Paper: MemRL (arXiv:2601.03192). Each practised train task leaves an experience, from success or
failure; each time one is shown its value moves towards the outcome. See the memory `memrl` for the
formulas and for what is simplified. Settings that match the paper (ALFWorld): `memory.alpha=0.3
mix=0.5 k1=5 k2=3 threshold=0.62` with an embedding model, ten passes over all train games.
"""

from __future__ import annotations

from skillbench.protocols import Method

METHOD = Method(
    name="memrl",
    memory="memrl",
    trainers=("practice",),
    teacher="causal",
    paper="arXiv:2601.03192",
    notes="intent, experience, learned value; two-phase retrieval",
)
