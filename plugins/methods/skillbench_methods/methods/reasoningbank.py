"""reasoningbank: items from successes and failures; those of the most similar past task are shown.

Paper: ReasoningBank (arXiv:2509.25140). See the memory `items`. The environment's outcome stands in
for the paper's judge. Settings that match the paper: `memory.k=1 per_episode=3`, an embedding
model, `score.temperature=0.7`.
"""

from __future__ import annotations

from skillbench.protocols import Method

METHOD = Method(
    name="reasoningbank",
    memory="items",
    trainers=("practice",),
    teacher="causal",
    paper="arXiv:2509.25140",
    notes="lessons of the most similar past task",
)
