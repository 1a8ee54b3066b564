"""How requests reach a policy: as one batch of all live episodes, or each at once.

A policy that batches ("gather") gets a batch as soon as every live episode waits for an answer, in
episode order, so that its composition depends on nothing but the slots that were asked for. A
policy behind a server ("stream") gets each request at once, `concurrency` of them at a time.
Answers are checked and their spend is reported here, in one place.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence
from typing import Any, Protocol

from .errors import PolicyError, SkillbenchError
from .records import Completion, Request, Usage

OnCall = Callable[[str, Usage, str], None]  # role, usage, model


class Gate(Protocol):
    """Says whether a call may be made (budget.py)."""

    async def hold(self, requests: Sequence[Request]) -> float:
        """Hold what the requests may cost. Raises BudgetStop."""
        ...

    def release(self, amount: float) -> None:
        """The call is over, and on the ledger."""
        ...


class Asker(Protocol):
    """How a request of one episode reaches the policy."""

    async def ask(self, index: int, request: Request) -> Completion:
        """Answer one request of the episode with this index. Raises PolicyError."""
        ...

    def leave(self) -> None:
        """One episode needs no more answers."""
        ...

    def close(self) -> None:
        """Nobody needs an answer any more; ask the policy nothing from here on."""
        ...


def streams(policy: Any) -> bool:
    """Whether a policy takes each request at once, instead of a batch of all live episodes."""
    return getattr(policy, "batching", "gather") == "stream"


class Gather:
    """Hands over the requests of all live episodes as one batch."""

    def __init__(
        self, policy: Any, live: int, on_call: OnCall | None, gate: Gate | None = None
    ) -> None:
        self.policy, self.live, self.on_call, self.gate = policy, live, on_call, gate
        self.waiting: list[tuple[int, Request, asyncio.Future[Completion]]] = []
        self.flushing: asyncio.Task[None] | None = None
        self.closed = False

    async def ask(self, index: int, request: Request) -> Completion:
        """Wait for the batch that holds this request."""
        answer: asyncio.Future[Completion] = asyncio.get_running_loop().create_future()
        self.waiting.append((index, request, answer))
        self._check()
        return await answer

    def leave(self) -> None:
        """One episode fewer to wait for."""
        self.live -= 1
        self._check()

    def close(self) -> None:
        """Drop what waits, and the call that may be in flight."""
        self.closed = True
        if self.flushing is not None:
            self.flushing.cancel()

    def _check(self) -> None:
        if self.closed or not self.waiting or self.flushing is not None:
            return
        if len(self.waiting) >= self.live:
            self.flushing = asyncio.ensure_future(self._flush())

    async def _flush(self) -> None:
        batch, self.waiting = self.waiting, []
        batch.sort(key=lambda entry: entry[0])  # threads may have finished in any order
        try:
            answers: Sequence[Any] = await ask_policy(
                self.policy, [request for _, request, _ in batch], self.on_call, self.gate
            )
        except BaseException as error:
            answers = [error] * len(batch)
            if isinstance(error, asyncio.CancelledError):
                raise
        finally:
            self.flushing = None
        for (_, _, future), answer in zip(batch, answers):
            if future.done():
                continue
            if isinstance(answer, BaseException):
                future.set_exception(answer)
            else:
                future.set_result(answer)
        self._check()


class Stream:
    """Hands over each request at once, a bounded number of them at a time."""

    def __init__(self, policy: Any, on_call: OnCall | None, gate: Gate | None = None) -> None:
        self.policy, self.on_call, self.gate = policy, on_call, gate
        self.places = asyncio.Semaphore(max(1, int(getattr(policy, "concurrency", 1) or 1)))

    async def ask(self, index: int, request: Request) -> Completion:
        """Wait for a free place, then for the answer."""
        async with self.places:
            answer = (await ask_policy(self.policy, [request], self.on_call, self.gate))[0]
        if isinstance(answer, BaseException):
            raise answer
        return answer

    def leave(self) -> None:
        """Nobody waits for anybody here."""

    def close(self) -> None:
        """Requests in flight are cancelled with their episodes."""


async def ask_policy(
    policy: Any, requests: list[Request], on_call: OnCall | None, gate: Gate | None = None
) -> list[Completion | PolicyError]:
    """Call the policy, check what comes back, and report the spend of the call.

    Whatever a policy raises becomes a PolicyError, except for errors that no retry can mend.
    """
    if gate is None:
        return await _ask_policy(policy, requests, on_call)
    held = await gate.hold(requests)
    try:
        return await _ask_policy(policy, requests, on_call)
    finally:
        gate.release(held)


async def _ask_policy(
    policy: Any, requests: list[Request], on_call: OnCall | None
) -> list[Completion | PolicyError]:
    began = time.perf_counter()
    try:
        answers: list[Any] = list(await policy.generate(requests))
    except SkillbenchError:
        raise
    except Exception as error:
        raise PolicyError(f"policy raised {type(error).__name__}: {error}") from error
    if len(answers) != len(requests):
        raise PolicyError(f"policy gave {len(answers)} answers to {len(requests)} requests")
    for place, answer in enumerate(answers):
        if not isinstance(answer, PolicyError) and not _is_completion(answer):
            answers[place] = PolicyError(f"policy gave {str(answer)[:80]!r} for a Completion")
    if on_call is not None:
        total, model = summed(answers), ""
        for answer in answers:
            if isinstance(answer, Completion):
                model = answer.model
                break
        on_call("policy", with_wall(total, len(requests), time.perf_counter() - began), model)
    return answers


def _is_completion(answer: Any) -> bool:
    return isinstance(answer, Completion) and isinstance(answer.text, str)


def summed(answers: Sequence[Any]) -> list[float]:
    """[tokens in, cached, out, dollars, device seconds] of all answers that are Completions."""
    # Field by field: this runs once per answer, and adding frozen records is ten times slower.
    tokens_in = tokens_cached = tokens_out = 0
    usd = device = 0.0
    for answer in answers:
        if isinstance(answer, Completion):
            usage = answer.usage
            tokens_in += usage.input_tokens
            tokens_cached += usage.cached_tokens
            tokens_out += usage.output_tokens
            usd += usage.usd
            device += usage.device_s
    return [tokens_in, tokens_cached, tokens_out, usd, device]


def with_wall(total: list[float], calls: int, wall_s: float) -> Usage:
    """What `summed` found, as Usage."""
    return Usage(
        input_tokens=int(total[0]),
        cached_tokens=int(total[1]),
        output_tokens=int(total[2]),
        calls=calls,
        usd=total[3],
        wall_s=wall_s,
        device_s=total[4],
    )
