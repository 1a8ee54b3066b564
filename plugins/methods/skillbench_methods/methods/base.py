"""base: the policy as it is. No memory, no learning; what every other method is measured against."""

from __future__ import annotations

from skillbench.protocols import Method

METHOD = Method(name="base", notes="the policy as it is")
