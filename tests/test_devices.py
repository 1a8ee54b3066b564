"""What devices report reaches the ledger and the result; what they do not report stays unknown."""

from __future__ import annotations

import json
import sys
import types
from pathlib import Path
from typing import Any

import pytest

from skillbench import devices
from skillbench.devices import Meter
from skillbench.summary import facts


class NVMLError(Exception):
    """As pynvml's."""


def nvml(watts: tuple[int, ...] = (300, 200), error: str = "", at: str = "") -> Any:
    """A stand-in for pynvml: each reading of a device finds that a second has gone by there."""
    clock = [0] * len(watts)
    made = types.ModuleType("pynvml")

    def call(name: str, function: Any) -> None:
        def wrapped(*a: Any) -> Any:
            if name == at:
                raise NVMLError(error)
            return function(*a)

        setattr(made, name, wrapped)

    def energy(handle: int) -> int:
        clock[handle] += 1
        return 5_000_000 + 1000 * watts[handle] * clock[handle]  # mJ

    call("nvmlInit", lambda: None)
    call("nvmlDeviceGetCount", lambda: len(watts))
    call("nvmlDeviceGetHandleByIndex", lambda index: range(len(watts))[index])
    call("nvmlDeviceGetHandleByUUID", lambda name: {"GPU-b": 1}[name])
    call("nvmlDeviceGetTotalEnergyConsumption", energy)
    return made


class Cuda:
    """torch.cuda of two devices."""

    def __init__(self, peaks: tuple[int, int] = (0, 0), ready: bool = True) -> None:
        self.peaks, self.ready, self.reset = list(peaks), ready, []

    def is_available(self) -> bool:
        return True

    def is_initialized(self) -> bool:
        return self.ready

    def device_count(self) -> int:
        return 2

    def reset_peak_memory_stats(self, index: int) -> None:
        self.reset.append(index)
        self.peaks[index] = 0

    def max_memory_allocated(self, index: int) -> int:
        return self.peaks[index]


def torch(cuda: Cuda) -> Any:
    return types.SimpleNamespace(cuda=cuda)


@pytest.fixture(autouse=True)
def all_devices(monkeypatch: Any) -> None:
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)


def test_a_span_is_a_difference_of_counters_and_a_peak_of_its_own() -> None:
    cuda = Cuda((9_000, 9_000))
    meter = Meter.find(nvml=nvml(), torch=torch(cuda))
    with meter.span() as found:
        cuda.peaks[1] = 4_000
    assert cuda.reset == [0, 1]
    assert found.energy_j == 500.0  # 300 W and 200 W for a second
    assert found.memory_bytes == 4_000
    assert found.known == {"energy_j": 500.0, "gpu_memory_bytes": 4_000}


@pytest.mark.parametrize(
    ("visible", "joules"),
    [("0", 300.0), ("1", 200.0), ("GPU-b", 200.0), ("0,GPU-b", 500.0), ("0,-1,1", 300.0)],
)
def test_only_visible_devices_count(monkeypatch: Any, visible: str, joules: float) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", visible)
    with Meter.find(nvml=nvml(), torch=torch(Cuda())).span() as found:
        pass
    assert found.energy_j == joules


@pytest.mark.parametrize(
    ("library", "visible", "why"),
    [
        (nvml(error="Driver Not Loaded", at="nvmlInit"), None, "Driver Not Loaded"),
        (nvml(error="Not Supported", at="nvmlDeviceGetTotalEnergyConsumption"), None, "Supported"),
        (nvml(), "", "no NVIDIA device"),
        (nvml(), "7", "range"),
        (nvml(()), None, "no NVIDIA device"),
    ],
)
def test_what_is_not_reported_is_unknown_and_says_why(
    monkeypatch: Any, library: Any, visible: str | None, why: str
) -> None:
    if visible is not None:
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", visible)
    meter = Meter.find(nvml=library, torch=torch(Cuda(ready=False)))
    with meter.span() as found:
        pass
    assert found.known == {}
    assert why in meter.why
    assert devices.summarize([], meter.why)["energy_j"] == {
        "learn": None,
        "score": None,
        "baseline": None,
    }
    assert devices.text(devices.summarize([], meter.why)).startswith("energy not reported (")


def test_a_counter_that_fails_on_the_way_gives_no_number() -> None:
    library = nvml()
    meter = Meter.find(nvml=library, torch=torch(Cuda()))

    def lost(handle: int) -> int:
        raise NVMLError("GPU is lost")

    with meter.span() as found:
        library.nvmlDeviceGetTotalEnergyConsumption = lost
    assert found.known == {}
    assert "GPU is lost" in meter.why


def test_a_counter_that_was_set_back_gives_no_number() -> None:
    library = nvml((300,))
    meter = Meter.find(nvml=library, torch=torch(Cuda()))
    with meter.span() as found:
        library.nvmlDeviceGetTotalEnergyConsumption = lambda handle: 0
    assert found.energy_j is None


def test_a_run_books_what_was_reported(execute: Any, monkeypatch: Any) -> None:
    monkeypatch.setitem(sys.modules, "pynvml", nvml())
    real = Meter.find
    cuda = Cuda((7_000_000_000, 1))
    cuda.reset_peak_memory_stats = lambda index: None  # type: ignore[method-assign]
    monkeypatch.setattr(Meter, "find", lambda: real(torch=torch(cuda)))
    result, place = execute(seeds=2)
    lines = [json.loads(x) for x in (place / "ledger.jsonl").read_text().splitlines()]
    spans = [x for x in lines if x["role"] == "device"]
    # Two stages and two arms for each seed, 500 J each.
    assert [x["phase"] for x in spans].count("score") == 2
    assert len(spans) == 8
    assert {x["energy_j"] for x in spans} == {500.0}
    found = result["cost"]["devices"]
    assert found["energy_j"] == {"learn": 2000.0, "score": 1000.0, "baseline": 1000.0}
    assert found["memory_bytes"] == 7_000_000_000
    assert "note" not in found
    said = dict(facts(result, place))["devices"]
    assert said == "learning 2 kJ, scoring 1 kJ, baseline 1 kJ, at most 7 GB on a GPU"
    assert said in (place / "report.html").read_text()
    # Nothing else counts these lines.
    assert "device" not in result["cost"]["learn"]["by_role"]


def test_a_run_without_such_devices_says_so(execute: Any, monkeypatch: Any) -> None:
    monkeypatch.setitem(sys.modules, "pynvml", None)  # as if it were not installed
    result, place = execute("toybank")
    assert not any('"device"' in x for x in (place / "ledger.jsonl").read_text().splitlines())
    found = result["cost"]["devices"]
    assert set(found["energy_j"].values()) == {None}
    assert (found["memory_bytes"], found["note"]) == (None, devices.MISSING)
    said = dict(facts(result, place))["devices"]
    assert said == f"energy not reported ({devices.MISSING}), GPU memory not reported"


def test_the_real_library_is_met_where_it_is_installed() -> None:
    pytest.importorskip("pynvml", reason="nvidia-ml-py is not installed")
    meter = Meter.find()
    with meter.span() as found:
        pass
    assert (found.energy_j is None) == bool(meter.why)


def test_what_ledgers_of_before_lack_is_unknown(tmp_path: Path) -> None:
    line = {"phase": "score", "role": "policy", "in": 3}
    assert devices.summarize([line], "x")["note"] == "x"
    assert devices.text(None) == ""
