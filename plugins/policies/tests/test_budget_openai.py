"""`--max-usd` against a server on the loopback: policy and teacher, parallel calls, resume."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("openai")
pytest.importorskip("skillbench_alfworld")
from test_policy_openai import Server

from skillbench.cli import main
from skillbench.config import resolve
from skillbench.errors import BudgetStop
from skillbench.result import comparable
from skillbench.runner import execute

PRICES = ["policy.usd_per_mtok_in=10.0", "policy.usd_per_mtok_out=100.0"]  # a call costs 0.002
CALL = (100 * 10 + 10 * 100) / 1e6


def config(*sets: str, method: str = "base", **kw: Any) -> Any:
    few = ["run.tasks=6", "run.max_steps=5", "policy.concurrency=4", "agent.max_tokens=20"]
    return resolve(
        method=method, environment="alfworld", policy="openai:m", sets=[*few, *PRICES, *sets], **kw
    )


def bill(run: Path) -> float:
    lines = (run / "ledger.jsonl").read_text().splitlines()
    return sum(json.loads(line).get("usd", 0) for line in lines)


@pytest.fixture
def server(monkeypatch: Any) -> Any:
    with Server(["ok"]) as running:
        monkeypatch.setenv("OPENAI_BASE_URL", f"http://127.0.0.1:{running.server_port}/v1")
        monkeypatch.delenv("OPENAI_API_KEY", raising=False)
        yield running


def test_the_bill_stays_below_and_the_run_goes_on(server: Any, tmp_path: Path) -> None:
    whole = execute(config(), out=tmp_path / "whole")
    calls = 6 * 5
    assert bill(tmp_path / "whole") == pytest.approx(calls * CALL)
    run = tmp_path / "run"
    limit = 0.04
    with pytest.raises(BudgetStop, match=r"before the bill passes --max-usd 0\.04"):
        execute(config(), out=run, max_usd=limit)
    # The last request did not fit, and a request is held at no more than five times its price.
    assert limit - 5 * CALL < bill(run) <= limit
    with pytest.raises(BudgetStop):
        execute(config(), resume=run, max_usd=limit)  # what was spent before counts
    assert bill(run) <= limit
    assert len(server.bodies) <= calls + limit / CALL
    result = execute(config(), resume=run, max_usd=1.0)
    assert comparable(result) == comparable(whole)
    assert result["outcomes"]["invalid"] == 0


def test_nothing_is_asked_where_nothing_may_be_spent(server: Any, tmp_path: Path, capsys) -> None:
    words = ["run", "--method", "base", "--env", "alfworld", "--policy", "openai:m"]
    for text in ("run.tasks=2", *PRICES):
        words += ["--set", text]
    code = main([*words, "--out", str(tmp_path / "run"), "--max-usd", "0"])
    assert code == 130
    told = capsys.readouterr().err
    assert "stopped before the bill passes --max-usd 0" in told
    assert f"skillbench run --resume {tmp_path / 'run'}" in told
    assert server.bodies == []


def test_device_time_counts_at_its_price(tmp_path: Path) -> None:
    from skillbench.budget import Budget
    from skillbench.prices import Prices, Rates

    rates = Rates(Prices("d", {"cpu-core": {"usd_per_hour": 3600.0}}), "cpu-core")  # 1 USD a second
    policy = {"role": "policy", "phase": "rl", "device_s": 2.0}
    trainer = {"role": "trainer", "phase": "rl", "device_s": 5.0}
    budget = Budget(20.0, rates, {"policy": {"name": "hf", "model": "x"}}, [policy, trainer])
    assert budget.spent == 7.0
    held = budget.hold("policy", "rl", 1000, 10)  # the dearest call so far; an update may follow
    assert held == 2.0
    budget.add({"role": "policy", "phase": "rl", "device_s": 7.0})
    budget.release(held)
    with pytest.raises(BudgetStop):
        budget.hold("policy", "rl", 1000, 10)  # 14 + 7 + 5 > 20
    budget.limit = 21.0
    budget.hold("policy", "score", 1000, 10)  # scoring is followed by no update: 14 + 7


def test_a_teacher_is_not_asked_what_could_cost_too_much(server: Any) -> None:
    from skillbench_methods.teachers.llm import OpenAI

    from skillbench.budget import Budget, Spender
    from skillbench.prices import Prices, Rates

    table = {"name": "openai", "model": "t", "usd_per_mtok_in": 1.0, "usd_per_mtok_out": 100.0}
    booked: list[Any] = []

    class Ledger:
        def spend(self, *line: Any, **more: Any) -> None:
            booked.append(line)

    budget = Budget(0.4, Rates(Prices("d"), ""), {"teacher": table})
    teacher = OpenAI("t", table, spend=Spender(Ledger(), budget, {}))
    with pytest.raises(BudgetStop):  # 4,096 tokens of answer could cost 0.41
        teacher._complete("distill", [{"role": "user", "content": "x"}])
    assert server.bodies == []
    budget.limit = 0.5
    assert teacher._complete("distill", [{"role": "user", "content": "x"}])
    assert len(booked) == 1
    assert budget.flying == 0


def test_an_answer_that_was_paid_for_is_not_asked_for_again(
    monkeypatch: Any, tmp_path: Path
) -> None:
    from skillbench_methods.teachers.llm import OpenAI

    from skillbench.budget import Spender

    skill = {"title": "Look first", "principle": "Look before you go.", "when_to_apply": "always"}

    def teach(answer: Any) -> Any:
        answer["choices"][0]["message"]["content"] = json.dumps({"skills": [skill]})
        return answer

    class Ledger:
        def spend(self, *line: Any, **more: Any) -> None:
            pass

    with Server(["ok", teach]) as server:  # the first answer has no JSON: asked again
        monkeypatch.setenv("OPENAI_BASE_URL", f"http://127.0.0.1:{server.server_port}/v1")
        monkeypatch.delenv("OPENAI_API_KEY", raising=False)

        def ask(folder: Path, prompt: str = "p") -> Any:
            teacher = OpenAI("t", {}, spend=Spender(Ledger(), None, {}, folder))
            return teacher.ask("distill", prompt, "skills.schema.json")

        first = ask(tmp_path / "0")
        assert first["skills"] == [skill] and len(server.bodies) == 2
        assert ask(tmp_path / "0") == first and len(server.bodies) == 2
        ask(tmp_path / "0", "another question")
        ask(tmp_path / "1")  # another seed draws for itself
        assert len(server.bodies) == 4
        (kept,) = (tmp_path / "1").iterdir()
        kept.write_text("torn")
        assert ask(tmp_path / "1") == first and len(server.bodies) == 5
