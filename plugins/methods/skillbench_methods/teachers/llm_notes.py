"""What a language model writes for the memories of other methods: see `note` of llm.py.

One prompt file per purpose (reflection.md, procedure.md, items_solved.md, items_failed.md,
principle.md, rules.md, file.md), in the form that the skills' prompts have. Rules come back as
operations on a numbered list.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from skillbench.records import Episode, Skill

from .excerpts import spread
from .prompting import fill

ONE_ENTRY = ("reflection", "procedure", "file")  # their lines are one entry
LIMITS = {"reflection": 3, "procedure": 5, "items": 3, "principle": 1, "file": 40, "rules": 4}


def write(
    teacher: Any,
    purpose: str,
    episodes: Sequence[Episode],
    skills: Sequence[Skill] = (),
    *,
    limit: int = 0,
    step: int = 0,
) -> list[Skill]:
    """Ask for a purpose. Raises TeacherError where the answers cannot be used."""
    if purpose not in LIMITS:
        raise ValueError(f"a note is written for one of {', '.join(LIMITS)}, not {purpose!r}")
    if not episodes:
        return []
    shown = spread(episodes, int(teacher.config["examples"])) if purpose == "file" else episodes
    tasks = tuple(sorted({e.task.id for e in shown}))
    count = LIMITS[purpose] if purpose in ONE_ENTRY else limit or LIMITS[purpose]
    name = purpose
    if purpose == "items":
        name = "items_solved" if shown[-1].success else "items_failed"
    prompt = fill(
        f"{name}.md",
        episodes=teacher.render(shown),
        count=str(count),
        skills="\n".join(f"{i}. {s.principle}" for i, s in enumerate(skills, 1)) or "(none yet)",
    )
    if purpose == "rules":
        return _operations(teacher, prompt, skills, tasks, step)
    answer = teacher.ask("distill", prompt, "skills.schema.json")
    made = [teacher.skill(item, "general", None, tasks, step) for item in answer["skills"][:count]]
    if purpose not in ONE_ENTRY or not made:
        return made
    text = "\n".join(s.principle for s in made)
    title = "Skill file" if purpose == "file" else made[0].title
    return [Skill(title, text, source_tasks=tasks, step=step, author=teacher.author)]


def _operations(
    teacher: Any, prompt: str, skills: Sequence[Skill], tasks: tuple[str, ...], step: int
) -> list[Skill]:
    def extra(answer: Any) -> str | None:
        for item in answer["operations"]:
            if item["op"] != "add" and not 1 <= item["number"] <= len(skills):
                return f"there is no rule number {item['number']}"
            if item["op"] in ("add", "edit") and len(item["rule"].strip()) < 8:
                return f"operation {item['op']!r} needs the text of the rule"
        return None

    answer = teacher.ask("distill", prompt, "rules.schema.json", extra)
    out = []
    for item in answer["operations"]:
        old = skills[item["number"] - 1] if item["op"] != "add" else None
        text = " ".join(item["rule"].split())
        out.append(
            Skill(
                title=old.title if old is not None else "Rule",
                principle=text if item["op"] in ("add", "edit") or old is None else old.principle,
                source_tasks=tasks,
                step=step,
                author=teacher.author,
                parent=old.id if old is not None else None,
                meta={"op": item["op"]},
            )
        )
    return out
