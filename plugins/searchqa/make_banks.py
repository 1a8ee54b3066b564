"""Write the reference banks of advice on questions, tasks/banks/searchqa-{good,harmful}.json.

They calibrate the harness: all advice of phrases.py that helps, with the word of each relation, and
its opposites. They are written as snapshots of the skill bank, which say for which questions the
word of a relation is of use. Run from the root.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from skillbench_searchqa.encyclopedia.language import RELATIONS
from skillbench_searchqa.lessons import phrase
from skillbench_searchqa.phrases import PHRASES

from skillbench.records import Skill, to_json


def bank(good: bool) -> dict[str, Any]:
    """The bank of one direction, in the skill bank's own format."""
    found: list[dict[str, Any] | None] = [
        phrase(p.key, {}, good=good) for p in PHRASES if p.good == good and p.key != "word"
    ]
    if good:
        found += [phrase("word", {"o": r.noun, "a": r.key}) for r in RELATIONS]
    skills = [Skill(**fields, source_split="imported", author="hand") for fields in found if fields]
    return {"format": "skillbench-bank", "format_version": 1, "skills": [*map(to_json, skills)]}


def main() -> None:
    home = Path(__file__).parents[2] / "tasks" / "banks"
    home.mkdir(parents=True, exist_ok=True)
    for name, good in (("good", True), ("harmful", False)):
        path = home / f"searchqa-{name}.json"
        path.write_text(json.dumps(bank(good), indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
