"""Policy `vllm`: a causal language model that vLLM samples from, on GPUs or (slowly) on a CPU.

Each request goes to the engine as soon as it is made; vLLM batches whatever requests there are at
every token (continuous batching), so that no episode waits for another one. Transcripts are kept
as in `hf`: token ids that only grow. So the prefix cache holds all of a step's prompt but its last
observation, and `cached_tokens` of each completion says how many that were.

The engine has its own copy of the weights. What is trained is a transformers module (`model()`),
loaded when a trainer asks for it; `sync` writes it to a directory in memory, from which every
device of the engine reads its part.
"""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import tempfile
import threading
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from skillbench.errors import PolicyError, UsageError
from skillbench.records import Completion, Request, Usage

from . import lora
from .chat import ChatFormat
from .hf import HFPolicy, Transcript, _as_list
from .models import embedded
from .options import VLLM
from .vllm_engine import EXTENSION, Answer, VLLMEngine, on_cpu, prepare_environment

SHM = Path("/dev/shm")
KV_GB = 1.0  # on a CPU; a GPU has policy.gpu_memory


class VLLMPolicy(HFPolicy):
    """Samples with vLLM; trainable."""

    name = "vllm"
    batching = "stream"
    defaults: Mapping[str, Any] = VLLM

    def __init__(self, model: str | None, config: Mapping[str, Any] | None = None) -> None:
        config = {**self.defaults, **(config or {})}
        if config["style"] == "auto":
            config["style"] = "compact" if embedded(str(model or "")) else "chat"
        if config["constrained"]:
            raise UsageError(
                "policy vllm does not choose among admissible commands (policy.constrained); "
                "use --policy hf:NAME for that, or leave it out"
            )
        super().__init__(model, config)
        self.concurrency = max(1, int(self.config["concurrency"]))
        self._engine_: VLLMEngine | None = None
        self._starting = threading.Lock()
        self._weights = self.source  # where the engine's present weights come from
        self._handed: tempfile.TemporaryDirectory[str] | None = None
        self._live: set[str] = set()
        self._made: tuple[ChatFormat, int] | None = None

    # What a trainer needs

    def model(self) -> Any:
        """The torch module that is trained, with the present weights; loaded at the first call."""
        if self._model is None:
            self._model = lora.adapted(self._load_model(self._weights), self.config)
        return self._model

    def sync(self, version: str) -> None:
        """Sample from the module's present weights from now on."""
        self.version = str(version)
        if self._model is not None:
            self._hand_over(self._write_weights())

    def load(self, directory: Path) -> None:
        """Read weights back, into the module that is trained (if there is one) and the engine."""
        if self._model is not None or (Path(directory) / lora.ADAPTER).is_file():
            super().load(directory)
            return
        self.version = str(directory)
        self._hand_over(str(directory))

    # What the loop needs

    async def generate(self, requests: Sequence[Request]) -> list[Completion]:
        """Answer each request; a `PolicyError` stands in the list for a request that failed."""
        if self._engine_ is None or self._engine_.dead:
            await asyncio.to_thread(self._started)
        answers = await asyncio.gather(
            *(self._one(request) for request in requests), return_exceptions=True
        )
        for answer in answers:
            if isinstance(answer, BaseException) and not isinstance(answer, PolicyError):
                raise answer
        return answers  # type: ignore[return-value]

    def release(self, episode_id: str) -> None:
        """Forget the transcript; vLLM's cache drops its oldest blocks by itself."""
        self._transcripts.pop(episode_id, None)

    def close(self) -> None:
        """End the engine and free the module."""
        if self._engine_ is not None:
            self._engine_.close()
            self._engine_ = None
        if self._handed is not None:
            self._handed.cleanup()
            self._handed = None
        self._transcripts.clear()
        self._model = None

    # Inside

    async def _one(self, request: Request) -> Completion:
        began = time.perf_counter()
        key = request.episode_id
        if key in self._live:
            raise PolicyError(f"{self.label} was asked twice at once for the same episode")
        self._live.add(key)
        try:
            chat, held = self._chat(), self._held(key)
            self._extend(held, request, chat)
            params = request.params
            answer = await self._started().generate(
                held.ids,
                limit=max(min(params.max_tokens, self._room(held)), 1),
                stops=sorted(chat.stops),
                temperature=params.temperature,
                top_p=params.top_p,
                seed=params.seed,
            )
        except PolicyError:
            self.release(key)
            raise
        finally:
            self._live.discard(key)
        return self._completion(request, held, answer, time.perf_counter() - began)

    def _completion(
        self, request: Request, held: Transcript, answer: Answer, seconds: float
    ) -> Completion:
        chat = self._chat()
        tokens, stopped = answer.tokens, answer.stopped
        if request.params.stop:  # strings: the engine knows ids only
            for n in range(1, len(tokens) + 1):
                text = chat.decode(tokens[:n])
                if any(stop in text for stop in request.params.stop):
                    tokens, stopped = tokens[:n], True
                    break
        prompt = tuple(held.ids)
        text = held.answered(tokens, request.params.stop, chat)
        return Completion(
            text=text,
            usage=Usage(
                input_tokens=len(prompt),
                cached_tokens=min(answer.cached, len(prompt)),
                output_tokens=len(answer.tokens),
                calls=1,
                wall_s=seconds,
                device_s=answer.device_s,
            ),
            token_ids=tokens,
            logprobs=answer.logprobs[: len(tokens)],
            prompt_ids=prompt,
            finish_reason="stop" if stopped else "length",
            model=self.label,
        )

    def _started(self) -> VLLMEngine:
        """The engine; started at the first call, and again if its processes have died."""
        with self._starting:
            if self._engine_ is not None and self._engine_.dead:
                self._engine_.close()
                self._engine_ = None
            if self._engine_ is None:
                self._engine_ = VLLMEngine(
                    self.engine_arguments(),
                    devices=int(self.config["tensor_parallel"]) * int(self.config["data_parallel"]),
                    name=self.label,
                )
                if self._weights != self.source:
                    self._engine_.load(Path(self._weights))
            return self._engine_

    def engine_arguments(self) -> dict[str, Any]:
        """Arguments of vllm.AsyncEngineArgs. Raises UsageError for what is no JSON table."""
        prepare_environment(int(self.config["threads"]))
        cpu = on_cpu()
        dtype = str(self.config["dtype"])
        context = self._max_context()
        arguments: dict[str, Any] = {
            "model": self.source,
            "dtype": ("float32" if cpu else "bfloat16") if dtype == "auto" else dtype,
            "max_model_len": context,
            "max_num_seqs": self.concurrency,
            "tensor_parallel_size": int(self.config["tensor_parallel"]),
            "data_parallel_size": int(self.config["data_parallel"]),
            "enable_prefix_caching": bool(self.config["prefix_caching"]),
            # At the sampling temperature, as importance ratios need them.
            "logprobs_mode": "processed_logprobs",
            "skip_tokenizer_init": True,  # ids in, ids out
            "generation_config": "vllm",  # no sampling defaults of the model's own
            "disable_log_stats": True,
            **self._hub(),
        }
        if cpu:
            arguments |= {
                "worker_extension_cls": EXTENSION,
                "enforce_eager": True,  # a reload was never tried with compiled graphs
                # A prefill that is cut in two draws the next token with a generator that a CPU
                # does not have; so a prompt must fit into one batch.
                "enable_chunked_prefill": False,
                "max_num_batched_tokens": max(context, 4096),
                "block_size": 32,
            }
        else:
            arguments["gpu_memory_utilization"] = float(self.config["gpu_memory"])
        room = float(self.config["kv_cache_gb"]) or (KV_GB if cpu else 0.0)
        if room:
            arguments["kv_cache_memory_bytes"] = int(room * 1e9)
        return arguments | self._further()

    def _further(self) -> dict[str, Any]:
        text = str(self.config["engine"]).strip()
        try:
            table = json.loads(text) if text else {}
        except ValueError as error:
            raise UsageError(f"policy.engine is no JSON ({error}): {text!r}") from error
        if not isinstance(table, dict):
            raise UsageError(
                'policy.engine must be a JSON table of vllm.AsyncEngineArgs, like {"max_num_seqs": '
                f"512}}, not {text!r}"
            )
        return table

    def _chat(self) -> ChatFormat:
        return self._parts_()[0]

    def _parts_(self) -> tuple[ChatFormat, int]:
        """The chat format and the model's context, read without loading any weights."""
        if self._made is None:
            from transformers import AutoConfig, GenerationConfig

            try:
                config = AutoConfig.from_pretrained(self.source, **self._hub())
            except (OSError, ValueError) as error:
                raise self._cannot_load("configuration", self.source, error) from error
            stops = _as_list(getattr(config, "eos_token_id", None))
            try:
                own = GenerationConfig.from_pretrained(self.source, **self._hub())
                stops += _as_list(own.eos_token_id)
            except OSError:
                pass  # a model need not have one
            chat = ChatFormat(self._tokenizer, name=self.label, extra_stops=stops)
            text = config.get_text_config()
            self._made = chat, int(getattr(text, "max_position_embeddings", None) or 1 << 20)
        return self._made

    def _max_context(self) -> int:
        own = self._parts_()[1]
        return min(int(self.config["max_context"]) or own, own)

    def _load_model(self, source: str) -> Any:
        # What is trained has a type of its own: steps of the size of a learning rate would be
        # rounded away in the sampler's bfloat16.
        dtype = self.config["dtype"]
        self.config["dtype"] = self.config["train_dtype"]
        try:
            return super()._load_model(source)
        finally:
            self.config["dtype"] = dtype

    def _write_weights(self) -> str:
        """Write the module's weights where the engine's processes read them."""
        if self._handed is None:
            place = SHM if SHM.is_dir() and os.access(SHM, os.W_OK) else None
            self._handed = tempfile.TemporaryDirectory(dir=place, prefix="skillbench-weights-")
        folder = Path(self._handed.name) / "weights"
        shutil.rmtree(folder, ignore_errors=True)
        if lora.has_adapters(self.model()):
            from huggingface_hub import save_torch_state_dict

            folder.mkdir()
            save_torch_state_dict(lora.merged(self.model()), folder)
        else:
            self._save_model(folder)
        return str(folder)

    def _hand_over(self, directory: str) -> None:
        self._weights = directory
        if self._engine_ is not None and not self._engine_.dead:
            self._engine_.load(Path(directory))
