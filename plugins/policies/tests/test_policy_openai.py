"""The `openai` policy against a real server on the loopback, healthy and otherwise."""

from __future__ import annotations

import asyncio
import json
import threading
import traceback
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from skillbench.errors import PolicyError, UsageError
from skillbench.records import Request, SamplingParams

pytest.importorskip("openai")

from skillbench_policies import openai_api
from skillbench_policies.openai_api import OpenAIPolicy

SECRET = "sk-very-secret-0123456789"


def good(body):
    return {
        "id": "c",
        "object": "chat.completion",
        "created": 0,
        "model": body["model"],
        "choices": [
            {
                "index": 0,
                "finish_reason": "stop",
                "message": {"role": "assistant", "content": "<action>look</action>"},
            }
        ],
        "usage": {
            "prompt_tokens": 100,
            "completion_tokens": 10,
            "total_tokens": 110,
            "prompt_tokens_details": {"cached_tokens": 60},
        },
    }


class Server(ThreadingHTTPServer):
    """Answers request k by `script[k]`, and by the last entry from then on."""

    daemon_threads = True

    def __init__(self, script):
        super().__init__(("127.0.0.1", 0), Handler)
        self.script = script
        self.bodies = []
        self.headers = []
        self.lock = threading.Lock()
        self.hang = threading.Event()

    def __enter__(self):
        self.thread = threading.Thread(target=self.serve_forever, args=(0.01,), daemon=True)
        self.thread.start()
        return self

    def __exit__(self, *_):
        self.hang.set()
        self.shutdown()
        self.server_close()

    def handle_error(self, request, client_address):
        """Clients that hang up are what some tests are about."""


class Handler(BaseHTTPRequestHandler):
    def do_POST(self):
        server = self.server
        body = json.loads(self.rfile.read(int(self.headers["content-length"])))
        with server.lock:
            number = len(server.bodies)
            server.bodies.append(body)
            server.headers.append(dict(self.headers))
        what = server.script[min(number, len(server.script) - 1)]
        if what == "hang":
            server.hang.wait(20)
            return
        if what == "huge":
            self.send_response(200)
            self.send_header("content-type", "application/json")
            self.end_headers()
            for _ in range(64):
                self.wfile.write(b" " * 2**20)
            return
        status, kind, data = 200, "application/json", b""
        if what == "ok":
            data = json.dumps(good(body)).encode()
        elif isinstance(what, int):
            status = what
            echo = self.headers["authorization"]
            data = json.dumps({"error": {"message": f"fault {what}, you sent {echo}"}}).encode()
        elif isinstance(what, bytes):
            data = what
        elif isinstance(what, str):
            kind, data = "text/html", what.encode()
        elif callable(what):
            data = json.dumps(what(good(body))).encode()
        self.send_response(status)
        self.send_header("content-type", kind)
        self.send_header("content-length", str(len(data)))
        self.send_header("retry-after-ms", "1")
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, *_):
        pass


@pytest.fixture
def policy(monkeypatch):
    def make(server, **config):
        monkeypatch.setenv("OPENAI_API_KEY", SECRET)
        monkeypatch.setenv("OPENAI_BASE_URL", f"http://127.0.0.1:{server.server_port}/v1")
        return OpenAIPolicy("tiny", {"retries": 2, "timeout": 20.0, **config})

    return make


def ask(policy, n=1, **params):
    messages = ({"role": "system", "content": "play"}, {"role": "user", "content": "You see a mug"})
    requests = [Request(f"e{i}", 0, messages, SamplingParams(seed=i, **params)) for i in range(n)]
    return asyncio.run(policy.generate(requests))


def fault(answer):
    """The error that stands for an answer; checked for the key in every form it may be shown."""
    assert isinstance(answer, PolicyError)
    shown = str(answer) + repr(answer) + "".join(traceback.format_exception(answer))
    assert SECRET not in shown
    return str(answer)


def test_completion_usage_and_price(policy):
    with Server(["ok"]) as server:
        made = policy(server, usd_per_mtok_in=2.0, usd_per_mtok_cached=0.5, usd_per_mtok_out=8.0)
        (answer,) = ask(made, temperature=0.3, top_p=0.9, max_tokens=77, stop=("X",))
    assert answer.text == "<action>look</action>" and answer.model == "openai:tiny"
    usage = answer.usage
    assert (usage.input_tokens, usage.cached_tokens, usage.output_tokens) == (100, 60, 10)
    assert usage.calls == 1 and usage.wall_s > 0
    assert usage.usd == pytest.approx((40 * 2.0 + 60 * 0.5 + 10 * 8.0) / 1e6)
    (body,) = server.bodies
    assert body["model"] == "tiny" and [m["role"] for m in body["messages"]] == ["system", "user"]
    assert (body["temperature"], body["top_p"], body["max_tokens"]) == (0.3, 0.9, 77)
    assert body["stop"] == ["X"] and body["seed"] == 0
    assert server.headers[0]["authorization"] == f"Bearer {SECRET}"


def test_reasoning_models_and_extra_fields(policy):
    with Server(["ok"]) as server:
        made = policy(
            server,
            max_completion_tokens=True,
            send_sampling=False,
            send_seed=False,
            extra_body='{"reasoning_effort": "low"}',
        )
        ask(made, max_tokens=9)
    (body,) = server.bodies
    assert body["max_completion_tokens"] == 9 and body["reasoning_effort"] == "low"
    assert not {"max_tokens", "temperature", "top_p", "seed"} & set(body)


def test_many_at_once_come_back_in_order(policy):
    def name(answer):
        return answer

    with Server(["ok"]) as server:
        answers = ask(policy(server), n=12)
    assert len(answers) == 12 and sorted(b["seed"] for b in server.bodies) == list(range(12))


def test_429_and_500_are_retried(policy):
    with Server([429, 500, "ok"]) as server:
        (answer,) = ask(policy(server))
    assert answer.text == "<action>look</action>" and len(server.bodies) == 3


def test_500_for_ever_fails_its_request(policy):
    with Server([500]) as server:
        text = fault(ask(policy(server))[0])
    assert "HTTP 500" in text and "[redacted]" in text and len(server.bodies) == 3


def test_401_is_not_retried(policy):
    with Server([401]) as server:
        text = fault(ask(policy(server))[0])
    assert "HTTP 401" in text and len(server.bodies) == 1


def test_hang_ends_in_a_timeout(policy):
    with Server(["hang"]) as server:
        text = fault(ask(policy(server, timeout=0.2, retries=0))[0])
    assert "no answer within 0.2 s" in text


@pytest.mark.parametrize(
    "garbage",
    [
        b"{not json",
        b"[]",
        b"null",
        b'"text"',
        b"{}",
        b'{"choices": []}',
        b'{"choices": [null]}',
        b'{"choices": [{"message": {"content": 5}}]}',
        b'{"choices": [{"message": {"content": null}}]}',
        b'{"choices": {"0": 1}}',
        b"\xff\xfe\x00",
        b"",
        "<html>gateway</html>",
    ],
)
def test_garbage_is_asked_again_then_fails(policy, garbage):
    with Server([garbage]) as server:
        fault(ask(policy(server))[0])
        assert len(server.bodies) == 3
    with Server([garbage, "ok"]) as server:
        (answer,) = ask(policy(server))
        assert answer.text == "<action>look</action>"


def test_huge_answer_is_cut_off(policy):
    with Server(["huge"]) as server:
        text = fault(ask(policy(server, retries=0))[0])
    assert "exceeds 16 MiB" in text


def test_no_server_at_all(policy):
    with Server(["ok"]) as server:
        made = policy(server, retries=0)
    text = fault(ask(made)[0])
    assert "127.0.0.1" in text and "Connection" in text


def test_one_fault_leaves_the_others_alone(policy):
    with Server([400, "ok"]) as server:
        answers = ask(policy(server), n=3)
    assert sum(isinstance(a, PolicyError) for a in answers) == 1


def test_a_key_in_an_answer_is_redacted(policy):
    def leak(answer):
        answer["choices"][0]["message"]["content"] = f"your key is {SECRET}"
        return answer

    with Server([leak]) as server:
        (answer,) = ask(policy(server))
    assert answer.text == "your key is [redacted]"


def test_budget_spent_on_reasoning_is_an_empty_answer(policy):
    def silent(answer):
        answer["choices"][0]["message"]["content"] = None
        answer["choices"][0]["finish_reason"] = "length"
        answer.pop("usage")
        return answer

    with Server([silent]) as server:
        (answer,) = ask(policy(server))
    assert answer.text == "" and answer.finish_reason == "length"
    assert answer.usage.input_tokens == 0


def test_one_policy_serves_several_event_loops(policy):
    with Server(["ok"]) as server:
        made = policy(server)
        assert [ask(made)[0].text for _ in range(3)] == ["<action>look</action>"] * 3
        made.close()


def test_wrong_usage(monkeypatch):
    monkeypatch.delenv("OPENAI_BASE_URL", raising=False)
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    with pytest.raises(UsageError, match="--policy openai:"):
        OpenAIPolicy(None, {})
    with pytest.raises(UsageError, match="OPENAI_API_KEY"):
        OpenAIPolicy("o3", {})
    monkeypatch.setenv("OPENAI_BASE_URL", "http://me:hidden@127.0.0.1:1/v1")
    local = OpenAIPolicy("o3", {})  # a server of one's own may want no key
    assert "hidden" not in repr(local) and "127.0.0.1:1" in repr(local)
    with pytest.raises(UsageError, match="extra_body"):
        OpenAIPolicy("o3", {"extra_body": "[1]"})


def test_missing_client_library(monkeypatch):
    import builtins

    real = builtins.__import__

    def without(name, *rest):
        if name == "openai":
            raise ImportError("No module named 'openai'")
        return real(name, *rest)

    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(UsageError, match="pip install"):
        openai_api._import()
