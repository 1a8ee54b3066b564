"""Policy `openai`: any OpenAI-compatible chat endpoint, through the official client.

OPENAI_BASE_URL says where, OPENAI_API_KEY is the key. The client library retries what can be
retried (429, 5xx, timeouts, lost connections) with its own back-off; answers that are no chat
completion are asked for again, too. What still fails becomes a PolicyError of that one request, so
the episode is invalid and never a zero. The key is read when a client is made, handed to it and
kept nowhere else; every text that leaves this module is searched for it.
"""

from __future__ import annotations

import asyncio
import importlib
import json
import os
import time
from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import urlsplit, urlunsplit

from skillbench.errors import PolicyError, UsageError
from skillbench.records import Completion, Request, Usage

from .options import OPENAI

KEY, URL = "OPENAI_API_KEY", "OPENAI_BASE_URL"
OFFICIAL = "https://api.openai.com/v1"
LIMIT_BYTES = 16 * 2**20  # no chat completion is this large
NO_KEY = "none"  # what is sent to servers that want no key


class OpenAIPolicy:
    """Asks a server for each completion; cannot be trained."""

    name = "openai"
    batching = "stream"
    trainable = False

    def __init__(self, model: str | None, config: Mapping[str, Any] | None = None) -> None:
        if not model:
            raise UsageError("policy openai needs a model: --policy openai:NAME")
        self.config = {**OPENAI, **(config or {})}
        self.model_name = model
        self.label = f"openai:{model}"
        self.style = str(self.config["style"])
        self.concurrency = max(int(self.config["concurrency"]), 1)
        self.url = (os.environ.get(URL) or OFFICIAL).rstrip("/")
        if self.url == OFFICIAL and not _key():
            raise UsageError(
                f"policy {self.label} needs {KEY} in the environment; for a server of your own "
                f"set {URL} (for example http://127.0.0.1:8000/v1)"
            )
        self._extra = _extra(self.config["extra_body"])
        _import()
        self._client: Any = None
        self._loop: Any = None

    def __repr__(self) -> str:
        return f"OpenAIPolicy({self.model_name!r}, {self._where()!r})"

    async def generate(self, requests: Sequence[Request]) -> list[Any]:
        """Answer each request; a PolicyError stands in the list for one that failed."""
        client = self._connect()
        return list(await asyncio.gather(*(self._answer(client, r) for r in requests)))

    def release(self, episode_id: str) -> None:
        """Nothing is kept per episode."""

    def close(self) -> None:
        """Drop the client; its sockets close with their event loop."""
        self._client = self._loop = None

    def _connect(self) -> Any:
        # Sockets belong to an event loop, and every learning step may bring a new one.
        loop = asyncio.get_running_loop()
        if self._client is None or self._loop is not loop:
            openai, httpx = _import()
            self._loop = loop
            self._client = openai.AsyncOpenAI(
                api_key=_key() or NO_KEY,
                base_url=self.url,
                max_retries=int(self.config["retries"]),
                timeout=float(self.config["timeout"]),
                http_client=openai.DefaultAsyncHttpxClient(
                    transport=_bounded(httpx, float(self.config["timeout"])),
                    headers={"Accept-Encoding": "identity"},  # so that bytes read are bytes held
                ),
            )
        return self._client

    async def _answer(self, client: Any, request: Request) -> Completion | PolicyError:
        openai, _ = _import()
        began = time.perf_counter()
        problem = ""
        for _ in range(int(self.config["retries"]) + 1):
            try:
                answer = await client.chat.completions.create(**self._body(request))
                return self._completion(answer, time.perf_counter() - began)
            except _Malformed as error:
                problem = str(error)
            except (openai.APIResponseValidationError, ValueError) as error:
                problem = f"answered with something that is no JSON object: {error}"
            except openai.APIStatusError as error:
                return self._failure(f"HTTP {error.status_code}: {_message(error)}")
            except openai.APITimeoutError:
                return self._failure(f"no answer within {self.config['timeout']:g} s")
            except openai.APIConnectionError as error:
                return self._failure(
                    f"{error} ({type(error.__cause__).__name__}: {error.__cause__})"
                )
            except Exception as error:
                return self._failure(f"{type(error).__name__}: {error}")
        return self._failure(problem)

    def _body(self, request: Request) -> dict[str, Any]:
        params = request.params
        limit = "max_completion_tokens" if self.config["max_completion_tokens"] else "max_tokens"
        body: dict[str, Any] = {
            "model": self.model_name,
            "messages": [dict(m) for m in request.messages],
            limit: params.max_tokens,
        }
        if self.config["send_sampling"]:
            body |= {"temperature": params.temperature, "top_p": params.top_p}
        if self.config["send_seed"]:
            body["seed"] = params.seed % 2**31
        if params.stop:
            body["stop"] = list(params.stop)
        if self._extra:
            body["extra_body"] = self._extra
        return body

    def _completion(self, answer: Any, seconds: float) -> Completion:
        choices = getattr(answer, "choices", None)
        first = choices[0] if isinstance(choices, list) and choices else None
        message = getattr(first, "message", None)
        if message is None:
            raise _Malformed(f"answered with no chat completion but {str(answer)[:200]!r}")
        text = getattr(message, "content", None)
        finish = str(getattr(first, "finish_reason", None) or "stop")
        if text is None:
            # A refusal, or a budget spent on hidden reasoning: the model's own failure, an empty
            # answer. Anything else without content is no answer.
            text = getattr(message, "refusal", None) or ("" if finish == "length" else None)
        if not isinstance(text, str):
            raise _Malformed(f"answered without text (finish_reason {finish!r})")
        return Completion(
            text=self._clean(text),
            usage=self._usage(getattr(answer, "usage", None), seconds),
            finish_reason=finish,
            model=self.label,
        )

    def _usage(self, usage: Any, seconds: float) -> Usage:
        details = getattr(usage, "prompt_tokens_details", None)
        total = _count(usage, "prompt_tokens")
        cached = min(_count(details, "cached_tokens"), total)
        out = _count(usage, "completion_tokens")
        price = float(self.config["usd_per_mtok_in"])
        cheap = float(self.config["usd_per_mtok_cached"])
        usd = (total - cached) * price + cached * (price if cheap < 0 else cheap)
        usd += out * float(self.config["usd_per_mtok_out"])
        return Usage(
            input_tokens=total,
            cached_tokens=cached,
            output_tokens=out,
            calls=1,
            usd=usd / 1e6,
            wall_s=seconds,
        )

    def _failure(self, what: str) -> PolicyError:
        tries = int(self.config["retries"]) + 1
        return PolicyError(
            self._clean(
                f"{self.label} at {self._where()} failed after up to {tries} tries: {what[:600]}; "
                "see the server's log, or raise policy.timeout or policy.retries"
            )
        )

    def _where(self) -> str:
        parts = urlsplit(self.url)  # a user and password in the address stay out of every text
        return urlunsplit(parts._replace(netloc=parts.netloc.rpartition("@")[2], query=""))

    def _clean(self, text: str) -> str:
        """The text without the key, wherever a server may have echoed it."""
        secrets = {_key(), urlsplit(self.url).password or ""}
        for secret in secrets - {"", NO_KEY}:
            text = text.replace(secret, "[redacted]")
        return text


class _Malformed(Exception):
    """The server answered 200 with something that is no chat completion."""


def _key() -> str:
    return os.environ.get(KEY, "").strip()


def _import() -> tuple[Any, Any]:
    try:
        import openai
    except ImportError as error:
        raise UsageError(
            f"policy openai needs the openai client ({error}): "
            "pip install 'skillbench-policies[openai]'"
        ) from error
    # The HTTP library is the client's own choice (httpx, or httpx2 in later releases).
    base = next(c for c in openai.DefaultAsyncHttpxClient.__mro__ if c.__name__ == "AsyncClient")
    return openai, importlib.import_module(base.__module__.partition(".")[0])


def _extra(text: str) -> dict[str, Any]:
    try:
        fields = json.loads(text) if text else {}
    except ValueError:
        fields = None
    if not isinstance(fields, dict):
        raise UsageError(
            f'policy.extra_body must be a JSON object such as {{"top_k": 20}}, not {text!r}'
        )
    return fields


def _count(holder: Any, name: str) -> int:
    value = getattr(holder, name, None)
    return max(int(value), 0) if isinstance(value, int | float) else 0


def _message(error: Any) -> str:
    body = error.body
    if isinstance(body, dict) and isinstance(body.get("message"), str):
        return body["message"]
    return str(error)


def _bounded(httpx: Any, limit_s: float) -> Any:
    """A transport that gives up on an answer of more than LIMIT_BYTES, or later than `limit_s`.

    The client's own time-outs are per read: a server that drips would hold a request for ever.
    """

    class Stream(httpx.AsyncByteStream):
        def __init__(self, inner: Any, request: Any, deadline: float) -> None:
            self.inner, self.request, self.deadline = inner, request, deadline

        async def __aiter__(self) -> Any:
            size = 0
            async for chunk in self.inner:
                size += len(chunk)
                if size > LIMIT_BYTES:
                    raise httpx.ReadError(f"the answer exceeds {LIMIT_BYTES >> 20} MiB")
                if time.monotonic() > self.deadline:
                    raise httpx.ReadTimeout(f"no end within {limit_s:g} s", request=self.request)
                yield chunk

        async def aclose(self) -> None:
            await self.inner.aclose()

    class Transport(httpx.AsyncHTTPTransport):
        async def handle_async_request(self, request: Any) -> Any:
            deadline = time.monotonic() + limit_s
            try:
                async with asyncio.timeout(limit_s):
                    response = await super().handle_async_request(request)
            except TimeoutError as error:
                raise httpx.ReadTimeout(f"no head within {limit_s:g} s", request=request) from error
            response.stream = Stream(response.stream, request, deadline)
            return response

    return Transport()
