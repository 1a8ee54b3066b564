"""The leak scan: what is a leak, and what only looks like one."""

from __future__ import annotations

from skillbench.leakage import scan
from skillbench.records import Skill

PANEL, TRAIN = ("p1", "p2", "both"), ("t1", "t2", "both")


def test_clean_sources_are_no_leaks() -> None:
    skills = [Skill("a", "b", source_tasks=("t1", "t2")), Skill("c", "d")]
    found = scan(
        panel=PANEL, train=TRAIN, skills=skills, rows=["t1"], episodes=[("train", "t1")] * 3
    )
    assert (found["count"], found["found"]) == (0, [])
    assert found["checked"] == {"skills": 2, "rows": 1, "episodes": 1}


def test_panel_tasks_are_leaks_wherever_they_show() -> None:
    skills = [Skill("a", "b", source_tasks=("t1", "p1"))]
    found = scan(panel=PANEL, train=TRAIN, skills=skills, rows=["p2"], episodes=[("train", "p1")])
    assert found["count"] == 3
    assert {row["what"] for row in found["found"]} == {
        "skill",
        "training row",
        "learning episode",
    }


def test_another_split_is_a_leak_whatever_the_id() -> None:
    skills = [Skill("a", "b", source_tasks=("x",), source_split="test")]
    assert scan(panel=PANEL, train=TRAIN, skills=skills)["count"] == 1
    assert scan(panel=PANEL, train=TRAIN, episodes=[("test", "t1")])["count"] == 1


def test_an_id_that_train_has_too_is_no_evidence() -> None:
    skills = [Skill("a", "b", source_tasks=("both",))]
    assert scan(panel=PANEL, train=TRAIN, skills=skills)["count"] == 0


def test_unknown_sources_are_shown() -> None:
    skills = [Skill("a", "b", source_tasks=("imported",))]
    found = scan(panel=PANEL, train=TRAIN, skills=skills)
    assert (found["count"], found["unknown"]) == (0, 1)


def test_an_imported_bank_is_of_unknown_origin() -> None:
    skills = [Skill("a", "b", source_split="imported")]
    found = scan(panel=PANEL, train=TRAIN, skills=skills)
    assert (found["count"], found["unknown"]) == (0, 1)


def test_a_quoted_panel_goal_is_a_leak_unless_train_has_it_or_it_is_too_short() -> None:
    goals = ["Who wrote the book about the red fox?", "put a mug in desk.", "go north"]
    train = ["put a mug in desk."]

    def quoted(text: str) -> int:
        skills = [Skill("a", text, source_tasks=("t1",))]
        return scan(panel=PANEL, train=TRAIN, skills=skills, goals=goals, train_goals=train)[
            "count"
        ]

    assert quoted("Asked who wrote  the book about the Red Fox, say Smith.") == 1
    assert quoted("Who wrote the book about the red foxes?") == 0  # whole words
    assert quoted("To put a mug in desk, go north.") == 0
