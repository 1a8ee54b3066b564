"""Write the two reference banks of shopping advice, tasks/banks/shop-{good,harmful}.json.

They calibrate the harness (README, controls): all advice of phrases.py that helps, and its
opposites. In SkillRL's JSON form, so that they exercise the import as well. Run from the root.
"""

from __future__ import annotations

import json
from pathlib import Path

from skillbench_webshop.phrases import PHRASES
from skillbench_webshop.words import CATEGORIES

OTHER = {"Description": "Features", "Features": "Description"}


def bank(good: bool) -> dict[str, object]:
    """The bank of one direction."""
    general, tasks = [], {}
    for number, p in enumerate(PHRASES):
        if p.key == "page":
            for category in CATEGORIES:
                slots = {"c": category.name, "a": category.page if good else OTHER[category.page]}
                tasks[category.name] = [_entry(f"{p.key}_{category.name}", p, slots)]
        elif p.good == good:
            general.append(_entry(f"{p.key}_{number:03d}", p, {}))
    return {
        "general_skills": general,
        "task_specific_skills": tasks,
        "common_mistakes": [],
        "metadata": {"source": "written by hand for calibration"},
    }


def _entry(name: str, phrase, slots: dict[str, str]) -> dict[str, str]:
    return {
        "skill_id": name,
        "title": phrase.title.format(**slots),
        "principle": phrase.wordings[0].format(**slots),
        "when_to_apply": "",
    }


def main() -> None:
    home = Path(__file__).parents[2] / "tasks" / "banks"
    home.mkdir(parents=True, exist_ok=True)
    for name, good in (("good", True), ("harmful", False)):
        path = home / f"shop-{name}.json"
        path.write_text(json.dumps(bank(good), indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
