"""Write the two reference banks of household advice, tasks/banks/household-{good,harmful}.json.

They calibrate the harness (README, controls): all advice of phrases.py that helps, and its
opposites. In SkillRL's JSON form, so that they exercise the import as well. Run from the root.
"""

from __future__ import annotations

import json
from pathlib import Path

from skillbench_alfworld.phrases import PHRASES


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


def main() -> None:
    home = Path(__file__).parents[2] / "tasks" / "banks"
    home.mkdir(parents=True, exist_ok=True)
    for name, good in (("good", True), ("harmful", False)):
        path = home / f"household-{name}.json"
        path.write_text(json.dumps(bank(good), indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
