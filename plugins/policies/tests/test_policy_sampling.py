"""Sampling by inverse CDF, and the constraint to admissible commands."""

from __future__ import annotations

import asyncio

import pytest

from skillbench.records import Request, SamplingParams

torch = pytest.importorskip("torch")
pytest.importorskip("transformers")

import tiny_models  # noqa: E402
from skillbench_policies.chat import ChatFormat, Vocabulary  # noqa: E402
from skillbench_policies.constrained import Constraints  # noqa: E402
from skillbench_policies.hf import HFPolicy  # noqa: E402
from skillbench_policies.sampling import Uniforms, sample  # noqa: E402

COMMANDS = ("go to desk 1", "go to desk 12", "go to shelf 2", "take mug 1 from desk 1", "look")


def test_uniforms_depend_on_the_seed_alone():
    def numbers(seed):
        stream = Uniforms(seed)
        return [next(stream) for _ in range(150)]

    assert numbers(7) == numbers(7) != numbers(8)
    assert all(0 <= x < 1 for x in numbers(2**64 + 7)) and numbers(-1)


def frequencies(logits, *, n=20_000, **how):
    stream = Uniforms(0)
    rows = torch.tensor([logits]).expand(n, -1)
    tokens, _ = sample(
        rows,
        [how.get("temperature", 1.0)] * n,
        [how.get("top_p", 1.0)] * n,
        [next(stream) for _ in range(n)],
        how.get("limits") and how["limits"] * n,
    )
    return torch.bincount(torch.tensor(tokens), minlength=len(logits)) / n


@pytest.mark.parametrize("temperature", [0.5, 1.0, 2.0])
def test_frequencies_are_the_distribution(temperature):
    logits = [1.0, -0.5, 0.3, 2.0, -9.0]
    expected = torch.softmax(torch.tensor(logits) / temperature, -1)
    assert (frequencies(logits, temperature=temperature) - expected).abs().max() < 0.015


def test_nucleus_keeps_the_smallest_set():
    logits = torch.tensor([0.5, 0.3, 0.15, 0.05]).log().tolist()
    got = frequencies(logits, top_p=0.6)
    assert got[2] == got[3] == 0 and abs(got[0] - 0.625) < 0.015
    assert frequencies(logits, top_p=1e-6)[0] == 1


def test_mixed_rows_and_reported_logprobs():
    logits = torch.tensor([[0.0, 1.0, 3.0]] * 4)
    tokens, logprobs = sample(
        logits,
        [0.0, 1.0, 0.5, 1.0],
        [1.0, 1.0, 1.0, 0.5],
        [0.0, 0.0, 0.99, 0.0],
        [None, (True, [1]), None, None],
    )
    assert tokens == [2, 1, 2, 2]
    plain = torch.log_softmax(logits[0], -1)
    sharp = torch.log_softmax(logits[0] / 0.5, -1)
    # Over the whole vocabulary at the sampling temperature, whatever nucleus or constraint says.
    expected = [plain[2], plain[1], sharp[2], plain[2]]
    assert logprobs == pytest.approx([float(x) for x in expected], abs=1e-6)


def test_limits():
    logits = [5.0, 0.0, 0.0, -200.0]
    only = frequencies(logits, n=200, limits=[(True, [1, 2])])
    assert only[0] == only[3] == 0 and only[1] > 0 and only[2] > 0
    assert frequencies(logits, n=50, limits=[(False, [0, 1, 2])])[3] == 1  # however unlikely
    assert frequencies(logits, n=50, temperature=0.0, limits=[(False, [0])])[1] == 1


def test_numbers_at_the_edge_never_leave_the_support():
    logits = torch.tensor([[-torch.inf, 0.0, -torch.inf]])
    for number in (0.0, 0.5, 1 - 1e-9):
        assert sample(logits, [1.0], [1.0], [number])[0] == [1]


@pytest.mark.parametrize("template", [tiny_models.CHATML, tiny_models.OWN])
def test_vocabulary_spells_every_text(template):
    tok = tiny_models.tokenizer(template)
    vocabulary = Vocabulary(tok)
    for text in ("go to desk 1", " a  b", "</action>"):
        ids = tok(text, add_special_tokens=False)["input_ids"]
        assert "".join(vocabulary.pieces[i] for i in ids) == text


def test_constraint_follows_the_commands():
    chat = ChatFormat(tiny_models.tokenizer())
    shared = Constraints(chat)
    constraint = shared.start(COMMANDS)
    assert constraint.limit(99) == (False, tuple(chat.stops))  # free, but it may not stop
    for token in chat.encode("<think>x</think><action>"):
        constraint.push(token)
    for token in chat.encode("go to desk 1"):
        only, ids = constraint.limit(50)
        assert only and token in ids
        constraint.push(token)
    only, ids = constraint.limit(50)
    assert only and {shared.vocabulary.pieces[i][0] for i in ids} == {"2", "<"}
    for token in chat.encode("</action>"):
        constraint.push(token)
    assert constraint.limit(40) == (True, (chat.end_of_turn,))


def test_constraint_opens_an_action_in_time():
    chat = ChatFormat(tiny_models.tokenizer())
    constraint = Constraints(chat).start(COMMANDS)
    tokens = []
    for left in range(40, 0, -1):
        limit = constraint.limit(left)
        token = limit[1][0] if limit[0] else chat.encode("x")[0]
        tokens.append(token)
        constraint.push(token)
        if token == chat.end_of_turn:
            break
    assert chat.decode(tokens[:-1]).lstrip("x").removeprefix("<action>")[:-9] in COMMANDS


@pytest.mark.parametrize("temperature", [0.0, 1.0])
def test_constrained_policy_always_answers_with_a_command(tmp_path, temperature):
    made = tiny_models.directory(tmp_path)
    policy = HFPolicy(str(made), {"constrained": True})
    requests = [
        Request(
            f"e{i}",
            0,
            ({"role": "user", "content": "go " * i},),
            SamplingParams(temperature=temperature, max_tokens=48, seed=i),
            admissible=None if i == 3 else COMMANDS,
        )
        for i in range(12)
    ]
    answers = asyncio.run(policy.generate(requests))
    for i, answer in enumerate(answers):
        if i == 3:  # without a list of commands it is free text
            continue
        assert answer.text.count("<action>") == 1 or "</think>" in answer.text
        action = answer.text.rpartition("<action>")[2]
        assert action.removesuffix("</action>") in COMMANDS and action.endswith("</action>")
        assert answer.finish_reason == "stop" and len(answer.token_ids) <= 48
        theirs = answer.logprobs
        assert len(theirs) == len(answer.token_ids)
