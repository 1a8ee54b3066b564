"""Write the reference banks of household advice, tasks/banks/household-{good,harmful,planted}.json.

They calibrate the harness (README, controls): all advice of phrases.py that helps; its opposites;
and, for the positive control of attribution, a mixture of both with sentences about nothing, whose
titles say which is which (a policy is shown the principle alone). In SkillRL's JSON form, so that
they exercise the import as well. Run from the root.
"""

from __future__ import annotations

import json
from pathlib import Path

from skillbench_alfworld.phrases import FILLER, PHRASES

# What success hangs on most, and harm where there is something to lose, so that 200 games can
# tell; one line for each piece of advice, so that no two contradict each other.
GOOD, HARMFUL = ("order", "clean", "heat"), ("light", "direct")
USELESS = (  # number of a sentence about nothing, and the task type that it pretends to be for
    (0, ""),
    (7, ""),
    (9, "pick_cool_then_place_in_recep"),
)


def bank(good: bool) -> dict[str, object]:
    """The bank of one direction."""
    general, tasks = [], {}
    for number, p in enumerate(PHRASES):
        if p.good != good or p.key == "where":
            continue
        entry = {
            "skill_id": f"{p.key}_{number:03d}",
            "title": p.title,
            "principle": p.wordings[0],
            "when_to_apply": "",
        }
        if p.task_type:
            tasks.setdefault(p.task_type, []).append(entry)
        else:
            general.append(entry)
    return {
        "general_skills": general,
        "task_specific_skills": tasks,
        "common_mistakes": [],
        "metadata": {"source": "written by hand for calibration"},
    }


def planted() -> dict[str, object]:
    """The mixture."""
    general: list[dict[str, str]] = []
    tasks: dict[str, list[dict[str, str]]] = {}

    def plant(label: str, title: str, principle: str, task_type: str) -> None:
        number = sum(len(entries) for entries in (general, *tasks.values()))
        entry = {
            "skill_id": f"{label}_{number:03d}",
            "title": f"{title} ({label})",
            "principle": principle,
            "when_to_apply": "",
        }
        (tasks.setdefault(task_type, []) if task_type else general).append(entry)

    for label, good, keys in (("good", True, GOOD), ("harmful", False, HARMFUL)):
        for key in keys:
            found = next(p for p in PHRASES if p.key == key and p.good == good)
            plant(label, found.title, found.wordings[0], found.task_type)
    for number, task_type in USELESS:
        plant("useless", f"Sentence {number}", FILLER[number], task_type)
    return {
        "general_skills": general,
        "task_specific_skills": tasks,
        "common_mistakes": [],
        "metadata": {"source": "written by hand for calibration"},
    }


def main() -> None:
    home = Path(__file__).parents[2] / "tasks" / "banks"
    home.mkdir(parents=True, exist_ok=True)
    banks = {"good": bank(True), "harmful": bank(False), "planted": planted()}
    for name, content in banks.items():
        path = home / f"household-{name}.json"
        path.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
