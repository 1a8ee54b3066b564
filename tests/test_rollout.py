"""The loop: exactly once, deterministic, faults are invalid and retried, prompts as promised."""

from __future__ import annotations

import asyncio
import itertools
from typing import Any

import pytest

from skillbench.agent import Agent, parse, transcript
from skillbench.errors import LeakError, UsageError
from skillbench.records import Completion, Usage
from skillbench.rollout import Loop, Slot, play, seed_of
from skillbench.session import Blank


def run(toy: Any, n: int = 12, *, policy: Any = None, config: Any = None, **kw: Any):
    policy = policy or toy.ToyPolicy(None, config or {})
    table = kw.pop("agent", {})
    loop = Loop(
        agent=Agent.make(table, policy.style, temperature=0.4, top_p=1.0),
        policy=policy,
        memory=kw.pop("memory", Blank()),
        make_environment=kw.pop("environment", toy.ToyEnvironment),
        **kw,
    )
    tasks = toy.ToyEnvironment().tasks("test")[:n]
    return asyncio.run(play([Slot(t, 0, "score") for t in tasks], loop)), policy


def test_every_slot_is_played_once_and_in_order(toy: Any) -> None:
    seen: list[str] = []
    episodes, policy = run(toy, on_episode=lambda slot, episode, _: seen.append(slot.task.id))
    assert [e.task.id for e in episodes] == [f"test-{i:03d}" for i in range(12)]
    assert sorted(seen) == sorted(e.task.id for e in episodes)
    assert len(policy.released) == 12
    assert all(e.outcome in ("success", "truncated") for e in episodes)
    assert all(e.success == (e.outcome == "success") for e in episodes)


def test_the_batch_size_changes_nothing(toy: Any) -> None:
    def key(episodes: Any) -> Any:
        return [(e.task.id, e.outcome, [s.action for s in e.steps]) for e in episodes]

    whole, _ = run(toy, 30)
    streamed, _ = run(toy, 30, config={"batching": "stream"})
    first, _ = run(toy, 7)
    assert key(whole) == key(streamed)
    assert key(whole)[:7] == key(first)
    assert len({str(e.steps[0].action) for e in whole}) > 1


def test_a_batch_waits_for_every_live_episode_and_no_other(toy: Any) -> None:
    episodes, policy = run(toy, 12)
    sizes = [len(batch) for batch in policy.batches]
    longest = [sum(len(e.steps) > step for e in episodes) for step in range(3)]
    assert sizes == [size for size in longest if size]


def test_threads_change_neither_results_nor_batches(toy: Any) -> None:
    plain, one = run(toy)
    threaded, two = run(toy, environment=lambda: toy.ToyEnvironment(blocking=True))
    assert one.batches == two.batches
    assert [e.outcome for e in plain] == [e.outcome for e in threaded]


def test_a_fault_of_one_request_is_retried_with_the_same_seeds(toy: Any) -> None:
    clean, _ = run(toy)
    faulty, _ = run(toy, config={"fail": "once"}, retries=1)
    assert [e.attempt for e in faulty] == [1] * 12
    assert [[s.action for s in e.steps] for e in faulty] == [
        [s.action for s in e.steps] for e in clean
    ]


def test_what_keeps_failing_is_invalid_not_zero(toy: Any) -> None:
    episodes, _ = run(toy, config={"fail": "some"}, retries=1)
    bad = [e for e in episodes if e.outcome == "invalid"]
    assert [e.task.id for e in bad] == ["test-000", "test-005", "test-010"]
    assert all("500" in e.error and not e.success for e in bad)
    crash, _ = run(toy, config={"fail": "all"}, retries=0)
    assert {e.outcome for e in crash} == {"invalid"}
    assert "RuntimeError: no such model" in crash[0].error


def test_a_broken_environment_is_invalid(toy: Any) -> None:
    episodes, _ = run(
        toy, environment=lambda: toy.ToyEnvironment(fault="reset", fault_every=4), retries=1
    )
    assert [e.outcome == "invalid" for e in episodes] == [i % 4 == 0 for i in range(12)]
    assert "the toy broke" in episodes[0].error


def test_errors_that_no_retry_can_mend_stop_the_run(toy: Any) -> None:
    class Broken(toy.ToyPolicy):
        async def generate(self, requests: Any) -> Any:
            raise UsageError("no such model on the server")

    with pytest.raises(UsageError, match="no such model"):
        run(toy, policy=Broken(None, {}))


def test_after_a_fatal_error_nobody_is_asked_again(toy: Any) -> None:
    def on_episode(slot: Any, episode: Any, answers: Any) -> None:
        raise UsageError("stop here")

    policy = toy.ToyPolicy(None, {})
    with pytest.raises(UsageError, match="stop here"):
        run(toy, 30, policy=policy, on_episode=on_episode)
    assert [len(batch) for batch in policy.batches] == [30]


def test_wrong_numbers_of_answers_are_a_fault(toy: Any) -> None:
    class Short(toy.ToyPolicy):
        async def generate(self, requests: Any) -> Any:
            return (await super().generate(requests))[1:]

    episodes, _ = run(toy, 3, policy=Short(None, {}), retries=0)
    assert "gave 2 answers to 3 requests" in episodes[0].error


def test_tokens_are_kept_when_asked_for(toy: Any) -> None:
    episodes, _ = run(toy, 2, tokens=True)
    assert episodes[0].steps[0].token_ids == (1, 2)
    assert episodes[0].steps[0].logprobs == (-0.5, -0.1)
    plain, _ = run(toy, 2)
    assert plain[0].steps[0].token_ids is None


def test_spend_is_reported_per_call(toy: Any) -> None:
    calls: list[tuple[str, Usage, str]] = []
    episodes, policy = run(toy, on_call=lambda *call: calls.append(call))
    assert len(calls) == len(policy.batches)
    assert sum(c[1].output_tokens for c in calls) == sum(e.usage.output_tokens for e in episodes)
    assert sum(c[1].calls for c in calls) == sum(len(e.steps) for e in episodes)
    assert {c[2] for c in calls} == {"toy"}


class Recorder:
    """A policy that records what it is shown and repeats one answer."""

    name, batching, concurrency, style, trainable = "recorder", "gather", 1, "compact", False

    def __init__(self, answer: str, style: str = "compact") -> None:
        self.answer, self.style = answer, style
        self.requests: list[Any] = []

    async def generate(self, requests: Any) -> list[Completion]:
        self.requests += requests
        return [Completion(self.answer) for _ in requests]

    def release(self, episode_id: str) -> None: ...


def test_a_transcript_only_grows_and_skills_come_first(toy: Any) -> None:
    memory = toy.ToyMemory({})
    memory.bank["blue"] = toy.Skill("blue", "blue: door 1", kind="task_type", task_type="blue")
    episodes, policy = run(toy, 1, policy=Recorder("door 1"), memory=memory)
    requests = policy.requests
    assert requests[0].messages[0] == {"role": "system", "content": "- blue: door 1"}
    assert requests[0].messages[1]["content"] == "A blue room with five doors."  # compact
    for before, after in itertools.pairwise(requests):
        assert after.messages[: len(before.messages)] == before.messages
        assert before.episode_id == after.episode_id
        assert before.params.seed != after.params.seed
    assert [m["role"] for m in requests[-1].messages][1:] == ["user", "assistant"] * 2 + ["user"]
    assert episodes[0].skill_ids == (memory.bank["blue"].id,)
    # What is stored rebuilds the messages that were shown.
    assert tuple(transcript(episodes[0])[:-1]) == requests[-1].messages
    assert episodes[0].steps[0].observation.startswith("BANNER")


def test_no_skills_is_an_empty_system_message(toy: Any) -> None:
    _, policy = run(toy, 1, policy=Recorder("door 1"))
    assert policy.requests[0].messages[0] == {"role": "system", "content": ""}


def test_the_chat_style_lists_commands_and_wraps_skills(toy: Any) -> None:
    memory = toy.ToyMemory({})
    memory.bank["blue"] = toy.Skill("blue", "pay $5 for {blue}", kind="general")
    episodes, policy = run(toy, 1, policy=Recorder("door 1", "chat"), memory=memory)
    messages = policy.requests[0].messages
    assert "Open the door that fits." in messages[0]["content"]
    assert messages[0]["content"].endswith("- pay $5 for {blue}")
    assert "door 1, door 2" in messages[1]["content"]
    assert tuple(transcript(episodes[0])[:2]) == messages


def test_a_window_keeps_the_task_and_says_so(toy: Any) -> None:
    episodes, policy = run(toy, 1, policy=Recorder("door 1"), agent={"history": 1})
    last = policy.requests[-1].messages
    assert [m["role"] for m in last] == ["system", "user", "assistant", "user"]
    assert last[1]["content"].startswith("A blue room")
    assert len({r.episode_id for r in policy.requests}) == 3
    assert episodes[0].context_truncated
    assert not run(toy, 1, policy=Recorder("door 1"))[0][0].context_truncated


def test_unreadable_answers_are_invalid_steps(toy: Any) -> None:
    episodes, _ = run(toy, 1, policy=Recorder("I would rather not"))
    assert [s.valid for s in episodes[0].steps] == [False] * 3
    assert episodes[0].outcome == "truncated"


@pytest.mark.parametrize(
    ("text", "action", "readable"),
    [
        ("<think>x <action>no</action></think><action> go </action>", "go", True),
        ("<action>GO</action><action>stop</action>", "go", True),
        ("<action>fly</action>", "fly", True),
        ("go", "go", True),
        ("Go\n", "go", True),
        ("<action>go", "go", True),
        ("let us go", "let us go", False),
        ("<action></action>", "", False),
        ("", "", False),
    ],
)
def test_parsing(text: str, action: str, readable: bool) -> None:
    found = parse(text, frozenset({"go", "stop"}))
    assert (found.text, found.readable) == (action, readable)


def test_free_text_environments_take_the_whole_answer() -> None:
    assert parse("search[x]", None).readable
    assert not parse("  ", None).readable


def test_seeds_are_stable_over_machines() -> None:
    assert seed_of(0, "score", 0, "task", 0) == seed_of("0", "score", "0", "task", "0")
    assert seed_of("a", "b") == 238449262
    assert 0 <= seed_of("x") < 2**31


def test_an_unknown_style_is_named_with_the_nearest() -> None:
    with pytest.raises(UsageError, match="did you mean 'compact'"):
        Agent.make({"style": "compct"}, "", temperature=1, top_p=1)


def test_learning_refuses_other_splits(toy: Any, execute: Any, monkeypatch: Any) -> None:
    def fit(self: Any, context: Any) -> Any:
        context.rollout(context.environment.tasks("test")[:1])

    monkeypatch.setattr(toy.ToyDistill, "fit", fit)
    with pytest.raises(LeakError, match="train split alone"):
        execute("toybank")


@pytest.mark.parametrize("live", [0, 4])
def test_the_places_of_an_engine_stay_full_while_long_episodes_end(toy: Any, live: int) -> None:
    """An engine that answers whatever it holds, tick by tick: at least 90 % of lockstep's batch.

    With `live` no more episodes than that are open, and the next one begins when one ends.
    """
    places = 4
    open_now: set[str] = set()
    most: list[int] = []
    held: list[int] = []

    class Engine(toy.ToyPolicy):
        concurrency = places

        def __init__(self) -> None:
            super().__init__(None, {"batching": "stream"})
            self.inside: list[Any] = []

        async def generate(self, requests: Any) -> Any:
            turn = asyncio.get_running_loop().create_future()
            self.inside.append(turn)
            open_now.update(r.episode_id for r in requests)
            most.append(len(open_now))
            if len(self.inside) == 1:
                asyncio.ensure_future(self.tick())  # noqa: RUF006
            await turn
            return [self._one(r) for r in requests]

        async def tick(self) -> None:
            for _ in range(50):  # all that can run has run, and asked what it has to ask
                await asyncio.sleep(0)
            held.append(len(self.inside))
            inside, self.inside = self.inside, []
            for turn in inside:
                turn.set_result(None)

        def release(self, episode_id: str) -> None:
            open_now.discard(episode_id)

    episodes, _ = run(toy, 30, policy=Engine(), live=live)
    steps = [len(e.steps) for e in episodes]
    assert len(set(steps)) > 1  # some are short
    rounds = sum(max(steps[i : i + places]) for i in range(0, len(steps), places))
    assert sum(held) == sum(steps)
    assert sum(held) / len(held) >= 0.9 * sum(steps) / rounds
    assert sum(held) / len(held) >= 0.9 * places
    assert (max(most) <= live) == bool(live)
