"""report.html: one self-contained page of a run. No script, no network, every text escaped.

What a model, an environment or a teacher wrote is shown as text and can be nothing else: values go
through `html.escape`, and the page's content security policy allows its own style sheet (by hash)
and nothing more.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Iterable, Mapping, Sequence
from html import escape
from itertools import islice
from pathlib import Path
from string import Template
from typing import Any

from . import charts
from .store import RunDir

TEMPLATES = Path(__file__).parent / "templates"
SHOWN = 8  # transcripts on the page
LONGEST = 1500  # characters of one text on the page
Cell = tuple[str, str]  # text, css class


def write_report(run: RunDir, result: Mapping[str, Any]) -> Path:
    """Write report.html of a run; return its path."""
    banks = [run.load_json(f"learn/{seed}/skills/final.json") for seed in range(result["seeds"])]
    bank: dict[str, Any] = next((b for b in banks if b), {"skills": []})
    episodes = _picked(run.read("episodes.jsonl"))
    run.write("report.html", page(result, bank["skills"], episodes))
    return run.path / "report.html"


def page(
    result: Mapping[str, Any],
    skills: Sequence[Mapping[str, Any]],
    episodes: Sequence[Mapping[str, Any]],
) -> str:
    """The whole page as HTML."""
    style = (TEMPLATES / "report.css").read_text(encoding="utf-8")
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    body = "\n".join(
        (
            _head(result),
            _scores(result),
            _curve(result),
            _skills(result, skills),
            _cost(result),
            _transcripts(episodes),
            _origin(result),
        )
    )
    return Template((TEMPLATES / "report.html").read_text(encoding="utf-8")).substitute(
        title=escape(f"{result['method']} on {result['environment']}"),
        style_hash=f"sha256-{digest}",
        style=style,
        body=body,
    )


def _head(result: Mapping[str, Any]) -> str:
    delta = result["delta"]
    baseline = (result["baseline"].get("scores") or {}).get("success")
    cards = [
        (result["method"], _score(result["scores"]["success"])),
        ("baseline", _score(baseline)),
        ("difference", _difference(delta)),
    ]
    boxes = "".join(
        f"<div>{escape(name)}<b>{escape(value)}</b><span class='soft'>{escape(note)}</span></div>"
        for name, (value, note) in cards
    )
    why = ""
    if not result["rankable"]:
        items = "".join(f"<li>{escape(reason)}</li>" for reason in result["why_not"])
        why = f'<div class="note">Not rankable:<ul>{items}</ul></div>'
    sub = (
        f"policy {result['policy']} · panel {result['panel']} · split {result['split']} · "
        f"profile {result['profile']} · seeds {result['seeds']}"
    )
    return (
        f"<h1>{escape(result['method'])} on {escape(result['environment'])}</h1>"
        f'<p class="sub">{escape(sub)}</p><div class="head">{boxes}</div>{why}'
    )


def _scores(result: Mapping[str, Any]) -> str:
    base = result["baseline"].get("by_task_type") or {}
    theirs = result["baseline"].get("scores") or {}
    pairs = [("all tasks", result["scores"]["success"], theirs.get("success"))]
    pairs += [(kind, row, base.get(kind)) for kind, row in result["by_task_type"].items()]
    deltas = {"all tasks": result["delta"], **result["delta"].get("by_task_type", {})}
    rows = [
        [
            (name, ""),
            (_interval(ours), ""),
            (str(ours["n"]), ""),
            (_interval(other), ""),
            (str(other["n"]) if other else "", ""),
            _delta_cell(deltas.get(name, {})),
            (_p(deltas.get(name, {}).get("p")), ""),
        ]
        for name, ours, other in pairs
    ]
    heads = ["success", result["method"], "n", "baseline", "n", "difference", "p"]
    outcomes = [
        [(who, ""), *((str(counts.get(o, 0)), "") for o in counts)]
        for who, counts in (
            (result["method"], result["outcomes"]),
            ("baseline", result["baseline"].get("outcomes")),
        )
        if counts
    ]
    invalid = result["scores"]["success_invalid_as_failure"]
    note = ""
    if result["outcomes"]["invalid"]:
        note = f"<p>With invalid episodes counted as lost: {escape(_interval(invalid))}.</p>"
    return (
        "<h2>Scores on the panel</h2>"
        + charts.intervals(pairs)
        + _table(heads, rows)
        + note
        + _table(["episodes", *result["outcomes"]], outcomes)
    )


def _curve(result: Mapping[str, Any]) -> str:
    if not result["curve"]:
        return ""
    return "<h2>Learning: success on train tasks</h2>" + charts.curve(result["curve"])


def _skills(result: Mapping[str, Any], skills: Sequence[Mapping[str, Any]]) -> str:
    counts = result["skills"]
    if not skills and not counts["final"]:
        return ""
    kinds = ", ".join(f"{n} {kind}" for kind, n in counts["by_kind"].items())
    line = (
        f"{counts['initial']} at first, {counts['final']} at the end ({kinds}); "
        f"{counts['tokens_per_episode']} tokens an episode (estimated)"
    )
    rows = [
        [
            (skill["kind"] + (f": {skill['task_type']}" if skill.get("task_type") else ""), "text"),
            (_cut(skill["title"]), "text"),
            (_cut(skill["principle"]), "text"),
            (str(skill.get("step", 0)), ""),
            (str(len(skill.get("source_tasks", ()))), ""),
        ]
        for skill in skills
    ]
    table = _table(["kind", "title", "principle", "step", "sources"], rows, text=3)
    return (
        f"<h2>Skills</h2><p>{escape(line)}</p>"
        f"<details><summary>The bank that was scored ({len(skills)})</summary>{table}</details>"
    )


def _cost(result: Mapping[str, Any]) -> str:
    keys = ("tokens_in", "tokens_cached", "tokens_out", "calls", "usd", "device_s", "wall_s")
    cost = result["cost"]
    rows = [("learning", cost["learn"])]
    rows += [(f"learning: {name}", row) for name, row in cost["learn"]["by_phase"].items()]
    rows += [("per episode", cost["per_episode"]), ("per solved task", cost["per_success"])]
    theirs = result["baseline"].get("cost")
    if theirs:
        rows.append(("baseline, per episode", theirs["per_episode"]))
        rows.append(("baseline, per solved task", theirs["per_success"]))
    table = _table(
        ["", *keys],
        [[(name, ""), *((_number(row.get(key)), "") for key in keys)] for name, row in rows],
    )
    even = result["break_even"]
    if even.get("episodes") is not None:
        low, high = (("none" if v is None else f"{v:,}") for v in even["ci95"])
        line = f"Learning is paid back after {even['episodes']:,} episodes [{low}, {high}]."
    else:
        line = f"No break-even: {even['reason']}."
    return f"<h2>Cost</h2>{table}<p>{escape(line)}</p>"


def _transcripts(episodes: Sequence[Mapping[str, Any]]) -> str:
    if not episodes:
        return ""
    return "<h2>Some episodes</h2>" + "".join(_transcript(episode) for episode in episodes)


def _transcript(line: Mapping[str, Any]) -> str:
    task = line["task"]
    title = f"{line['arm']} · {task['task_type']} · {line['outcome']} · {task['goal']}"
    parts = []
    if line.get("system"):
        parts.append(f'<pre class="soft">{escape(_cut(line["system"]))}</pre>')
    for step in line.get("steps", ()):
        parts.append(f"<pre>{escape(_cut(step['observation']))}</pre>")
        mark = "" if step.get("valid", True) else " (invalid)"
        parts.append(f'<pre class="act">&gt; {escape(_cut(step["response"]) + mark)}</pre>')
    parts.append(f"<pre>{escape(_cut(line.get('final_observation', '')))}</pre>")
    if line.get("error"):
        parts.append(f'<pre class="bad">{escape(_cut(line["error"]))}</pre>')
    return f"<details><summary>{escape(_cut(title))}</summary>{''.join(parts)}</details>"


def _origin(result: Mapping[str, Any]) -> str:
    origin = result["provenance"]
    git = origin.get("git") or {}
    rows = [
        ("configuration", result["config_digest"]),
        ("commit", git.get("sha", "installed package") + (" (dirty)" if git.get("dirty") else "")),
        ("started", origin["started"]),
        ("resumed", str(origin["resumed"])),
        ("hardware", ", ".join(f"{k} {v}" for k, v in origin["hardware"].items())),
        ("versions", ", ".join(f"{k} {v}" for k, v in origin["versions"].items())),
        ("data", ", ".join(f"{k} {v}" for k, v in origin["data"].items())),
        ("leaks", f"{result['leaks']['count']} found, checked {result['leaks']['checked']}"),
    ]
    table = _table(["", "value"], [[(k, ""), (v, "text")] for k, v in rows], text=1)
    return f"<h2>Where this comes from</h2>{table}"


def _picked(lines: Iterable[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """A few episodes of the method: half of them solved, half not, in panel order."""
    solved: list[Mapping[str, Any]] = []
    lost: list[Mapping[str, Any]] = []
    for line in lines:
        if line["arm"] == "method":
            chosen = solved if line["outcome"] == "success" else lost
            if len(chosen) < SHOWN:
                chosen.append(line)
    half = SHOWN // 2
    return [*islice(solved, max(half, SHOWN - len(lost))), *lost][:SHOWN]


def _table(heads: Sequence[str], rows: Sequence[Sequence[Cell]], *, text: int = 0) -> str:
    top = "".join(
        f"<th{' class=text' if i <= text else ''}>{escape(h)}</th>" for i, h in enumerate(heads)
    )
    lines = (
        "<tr>"
        + "".join(
            f'<td class="{css}">{escape(value)}</td>' if css else f"<td>{escape(value)}</td>"
            for value, css in row
        )
        + "</tr>"
        for row in rows
    )
    return f'<div class="wide"><table><tr>{top}</tr>{"".join(lines)}</table></div>'


def _interval(entry: Mapping[str, Any] | None) -> str:
    if not entry or entry.get("mean") is None:
        return "-"
    low, high = entry["ci95"]
    return f"{entry['mean']:.1%} [{low:.1%}, {high:.1%}]"


def _score(entry: Mapping[str, Any] | None) -> tuple[str, str]:
    if not entry or entry.get("mean") is None:
        return "-", "not scored"
    low, high = entry["ci95"]
    return f"{entry['mean']:.1%}", f"[{low:.1%}, {high:.1%}], n {entry['n']}"


def _difference(delta: Mapping[str, Any]) -> tuple[str, str]:
    if delta.get("mean") is None:
        return "-", delta.get("reason", "")
    low, high = delta["ci95"]
    return f"{delta['mean']:+.1%}", f"[{low:+.1%}, {high:+.1%}], p {_p(delta['p'])}"


def _delta_cell(delta: Mapping[str, Any]) -> Cell:
    if delta.get("mean") is None:
        return "-", ""
    low, high = delta["ci95"]
    css = "good" if low > 0 else "bad" if high < 0 else ""
    return f"{delta['mean']:+.1%} [{low:+.1%}, {high:+.1%}]", css


def _p(value: float | None) -> str:
    return "-" if value is None else f"{value:.3g}"


def _number(value: float | None) -> str:
    if value is None:
        return "-"
    return f"{value:,.0f}" if float(value).is_integer() else f"{value:,.4g}"


def _cut(text: str) -> str:
    return text if len(text) <= LONGEST else text[:LONGEST] + " [...]"
