"""The provider of a model: its client, one call, and what calls cost.

The key is read from the environment by the client library and written nowhere. Before a call its
worst price is held (`--max-usd`), after it what was used is on the ledger.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from skillbench import prices
from skillbench.errors import ConfigError, TeacherError, UsageError
from skillbench.records import Usage

from .asking import Messages


class Endpoint:
    """One model behind an OpenAI-compatible endpoint."""

    def __init__(
        self, model: str, config: Mapping[str, Any], spend: Callable[..., None] | None
    ) -> None:
        self.model, self.config, self.author = model, config, f"openai:{model}"
        self.spend = spend
        self._client: Any = None
        if not 0 < float(config["batch_discount"]) <= 1:
            raise ConfigError(
                f"teacher.batch_discount is {config['batch_discount']}: it is what a call in a "
                "batch costs of the usual price, above 0 and at most 1 (half price: 0.5)"
            )

    def client(self) -> Any:
        """The client library's client. Raises UsageError where it or the key is missing."""
        if self._client is None:
            try:
                import openai
            except ImportError:
                raise UsageError(
                    "teacher openai needs the client library: "
                    "pip install 'skillbench-methods[teacher]'"
                ) from None
            base = self.config["base_url"] or os.environ.get("OPENAI_BASE_URL") or None
            key = os.environ.get("OPENAI_API_KEY")
            if not key and not base:
                raise UsageError(
                    "teacher openai needs OPENAI_API_KEY in the environment, or OPENAI_BASE_URL "
                    "of a server that wants none"
                )
            self._client = openai.OpenAI(
                base_url=base, api_key=key or "none", timeout=float(self.config["timeout"])
            )
        return self._client

    def body(self, messages: Messages) -> dict[str, Any]:
        """The body of a chat completion request."""
        limit = int(self.config["max_tokens"])
        body = {
            "model": self.model,
            "messages": list(messages),
            "max_completion_tokens": limit,
        }
        if float(self.config["temperature"]) != 1.0:  # reasoning models take no other
            body["temperature"] = float(self.config["temperature"])
        return body

    def complete(self, phase: str, messages: Messages) -> str:
        """The model's reply. Raises TeacherError, and BudgetStop where it could cost too much."""
        client = self.client()
        with self.held(phase, [messages]):
            began = time.perf_counter()
            with self.speaking():
                reply = client.chat.completions.create(**self.body(messages))
            self.book(phase, reply, time.perf_counter() - began)
        return said(reply)

    @contextmanager
    def held(self, phase: str, calls: Sequence[Messages]) -> Iterator[None]:
        """Hold the worst price of calls that are made together. Raises BudgetStop."""
        hold = getattr(self.spend, "hold", None)
        if hold is None:
            yield
            return
        sent = sum(len(m["content"]) for messages in calls for m in messages)
        amount = hold(phase, "teacher", sent, len(calls) * int(self.config["max_tokens"]))
        try:
            yield
        finally:
            self.spend.release(amount)  # type: ignore[union-attr]

    @contextmanager
    def speaking(self, hint: str = "") -> Iterator[None]:
        """Turn what the client raises into a TeacherError that ends with `hint`."""
        import openai

        try:
            yield
        except openai.OpenAIError as error:
            raise TeacherError(
                f"teacher {self.author} cannot be asked: {type(error).__name__}: "
                f"{without_key(str(error))}; check OPENAI_BASE_URL, OPENAI_API_KEY and the "
                f"model's name, or use --teacher causal{hint}"
            ) from None
        except (ValueError, TypeError, AttributeError) as error:
            raise TeacherError(
                f"the endpoint of teacher {self.author} does not answer as the OpenAI API does: "
                f"{type(error).__name__}: {without_key(str(error))[:200]}{hint}"
            ) from None

    def book(self, phase: str, reply: Any, wall: float) -> None:
        """Put a chat completion on the ledger; in a batch at the discounted price."""
        if self.spend is None:
            return
        used = getattr(reply, "usage", None)
        details = getattr(used, "prompt_tokens_details", None)
        spent = {
            "in": _count(used, "prompt_tokens"),
            "cached": _count(details, "cached_tokens"),
            "out": _count(used, "completion_tokens"),
        }
        # A line without dollars is priced by its tokens later, which knows of no batch.
        dated = prices.newest() if self.config["batch"] else prices.Prices("")
        table = {**self.config, "name": "openai", "model": self.model}
        usage = Usage(
            input_tokens=spent["in"],
            cached_tokens=spent["cached"],
            output_tokens=spent["out"],
            calls=1,
            usd=prices.charged(table, spent, dated) or 0.0,
            wall_s=wall,
        )
        self.spend(phase, "teacher", usage, self.author)


def said(reply: Any) -> str:
    """The text of a chat completion; "" where it has none."""
    try:
        content = reply.choices[0].message.content
    except (AttributeError, IndexError, TypeError):
        return ""
    return content if isinstance(content, str) else ""


def without_key(text: str) -> str:
    """Text of the provider, without our key."""
    key = os.environ.get("OPENAI_API_KEY")
    return text.replace(key, "***") if key else text


def _count(used: Any, name: str) -> int:
    value = getattr(used, name, 0)
    return value if isinstance(value, int) and value > 0 else 0
