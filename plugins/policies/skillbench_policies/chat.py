"""How a chat template joins turns, as token ids.

A transcript is kept as ids and only ever extended: sampled ids are never decoded and tokenised
again. What a template puts after an assistant turn (its end-of-turn token, the next user turn and
the generation prompt) is found by rendering a two-turn conversation whose assistant turn is a
marker, and taking the text after the marker. So any template works whose assistant turns end in a
special token, and the ids equal the template's own whenever the model ends its turn normally.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence
from typing import Any

from skillbench.errors import PolicyError, UsageError
from skillbench.records import Message

MARK = "@@turn@@"
OPENING = {"role": "user", "content": "@@opening@@"}
TAILS = 4096  # turns remembered: observations such as "Nothing happens." come again and again


class ChatFormat:
    """The chat template of one tokenizer. Raises UsageError where it cannot be continued."""

    def __init__(self, tokenizer: Any, *, name: str = "", extra_stops: Sequence[int] = ()) -> None:
        if not getattr(tokenizer, "chat_template", None):
            raise UsageError(
                f"the tokenizer of {name or 'this model'} has no chat template; use an instruct "
                "model, or add a chat_template.jinja to its directory"
            )
        self.tokenizer = tokenizer
        self.name = name
        closing = self.encode(self._after_mark([], generate=False))
        special = set(tokenizer.added_tokens_decoder) | set(tokenizer.all_special_ids)
        ends = {i for i in extra_stops if i is not None}
        if tokenizer.eos_token_id is not None:
            ends.add(tokenizer.eos_token_id)
        first = next((i for i in closing if i in special), None)
        if first is None:
            raise UsageError(
                f"the chat template of {name or 'this model'} does not end an assistant turn with "
                f"a special token (it adds {self._after_mark([], generate=False)!r}), so a turn "
                "has no end; add one to the template"
            )
        self.end_of_turn: int = first
        self.stops = frozenset(ends | {first})
        self._tail = functools.lru_cache(maxsize=TAILS)(self._make_tail)

    def encode(self, text: str) -> list[int]:
        """Token ids of a text, special tokens in it recognised and none added."""
        backend = getattr(self.tokenizer, "backend_tokenizer", None)
        if backend is not None:  # an order of magnitude cheaper than the wrapper
            return backend.encode(text, add_special_tokens=False).ids
        return list(self.tokenizer(text, add_special_tokens=False)["input_ids"])

    def decode(self, ids: Sequence[int]) -> str:
        """The text of sampled ids, special tokens included."""
        return self.tokenizer.decode(
            list(ids), skip_special_tokens=False, clean_up_tokenization_spaces=False
        )

    def prompt(self, messages: Sequence[Message]) -> list[int]:
        """Ids of a whole conversation, ready for the assistant's answer."""
        return self.encode(self._render([dict(m) for m in messages], generate=True))

    def tail(self, messages: Sequence[Message], last: int | None) -> tuple[int, ...]:
        """Ids between a sampled assistant turn, whose last id is `last`, and the next answer.

        `messages` are those after the assistant turn. If the turn ended with the template's own
        end, that is not repeated; if it was cut off, the end is supplied.
        """
        ids = self._tail(tuple((m["role"], m["content"]) for m in messages))
        if last in self.stops and last in ids:
            return ids[ids.index(last) + 1 :]
        return ids

    def _make_tail(self, turns: tuple[tuple[str, str], ...]) -> tuple[int, ...]:
        messages = [{"role": role, "content": content} for role, content in turns]
        return tuple(self.encode(self._after_mark(messages, generate=True)))

    def _after_mark(self, messages: list[dict[str, str]], *, generate: bool) -> str:
        turns = [OPENING, {"role": "assistant", "content": MARK}, *messages]
        text = self._render(turns, generate=generate)
        _, mark, after = text.partition(MARK)
        if not mark:
            raise UsageError(
                f"the chat template of {self.name or 'this model'} drops assistant turns"
            )
        return after

    def _render(self, messages: list[dict[str, str]], *, generate: bool) -> str:
        try:
            return self.tokenizer.apply_chat_template(
                messages, tokenize=False, add_generation_prompt=generate
            )
        except Exception as error:  # jinja: the template refuses this order of roles
            roles = ", ".join(m["role"] for m in messages[:6])
            raise PolicyError(
                f"the chat template of {self.name or 'this model'} refuses a conversation of "
                f"{roles}: {error}"
            ) from error


class Vocabulary:
    """The text that each token adds, for decoding under a constraint."""

    def __init__(self, tokenizer: Any) -> None:
        # Decoded behind a fixed token: alone, many tokenizers drop a leading space.
        anchor = tokenizer("a", add_special_tokens=False)["input_ids"][-1:]
        prefix = tokenizer.decode(anchor, clean_up_tokenization_spaces=False)
        texts = tokenizer.batch_decode(
            [[*anchor, i] for i in range(len(tokenizer))],
            skip_special_tokens=False,
            clean_up_tokenization_spaces=False,
        )
        self.pieces = [text[len(prefix) :] for text in texts]

    def spelling(self, text: str) -> tuple[int, ...]:
        """All tokens that are exactly this text."""
        return tuple(i for i, piece in enumerate(self.pieces) if piece == text)
