"""base: the policy as it is. No memory, no learning; every other method is measured against it."""

from __future__ import annotations

from skillbench.protocols import Method

METHOD = Method(name="base", notes="the policy as it is")
