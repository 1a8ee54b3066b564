"""The `hf` policy: cached sampling equals plain forwards, and transcripts equal the template."""

from __future__ import annotations

import asyncio
import random
from pathlib import Path

import pytest
import tiny_models

from skillbench.errors import PolicyError, SkillbenchError, UsageError
from skillbench.records import Completion, Request, SamplingParams

torch = pytest.importorskip("torch")
pytest.importorskip("transformers")

from skillbench_policies.hf import HFPolicy  # noqa: E402

TURNS = [
    "You are in a room.",
    "Nothing happens.",
    "You arrive at desk 1. On it you see a mug 1.",
    "",
]


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory) -> Path:
    return tiny_models.directory(tmp_path_factory.mktemp("chatml"))


def request(episode, messages, **params) -> Request:
    step = sum(m["role"] == "assistant" for m in messages)
    params.setdefault("max_tokens", 10)
    return Request(episode, step, tuple(messages), SamplingParams(**params))


def ask(policy, requests) -> list[Completion]:
    return asyncio.run(policy.generate(requests))


def user(text):
    return {"role": "user", "content": text}


def assistant(text):
    return {"role": "assistant", "content": text}


def plain_logprobs(model, prompt, tokens, temperature):
    ids = torch.tensor([[*prompt, *tokens]])
    with torch.no_grad():
        logits = model(input_ids=ids).logits[0, len(prompt) - 1 : -1].float()
    logprobs = torch.log_softmax(logits / temperature, -1)
    return logprobs.gather(-1, torch.tensor(tokens)[:, None])[:, 0]


def play(policy, *, episodes, steps, seed=0, check=None, leave=0.0):
    """Ragged transcripts: turns of different lengths, episodes that end and enter in between."""
    rng = random.Random(seed)
    live = {f"e{i}": [] for i in range(episodes)}
    fresh = episodes
    log = []
    for step in range(steps):
        for messages in live.values():
            messages.append(user(" ".join(rng.choices(TURNS, k=rng.randint(1, 6)))))
        requests = [
            request(
                name,
                messages,
                temperature=0.7,
                max_tokens=rng.randint(1, 9),
                seed=rng.getrandbits(63),
            )
            for name, messages in live.items()
        ]
        answers = ask(policy, requests)
        for (name, messages), asked, answer in zip(
            list(live.items()), requests, answers, strict=True
        ):
            messages.append(assistant(answer.text))
            log.append((name, step, answer))
            if check:
                check(asked, answer)
            if rng.random() < leave:
                policy.release(name)
                del live[name]
                live[f"e{fresh}"] = []
                fresh += 1
    return log


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"num_key_value_heads": 4, "use_sliding_window": False},
        {
            "use_sliding_window": True,
            "sliding_window": 24,
            "layer_types": ["sliding_attention", "full_attention"],
        },
    ],
    ids=["grouped heads", "all heads", "sliding window"],
)
def test_cached_logprobs_equal_a_full_forward(tmp_path, changes):
    policy = HFPolicy(str(tiny_models.directory(tmp_path, **changes)), {})
    model = policy.model()
    worst = 0.0

    def check(asked, answer):
        nonlocal worst
        ours = torch.tensor(answer.logprobs)
        gap = ours - plain_logprobs(model, answer.prompt_ids, answer.token_ids, 0.7)
        worst = max(worst, float(gap.abs().max()))

    log = play(policy, episodes=21, steps=7, check=check, leave=0.1)
    assert worst < 1e-4
    assert sum(answer.usage.cached_tokens > 0 for _, _, answer in log) > 80


def test_prompts_only_grow_and_are_fed_once(checkpoint):
    policy = HFPolicy(str(checkpoint), {})
    held = {}
    for name, _, answer in play(policy, episodes=3, steps=5):
        before = held.get(name, ())
        assert answer.prompt_ids[: len(before)] == before
        # All but the last sampled token, which nobody has fed yet, is in the cache.
        assert answer.usage.cached_tokens == max(len(before) - 1, 0)
        assert answer.usage.input_tokens == len(answer.prompt_ids)
        assert answer.usage.output_tokens == len(answer.token_ids) == len(answer.logprobs)
        held[name] = answer.prompt_ids + answer.token_ids


@pytest.mark.parametrize("template", [tiny_models.CHATML, tiny_models.OWN], ids=["chatml", "own"])
@pytest.mark.parametrize("system", [None, "", "- look in the drawer first"])
def test_transcript_equals_the_template(tmp_path, template, system):
    """Where the model ends its turns itself, the ids are those of the whole conversation."""
    policy = HFPolicy(str(tiny_models.directory(tmp_path, template)), {})
    engine, chat, _ = policy._sampler()
    rng = random.Random(1)
    said = []

    def scripted(jobs):
        # In the model's place: answers that are the tokeniser's own ids, properly ended.
        for job in jobs:
            text = rng.choice(["go to desk 1", "<think>mug</think><action>take mug 1</action>"])
            said.append(text)
            job.tokens = [*chat.encode(text), chat.end_of_turn]
            job.logprobs = [0.0] * len(job.tokens)
            job.finish_reason = "stop"
        return 0.0

    engine.run = scripted
    messages = [] if system is None else [{"role": "system", "content": system}]
    for turn in TURNS:
        messages.append(user(turn))
        (answer,) = ask(policy, [request("e", messages)])
        whole = policy.tokenizer().apply_chat_template(messages, add_generation_prompt=True)
        assert list(answer.prompt_ids) == list(whole["input_ids"])
        assert answer.text == said[-1]
        messages.append(assistant(answer.text))


def test_turn_that_was_cut_off_is_closed(checkpoint):
    policy = HFPolicy(str(checkpoint), {})
    messages = [user("hello")]
    (first,) = ask(policy, [request("e", messages, max_tokens=2, temperature=0.0)])
    assert first.finish_reason == "length" and len(first.token_ids) == 2
    messages += [assistant(first.text), user("next")]
    (second,) = ask(policy, [request("e", messages, max_tokens=2)])
    between = policy.tokenizer().decode(second.prompt_ids[len(first.prompt_ids) + 2 :])
    assert between == "<|im_end|>\n<|im_start|>user\nnext<|im_end|>\n<|im_start|>assistant\n"


def test_changed_history_starts_over_and_keeps_the_common_prefix(checkpoint):
    policy = HFPolicy(str(checkpoint), {})
    system = {"role": "system", "content": "You play a game in a house with many rooms."}
    (first,) = ask(policy, [request("e", [system, user("one")], max_tokens=4)])
    cut = [system, user("two two"), assistant(first.text), user("three")]
    (second,) = ask(policy, [request("e", cut, max_tokens=4, seed=3)])
    whole = policy.tokenizer().apply_chat_template(cut, add_generation_prompt=True)["input_ids"]
    assert list(second.prompt_ids) == list(whole)
    assert 10 < second.usage.cached_tokens < len(first.prompt_ids)
    (fresh,) = ask(policy, [request("f", cut, max_tokens=4, seed=3)])
    assert fresh.token_ids == second.token_ids


def test_completion_depends_on_its_seed_alone(checkpoint):
    policy = HFPolicy(str(checkpoint), {})
    alone = [
        ask(policy, [request(f"a{i}", [user(TURNS[i % 4] * i)], seed=i)])[0].token_ids
        for i in range(18)
    ]
    batch = [request(f"b{i}", [user(TURNS[i % 4] * i)], seed=i) for i in range(18)]
    together = [answer.token_ids for answer in ask(policy, batch)]
    assert alone == together
    small = HFPolicy(str(checkpoint), {"batch": 5})
    assert [answer.token_ids for answer in ask(small, batch)] == together
    again = ask(policy, [request("c", [user("same")], seed=1)])[0].token_ids
    other = ask(policy, [request("d", [user("same")], seed=2)])[0].token_ids
    assert again != other


def test_stop_strings_end_a_turn(checkpoint):
    policy = HFPolicy(str(checkpoint), {})
    (free,) = ask(policy, [request("a", [user("go")], max_tokens=30, seed=5)])
    stop = policy.tokenizer().decode(free.token_ids[3:5])
    (cut,) = ask(policy, [request("b", [user("go")], max_tokens=30, seed=5, stop=(stop,))])
    assert cut.finish_reason == "stop" and len(cut.token_ids) <= 5
    assert cut.token_ids == free.token_ids[: len(cut.token_ids)]
    assert stop not in cut.text and free.text.startswith(cut.text)


def test_context_that_is_too_long_fails_for_its_request_alone(checkpoint):
    policy = HFPolicy(str(checkpoint), {"max_context": 60})
    long, short = ask(
        policy,
        [request("a", [user("word " * 200)]), request("b", [user("hi")], max_tokens=500)],
    )
    assert isinstance(long, PolicyError) and "agent.history" in str(long)
    assert len(short.prompt_ids) + len(short.token_ids) <= 60
    assert sum(policy._engine.cache.blocks[0].used) == 1  # the failed one holds no row


def test_weights_changed_in_place_count_after_sync(checkpoint):
    policy = HFPolicy(str(checkpoint), {})
    messages = [user("one")]
    (first,) = ask(policy, [request("e", messages, seed=1)])
    with torch.no_grad():
        for parameter in policy.model().parameters():
            parameter.mul_(1.5)
    policy.sync("1")
    messages += [assistant(first.text), user("two")]
    (second,) = ask(policy, [request("e", messages, seed=2, temperature=0.7)])
    held = first.prompt_ids + first.token_ids
    assert second.prompt_ids[: len(held)] == held  # never tokenised again
    assert second.usage.cached_tokens == 0
    theirs = plain_logprobs(policy.model(), second.prompt_ids, second.token_ids, 0.7)
    assert float((torch.tensor(second.logprobs) - theirs).abs().max()) < 1e-4


def test_half_precision_passes_the_check(checkpoint):
    policy = HFPolicy(str(checkpoint), {"dtype": "bfloat16"})
    (answer,) = ask(policy, [request("e", [user("one")])])
    assert policy.model().dtype == torch.bfloat16 and len(answer.logprobs) == len(answer.token_ids)
    with pytest.raises(UsageError, match=r"policy\.dtype"):
        HFPolicy(str(checkpoint), {"dtype": "float3"}).model()


def test_model_can_be_trained_between_calls(checkpoint):
    policy = HFPolicy(str(checkpoint), {})
    model = policy.model().train()
    threads = torch.get_num_threads()
    implementation = model.config._attn_implementation
    (answer,) = ask(policy, [request("e", [user("one")])])
    assert model.training and torch.get_num_threads() == threads
    assert model.config._attn_implementation == implementation
    ids = torch.tensor([[*answer.prompt_ids, *answer.token_ids]])
    model(input_ids=ids, labels=ids).loss.backward()
    assert all(p.grad is not None for p in model.parameters())


def test_save_and_load_round_trip(checkpoint, tmp_path):
    policy = HFPolicy(str(checkpoint), {})
    asked = [request("e", [user("one")], seed=4)]
    before = ask(policy, asked)[0]
    policy.save(tmp_path / "saved")
    names = {path.name for path in (tmp_path / "saved").iterdir()}
    assert "model.safetensors" in names and not any("pickle" in n or ".bin" in n for n in names)
    assert not any(name.startswith(".save") for name in names)
    weight = next(policy.model().parameters())
    with torch.no_grad():
        for parameter in policy.model().parameters():
            parameter.add_(0.3)
    policy.sync("1")
    policy.release("e")
    assert ask(policy, asked)[0].logprobs != before.logprobs
    policy.load(tmp_path / "saved")
    assert next(policy.model().parameters()) is weight  # an optimizer still holds the right one
    policy.release("e")
    assert ask(policy, asked)[0].token_ids == before.token_ids
    policy.save(tmp_path / "saved")  # over the files that were just loaded
    other = HFPolicy(str(tmp_path / "saved"), {})
    assert ask(other, asked)[0].token_ids == before.token_ids


def test_released_rows_are_used_again(checkpoint):
    policy = HFPolicy(str(checkpoint), {})
    ask(policy, [request(f"e{i}", [user("hi")]) for i in range(20)])
    assert len(policy._engine.cache.blocks) == 2
    for i in range(20):
        policy.release(f"e{i}")
        policy.release(f"e{i}")  # twice is harmless
    assert not policy._engine.cache.blocks
    policy.close()


@pytest.mark.parametrize(
    ("template", "message"),
    [("", "no chat template"), ("{{ messages[0]['content'] }}", "drops assistant turns")],
)
def test_templates_that_cannot_be_continued(checkpoint, template, message):
    policy = HFPolicy(str(checkpoint), {})
    policy.tokenizer().chat_template = template or None
    with pytest.raises(UsageError, match=message):
        ask(policy, [request("e", [user("hi")])])


def test_template_without_an_end_of_turn(checkpoint):
    policy = HFPolicy(str(checkpoint), {})
    policy.tokenizer().chat_template = "{% for m in messages %}{{ m['content'] }}\n{% endfor %}"
    with pytest.raises(UsageError, match="special token"):
        ask(policy, [request("e", [user("hi")])])


def test_tokenizer_is_the_one_in_the_directory(tmp_path):
    """Also where transformers would rather have the model family's own class."""
    from tokenizers import Tokenizer, decoders, models
    from transformers import PreTrainedTokenizerFast

    scores = [("<|end|>", 0.0), ("<|user|>", 0.0), ("<|assistant|>", 0.0), ("<|unk|>", 0.0)]
    scores += [(f"<0x{i:02X}>", -20.0) for i in range(256)]
    scores += [(" mug", -1.0), ("take", -1.0), (" a", -1.0)]
    inner = Tokenizer(models.Unigram(scores, unk_id=3, byte_fallback=True))
    inner.decoder = decoders.Sequence([decoders.ByteFallback(), decoders.Fuse()])
    inner.add_special_tokens(["<|end|>", "<|user|>", "<|assistant|>", "<|unk|>"])
    made = PreTrainedTokenizerFast(tokenizer_object=inner, eos_token="<|end|>", pad_token="<|end|>")
    made.chat_template = tiny_models.OWN
    tiny_models.model(made).save_pretrained(tmp_path)
    made.save_pretrained(tmp_path)
    loaded = HFPolicy(str(tmp_path), {}).tokenizer()
    text = "take a mug = café"
    assert loaded.encode(text) == made.encode(text)
    assert loaded.decode(loaded.encode(text)) == text


def test_missing_and_broken_models(tmp_path):
    with pytest.raises(UsageError, match="--policy hf:"):
        HFPolicy(None, {})
    with pytest.raises(UsageError, match="no/such/model"):
        HFPolicy(str(tmp_path / "no/such/model"), {})
    broken = tiny_models.directory(tmp_path / "broken")
    (broken / "model.safetensors").write_bytes(b"not safetensors")
    with pytest.raises(SkillbenchError, match="cannot load the model"):
        HFPolicy(str(broken), {}).model()


def test_a_model_with_state_outside_attention_is_refused(tmp_path):
    from transformers import Lfm2Config, Lfm2ForCausalLM

    tok = tiny_models.tokenizer()
    torch.manual_seed(0)
    Lfm2ForCausalLM(
        Lfm2Config(
            vocab_size=len(tok),
            hidden_size=32,
            num_hidden_layers=2,
            num_attention_heads=4,
            num_key_value_heads=2,
            intermediate_size=48,
            layer_types=["conv", "full_attention"],
        )
    ).save_pretrained(tmp_path)
    tok.save_pretrained(tmp_path)
    with pytest.raises(UsageError, match="cannot run over the KV cache"):
        ask(HFPolicy(str(tmp_path), {}), [request("e", [user("hi")])])


def test_a_fault_while_sampling_is_a_policy_error(checkpoint):
    policy = HFPolicy(str(checkpoint), {})

    def burst(jobs):
        raise RuntimeError("out of memory")

    policy._engine.run = burst
    with pytest.raises(PolicyError, match="out of memory"):
        ask(policy, [request("e", [user("hi")])])
    assert not policy._transcripts
