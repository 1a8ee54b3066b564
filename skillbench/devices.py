"""What accelerators report of a span of work: energy, and the most memory that was allocated.

Energy is NVML's counter per GPU (nvmlDeviceGetTotalEnergyConsumption: mJ since the driver was
loaded; Volta and newer), read before and after. It counts all that the device did, of whoever used
it meanwhile. Memory is torch.cuda.max_memory_allocated of this process, reset before, the largest
of its devices. What no device reports stays unknown (None), it never becomes 0.

NVML comes with the package `nvidia-ml-py` (module pynvml; the extra `gpu`). Both libraries can be
given, for tests; torch is only asked where something else has imported it already.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

EVALUATED = {"score": "score", "baseline": "baseline"}
MISSING = "the package nvidia-ml-py is not installed"


@dataclass
class Reading:
    """What a span of work took. None: no device has reported it."""

    energy_j: float | None = None
    memory_bytes: int | None = None

    @property
    def known(self) -> dict[str, Any]:
        """The keys of a ledger line that are known."""
        found = {"energy_j": self.energy_j, "gpu_memory_bytes": self.memory_bytes}
        return {key: value for key, value in found.items() if value is not None}


@dataclass
class Meter:
    """Reads the devices that this process may use. `why` says why there is no energy."""

    nvml: Any = None
    torch: Any = None
    why: str = ""
    handles: list[Any] = field(default_factory=list)

    @classmethod
    def find(cls, nvml: Any = None, torch: Any = None) -> Meter:
        """A meter for this machine; what is not given is looked for. Never raises."""
        meter = cls(nvml=nvml, torch=torch)
        if meter.nvml is None:
            try:
                import pynvml

                meter.nvml = pynvml
            except ImportError:
                meter.why = MISSING
                return meter
        try:
            meter.nvml.nvmlInit()
            meter.handles = list(_visible(meter.nvml))
            for handle in meter.handles:
                meter.nvml.nvmlDeviceGetTotalEnergyConsumption(handle)
            meter.why = "" if meter.handles else "this process may use no NVIDIA device"
        except Exception as error:  # NVMLError and what broken drivers raise: no reading, no harm
            meter.handles, meter.why = [], f"NVML: {error}"
        return meter

    @contextmanager
    def span(self) -> Iterator[Reading]:
        """Measure what happens inside; the reading is filled in at the end, also of an error."""
        found = Reading()
        before = self._energy()
        self._reset()
        try:
            yield found
        finally:
            after = self._energy()
            if before is not None and after is not None and after >= before:
                found.energy_j = round((after - before) / 1000, 3)
            found.memory_bytes = self._peak()

    def _energy(self) -> float | None:
        """Millijoules of all devices together, since some time in the past."""
        if not self.handles:
            return None
        try:
            read = self.nvml.nvmlDeviceGetTotalEnergyConsumption
            return float(sum(read(handle) for handle in self.handles))
        except Exception as error:
            self.why = f"NVML: {error}"
            return None

    def _cuda(self) -> Any:
        torch = self.torch if self.torch is not None else sys.modules.get("torch")
        cuda = getattr(torch, "cuda", None)
        # Asking a device makes a context on it: only of those that this process uses anyway.
        used = cuda is not None and cuda.is_available() and cuda.is_initialized()
        return cuda if used else None

    def _reset(self) -> None:
        cuda = self._cuda()
        for index in range(cuda.device_count() if cuda is not None else 0):
            cuda.reset_peak_memory_stats(index)

    def _peak(self) -> int | None:
        cuda = self._cuda()
        if cuda is None:
            return None
        peak = max((cuda.max_memory_allocated(i) for i in range(cuda.device_count())), default=0)
        return int(peak) or None  # nothing was allocated by this process: a server has the model


def _visible(nvml: Any) -> Iterator[Any]:
    """Handles of the devices in CUDA_VISIBLE_DEVICES (indices or UUIDs), or of all."""
    asked = os.environ.get("CUDA_VISIBLE_DEVICES")
    if asked is None:
        for index in range(nvml.nvmlDeviceGetCount()):
            yield nvml.nvmlDeviceGetHandleByIndex(index)
        return
    for name in filter(None, (part.strip() for part in asked.split(","))):
        if name.lstrip("-").isdigit():
            if int(name) < 0:  # as CUDA reads it: nothing from here on
                return
            yield nvml.nvmlDeviceGetHandleByIndex(int(name))
        else:
            yield nvml.nvmlDeviceGetHandleByUUID(name)


def summarize(lines: Iterable[Mapping[str, Any]], why: str = "") -> dict[str, Any]:
    """{energy_j: {learn, score, baseline}, memory_bytes, note} from ledger lines; None: unknown."""
    energy: dict[str, float | None] = dict.fromkeys(("learn", "score", "baseline"))
    memory: int | None = None
    for line in lines:
        if line.get("energy_j") is not None:
            part = EVALUATED.get(line["phase"], "learn")
            energy[part] = round((energy[part] or 0.0) + line["energy_j"], 3)
        if line.get("gpu_memory_bytes") is not None:
            memory = max(memory or 0, int(line["gpu_memory_bytes"]))
    out: dict[str, Any] = {"energy_j": energy, "memory_bytes": memory}
    if all(value is None for value in energy.values()):
        out["note"] = why or "no device reported its energy"
    return out


def text(found: Mapping[str, Any] | None) -> str:
    """`learning 12.3 kJ, scoring 1.2 kJ, at most 3.1 GB of GPU memory`, or that nobody said."""
    if not found:
        return ""
    parts = [
        f"{name} {value / 1000:,.3g} kJ"
        for name, key in (("learning", "learn"), ("scoring", "score"), ("baseline", "baseline"))
        if (value := found["energy_j"].get(key)) is not None
    ]
    if not parts:
        parts = [f"energy not reported ({found.get('note')})"]
    memory = found["memory_bytes"]
    parts.append(
        "GPU memory not reported" if memory is None else f"at most {memory / 1e9:.3g} GB on a GPU"
    )
    return ", ".join(parts)
