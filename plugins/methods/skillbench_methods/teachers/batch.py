"""Questions as batches of the OpenAI Batch API: half the price, and an answer within 24 hours.

All open questions go as one batch; those whose answers cannot be used go again, with the fault fed
back, as the next one. The id of a batch is in the run directory before it is waited for, beside the
answers that are kept: a run that was killed goes on with that batch. (One killed between sending a
batch and writing its id sends it again.)

https://developers.openai.com/api/docs/guides/batch: results come in any order, in a file of
answers and a file of errors; what an expired or cancelled batch has answered is there, and charged.
"""

from __future__ import annotations

import hashlib
import json
import sys
import time
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from skillbench.errors import TeacherError
from skillbench.store import write_atomic
from skillbench.untrusted import one_line

from .asking import Talk, useless
from .endpoint import Endpoint, said, without_key

URL = "/v1/chat/completions"
WINDOW = "24h"  # the only one there is
ENDED = {
    "completed": "is complete",
    "failed": "failed",
    "expired": "has expired",
    "cancelled": "was cancelled",
}
PATIENCE = 10  # polls in a row that may fail before the run stops
TRANSIENT = (408, 409, 429)  # a request that ended so may go through the next time
GO_ON = "go on with skillbench run --resume"


def answer(endpoint: Endpoint, waiting: Sequence[Talk], record: Record, attempts: int) -> None:
    """Ask questions until each has an answer, in at most `attempts` batches. Raises TeacherError.

    `record` is that of all questions that were asked together, those whose answers were kept too.
    """
    if waiting:
        endpoint.client()  # first of all say what is missing
        record.load(waiting)
    while waiting:
        with endpoint.held(waiting[0].question.phase, [t.messages for t in waiting]):
            began = time.perf_counter()
            if not record.batch:
                record.batch = _send(endpoint, waiting)
                record.save(waiting)
            batch, results = _fetch(endpoint, record, len(waiting))
            wall = (time.perf_counter() - began) / len(waiting)
            refusal = _hear(endpoint, waiting, results, wall)
        waiting = [t for t in waiting if t.answer is None]
        record.batch = ""
        record.attempt += batch.status == "completed"
        if refusal or (waiting and record.attempt >= attempts):
            record.clear()
            if not refusal:
                raise useless(endpoint.author, attempts, waiting[0].fault)
            raise TeacherError(
                f"the provider of teacher {endpoint.author} refuses a question: {refusal}; usable "
                "answers are kept. Check the model's name and teacher.max_tokens, or use another "
                "--teacher"
            )
        record.save(waiting)
        if waiting and batch.status != "completed":
            raise _unfinished(endpoint, batch, len(waiting))
    record.clear()


class Record:
    """What a killed run needs to go on: the batch that is under way, and what was said so far."""

    def __init__(self, folder: Path | None, keys: Iterable[str]) -> None:
        name = hashlib.sha256(" ".join(keys).encode()).hexdigest()[:32]
        self.file = None if folder is None else folder / f"batch-{name}.json"
        self.batch, self.attempt = "", 0

    def load(self, talks: Iterable[Talk]) -> None:
        """Take up what an earlier process has written; a file that is not ours is left out."""
        if self.file is None or not self.file.is_file():
            return
        try:
            found = json.loads(self.file.read_text(encoding="utf-8"))
            batch, attempt, said = str(found["batch"]), int(found["attempt"]), dict(found["said"])
        except (ValueError, KeyError, TypeError):
            return
        self.batch, self.attempt = batch, attempt
        for talk in talks:
            talk.messages = said.get(talk.key, talk.messages)

    def save(self, talks: Iterable[Talk]) -> None:
        """Write it, atomically."""
        if self.file is None:
            return
        self.file.parent.mkdir(parents=True, exist_ok=True)
        said = {t.key: t.messages for t in talks}
        found = {"batch": self.batch, "attempt": self.attempt, "said": said}
        write_atomic(self.file, json.dumps(found) + "\n")

    def clear(self) -> None:
        """All is answered, or given up: nothing is to be taken up."""
        if self.file is not None:
            self.file.unlink(missing_ok=True)


def _send(endpoint: Endpoint, talks: Iterable[Talk]) -> str:
    """Upload the questions, create the batch, return its id."""
    import openai

    client = endpoint.client()
    lines = [
        {"custom_id": t.key, "method": "POST", "url": URL, "body": endpoint.body(t.messages)}
        for t in talks
    ]
    data = "".join(json.dumps(line) + "\n" for line in lines).encode()
    with endpoint.speaking():
        try:
            file = client.files.create(file=("questions.jsonl", data), purpose="batch")
            # Not tried again by the client: a lost reply would mean two batches.
            made = client.with_options(max_retries=0).batches.create(
                input_file_id=file.id, endpoint=URL, completion_window=WINDOW
            )
        except openai.APIStatusError as error:
            if error.status_code not in (404, 405, 501):
                raise
            raise TeacherError(
                f"the endpoint of teacher {endpoint.author} takes no batches (HTTP "
                f"{error.status_code}); run with --set teacher.batch=false"
            ) from None
        if not isinstance(made.id, str) or not made.id:
            raise TypeError("the batch has no id")
    return made.id


def _fetch(endpoint: Endpoint, record: Record, questions: int) -> tuple[Any, dict[str, Any]]:
    """Wait until the batch has ended: (batch, its result lines by question)."""
    import openai

    with endpoint.speaking(f". Batch {record.batch} goes on: {GO_ON}"):
        try:
            batch = _wait(endpoint, record.batch, questions)
            return batch, _results(endpoint, batch)
        except openai.NotFoundError:
            new = f"delete {record.file} and {GO_ON}" if record.file else "begin again"
            raise TeacherError(
                f"the endpoint of teacher {endpoint.author} does not know batch {record.batch} of "
                "this run, or its results are gone; use the key of the account that made it, or "
                f"pay for a new one: {new}"
            ) from None


def _wait(endpoint: Endpoint, id: str, questions: int) -> Any:
    import openai

    client = endpoint.client().with_options(max_retries=0)
    passing = (openai.APIConnectionError, openai.InternalServerError, openai.RateLimitError)
    faults, told = 0, False
    while True:
        try:
            batch = client.batches.retrieve(id)
            faults = 0
        except passing:
            faults += 1
            if faults >= PATIENCE:
                raise
        else:
            if not isinstance(batch.status, str):
                raise TypeError(f"the status of batch {id} is {batch.status!r}")
            if batch.status in ENDED:
                return batch
        if not told:  # it may take long
            told = True
            sys.stderr.write(
                f"teacher {endpoint.author}: waiting for batch {id} of {questions} question(s), "
                "24 hours at most\n"
            )
        time.sleep(max(0.0, float(endpoint.config["batch_poll"])))


def _results(endpoint: Endpoint, batch: Any) -> dict[str, Any]:
    """The lines of both result files by question; a line that cannot be read is none."""
    found: dict[str, Any] = {}
    for file in (batch.output_file_id, batch.error_file_id):
        if not file:
            continue
        data = endpoint.client().files.content(file).read()
        for text in data.decode("utf-8", "replace").split("\n"):
            try:
                line = json.loads(text)
                found.setdefault(str(line["custom_id"]), line)
            except (ValueError, TypeError, KeyError, RecursionError):
                continue
    return found


def _hear(
    endpoint: Endpoint, talks: Iterable[Talk], results: Mapping[str, Any], wall: float
) -> str:
    """Book and judge the answers; returns why the provider refuses a question ("": it does not).

    A question without an answer stays open as it is. Each answer is kept right after it was
    booked, so that no kept one is booked again.
    """
    from openai.types.chat import ChatCompletion

    refusal = ""
    for talk in talks:
        line = results.get(talk.key)
        response = line.get("response") if line else None
        response = response if isinstance(response, dict) else {}
        status, body = response.get("status_code"), response.get("body")
        if status == 200 and isinstance(body, dict):
            with endpoint.speaking():
                reply = ChatCompletion.construct(**body)
            endpoint.book(talk.question.phase, reply, wall)
            talk.hear(said(reply))
            continue
        talk.fault = _complaint(line, body) if line else "the batch has no result for it"
        if isinstance(status, int) and 400 <= status < 500 and status not in TRANSIENT:
            refusal = talk.fault
    return refusal


def _complaint(line: Mapping[str, Any], body: Any) -> str:
    """What a result line without an answer says."""
    error = line.get("error") or (body.get("error") if isinstance(body, dict) else body)
    message = error.get("message") if isinstance(error, dict) else error
    return without_key(one_line(str(message or "it was not answered")))[:200]


def _unfinished(endpoint: Endpoint, batch: Any, open_: int) -> TeacherError:
    """The error for a batch that failed, expired or was cancelled."""
    data = getattr(batch.errors, "data", None) or ()
    said = "; ".join(str(getattr(e, "message", "")) for e in data[:3])
    why = f": {without_key(one_line(said))[:300]}" if said else ""
    return TeacherError(
        f"batch {batch.id} of teacher {endpoint.author} {ENDED[batch.status]}{why}. {open_} "
        f"question(s) are open, usable answers are kept: {GO_ON} to ask the rest in a new batch, "
        "or begin a run with --set teacher.batch=false"
    )
