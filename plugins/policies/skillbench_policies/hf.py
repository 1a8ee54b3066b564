"""Policy `hf`: any transformers causal language model with a chat template, in this process.

Each episode is one transcript of token ids with its own place in the KV cache, so that a step costs
its new tokens only: the new observation and the sampled answer. Sampled ids are never tokenised
again, hence `prompt_ids` of a step is exactly `prompt_ids + token_ids` of the step before and the
template's tokens between. If the messages of an episode do not extend what is held (the agent
dropped an old observation, say), the transcript is made anew and the common prefix stays cached.

Weights are the module's own: what a trainer changes in place counts from the next `generate`, once
`sync` has dropped the cache. With `workers` > 0 subprocesses sample instead (see workers.py).
"""

from __future__ import annotations

import contextlib
import logging
import os
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from skillbench.errors import DataError, PolicyError, UsageError
from skillbench.records import Completion, Message, Request, Usage

from . import kv, lora
from .chat import ChatFormat
from .constrained import Constraints
from .engine import Engine, Job
from .heap import give_back_large_blocks
from .models import locate
from .options import HF

log = logging.getLogger(__name__)


@dataclass
class Transcript:
    """What is held of one episode."""

    row: kv.Row | None = None  # None: nothing is cached
    messages: tuple[Message, ...] = ()  # as of the last request
    ids: list[int] = field(default_factory=list)  # prompt and answer
    text: str = ""  # the answer's text, as the next request must repeat it
    last: int | None = None  # the answer's last id

    def answered(self, tokens: Sequence[int], stop: Sequence[str], chat: ChatFormat) -> str:
        """Append an answer; return its text, cut at the first stop string."""
        text = chat.decode(tokens[:-1] if tokens[-1] in chat.stops else tokens)
        for mark in stop:
            text = text.partition(mark)[0]
        self.ids.extend(tokens)
        self.text, self.last = text, tokens[-1]
        return text


class HFPolicy:
    """Samples from a causal language model on this machine; trainable."""

    name = "hf"
    batching = "gather"
    concurrency = 0
    trainable = True
    initial_version = "0"
    defaults: Mapping[str, Any] = HF

    def __init__(self, model: str | None, config: Mapping[str, Any] | None = None) -> None:
        give_back_large_blocks()
        if not model:
            raise UsageError(f"policy {self.name} needs a model: --policy {self.name}:NAME_OR_PATH")
        self.config = {**self.defaults, **(config or {})}
        self.source = locate(str(model))
        self.label = f"{self.name}:{model}"
        self.style = str(self.config["style"])
        self.version = self.initial_version
        self._transcripts: dict[str, Transcript] = {}
        self._model: Any = None
        self._workers: Any = None
        self._tokenizer = self._load_tokenizer(self.source)

    # What a trainer needs

    def model(self) -> Any:
        """The torch module; loaded at the first call."""
        if self._model is None:
            self._model = lora.adapted(self._load_model(self.source), self.config)
        return self._model

    def tokenizer(self) -> Any:
        """The transformers tokenizer whose chat template makes the prompts."""
        return self._tokenizer

    def sync(self, version: str) -> None:
        """Sample from the module's present weights from now on; drops every cache."""
        self.version = str(version)
        self._forget()
        if self._workers is not None:
            self._workers.sync(self.model(), self.version)

    def save(self, directory: Path) -> None:
        """Write weights (safetensors), configuration and tokenizer; a kill leaves no torn file."""
        directory = Path(directory)
        directory.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=directory, prefix=".save-") as temporary:
            self._save_model(Path(temporary))
            self._tokenizer.save_pretrained(temporary)
            # Weights last: where they are, all else is.
            for path in sorted(Path(temporary).iterdir(), key=lambda p: "safetensors" in p.name):
                os.replace(path, directory / path.name)

    def _save_model(self, directory: Path) -> None:
        with _no_bars():
            self.model().save_pretrained(directory)

    def load(self, directory: Path) -> None:
        """Read weights back, into the same module (optimizers keep their parameters)."""
        model = self.model()
        if lora.has_adapters(model):
            lora.load(model, Path(directory), self.label)
            self.sync(str(directory))
            return
        fresh = self._load_model(str(directory))
        try:
            model.load_state_dict(fresh.state_dict())
        except RuntimeError as error:
            raise DataError(
                f"the weights in {directory} do not fit {self.label}: {error}"
            ) from error
        self.sync(str(directory))

    # What the loop needs

    async def generate(self, requests: Sequence[Request]) -> list[Completion]:
        """Answer each request; a `PolicyError` stands in the list for a request that failed."""
        if int(self.config["workers"]) > 0:
            if self._workers is None:
                from .workers import Workers

                self._workers = Workers(self)
            return await self._workers.generate(requests)
        return self.answer(requests)

    def answer(self, requests: Sequence[Request]) -> list[Any]:
        """As `generate`, in this process, synchronously."""
        size = int(self.config["batch"]) or len(requests)
        answers: list[Any] = []
        for start in range(0, len(requests), max(size, 1)):
            answers += self._answer(requests[start : start + size])
        return answers

    def release(self, episode_id: str) -> None:
        """Free the episode's place in the cache."""
        held = self._transcripts.pop(episode_id, None)
        if held is not None and held.row is not None:
            self._engine.cache.give(held.row)
        if self._workers is not None:
            self._workers.release(episode_id)

    def close(self) -> None:
        """Free the cache, the model and the workers."""
        self._forget()
        self._transcripts.clear()
        if self._workers is not None:
            self._workers.close()
            self._workers = None
        self.__dict__.pop("_parts", None)
        self._model = None

    # Inside

    @property
    def _engine(self) -> Engine:
        return self._sampler()[0]

    def _sampler(self) -> tuple[Engine, ChatFormat, Constraints | None]:
        if "_parts" not in self.__dict__:
            model = lora.base(self.model())
            stops = _as_list(getattr(model.generation_config, "eos_token_id", None))
            stops += _as_list(model.config.eos_token_id)
            chat = ChatFormat(self._tokenizer, name=self.label, extra_stops=stops)
            engine = Engine(model, threads=int(self.config["threads"]), name=self.label)
            limits = Constraints(chat) if self.config["constrained"] else None
            self._parts = (engine, chat, limits)
        return self._parts

    def _answer(self, requests: Sequence[Request]) -> list[Any]:
        engine = self._engine
        answers: list[Any] = [None] * len(requests)
        jobs: list[tuple[int, Transcript, Job, int]] = []
        began = time.perf_counter()
        if len({request.episode_id for request in requests}) < len(requests):
            raise PolicyError(f"{self.label} was asked twice at once for the same episode")
        for i, request in enumerate(requests):
            try:
                jobs.append((i, *self._prepare(request)))
            except PolicyError as error:
                self.release(request.episode_id)
                answers[i] = error
        try:
            engine.run([job for _, _, job, _ in jobs])
        except UsageError:
            raise
        except Exception as error:
            # The cache may be half written: nothing of these episodes can be kept.
            for i, _, _, _ in jobs:
                self.release(requests[i].episode_id)
            log.debug("sampling failed", exc_info=True)
            raise PolicyError(
                f"{self.label} could not sample for {len(jobs)} episodes: "
                f"{type(error).__name__}: {error}; try --set policy.batch={max(len(jobs) // 2, 1)} "
                "if memory ran out"
            ) from error
        share = (time.perf_counter() - began) / max(len(jobs), 1)
        for i, held, job, cached in jobs:
            answers[i] = self._finish(requests[i], held, job, cached, share)
        return answers

    def _prepare(self, request: Request) -> tuple[Transcript, Job, int]:
        """Bring the episode's ids up to date; return what to sample and how much is cached."""
        engine, chat, limits = self._sampler()
        held = self._held(request.episode_id)
        if held.row is None:
            held.row = engine.cache.take()
        kept = self._extend(held, request, chat)
        if kept is not None:
            held.row.truncate(kept)
        room = self._room(held)
        params = request.params
        constraint = None
        if limits is not None and request.admissible:
            constraint = limits.start(request.admissible)
        stopped = None
        if params.stop:

            def stopped(tokens: list[int]) -> bool:
                text = chat.decode(tokens)
                return any(stop in text for stop in params.stop)

        job = Job(
            row=held.row,
            ids=held.ids,
            params=params,
            limit=max(min(params.max_tokens, room), 1),
            stops=chat.stops,
            constraint=constraint,
            stopped=stopped,
        )
        return held, job, held.row.length

    def _held(self, episode_id: str) -> Transcript:
        return self._transcripts.setdefault(episode_id, Transcript())

    def _extend(self, held: Transcript, request: Request, chat: ChatFormat) -> int | None:
        """Bring the episode's ids up to date; return how many were kept, None where all were."""
        messages = request.messages
        if not messages or messages[-1]["role"] == "assistant":
            raise PolicyError(f"{self.label}: a request must end in a user message")
        n, kept = len(held.messages), None
        if (
            held.ids
            and len(messages) > n + 1
            and messages[n]["role"] == "assistant"
            and messages[n]["content"] == held.text
            and tuple(messages[:n]) == held.messages
        ):
            held.ids.extend(chat.tail(messages[n + 1 :], held.last))
        else:
            ids = chat.prompt(messages)
            kept = min(_common(held.ids, ids), len(ids) - 1)
            held.ids = ids
        held.messages = tuple(messages)
        return kept

    def _room(self, held: Transcript) -> int:
        """How many tokens still fit. Raises PolicyError where none do."""
        room = self._max_context() - len(held.ids)
        if room <= 0:
            raise PolicyError(
                f"the transcript of {len(held.ids)} tokens does not fit the context of "
                f"{self._max_context()} tokens of {self.label}; shorten it with "
                "--set agent.history=N or agent.observation_chars=N"
            )
        return room

    def _finish(
        self, request: Request, held: Transcript, job: Job, cached: int, seconds: float
    ) -> Completion:
        prompt = tuple(job.ids)
        tokens = tuple(job.tokens)
        text = held.answered(tokens, request.params.stop, self._sampler()[1])
        return Completion(
            text=text,
            usage=Usage(
                input_tokens=len(prompt),
                cached_tokens=cached,
                output_tokens=len(tokens),
                calls=1,
                wall_s=seconds,
                device_s=seconds,
            ),
            token_ids=tokens,
            logprobs=tuple(job.logprobs),
            prompt_ids=prompt,
            finish_reason=job.finish_reason,
            model=self.label,
        )

    def _forget(self) -> None:
        # The ids stay: an episode that is under way is fed again, never tokenised again.
        for held in self._transcripts.values():
            held.row = None
        if "_parts" in self.__dict__:
            self._engine.cache.clear()

    def _max_context(self) -> int:
        own = getattr(self.model().config, "max_position_embeddings", None) or 1 << 30
        return min(int(self.config["max_context"]) or own, own)

    def _load_tokenizer(self, source: str) -> Any:
        from transformers import AutoTokenizer, PreTrainedTokenizerFast
        from transformers.models.auto.tokenization_auto import get_tokenizer_config

        try:
            declared = get_tokenizer_config(source, **self._hub()).get("tokenizer_class")
            # A tokenizer that says it is what tokenizer.json says. AutoTokenizer of transformers 5
            # would put the model family's own in its place, which splits and joins differently.
            generic = declared in ("TokenizersBackend", "PreTrainedTokenizerFast")
            kind = PreTrainedTokenizerFast if generic else AutoTokenizer
            return kind.from_pretrained(source, **self._hub())
        except (OSError, ValueError, ImportError, KeyError) as error:
            raise self._cannot_load("tokenizer", source, error) from error

    def _load_model(self, source: str) -> Any:
        import torch
        from transformers import AutoModelForCausalLM

        device = str(self.config["device"])
        if device == "auto":
            device = "cuda" if torch.cuda.is_available() else "cpu"
        dtype = str(self.config["dtype"])
        if dtype == "auto":
            # CPUs without bf16 units are several times slower in it.
            dtype = "float32" if device == "cpu" else "bfloat16"
        if not isinstance(getattr(torch, dtype, None), torch.dtype):
            raise UsageError(f"unknown policy.dtype {dtype!r}; use auto, float32 or bfloat16")
        try:
            with _no_bars():
                model = AutoModelForCausalLM.from_pretrained(
                    source, dtype=getattr(torch, dtype), use_safetensors=True, **self._hub()
                )
        except (OSError, ValueError, ImportError, KeyError, RuntimeError) as error:
            raise self._cannot_load("model", source, error) from error
        except Exception as error:  # safetensors raises its own class for a corrupt file
            raise self._cannot_load("model", source, error) from error
        try:
            return model.to(device).eval()
        except RuntimeError as error:
            raise UsageError(
                f"{self.label} cannot go to policy.device={device}: {error}"
            ) from error

    def _hub(self) -> dict[str, Any]:
        revision = str(self.config.get("revision") or "")
        return {"revision": revision} if revision else {}

    def _cannot_load(self, what: str, source: str, error: Exception) -> UsageError:
        reason = (str(error).strip().splitlines() or [type(error).__name__])[0]
        where = "directory" if Path(source).is_dir() else "name (no such directory here)"
        return UsageError(
            f"cannot load the {what} of {self.label} from {where} {source!r}: {reason}; it must be "
            "a transformers causal language model with safetensors weights and a chat template"
        )


@contextlib.contextmanager
def _no_bars() -> Iterator[None]:
    """Without transformers' progress bars, which would tear the run's own display."""
    from transformers.utils import logging as bars

    shown = bars.is_progress_bar_enabled()
    bars.disable_progress_bar()
    try:
        yield
    finally:
        if shown:
            bars.enable_progress_bar()


def _common(a: Sequence[int], b: Sequence[int]) -> int:
    """Length of the common prefix."""
    n = min(len(a), len(b))
    for i in range(n):
        if a[i] != b[i]:
            return i
    return n


def _as_list(ids: int | Sequence[int] | None) -> list[int]:
    if ids is None:
        return []
    return [ids] if isinstance(ids, int) else list(ids)
