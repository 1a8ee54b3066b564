"""Adapters on the model of `hf` (and of `vllm`, whose engine gets them merged)."""

from __future__ import annotations

import asyncio

import pytest
import tiny_models

torch = pytest.importorskip("torch")
pytest.importorskip("peft")

from skillbench_policies import lora  # noqa: E402
from skillbench_policies.hf import HFPolicy  # noqa: E402

from skillbench.errors import DataError, UsageError  # noqa: E402
from skillbench.records import Request, SamplingParams  # noqa: E402


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory):
    return tiny_models.directory(tmp_path_factory.mktemp("model"))


def say(policy, key):
    messages = ({"role": "user", "content": "You are in a room."},)
    request = Request(key, 0, messages, SamplingParams(temperature=0.0, max_tokens=8))
    (answer,) = asyncio.run(policy.generate([request]))
    policy.release(key)
    return answer.logprobs


def trained(policy):
    """As a trainer would: only what asks for a gradient is changed."""
    with torch.no_grad():
        for n, p in enumerate(p for p in policy.model().parameters() if p.requires_grad):
            p.add_(0.1 * torch.randn(p.shape, generator=torch.Generator().manual_seed(n)))
    policy.sync("1")


def test_adapters_alone_are_trained_saved_and_merged(checkpoint, tmp_path):
    plain = HFPolicy(str(checkpoint))
    policy = HFPolicy(str(checkpoint), {"lora_rank": 4})
    before = say(plain, "a")
    assert say(policy, "a") == pytest.approx(before, abs=1e-5)  # they begin as nothing
    names = [n for n, p in policy.model().named_parameters() if p.requires_grad]
    assert names
    assert all("lora_" in n for n in names)
    trained(policy)
    after = say(policy, "b")
    assert after != pytest.approx(before, abs=1e-3)
    policy.save(tmp_path)
    assert (tmp_path / lora.ADAPTER).is_file()
    assert not (tmp_path / "model.safetensors").exists()
    again = HFPolicy(str(checkpoint), {"lora_rank": 4})
    again.load(tmp_path)
    assert say(again, "c") == pytest.approx(after, abs=1e-5)
    # Merged, they are a model of the base's own kind; the base itself is not touched.
    plain.model().load_state_dict(lora.merged(policy.model()))
    plain.sync("merged")
    assert say(plain, "d") == pytest.approx(after, abs=1e-4)
    assert say(policy, "e") == pytest.approx(after, abs=1e-6)


def test_what_does_not_fit_is_an_error(checkpoint, tmp_path):
    policy = HFPolicy(str(checkpoint), {"lora_rank": 4})
    with pytest.raises(DataError, match=r"has no adapter_model.safetensors"):
        policy.load(checkpoint)
    with pytest.raises(UsageError, match=r"policy.lora_targets=nowhere"):
        HFPolicy(str(checkpoint), {"lora_rank": 4, "lora_targets": "nowhere"}).model()
