"""Drives a causal language model over the packed KV cache: feed rows, sample, stop.

The engine knows token ids only. A `Job` is one turn of one transcript: ids that are not in the
cache yet, and how to sample the answer. All jobs of a call advance together, one token a forward,
and a job leaves the batch as soon as it stops.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from skillbench.errors import UsageError
from skillbench.records import SamplingParams

from . import kv
from .sampling import Uniforms, sample

PREFILL = 2048  # tokens a forward: bounds activations, and stays within the CPU's caches


@dataclass
class Job:
    """One answer to sample. `ids` is the whole prompt; `row.length` of them are in the cache."""

    row: kv.Row
    ids: list[int]
    params: SamplingParams
    limit: int  # tokens to sample at most
    stops: frozenset[int]
    constraint: Any = None
    stopped: Callable[[list[int]], bool] | None = None  # further stop condition (stop strings)
    tokens: list[int] = field(default_factory=list)
    logprobs: list[float] = field(default_factory=list)
    finish_reason: str = ""


class Engine:
    """A model in evaluation mode, with its cache."""

    def __init__(self, model: Any, *, threads: int = 0, name: str = "") -> None:
        self.model = model
        self.threads = threads
        self.name = name
        self.cache = kv.Cache()
        self._checked = False
        # Inference mode saves a tenth; but rotary buffers that a model remakes under it could not
        # be trained with afterwards.
        self._remakes = any(kind in str(model.config) for kind in ("dynamic", "longrope"))

    def run(self, jobs: Sequence[Job]) -> float:
        """Sample the answers of all jobs, in place. Returns the seconds that it took."""
        began = time.perf_counter()
        with self._session():
            if not self._checked:
                self._check()
                self._checked = True
            # Rows of one block must lie together in a forward.
            order = {id(block): i for i, block in enumerate(self.cache.blocks)}
            jobs = sorted(jobs, key=lambda job: (order[id(job.row.block)], job.row.index))
            streams = [Uniforms(job.params.seed) for job in jobs]
            logits = self._prefill(jobs)
            live = list(range(len(jobs)))
            while live:
                live = self._advance([(jobs[i], streams[i], i) for i in live], logits)
                if live:
                    rows = [jobs[i].row for i in live]
                    logits = self._forward(rows, [[jobs[i].tokens[-1]] for i in live])
        return time.perf_counter() - began

    def _advance(self, live: list[tuple[Job, Uniforms, int]], logits: Any) -> list[int]:
        """Sample one token for each live job; return those that go on."""
        jobs = [job for job, _, _ in live]
        limits = None
        if any(job.constraint is not None for job in jobs):
            limits = [
                job.constraint.limit(job.limit - len(job.tokens)) if job.constraint else None
                for job in jobs
            ]
        tokens, logprobs = sample(
            logits,
            [job.params.temperature for job in jobs],
            [job.params.top_p for job in jobs],
            [next(stream) for _, stream, _ in live],
            limits,
        )
        going: list[int] = []
        for (job, _, i), token, logprob in zip(live, tokens, logprobs, strict=True):
            job.tokens.append(token)
            job.logprobs.append(logprob)
            if job.constraint is not None:
                job.constraint.push(token)
            if token in job.stops or (job.stopped is not None and job.stopped(job.tokens)):
                job.finish_reason = "stop"
            elif len(job.tokens) >= job.limit:
                job.finish_reason = "length"
            else:
                going.append(i)
        return going

    def _prefill(self, jobs: Sequence[Job]) -> Any:
        """Feed what is not cached yet; return the logits after each job's last prompt token."""
        import torch

        results: list[Any] = []
        rows: list[kv.Row] = []
        feeds: list[list[int]] = []
        room = PREFILL

        def flush() -> None:
            nonlocal room
            if rows:
                results.append(self._forward(rows, feeds))
            rows.clear()
            feeds.clear()
            room = PREFILL

        for job in jobs:
            new = job.ids[job.row.length :]
            if len(new) > room:
                flush()
            while len(new) > PREFILL:  # one long prompt goes in pieces
                self._forward([job.row], [new[:PREFILL]])
                new = new[PREFILL:]
            rows.append(job.row)
            feeds.append(new)
            room -= len(new)
        flush()
        return results[0] if len(results) == 1 else torch.cat(results)

    def _forward(self, rows: Sequence[kv.Row], feeds: Sequence[Sequence[int]]) -> Any:
        """One packed forward; logits [rows, vocabulary] after each row's last token."""
        import torch

        layout = kv.plan(rows, [len(feed) for feed in feeds])
        device = self.model.device
        ids = torch.tensor([[i for feed in feeds for i in feed]], device=device)
        positions = torch.tensor([layout.positions], device=device)
        last = torch.tensor(layout.last, device=device)
        with kv.attending(self.model, layout):
            output = self.model(
                input_ids=ids, position_ids=positions, use_cache=False, logits_to_keep=last
            )
        kv.commit(layout)
        return output.logits[0]

    def _check(self) -> None:
        """Compare the packed path with a plain forward once, on a few tokens.

        Models with state outside attention (convolutions, recurrences) or with an attention of
        their own would silently lose their past in the cache; this makes them fail loudly.
        """
        import torch

        vocabulary = self.model.get_input_embeddings().weight.shape[0]
        a = [(7 * i + 3) % vocabulary for i in range(6)]
        b = [(5 * i + 1) % vocabulary for i in range(4)]
        rows = [self.cache.take(), self.cache.take()]
        try:
            self._forward(rows, [a[:3], b[:2]])
            self._forward(rows, [a[3:5], b[2:3]])
            ours = self._forward(rows, [a[5:], b[3:]]).float()
            seen, layers = len(rows[0].block.keys), self.model.config.num_hidden_layers
            if seen != layers:
                raise UsageError(self._refusal(f"only {seen} of its {layers} layers are attention"))
            plain = [
                self.model(input_ids=torch.tensor([ids], device=self.model.device)).logits[0, -1]
                for ids in (a, b)
            ]
        except kv.Unsupported as error:
            raise UsageError(self._refusal(str(error))) from error
        except (TypeError, RuntimeError, KeyError, AttributeError) as error:
            raise UsageError(self._refusal(f"{type(error).__name__}: {error}")) from error
        finally:
            for row in rows:
                self.cache.give(row)
        theirs = torch.stack(plain).float()
        tolerance = 1e-3 if self.model.dtype == torch.float32 else 0.25
        # Measured against how much logits vary at all, which is little in a fresh model.
        gap = float((ours - theirs).abs().max() / theirs.std().clamp(min=1e-6))
        if not gap < tolerance:
            raise UsageError(
                self._refusal(
                    f"logits differ from a plain forward by {gap:.2g} standard deviations"
                )
            )

    def _refusal(self, why: str) -> str:
        return (
            f"policy {self.name or 'hf'} ({type(self.model).__name__}) cannot run over the KV "
            f"cache: {why}. Supported are causal models of pure attention (Qwen2/3, Llama, "
            "Mistral, SmolLM2 and their like); serve others through openai:NAME"
        )

    @contextlib.contextmanager
    def _session(self) -> Iterator[None]:
        """Evaluation mode, no gradients, own thread count; all as before afterwards."""
        import torch

        training = self.model.training
        threads = torch.get_num_threads()
        if training:
            self.model.eval()
        if self.threads and threads != self.threads:
            torch.set_num_threads(self.threads)
        try:
            with torch.no_grad() if self._remakes else torch.inference_mode():
                yield
        finally:
            if self.threads and threads != self.threads:
                torch.set_num_threads(threads)
            if training:
                self.model.train()
