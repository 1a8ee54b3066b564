"""The embedded models, packaged with this plugin.

`household` plays games, `shopper` shops, `reader` reads an encyclopedia.

Each is `hf` on a checkpoint that the distribution carries, in the compact prompt style that it was
pretrained on. `NAME:DIRECTORY` loads another checkpoint of the same kind.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from .hf import HFPolicy
from .models import packaged
from .options import HOUSEHOLD


class EmbeddedPolicy(HFPolicy):
    """A model of a few million parameters or fewer, made on a machine like this one."""

    defaults = HOUSEHOLD

    def __init__(self, model: str | None = None, config: Mapping[str, Any] | None = None) -> None:
        super().__init__(model or str(packaged(self.name)), config)
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
