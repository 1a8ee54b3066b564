"""THE loop: scoring and every trainer play their episodes here.

One coroutine per episode, written as plain sequential code: observe, ask, act. Policies that batch
("gather") get the requests of all live episodes as one batch, so that a repeated run repeats
exactly; policies behind a server ("stream") get each at once (askers.py), and of more than `live`
episodes the next one begins when one has ended. Nothing here ever sleeps.

A fault of the policy or of the environment makes an attempt `invalid`; it is played again with the
same seeds, and after `retries` the episode is recorded as invalid, which is neither a zero nor
dropped. Errors that no retry can mend (wrong usage, a leak, a full disk) stop the run.
Environments step in the loop's own thread, unless they say `blocking = True`.
"""

from __future__ import annotations

import asyncio
import dataclasses
import hashlib
import itertools
import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from .agent import Agent, Transcript, estimate_tokens, parse
from .askers import Asker, Gate, Gather, OnCall, Stream, streams, summed, with_wall
from .errors import EnvironmentFault, PolicyError, SkillbenchError
from .records import Completion, Context, Episode, Outcome, Request, Step, Task, Usage, whole


def seed_of(*parts: object) -> int:
    """A 31-bit seed from any parts, equal on every machine."""
    text = "\x1f".join(map(str, parts)).encode()
    return int.from_bytes(hashlib.blake2b(text, digest_size=4).digest(), "big") >> 1


@dataclass(frozen=True)
class Slot:
    """One episode to play: the task and what its seeds derive from."""

    task: Task
    seed: int  # the run's seed: 0 .. run.seeds - 1
    phase: str
    step: int = 0  # the learning step
    repeat: int = 0

    @property
    def episode_seed(self) -> int:
        """The seed of the environment, and the root of all sampling in the episode."""
        return seed_of(self.seed, self.phase, self.step, self.task.id, self.repeat)

    def episode_id(self, attempt: int) -> str:
        """A name that no other attempt in the run has."""
        return f"{self.phase}/{self.seed}/{self.step}/{self.task.id}/{self.repeat}/{attempt}"


OnEpisode = Callable[[Slot, Episode, list[Completion]], None]


@dataclass(frozen=True)
class Loop:
    """What all episodes of one call share."""

    agent: Agent
    policy: Any
    memory: Any
    make_environment: Callable[[], Any]
    max_steps: int = 0  # 0: the environment's own
    extra_steps: float = 0.0  # share of steps beyond that limit
    extra_tokens: int = 0  # estimated tokens that steps beyond the limit may take
    retries: int = 2
    tokens: bool = False  # keep token ids and log-probabilities in the steps
    bank_version: str = ""
    on_episode: OnEpisode | None = None
    on_call: OnCall | None = None
    gate: Gate | None = None
    live: int = 0  # of a policy that streams: episodes at a time, the next when one ends; 0: all


async def play(slots: Sequence[Slot], loop: Loop) -> list[Episode]:
    """Play every slot once; episodes come back in slot order."""
    if not slots:
        return []
    live = len(slots)
    if streams(loop.policy):
        asker: Asker = Stream(loop.policy, loop.on_call, loop.gate)
        live = loop.live or live
    else:
        asker = Gather(loop.policy, len(slots), loop.on_call, loop.gate)
    places = asyncio.Semaphore(live)
    tasks = [asyncio.ensure_future(_slot(i, s, asker, loop, places)) for i, s in enumerate(slots)]
    try:
        return list(await asyncio.gather(*tasks))
    finally:
        asker.close()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def _slot(
    index: int, slot: Slot, asker: Asker, loop: Loop, places: asyncio.Semaphore
) -> Episode:
    """Wait for a place; play one slot until an attempt is valid, or the retries are used up."""
    async with places:
        return await _play(index, slot, asker, loop)


async def _play(index: int, slot: Slot, asker: Asker, loop: Loop) -> Episode:
    spent = Usage()
    try:
        for attempt in range(loop.retries + 1):
            live = _Attempt(index, slot, attempt, asker, loop)
            episode, completions = await live.run(spent)
            if episode.outcome != "invalid":
                break
            spent = episode.usage  # what failed attempts cost was spent all the same
        if loop.on_episode is not None:
            loop.on_episode(slot, episode, completions)
    except BaseException:
        asker.close()  # this ends the whole call: no other episode may spend anything more
        raise
    asker.leave()
    return episode


class _Attempt:
    """One attempt at an episode: from reset to its end or its fault."""

    def __init__(self, index: int, slot: Slot, attempt: int, asker: Asker, loop: Loop) -> None:
        self.index, self.slot, self.attempt = index, slot, attempt
        self.asker, self.loop = asker, loop
        self.id = slot.episode_id(attempt)
        self.seed = slot.episode_seed
        self.environment: Any = None
        self.script: Any = None
        self.observation = ""
        self.steps: list[Step] = []
        self.completions: list[Completion] = []
        self.info: dict[str, Any] = {}

    async def run(self, spent: Usage) -> tuple[Episode, list[Completion]]:
        """Play; faults end in an episode with outcome `invalid`, other errors are raised."""
        began = time.perf_counter()
        error: str | None = None
        outcome: Outcome = "invalid"
        try:
            outcome = await self._play()
        except (PolicyError, EnvironmentFault) as fault:
            error = f"{type(fault).__name__}: {fault}"
        finally:
            self._clean_up()
        total = summed(self.completions)
        wall_s = time.perf_counter() - began
        success = outcome == "success"
        context = self.script.context if self.script else Context()
        # Episodes overlap, so their times do not add up: wall time is the ledger's business.
        usage = with_wall(total, len(self.completions), 0.0)
        episode = Episode(
            task=self.slot.task,
            seed=self.slot.seed,
            outcome=outcome,
            success=success,
            steps=tuple(self.steps),
            score=0.0 if error else float(self.info.get("score", success)),
            final_observation=self.observation,
            skill_ids=tuple(context.skill_ids),
            withheld=None if context.withheld is None else tuple(context.withheld),
            bank_version=self.loop.bank_version,
            usage=spent + usage if spent.calls else usage,
            wall_s=wall_s,
            attempt=self.attempt,
            context_truncated=bool(self.script and self.script.cut),
            error=error,
            system=self.script.system if self.script else "",
            metrics={} if error else {k: float(v) for k, v in self.info.get("metrics", {}).items()},
        )
        return episode, self.completions

    async def _play(self) -> Outcome:
        agent, loop, slot = self.loop.agent, self.loop, self.slot
        await self._environment("make", None)
        text, info = await self._environment("reset", None)
        self._see(text, info)
        self.script = script = self._begin()
        if loop.on_call is not None and script.context.usage.calls:
            loop.on_call("embedding", script.context.usage, "")
        limit = self._limit()
        left = loop.extra_tokens
        for number in itertools.count():
            if number >= limit and left <= 0:
                break
            admissible = self.info.get("admissible")
            shown = agent.observe(script, self.environment, self.observation, admissible)
            # A window over the transcript breaks its prefix: then every step is an id of its own.
            key = f"{self.id}#{number}" if agent.history else self.id
            request = Request(
                episode_id=key,
                step=number,
                messages=agent.shown(script),
                params=agent.params(seed_of(self.seed, number)),
                admissible=None if admissible is None else tuple(admissible),
                task=slot.task,
            )
            completion = await self.asker.ask(self.index, request)
            if agent.history:
                loop.policy.release(key)
            if whole(completion.text) is not completion.text:
                completion = dataclasses.replace(completion, text=whole(completion.text))
            self.completions.append(completion)
            agent.answer(script, completion.text)
            ended = await self._act(completion, admissible, shown)
            if ended is not None:
                return ended
            if number >= limit:
                left -= max(1, estimate_tokens(completion.text + " " + self.observation))
        return "success" if self.info.get("success") else "truncated"

    def _limit(self) -> int:
        """Steps of the episode; an environment that ends it itself is told of those beyond."""
        loop = self.loop
        own = int(getattr(self.environment, "max_steps", 50))
        limit = math.ceil((loop.max_steps or own) * (1 + loop.extra_steps))
        if loop.extra_steps or loop.extra_tokens:
            self.environment.max_steps = max(own, limit + loop.extra_tokens)
        return limit

    def _begin(self) -> Transcript:
        try:
            return self.loop.agent.begin(self.environment, self.loop.memory, self.slot.task)
        except SkillbenchError:
            raise
        except Exception as error:
            # E.g. an embedding server that is down: the agent's fault, not the task's.
            raise PolicyError(f"memory raised {type(error).__name__}: {error}") from error

    async def _act(self, completion: Completion, admissible: Any, shown: str) -> Outcome | None:
        """Do what the answer says; return the outcome if that ended the episode."""
        action = parse(completion.text, None if admissible is None else frozenset(admissible))
        before = self.observation
        text, reward, terminated, truncated, info = await self._environment("step", action.text)
        self._see(text, info)
        keep = self.loop.tokens
        self.steps.append(
            Step(
                observation=before,
                response=completion.text,
                action=action.text,
                reward=float(reward),
                valid=action.readable and not info.get("invalid_action", False),
                prompt_ids=completion.prompt_ids if keep else None,
                token_ids=completion.token_ids if keep else None,
                logprobs=completion.logprobs if keep else None,
                prompt="" if shown == before else shown,
            )
        )
        if not (terminated or truncated):
            return None
        if info.get("success"):
            return "success"
        return "failure" if terminated else "truncated"

    def _see(self, text: Any, info: Any) -> None:
        if not isinstance(text, str) or not isinstance(info, dict):
            raise EnvironmentFault(
                f"{self.slot.task.environment} must answer with (text, ..., info dict), "
                f"not {type(text).__name__} and {type(info).__name__}"
            )
        self.observation, self.info = whole(text), info

    async def _environment(self, what: str, action: str | None) -> Any:
        """Make, reset or step the environment; what it raises is an EnvironmentFault."""
        try:
            if what == "make":
                self.environment = self.loop.make_environment()
                return None
            if getattr(self.environment, "blocking", False):
                return await asyncio.to_thread(self._call, what, action)
            return self._call(what, action)
        except SkillbenchError:
            raise
        except Exception as error:
            raise EnvironmentFault(
                f"{self.slot.task.environment}: {what} raised {type(error).__name__}: {error}"
            ) from error

    def _call(self, what: str, action: str | None) -> Any:
        if what == "reset":
            return self.environment.reset(seed=self.seed, options={"task": self.slot.task.id})
        return self.environment.step(action)

    def _clean_up(self) -> None:
        release = getattr(self.loop.policy, "release", None)
        if release is not None:
            release(self.id)
        close = getattr(self.environment, "close", None)
        if close is not None:
            try:
                close()
            except Exception:
                # The episode is over and scored; what an environment does on closing is its own.
                pass
