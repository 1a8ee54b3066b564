"""Write the panels of searchqa, tasks/panels/searchqa-*.json. Run from the root.

`SEARCHQA_DATA=DIR python plugins/searchqa/make_panels.py`; without the data, the generated one.
"""

from __future__ import annotations

from pathlib import Path

from skillbench_searchqa import data
from skillbench_searchqa.env import SearchqaEnvironment

from skillbench import panel

HOME = Path(__file__).parents[2] / "tasks" / "panels"


def main() -> None:
    sources = ["generated"]
    if (data.path() / data.MINI_QUESTIONS).is_file():
        sources.append("mini")
    for source in sources:
        environment = SearchqaEnvironment(source=source)
        n = len(environment.tasks("test"))
        label = environment.label
        panel.write(environment, "test", f"{label}.test.{n}", n, HOME / f"{label}-test-{n}.json")


if __name__ == "__main__":
    main()
