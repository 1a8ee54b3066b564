"""What devices can do, and how long a model of a given shape takes on them, by stated rules.

A shape is {params, layers, hidden, kv_heads, head_dim, vocab}. The rules are few and coarse: they
are for a plan, not for a benchmark. GPUs: data-sheet memory, bandwidth and dense bfloat16 rate, of
which generation and training reach the shares below. A CPU core: what the recorded runs of the
embedded model took on two shared cores (leaderboard/results). tests/test_plan.py holds both
against what was measured and what papers say.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from .errors import UsageError, suggest

CPU = "cpu-core"
Shape = Mapping[str, int]

READ = 0.6  # share of the bandwidth at which weights and KV cache are read
PREFILL = 0.4  # share of the compute rate in reading a prompt
TRAIN = 0.2  # share of the compute rate in an update, batches of uneven rows included
STEP_S = 0.015  # seconds per generated token beside the GPU's work: scheduling, sampling, sync
TAIL = 3.0  # a batch of answers takes as long as its longest: this times the mean
TRAIN_FLOPS = 8  # per parameter and token: forward, backward, and recomputed activations
SCORE_FLOPS = 2  # per parameter and token: log-probabilities of old or reference weights
LIVE = 256  # episodes that one replica of an engine serves at a time


@dataclass(frozen=True)
class Device:
    """One kind of device. Memory in GB (1e9 bytes), bandwidth in GB/s, rate in TFLOP/s."""

    name: str
    memory: float
    bandwidth: float
    rate: float

    @property
    def is_cpu(self) -> bool:
        """Whether it is one core of a CPU."""
        return self.name == CPU


DEVICES = {
    d.name: d
    for d in (
        Device("H200", 141, 4800, 989),
        Device("H100", 80, 3350, 989),
        Device("A100", 80, 2039, 312),
        Device("A100-40GB", 40, 1555, 312),
        Device("L40S", 48, 864, 362),
        Device("L20", 48, 864, 119),
        Device("RTX-4090", 24, 1008, 165),
        Device("A10", 24, 600, 125),
        Device("L4", 24, 300, 121),
        Device(CPU, 4, 10, 0.06),  # about 10,000 tokens/s in training a model of 0.96 M parameters
    )
}
CPU_TOKEN_S = 0.00052  # core seconds per generated token beside the arithmetic, in batches of 50+


def device(name: str) -> Device:
    """A device by name. Raises UsageError with the nearest one."""
    if name in DEVICES:
        return DEVICES[name]
    raise UsageError(
        f"plan.device: no figures for {name!r}{suggest(name, DEVICES)} known: {', '.join(DEVICES)}"
    )


def here() -> str:
    """The first accelerator of this machine by its name in the table, or ""."""
    from .doctor import accelerators

    try:
        names = accelerators()
    except Exception:
        names = []  # the driver fails: as good as none, and doctor says so
    for name in sorted(DEVICES, key=len, reverse=True):
        if names and name.replace("-", " ").lower() in names[0].lower():
            return name
    return ""


@dataclass(frozen=True)
class Fleet:
    """Some devices of one kind, with the model on them; `tensor` of them share one replica."""

    device: Device
    count: int
    tensor: int
    shape: Shape

    @property
    def replicas(self) -> float:
        """Copies of the engine."""
        return max(1.0, self.count / self.tensor)

    @property
    def kv_bytes(self) -> int:
        """Bytes of KV cache of one token, in bfloat16 (float32 on a CPU)."""
        s, width = self.shape, 4 if self.device.is_cpu else 2
        return 2 * s["layers"] * s["kv_heads"] * s["head_dim"] * width

    def flops_s(self, per_parameter: float, tokens: float, share: float) -> float:
        """Device seconds for so many floating-point operations per parameter and token."""
        share = 1.0 if self.device.is_cpu else share
        return per_parameter * self.shape["params"] * tokens / (self.device.rate * 1e12 * share)

    def generation_s(
        self, *, fresh: float, out: float, waves: float, live: float, turns: float, answer: float,
        held: float,
    ) -> float:  # fmt: skip
        """Device seconds of playing.

        fresh: prompt tokens that are in no cache; out: sampled tokens; waves: batches of episodes,
        one after the other, each of `live` episodes and as long as its longest, `turns` answers of
        `answer` tokens; held: tokens of one transcript in the KV cache.
        """
        if self.device.is_cpu:
            return out * CPU_TOKEN_S + self.flops_s(2, fresh + out, 1.0)
        each = live / self.replicas
        rounds = max(1.0, each / LIVE)
        batch = each / rounds
        bandwidth = self.device.bandwidth * 1e9 * READ * self.tensor
        weights = 2 * self.shape["params"] / bandwidth
        compute = batch * self.flops_s(2, 1, PREFILL) / self.tensor
        cache = batch * held / 2 * self.kv_bytes / bandwidth
        token_s = STEP_S + max(weights, compute) + cache
        wall = waves * rounds * turns * answer * TAIL * token_s
        return wall * self.count + self.flops_s(2, fresh, PREFILL)

    def memory_gb(
        self, *, trains: bool, reference: bool, lora: int, micro_tokens: int, held: float,
        live: float, checkpointing: bool = True, width: int = 4, apart: bool = True,
    ) -> dict[str, float]:  # fmt: skip
        """GB (1e9 bytes) per device: engine, KV cache, and what training adds, sharded over all.

        lora: rank of the adapters, 0 where all weights are trained; width: bytes of a parameter of
        the trained model; apart: whether it is a copy beside the one that samples. Gradients and
        the two moments have the type of what is trained; adapters are float32 over any base.
        """
        s, n = self.shape, self.shape["params"]
        shards = 1 if self.device.is_cpu else self.count
        sampled = (4 if self.device.is_cpu else 2) if apart or not trains else width
        out = {"engine weights": sampled * n / self.tensor}
        each = min(live / self.replicas, LIVE)
        out["kv cache"] = each * held * self.kv_bytes / self.tensor
        if trains:
            adapters = 4 * lora_params(s, lora) if lora else 0
            learned = adapters or width * n
            out["trained weights"] = ((width * n if apart else 0) + adapters) / shards
            out["gradients"] = learned / shards
            out["optimizer"] = 2 * learned / shards
            per_layer = 2 if checkpointing else 34
            out["activations"] = micro_tokens * s["hidden"] * (per_layer * s["layers"] + 34)
            out["logits"] = 2 * 4 * micro_tokens * s["vocab"]
            if reference:
                out["reference"] = width * n / shards
        return {key: value / 1e9 for key, value in out.items()}


def lora_params(shape: Shape, rank: int) -> int:
    """Parameters of adapters of a rank on all linear layers, about: seven per layer."""
    wide = shape["params"] // max(1, shape["layers"]) // max(1, shape["hidden"])
    return rank * shape["layers"] * (7 * shape["hidden"] + wide)
