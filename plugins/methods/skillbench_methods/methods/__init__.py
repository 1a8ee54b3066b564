"""Methods as data: one file each, with its paper and what was simplified."""

from __future__ import annotations

from .base import METHOD as BASE
from .grpo import METHOD as GRPO
from .skillrl import METHOD as SKILLRL

METHODS = (BASE, SKILLRL, GRPO)
