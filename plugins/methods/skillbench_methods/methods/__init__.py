"""Methods as data: one file each or one per family, with its paper and what was simplified."""

from __future__ import annotations

from . import bank, budget, rl
from .base import METHOD as BASE
from .evolver import METHOD as EVOLVER
from .expel import METHOD as EXPEL
from .grpo import METHOD as GRPO
from .knn import METHOD as KNN
from .memrl import METHOD as MEMRL
from .react import METHOD as REACT
from .reasoningbank import METHOD as REASONINGBANK
from .reflexion import METHOD as REFLEXION
from .skillfile import METHOD as SKILLFILE
from .skillrl import METHOD as SKILLRL

METHODS = (
    BASE,
    REACT,
    KNN,
    REFLEXION,
    EXPEL,
    MEMRL,
    REASONINGBANK,
    SKILLFILE,
    *bank.METHODS,
    *budget.METHODS,
    GRPO,
    *rl.METHODS,
    SKILLRL,
    EVOLVER,
)
