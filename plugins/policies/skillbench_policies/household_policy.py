"""The embedded models, packaged with this plugin.

`household` plays games, `shopper` shops, `reader` reads an encyclopedia.

Each is `hf` on a checkpoint that the distribution carries, in the compact prompt style that it was
pretrained on. `NAME:DIRECTORY` loads another checkpoint of the same kind.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from skillbench.errors import DataError

from .hf import HFPolicy
from .options import HOUSEHOLD

HERE = Path(__file__).parent


class EmbeddedPolicy(HFPolicy):
    """A model of a few million parameters or fewer, made on a machine like this one."""

    defaults = HOUSEHOLD

    def __init__(self, model: str | None = None, config: Mapping[str, Any] | None = None) -> None:
        checkpoint = HERE / self.name / "checkpoint"
        if not model and not (checkpoint / "config.json").is_file():
            raise DataError(
                f"the packaged {self.name} model is missing ({checkpoint}); reinstall "
                "skillbench-policies, or make it: see the policies plugin's README"
            )
        super().__init__(model or str(checkpoint), config)
        self.label = f"{self.name}:{model}" if model else self.name


class HouseholdPolicy(EmbeddedPolicy):
    """The embedded model of household games (household/README.md)."""

    name = "household"


class ShopperPolicy(EmbeddedPolicy):
    """The embedded model of generated shops (shopper/README.md)."""

    name = "shopper"


class ReaderPolicy(EmbeddedPolicy):
    """The embedded model of the generated encyclopedia (reader/README.md)."""

    name = "reader"
