"""Shapes of models, without the models."""

from __future__ import annotations

import json
import sys

import pytest
from skillbench_policies.shapes import shape


@pytest.mark.parametrize(
    ("model", "billions"),  # as on the models' cards
    [
        ("Qwen/Qwen2.5-0.5B-Instruct", 0.494),
        ("Qwen/Qwen2.5-1.5B-Instruct", 1.54),
        ("Qwen/Qwen2.5-3B-Instruct", 3.09),
        ("Qwen/Qwen2.5-7B-Instruct", 7.616),
        ("Qwen/Qwen2.5-14B", 14.77),
        ("Qwen/Qwen2.5-32B-Instruct", 32.76),
        ("Qwen/Qwen2.5-72B-Instruct", 72.7),
        ("Qwen/Qwen3-4B", 4.02),
        ("HuggingFaceTB/SmolLM2-135M-Instruct", 0.1345),
    ],
)
def test_published_shapes_have_the_published_size(model, billions):
    assert shape("hf", model)["params"] == pytest.approx(billions * 1e9, rel=0.005)


def test_a_model_that_lies_here_is_read_and_an_unknown_one_is_not_guessed(tmp_path):
    config = {
        "hidden_size": 128, "num_hidden_layers": 4, "num_attention_heads": 4,
        "intermediate_size": 384, "vocab_size": 826, "tie_word_embeddings": True,
        "model_type": "qwen2",
    }  # fmt: skip
    (tmp_path / "config.json").write_text(json.dumps(config))
    found = shape("hf", str(tmp_path))
    assert (found["params"], found["kv_heads"], found["head_dim"]) == (960_384, 4, 32)
    assert found == shape("household", "")
    assert shape("hf", "somebody/some-model") is None
    (tmp_path / "config.json").write_text("{}")
    assert shape("hf", str(tmp_path)) is None


def test_the_embedded_models_size_is_that_of_its_weights():
    from skillbench_policies.shapes import HERE

    header = (HERE / "household" / "checkpoint" / "model.safetensors").open("rb").read(200_000)
    size = int.from_bytes(header[:8], "little")
    tensors = json.loads(header[8 : 8 + size])
    total = 0
    for name, tensor in tensors.items():
        if name != "__metadata__":
            n = 1
            for edge in tensor["shape"]:
                n *= edge
            total += n
    assert shape("household", "")["params"] == total
    assert "torch" not in vars(sys.modules["skillbench_policies.shapes"])
