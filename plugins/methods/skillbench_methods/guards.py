"""What must hold before a stage may learn; each error says what to do."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from skillbench.errors import LeakError, SkillbenchError, UsageError
from skillbench.records import Episode


def trained_model(policy: Any, stage: str) -> Any:
    """The policy's torch module. Raises UsageError where its weights cannot be trained well."""
    if not getattr(policy, "trainable", False):
        raise UsageError(
            f"policy {getattr(policy, 'name', '?')!r} cannot be trained, and stage {stage!r} "
            f"trains; use --policy household or hf:NAME, or --set trainer.{stage}=false"
        )
    model = policy.model()
    kinds = {str(p.dtype).removeprefix("torch.") for p in model.parameters() if p.requires_grad}
    if kinds - {"float32"}:
        raise UsageError(
            f"stage {stage!r} trains weights in {', '.join(sorted(kinds))}: steps of the size of a "
            "learning rate would be rounded away; use --set policy.dtype=float32"
        )
    return model


def usable(played: Sequence[Episode]) -> list[Episode]:
    """The episodes that infrastructure did not spoil; there is nothing to learn from the others.

    Raises SkillbenchError where that leaves none: a stage that learned nothing must not look done.
    Raises LeakError for an episode from outside train.
    """
    for e in played:
        if e.task.split != "train":
            raise LeakError(f"task {e.task.id!r} of split {e.task.split!r} reached a trainer")
    valid = [e for e in played if e.outcome != "invalid"]
    if played and not valid:
        raise SkillbenchError(
            f"none of {len(played)} learning episodes could be played; the first one failed with: "
            f"{played[0].error}. Mend that and go on with --resume"
        )
    return valid
