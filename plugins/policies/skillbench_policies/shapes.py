"""The shape of a model, for plans: from a config.json that lies here, or from published figures.

Nothing is fetched and torch is not imported. The parameter count follows from the shape (Qwen2 and
Llama layouts: gated MLP, grouped-query attention, RMS norms), and is the published one to the
per cent (tests/test_policy_shapes.py).
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent

# hidden, layers, heads, kv heads, head size, intermediate, vocabulary, tied embeddings, biases of
# q, k, v. Source: config.json of each model on the hub, as published by its authors.
PUBLISHED: dict[str, tuple[int, int, int, int, int, int, int, bool, bool]] = {
    "qwen2.5-0.5b": (896, 24, 14, 2, 64, 4864, 151_936, True, True),
    "qwen2.5-1.5b": (1536, 28, 12, 2, 128, 8960, 151_936, True, True),
    "qwen2.5-3b": (2048, 36, 16, 2, 128, 11_008, 151_936, True, True),
    "qwen2.5-7b": (3584, 28, 28, 4, 128, 18_944, 152_064, False, True),
    "qwen2.5-14b": (5120, 48, 40, 8, 128, 13_824, 152_064, False, True),
    "qwen2.5-32b": (5120, 64, 40, 8, 128, 27_648, 152_064, False, True),
    "qwen2.5-72b": (8192, 80, 64, 8, 128, 29_568, 152_064, False, True),
    "qwen3-4b": (2560, 36, 32, 8, 128, 9728, 151_936, True, False),
    "smollm2-135m": (576, 30, 9, 3, 64, 1536, 49_152, True, False),
}


def shape(policy: str, model: str) -> dict[str, int] | None:
    """{params, layers, hidden, kv_heads, head_dim, vocab} of a policy's model; None: not known."""
    folder = Path(model).expanduser() if model else HERE / policy / "checkpoint"
    file = folder / "config.json"
    if file.is_file():
        return _of(json.loads(file.read_text(encoding="utf-8")))
    found = [k for k in PUBLISHED if model.lower().rpartition("/")[2].startswith(k)]
    return _shape(*PUBLISHED[max(found, key=len)]) if found else None


def _of(config: dict[str, Any]) -> dict[str, int] | None:
    try:
        hidden, heads = int(config["hidden_size"]), int(config["num_attention_heads"])
        return _shape(
            hidden,
            int(config["num_hidden_layers"]),
            heads,
            int(config.get("num_key_value_heads") or heads),
            int(config.get("head_dim") or hidden // heads),
            int(config["intermediate_size"]),
            int(config["vocab_size"]),
            bool(config.get("tie_word_embeddings", True)),
            config.get("model_type") == "qwen2",
        )
    except (KeyError, TypeError, ValueError):
        return None


def _shape(
    hidden: int, layers: int, heads: int, kv: int, size: int, inner: int, vocab: int, tied: bool,
    biases: bool,
) -> dict[str, int]:  # fmt: skip
    q, k = heads * size, kv * size
    attention = 2 * hidden * q + 2 * hidden * k + (q + 2 * k if biases else 0)
    layer = attention + 3 * hidden * inner + 2 * hidden
    params = layers * layer + vocab * hidden * (1 if tied else 2) + hidden
    return {
        "params": params,
        "layers": layers,
        "hidden": hidden,
        "kv_heads": kv,
        "head_dim": size,
        "vocab": vocab,
    }
