"""The episode viewer of a run's page: an index of all episodes, and their packed transcripts.

The index holds what the list shows and filters by. Transcripts are packed in chunks that the page
unpacks when one is opened. A page has room for `ROOM` bytes of them: where there are more, the rest
of the index says that the transcript is in episodes.jsonl.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from html import escape
from typing import Any

from .pages import data, packed

CHUNK = 40  # transcripts
ROOM = 2_000_000  # bytes of packed transcripts
LONGEST = 20_000  # characters of one text


def viewer(lines: Iterable[Mapping[str, Any]], skills: Iterable[Mapping[str, Any]]) -> str:
    """The section, as HTML; empty without episodes."""
    index = Index()
    for line in lines:
        index.add(line)
    index.close()
    if not index.rows:
        return ""
    known = {s["id"]: {"title": s["title"], "principle": s["principle"]} for s in skills}
    value = {
        "rows": index.rows,
        "arms": index.arms,
        "types": index.types,
        "outcomes": index.outcomes,
        "chunks": index.chunks,
        "held": index.held,
        "skills": known,
    }
    seeds = sorted({row[1] for row in index.rows})
    choices = (
        _choice("arm", "arm", index.arms),
        _choice("outcome", "outcome", index.outcomes),
        _choice("type", "task type", sorted(index.types)),
        _choice("seed", "seed", [str(seed) for seed in seeds]),
    )
    return (
        '<h2 id="episodes">Episodes</h2>'
        f'<div class="filters">{"".join(choices)}'
        '<label>search<input id="search" type="search" placeholder="task or goal"></label>'
        '<span id="count" role="status" class="soft"></span></div>'
        '<div id="rows" role="listbox" tabindex="0" aria-label="episodes: arrow keys choose, '
        'Enter opens"><div id="space" role="presentation"></div></div>'
        '<div id="episode" tabindex="-1" role="region" aria-label="the chosen episode"></div>'
        "<noscript><p>The list of episodes needs JavaScript; all of them are in "
        "episodes.jsonl.</p></noscript>" + data("episodes-data", value)
    )


def _choice(name: str, label: str, values: Iterable[str]) -> str:
    options = "".join(f"<option>{escape(value)}</option>" for value in values)
    return (
        f'<label>{label}<select id="{name}"><option value="">all</option>{options}</select></label>'
    )


class Index:
    """Collects rows and chunks, one line at a time."""

    def __init__(self) -> None:
        self.rows: list[list[Any]] = []
        self.arms: list[str] = []
        self.types: list[str] = []
        self.outcomes: list[str] = []
        self.chunks: list[str] = []
        self.held = 0
        self._waiting: list[dict[str, Any]] = []
        self._size = 0

    def add(self, line: Mapping[str, Any]) -> None:
        """Take one line of episodes.jsonl."""
        task = line["task"]
        chunk, place = -1, 0
        if self._size < ROOM:
            chunk, place = len(self.chunks), len(self._waiting)
            self._waiting.append(_transcript(line))
            self.held += 1
        self.rows.append(
            [
                _place(self.arms, line["arm"]),
                line.get("seed", 0),
                task.get("id", ""),
                _place(self.types, task["task_type"]),
                _place(self.outcomes, line["outcome"]),
                len(line.get("steps", ())),
                _cut(task["goal"]),
                chunk,
                place,
            ]
        )
        if len(self._waiting) == CHUNK:
            self.close()

    def close(self) -> None:
        """Pack what waits."""
        if self._waiting:
            self.chunks.append(packed(self._waiting))
            self._size += len(self.chunks[-1])
            self._waiting = []


def _transcript(line: Mapping[str, Any]) -> dict[str, Any]:
    steps = [
        [
            _cut(step["observation"]),
            _cut(step["response"]),
            _cut(step.get("action", "")),
            bool(step.get("valid", True)),
        ]
        for step in line.get("steps", ())
    ]
    out = {"steps": steps, "skills": list(line.get("skill_ids", ()))}
    for key, name in (("system", "system"), ("final", "final_observation"), ("error", "error")):
        if line.get(name):
            out[key] = _cut(line[name])
    return out


def _place(values: list[str], value: str) -> int:
    if value not in values:
        values.append(value)
    return values.index(value)


def _cut(text: str) -> str:
    return text if len(text) <= LONGEST else text[:LONGEST] + " [...]"
