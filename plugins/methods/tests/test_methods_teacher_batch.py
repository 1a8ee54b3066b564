"""The teacher's batch mode, against a server on the loopback that has files and batches."""

from __future__ import annotations

import hashlib
import json
from email import message_from_bytes
from types import SimpleNamespace

import pytest

pytest.importorskip("openai")

from methods_loopback import Handler, Loopback
from skillbench_methods.teachers import batch
from skillbench_methods.teachers.llm import OpenAI

from skillbench import prices
from skillbench.budget import Budget, Spender
from skillbench.errors import BudgetStop, ConfigError, TeacherError
from skillbench.prices import Prices, Rates
from skillbench.records import Episode, Step, Task

FEEDBACK = "cannot be used"  # what a question says once its answer had a fault


def play(number, kind="clean", success=True):
    task = Task(f"train-{number}", "house", "train", kind, f"do task {number}")
    steps = (Step("o", "r", "go to desk 1"),)
    return Episode(task, 0, "success" if success else "failure", success, steps)


EPISODES = [play(1), play(2, success=False), play(3, kind="heat")]
QUESTIONS = 4  # general, clean, heat, mistakes


def good(messages):
    """A usable answer that depends on the question."""
    title = hashlib.sha256(messages[1]["content"].encode()).hexdigest()[:6]
    skill = {"title": title, "principle": f"Do {title}.", "when_to_apply": "always"}
    return json.dumps({"skills": [skill]})


def completion(text):
    message = {"role": "assistant", "content": text}
    details = {"cached_tokens": 0}
    return {
        "id": "1",
        "object": "chat.completion",
        "choices": [{"index": 0, "finish_reason": "stop", "message": message}],
        "usage": {
            "prompt_tokens": 1000,
            "completion_tokens": 10,
            "prompt_tokens_details": details,
        },
    }


class Provider(Loopback):
    """Files and batches; results come in the opposite order.

    `reply(messages)` returns the text of an answer, None for no line at all, or (status, message)
    for a line in the file of errors. `states` are what looks at the batch are told, one after
    another, the last one for ever; a number is an HTTP status.
    """

    def __init__(self, reply=good, states=("validating", "completed"), refuses=0, **fields):
        self.reply, self.states, self.refuses, self.fields = reply, list(states), refuses, fields
        self.files, self.batches, self.chats, self.looks = {}, {}, [], 0
        self.folder = None  # of the run; the first look must find the batch's id in it
        outer = self

        class Answers(Handler):
            def do_POST(self):
                body = self.rfile.read(int(self.headers["Content-Length"]))
                if self.path == "/v1/chat/completions":
                    outer.chats.append(json.loads(body)["messages"])
                    self.send(200, completion(outer.reply(outer.chats[-1])))
                elif outer.refuses:
                    self.send(outer.refuses, {"error": {"message": "not here, secret-key-123"}})
                elif self.path == "/v1/files":
                    self.send(200, outer.upload(self.headers["Content-Type"], body))
                elif self.path == "/v1/batches":
                    self.send(200, outer.create(json.loads(body)))

            def do_GET(self):
                kind, name = self.path.split("/")[2:4]
                if kind == "files":
                    self.send(200, outer.files[name])
                elif name not in outer.batches:
                    self.send(404, {"error": {"message": "no such batch"}})
                else:
                    status, value = outer.look(name)
                    self.send(status, value)

        super().__init__(Answers)

    def upload(self, kind, body):
        form = message_from_bytes(b"Content-Type: " + kind.encode() + b"\r\n\r\n" + body)
        parts = {
            p.get_param("name", header="content-disposition"): p.get_payload(decode=True)
            for p in form.get_payload()
        }
        assert parts["purpose"] == b"batch"
        name = f"file-{len(self.files)}"
        self.files[name] = parts["file"]
        return {"id": name, "object": "file"}

    def create(self, asked):
        assert asked["endpoint"] == "/v1/chat/completions"
        assert asked["completion_window"] == "24h"
        lines = [json.loads(x) for x in self.files[asked["input_file_id"]].splitlines()]
        assert len({x["custom_id"] for x in lines}) == len(lines)
        assert all(x["method"] == "POST" and x["url"] == asked["endpoint"] for x in lines)
        name = f"batch_{len(self.batches)}"
        self.batches[name] = lines
        return {"id": name, "object": "batch", "status": "validating"}

    def look(self, name):
        self.looks += 1
        if self.folder is not None:
            (record,) = self.folder.glob("batch-*")
            assert json.loads(record.read_text())["batch"] == name
        status = self.states.pop(0) if len(self.states) > 1 else self.states[0]
        if isinstance(status, int):
            return status, {"error": {"message": "try later"}}
        found = {"id": name, "object": "batch", "status": status, **self.fields}
        if status in ("completed", "expired", "cancelled"):
            found |= self.results(name)
        return 200, found

    def results(self, name):
        out, errors = [], []
        for line in reversed(self.batches[name]):
            said = self.reply(line["body"]["messages"])
            result = {"id": "x", "custom_id": line["custom_id"], "error": None}
            if isinstance(said, str):
                out.append({**result, "response": {"status_code": 200, "body": completion(said)}})
            elif said is not None:
                status, message = said
                body = {"error": {"message": message}}
                errors.append({**result, "response": {"status_code": status, "body": body}})
        found = {}
        for key, lines in (("output_file_id", out), ("error_file_id", errors)):
            if lines:
                found[key] = f"{key}-{name}"
                self.files[found[key]] = "".join(json.dumps(x) + "\n" for x in lines).encode()
        return found

    def asked(self, number):
        """The messages of the questions of a batch."""
        return [line["body"]["messages"] for line in self.batches[f"batch_{number}"]]


class Ledger:
    def __init__(self):
        self.lines = []

    def spend(self, phase, role, usage, model="", **more):
        self.lines.append((phase, role, usage, model))


def teacher(provider, folder=None, ledger=None, budget=None, model="m", **config):
    table = {"base_url": provider.url, "batch": True, "batch_poll": 0.001, **config}
    return OpenAI(model, table, spend=Spender(ledger or Ledger(), budget, {}, folder))


@pytest.fixture(autouse=True)
def key(monkeypatch):
    monkeypatch.setenv("OPENAI_API_KEY", "secret-key-123")


@pytest.fixture
def killed(monkeypatch):
    """A process that ends at its first wait for a batch; returns what undoes it."""

    def kill(seconds):
        raise KeyboardInterrupt

    monkeypatch.setattr(batch, "time", SimpleNamespace(sleep=kill, perf_counter=lambda: 0.0))
    return monkeypatch.undo


def test_one_batch_gives_the_bank_that_single_questions_give(tmp_path, capsys):
    ledger = Ledger()
    with Provider() as provider:
        bank = teacher(provider, tmp_path, ledger).distill(EPISODES)
        assert provider.chats == []
        assert [len(lines) for lines in provider.batches.values()] == [QUESTIONS]
        assert bank == teacher(provider, batch=False).distill(EPISODES)
        assert provider.asked(0) == provider.chats
    assert [s.task_type for s in bank] == [None, "clean", "heat", None]
    assert [(p, r, m) for p, r, _, m in ledger.lines] == [("distill", "teacher", "openai:m")] * 4
    assert all(u.input_tokens == 1000 and u.output_tokens == 10 for _, _, u, _ in ledger.lines)
    assert len(list(tmp_path.iterdir())) == QUESTIONS  # the answers; nothing is under way
    assert "waiting for batch batch_0 of 4 question(s)" in capsys.readouterr().err
    sent = b"".join(provider.files.values())
    assert b"secret" not in sent


def test_kept_answers_need_no_batch(tmp_path):
    with Provider() as provider:
        bank = teacher(provider, tmp_path).distill(EPISODES)
        assert teacher(provider, tmp_path).distill(EPISODES) == bank
        assert len(provider.batches) == 1
        (tmp_path / f"{next(tmp_path.glob('*.json')).stem}.json").write_text("torn")
        assert teacher(provider, tmp_path).distill(EPISODES) == bank
        assert len(provider.asked(1)) == 1


def wrong(times):
    """The question about heat is answered badly until so many faults were fed back."""

    def reply(messages):
        prompt = messages[1]["content"]
        faults = sum(FEEDBACK in m["content"] for m in messages)
        bad = "heat" in prompt and "clean" not in prompt and faults < times
        return '{"skills": []}' if bad else good(messages)

    return reply


def test_a_fault_is_fed_back_in_the_next_batch():
    ledger = Ledger()
    with Provider() as provider:
        expected = teacher(provider).distill(EPISODES)
    with Provider(wrong(1)) as provider:
        assert teacher(provider, ledger=ledger).distill(EPISODES) == expected
        assert [len(lines) for lines in provider.batches.values()] == [QUESTIONS, 1]
        (again,) = provider.asked(1)
    assert [m["role"] for m in again] == ["system", "user", "assistant", "user"]
    assert "at least 1" in again[-1]["content"]
    assert len(ledger.lines) == QUESTIONS + 1


def test_answers_that_stay_wrong_end_loudly(tmp_path):
    ledger = Ledger()
    with Provider(lambda messages: "no idea") as provider:
        with pytest.raises(TeacherError, match=r"2 answers that cannot be used.*no JSON object"):
            teacher(provider, tmp_path, ledger, attempts=2).distill(EPISODES)
        assert len(provider.batches) == 2
    assert len(ledger.lines) == 2 * QUESTIONS  # what was paid is on the ledger all the same
    assert list(tmp_path.iterdir()) == []  # a resumed run begins with the question


def test_a_killed_run_waits_for_the_batch_it_has(tmp_path, killed):
    ledger = Ledger()
    with Provider() as provider:
        provider.folder = tmp_path
        with pytest.raises(KeyboardInterrupt):
            teacher(provider, tmp_path, ledger).distill(EPISODES)
        assert ledger.lines == []
        killed()
        bank = teacher(provider, tmp_path, ledger).distill(EPISODES)
        assert len(provider.batches) == 1
        assert bank == teacher(provider, batch=False).distill(EPISODES)
    assert len(ledger.lines) == QUESTIONS


def test_a_run_killed_in_its_second_batch_goes_on_with_that(tmp_path, killed):
    ledger = Ledger()
    with Provider(wrong(2), ["completed", "in_progress", "completed"]) as provider:
        with pytest.raises(KeyboardInterrupt):
            teacher(provider, tmp_path, ledger).distill(EPISODES)
        assert len(ledger.lines) == QUESTIONS
        killed()
        bank = teacher(provider, tmp_path, ledger).distill(EPISODES)
        assert [len(lines) for lines in provider.batches.values()] == [QUESTIONS, 1, 1]
        assert len(provider.asked(2)[0]) == 6  # both faults are fed back
    assert len(bank) == QUESTIONS and len(ledger.lines) == QUESTIONS + 2


def test_refining_is_a_batch_of_one():
    answer = json.dumps({"new": [], "refined": []})
    with Provider(lambda messages: answer) as provider:
        assert teacher(provider).refine(EPISODES[1:2], [], max_new=2) == ([], [])
        assert [len(lines) for lines in provider.batches.values()] == [1]


# ---------------------------------------------------------------------- faults of the provider


def test_an_endpoint_without_batches_is_named(tmp_path):
    budget = Budget(10.0, Rates(Prices("d"), ""), {})
    with (
        Provider(refuses=404) as provider,
        pytest.raises(TeacherError, match=r"takes no batches \(HTTP 404\).*teacher.batch=false"),
    ):
        teacher(provider, tmp_path, budget=budget).distill(EPISODES)
    assert budget.flying == 0
    assert list(tmp_path.iterdir()) == []


def test_a_refused_upload_ends_loudly_without_the_key():
    with Provider(refuses=401) as provider, pytest.raises(TeacherError) as caught:
        teacher(provider).distill(EPISODES)
    assert "secret" not in str(caught.value)
    assert "AuthenticationError" in str(caught.value)


@pytest.mark.parametrize(("status", "word"), [("failed", "failed"), ("cancelled", "was cancelled")])
def test_a_batch_that_comes_to_nothing_says_why_and_is_sent_anew(tmp_path, status, word):
    why = {"object": "list", "data": [{"message": "Enqueued token limit of secret-key-123"}]}
    with Provider(lambda messages: None, [status], errors=why) as provider:
        with pytest.raises(
            TeacherError, match=f"batch_0 .* {word}: Enqueued token limit"
        ) as caught:
            teacher(provider, tmp_path).distill(EPISODES)
        assert "--resume" in str(caught.value) and "secret" not in str(caught.value)
        provider.reply, provider.states, provider.fields = good, ["completed"], {}
        assert len(teacher(provider, tmp_path).distill(EPISODES)) == QUESTIONS
        assert len(provider.batches) == 2


def test_of_an_expired_batch_the_answers_are_kept_and_the_rest_is_asked_again(tmp_path):
    ledger = Ledger()

    def some(messages):
        return good(messages) if "heat" in messages[1]["content"] else (0, "batch_expired")

    with Provider(some, ["expired"]) as provider:
        with pytest.raises(TeacherError, match="has expired"):
            teacher(provider, tmp_path, ledger).distill(EPISODES)
        answered = len(ledger.lines)
        assert 0 < answered < QUESTIONS
        provider.reply, provider.states = good, ["completed"]
        assert len(teacher(provider, tmp_path, ledger).distill(EPISODES)) == QUESTIONS
        assert len(provider.asked(1)) == QUESTIONS - answered
    assert len(ledger.lines) == QUESTIONS


@pytest.mark.parametrize("first", [None, (429, "slow down"), (500, "down")])
def test_a_question_without_a_result_is_asked_again_as_it_is(first):
    seen = []

    def reply(messages):
        seen.append(messages)
        return first if len(seen) == 2 else good(messages)

    ledger = Ledger()
    with Provider(reply) as provider:
        assert len(teacher(provider, ledger=ledger).distill(EPISODES)) == QUESTIONS
        (again,) = provider.asked(1)
        assert again == seen[1]
    assert len(ledger.lines) == QUESTIONS


def test_a_refused_question_is_not_asked_for_days(tmp_path):
    def reply(messages):
        return good(messages) if "heat" in messages[1]["content"] else (400, "max_tokens is large")

    with Provider(reply) as provider:
        with pytest.raises(TeacherError, match="refuses a question: max_tokens is large"):
            teacher(provider, tmp_path).distill(EPISODES)
        assert len(provider.batches) == 1
    assert not list(tmp_path.glob("batch-*")) and list(tmp_path.iterdir())


def test_looks_may_fail_for_a_while_but_not_for_ever(tmp_path, monkeypatch):
    monkeypatch.setattr(batch, "PATIENCE", 3)
    with Provider(states=[500, 429, "in_progress", 503, 503, "completed"]) as provider:
        assert len(teacher(provider).distill(EPISODES)) == QUESTIONS
    with Provider(states=[500]) as provider:
        with pytest.raises(TeacherError, match=r"try later.*Batch batch_0 goes on.*--resume"):
            teacher(provider, tmp_path).distill(EPISODES)
        assert provider.looks == 3
        provider.states = ["completed"]
        assert len(teacher(provider, tmp_path).distill(EPISODES)) == QUESTIONS
        assert len(provider.batches) == 1


def test_a_batch_that_the_endpoint_has_forgotten_says_what_to_delete(tmp_path, killed):
    with Provider() as provider:
        with pytest.raises(KeyboardInterrupt):
            teacher(provider, tmp_path).distill(EPISODES)
        killed()
        provider.batches.clear()
        with pytest.raises(TeacherError, match="does not know batch batch_0") as caught:
            teacher(provider, tmp_path).distill(EPISODES)
        (record,) = tmp_path.glob("batch-*")
        assert f"delete {record}" in str(caught.value)
        record.unlink()
        assert len(teacher(provider, tmp_path).distill(EPISODES)) == QUESTIONS


def test_nonsense_from_the_endpoint_ends_loudly(tmp_path):
    with (
        Provider(states=[None]) as provider,
        pytest.raises(TeacherError, match="does not answer as the OpenAI API does"),
    ):
        teacher(provider).distill(EPISODES)
    with Provider(lambda messages: None, ["completed"], output_file_id="junk") as provider:
        ids = "abc", 7, None
        lines = [json.dumps({"custom_id": i, "response": "?", "error": 3}) for i in ids]
        provider.files["junk"] = ("\n".join(["no json", "[1]", "[" * 9999, *lines])).encode()
        with pytest.raises(TeacherError, match="no result for it"):
            teacher(provider, attempts=1).distill(EPISODES)


# ---------------------------------------------------------------------- the bill

OWN = {"usd_per_mtok_in": 2.0, "usd_per_mtok_out": 8.0}
FULL = (1000 * 2 + 10 * 8) / 1e6


@pytest.mark.parametrize(("discount", "usd"), [(0.5, FULL / 2), (0.8, FULL * 0.8)])
def test_answers_of_a_batch_are_booked_at_its_price(discount, usd):
    ledger = Ledger()
    with Provider() as provider:
        teacher(provider, ledger=ledger, batch_discount=discount, **OWN).distill(EPISODES)
        teacher(provider, ledger=ledger, batch=False, **OWN).distill(EPISODES[:1])
    booked = [usage.usd for _, _, usage, _ in ledger.lines]
    assert booked == pytest.approx([usd] * QUESTIONS + [FULL] * 2)


def test_a_price_of_the_dated_table_is_discounted_too(monkeypatch):
    table = Prices("d", models={"o9": {"input": 2.0, "output": 8.0}})
    monkeypatch.setattr(prices, "newest", lambda: table)
    ledger = Ledger()
    with Provider() as provider:
        teacher(provider, ledger=ledger, model="o9").distill(EPISODES[:1])
    usages = [usage for _, _, usage, _ in ledger.lines]
    assert [u.usd for u in usages] == pytest.approx([FULL / 2] * 2)
    # The plan and the limit know the same price.
    known = {"name": "openai", "model": "o9", "batch": True, "batch_discount": 0.5}
    budget = Budget(1.0, Rates(table, ""), {"teacher": known})
    assert budget.price("teacher", 1000, 10) == pytest.approx(FULL / 2)
    line = {"role": "teacher", "model": "openai:o9", "in": 1000, "out": 10, "usd": usages[0].usd}
    assert Rates(table, "").line(line) == pytest.approx(FULL / 2)


def test_a_batch_is_held_as_a_whole():
    known = {"name": "openai", "model": "m", "batch": True, "batch_discount": 0.5}
    known |= {"usd_per_mtok_out": 100.0}
    budget = Budget(4 * 0.5 * 0.4096 - 0.01, Rates(Prices("d"), ""), {"teacher": known})
    with Provider() as provider:
        with pytest.raises(BudgetStop):  # each of the four answers could cost 0.2048
            teacher(provider, budget=budget).distill(EPISODES)
        assert provider.files == {} and budget.flying == 0
        budget.limit += 0.02
        assert len(teacher(provider, budget=budget).distill(EPISODES)) == QUESTIONS
    assert budget.flying == 0 and budget.held == 0.0


def test_a_discount_that_is_none_is_refused():
    with pytest.raises(ConfigError, match="half price"):
        OpenAI("m", {"batch_discount": 50})
