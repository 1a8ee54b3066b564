"""Policy `household`: the embedded model of household games, packaged with this plugin.

It is `hf` on a checkpoint that the distribution carries, in the compact prompt style that it was
pretrained on. `household:DIRECTORY` loads another checkpoint of the same kind.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from skillbench.errors import DataError

from .hf import HFPolicy
from .options import HOUSEHOLD

CHECKPOINT = Path(__file__).parent / "household" / "checkpoint"


class HouseholdPolicy(HFPolicy):
    """The default policy: a few million parameters or fewer, trained on this very machine."""

    name = "household"
    defaults = HOUSEHOLD

    def __init__(self, model: str | None = None, config: Mapping[str, Any] | None = None) -> None:
        if not model and not (CHECKPOINT / "config.json").is_file():
            raise DataError(
                f"the packaged household model is missing ({CHECKPOINT}); reinstall "
                "skillbench-policies, or make it: see the policies plugin's README"
            )
        super().__init__(model or str(CHECKPOINT), config)
        self.label = f"{self.name}:{model}" if model else self.name
