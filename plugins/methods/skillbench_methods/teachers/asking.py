"""Questions to a model, and the answers that are kept.

A question is asked until an answer fits its schema; a fault is fed back. The usable answer is kept
in the run directory, in a file named by a hash of all that was asked, so that a run that was killed
does not pay for it again.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from skillbench.errors import TeacherError
from skillbench.store import write_atomic

from .prompting import fill, text
from .schema import check

Messages = Sequence[Mapping[str, str]]
ASKED = ("temperature", "max_tokens")  # settings that make another question of the same words


@dataclass(frozen=True)
class Question:
    """What is asked: a prompt, a schema of prompts/, and what the schema cannot say.

    `extra` says what is wrong with an answer that fits the schema; None: nothing. `phase` is for
    the ledger.
    """

    phase: str
    prompt: str
    schema: str
    extra: Callable[[Any], str | None] | None = None


class Talk:
    """One question, what was said about it so far, and its answer (None: none is usable yet)."""

    def __init__(
        self, question: Question, model: str, config: Mapping[str, Any], folder: Path | None
    ) -> None:
        self.question, self.answer, self.fault = question, None, ""
        self.messages: list[dict[str, str]] = [
            {"role": "system", "content": text("system.md")},
            {"role": "user", "content": question.prompt},
        ]
        asked = [model, question.schema, self.messages, {k: config[k] for k in ASKED}]
        digest = hashlib.sha256(json.dumps(asked, sort_keys=True).encode()).hexdigest()
        self.key = digest[:32]
        self.file = None if folder is None else folder / f"{self.key}.json"

    def recall(self) -> None:
        """Take the answer that was kept, if there is one and it is usable."""
        if self.file is not None and self.file.is_file():
            self._judge(self.file.read_text(encoding="utf-8"))

    def hear(self, reply: str) -> bool:
        """Keep a usable reply as the answer, or else say what is wrong with it."""
        self._judge(reply)
        if self.answer is None:
            self.messages += [
                {"role": "assistant", "content": reply or "(nothing)"},
                {"role": "user", "content": fill("retry.md", fault=self.fault)},
            ]
            return False
        if self.file is not None:
            self.file.parent.mkdir(parents=True, exist_ok=True)
            write_atomic(self.file, json.dumps(self.answer, ensure_ascii=False) + "\n")
        return True

    def _judge(self, reply: str) -> None:
        answer, fault = _read(reply, json.loads(text(self.question.schema)))
        if not fault and self.question.extra is not None:
            fault = self.question.extra(answer) or ""
        self.answer, self.fault = (None if fault else answer), fault


def one_by_one(
    talks: Iterable[Talk], complete: Callable[[str, Messages], str], author: str, attempts: int
) -> None:
    """Ask each question until its answer is usable. Raises TeacherError after `attempts`."""
    for talk in talks:
        for _ in range(attempts):
            if talk.hear(complete(talk.question.phase, talk.messages)):
                break
        else:
            raise useless(author, attempts, talk.fault)


def useless(author: str, attempts: int, fault: str) -> TeacherError:
    """The error after the last attempt."""
    return TeacherError(
        f"teacher {author} gave {attempts} answers that cannot be used; of the last: {fault}. Use "
        "another --teacher, raise teacher.attempts or teacher.max_tokens, or go on offline with "
        "--teacher causal"
    )


def _read(text: str, schema: Mapping[str, Any]) -> tuple[Any, str]:
    """The JSON object in an answer, and what is wrong with it ("" if nothing)."""
    body = text.rpartition("</think>")[2]
    start, end = body.find("{"), body.rfind("}")
    if start < 0 or end < start:
        return None, "it holds no JSON object"
    try:
        value = json.loads(body[start : end + 1])
    except (ValueError, RecursionError) as error:  # numbers without end, brackets without end
        return None, f"it is not valid JSON ({error})"
    return value, check(value, schema) or ""
