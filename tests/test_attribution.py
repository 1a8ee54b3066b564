"""What a skill was worth: counts, paired effects by hand, leave-one-out in the toy world, text overlap."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from skillbench import attribution
from skillbench.errors import PluginError
from skillbench.leakage import overlap
from skillbench.records import Context, Skill, Task


def line(arm: str, task: int, won: bool, skills: tuple[str, ...] = (), said: str = "") -> dict:
    return {
        "arm": arm,
        "seed": 0,
        "task": {"id": f"t{task}", "task_type": "x"},
        "outcome": "success" if won else "failure",
        "success": won,
        "skill_ids": list(skills),
        "steps": [{"response": said}],
    }


def test_effects_are_paired_by_task() -> None:
    ours = [line("method", i, i < 6, ("s",) if i < 8 else (), "as s says") for i in range(12)]
    theirs = [line("baseline", i, i < 2) for i in range(12)]
    (row,) = attribution.shown_effects(ours + theirs)
    assert (row["id"], row["shown"], row["cited"], row["success"]) == ("s", 8, 8, 0.75)
    assert row["effect"]["mean"] == pytest.approx(4 / 8)  # t2..t5 of t0..t7
    assert row["effect"]["n"] == 8
    assert row["effect"]["p"] == pytest.approx(2 / 2**4, abs=1e-4)  # 4 against 0
    assert row["elsewhere"]["mean"] == 0.0


def test_a_title_counts_as_a_citation() -> None:
    rows = [line("method", i, True, ("s",), "I Search Twice" if i else "hm") for i in range(3)]
    (row,) = attribution.shown_effects(rows, {"s": "search twice"})
    assert row["cited"] == 2
    assert row["effect"]["mean"] is None  # nothing to pair with


def test_leave_one_out_finds_the_skill_that_matters(toy: Any, execute: Any) -> None:
    _, place = execute("toybank", seeds=2)
    bank = json.loads((place / "learn/0/skills/final.json").read_text())["skills"]
    before = (place / "episodes.jsonl").read_bytes()
    found = attribution.leave_one_out(place, [s["id"] for s in bank], registry=toy.registry())
    for row, skill in zip(found, bank):
        # The toy policy follows a skill half of the time within three tries: without it, it guesses.
        shown = [
            json.loads(x)
            for x in before.decode().splitlines()
            if skill["id"] in json.loads(x).get("skill_ids", ())
        ]
        assert row["n"] == len(shown)
        assert row["worth"]["mean"] > 0
    assert (place / "episodes.jsonl").read_bytes() == before
    assert attribution.harmful(found) == []


def test_a_harmful_skill_is_listed(toy: Any, execute: Any, monkeypatch: Any) -> None:
    _, place = execute("toybank", seeds=2)

    def observe(self: Any, request: Any, real: Any = toy.ToyPolicy._one) -> Any:
        answer = real(self, request)
        harmed = f"{request.task.task_type}: " in request.messages[0]["content"]
        text = "<action>door 1</action>" if harmed else answer.text
        return toy.Completion(text, answer.usage, (1,), (-0.1,), (0,), model="toy")

    # Play the whole run again with a policy that skills mislead: all episodes that had one fail.
    monkeypatch.setattr(toy.ToyPolicy, "_one", observe)
    lines = [json.loads(x) for x in (place / "episodes.jsonl").read_text().splitlines()]
    for row in lines:
        if row["arm"] == "method" and row["skill_ids"]:
            row |= {"success": False, "outcome": "failure"}
    (place / "episodes.jsonl").write_text("".join(json.dumps(row) + "\n" for row in lines))
    skill = next(row["skill_ids"][0] for row in lines if row["skill_ids"])
    found = attribution.leave_one_out(place, [skill], registry=toy.registry())
    assert attribution.harmful(found) == [skill]


def test_without_takes_out_one_skill_and_nothing_else() -> None:
    one, other = Skill("a", "go left"), Skill("b", "go right")

    class Memory:
        version = "1"

        def context(self, task: Task, history: Any, budget: int) -> Context:
            return Context("- go left\n- go right", (one.id, other.id))

        def skills(self) -> list[Skill]:
            return [one, other]

    task = Task("t", "e", "test", "x", "g")
    memory = attribution.Without(Memory(), one)
    assert memory.context(task) == Context("- go right", (other.id,))
    assert memory.skills() == [other]

    class Hidden(Memory):
        def context(self, task: Task, history: Any, budget: int) -> Context:
            return Context("something else", (one.id,))

    with pytest.raises(PluginError, match="lines of its own"):
        attribution.Without(Hidden(), one).context(task)


def test_two_banks_are_compared() -> None:
    old = [{"id": "a"}, {"id": "b"}, {"id": "c"}]
    new = [{"id": "a"}, {"id": "b2", "parent": "b"}, {"id": "d"}]
    found = attribution.diff(old, new)
    assert {k: [s["id"] for s in v] for k, v in found.items()} == {
        "added": ["d"],
        "refined": ["b2"],
        "removed": ["c"],
        "kept": ["a"],
    }


def test_the_history_of_a_bank(execute: Any) -> None:
    _, place = execute("toybank")
    rows = attribution.history(place, 0)
    assert [row["step"] for row in rows] == ["start", "0", "1", "final"]
    assert rows[-1]["skills"] == 3 == sum(row["added"] for row in rows)


def test_skills_that_repeat_panel_goals_are_found() -> None:
    goals = ["put the blue vase on the third shelf", "open it"]
    train = ["put the cup on the shelf", "open the box"]
    clean = Skill("Look first", "Open the box before you leave.")
    grams = Skill("x", "Always put the blue vase on the third shelf.")
    name = Skill("Vase", "It is near the door.")
    found = overlap([clean, grams, name], goals, train)
    assert (found["ngrams"], found["entities"]) == (1, 3 - 1)
    rows = {row["id"]: row for row in found["found"]}
    assert clean.id not in rows
    assert "put the blue vase on" in rows[grams.id]["ngrams"]
    assert rows[grams.id]["entities"] == ["blue", "third", "vase"]
    assert rows[name.id]["ngrams"] == []
    assert rows[name.id]["entities"] == ["it", "vase"]
    assert overlap([], goals, train) == {"ngrams": 0, "entities": 0, "found": []}


def test_the_commands(
    toy: Any, execute: Any, capsys: Any, monkeypatch: Any, tmp_path: Path
) -> None:
    from skillbench.cli import main
    from skillbench.registry import get

    monkeypatch.setenv("SKILLBENCH_LOAD_PLUGINS", "toy")
    get.cache_clear()
    _, one = execute("toyskill", name="one", seeds=2)
    _, other = execute("toybank", name="other", seeds=2)
    capsys.readouterr()
    assert main(["skills", str(one), "--diff", str(other), "--leave-one-out", "1"]) == 0
    said = capsys.readouterr().out
    assert "worth" in said
    assert "kept: " in said
    assert main(["compare", str(one), str(other), "--tasks", "1"]) == 0
    said = capsys.readouterr().out
    assert "toyskill against toybank" in said
    assert "Welch" in said
    assert "solved more by toyskill" in said
    assert main(["compare", str(other), str(one), "--json"]) == 0
    (found,) = json.loads(capsys.readouterr().out)
    assert found["one"]["method"] == "toybank"
    assert main(["compare", str(one)]) == 2
    assert main(["show", str(one), "--value-per-success", "0.5", "--prices"]) == 0
    assert "device price x 4" in capsys.readouterr().out
    assert main(["show", str(one), "--episode", "test-003"]) == 0
    assert capsys.readouterr().out.count("five doors") == 4  # two seeds, two arms
    assert main(["show", str(one), "--episode", "test-3"]) == 2
    assert main(["replay", str(one)]) == 0
    assert "120 of 120 episodes are the same" in capsys.readouterr().out
    get.cache_clear()
