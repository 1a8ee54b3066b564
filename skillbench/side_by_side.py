"""Pages that set runs side by side: of a comparison (`compare --page`) and of a suite (suite.html).

Their links lead to the pages of the runs, by paths relative to where the page lies.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from html import escape
from pathlib import Path
from typing import Any

from . import charts, factors
from .pages import Cell, frame, interval, table
from .summary import break_even_text, cost_text, difference

SHOWN = 200  # discordant tasks on a page


def comparison(found: Sequence[Mapping[str, Any]], names: Sequence[str], directory: Path) -> str:
    """The page of `compare`: the first run against each of the others, as HTML."""
    parts = [f"<h1>{escape(names[0])} against {escape(', '.join(names[1:]))}</h1>"]
    parts.append(f'<p class="sub">panel {escape(found[0]["panel"])}</p>')
    for entry, other in zip(found, names[1:]):
        parts.append(_pair(entry, names[0], other, directory))
    return frame(f"{names[0]} against {', '.join(names[1:])}", "\n".join(parts))


def _pair(found: Mapping[str, Any], one: str, other: str, directory: Path) -> str:
    pairs = [("all tasks", found["one"]["success"], found["other"]["success"])]
    deltas = {"all tasks": found["delta"]}
    for kind, row in found["by_task_type"].items():
        pairs.append((kind, row["one"], row["other"]))
        deltas[kind] = row["delta"]
    rows = [
        [
            (name, ""),
            (interval(ours), ""),
            (interval(theirs), ""),
            _signed(deltas[name]),
            (f"{deltas[name]['p']:.3g}" if deltas[name]["p"] is not None else "-", ""),
            (str(deltas[name]["n"]), ""),
        ]
        for name, ours, theirs in pairs
    ]
    lines = [f"Test: {found['delta'].get('test', '-')}."]
    if found["delta"].get("note"):
        lines.append(f"Note: {found['delta']['note']}.")
    if found["welch"] is not None:
        lines.append(f"Welch's test on the means of runs: p {found['welch']:.3g}.")
    lines += [
        f"{even['run']} against {even['against']}: {break_even_text(even)}."
        for even in found["break_even"]
    ]
    said = "".join(f"<p>{escape(line)}</p>" for line in lines)
    change = difference(found["delta"])
    names = (one, other) if one != other else (f"{one} (first)", f"{other} (second)")
    return (
        f"<h2>{escape(one)} less {escape(other)}, points: {escape(change)}</h2>"
        + charts.draw(charts.intervals(pairs, names), f"Success of {names[0]} and {names[1]}")
        + table(
            ["success", *names, "difference", "p", "pairs"], rows, caption="By task type, paired"
        )
        + said
        + _discordant(found["discordant"], names, directory)
    )


def _discordant(odd: Mapping[str, Any], names: Sequence[str], directory: Path) -> str:
    head = (
        f"<h3>Tasks that one solved more often</h3><p>{odd['only_one']} by {escape(names[0])}, "
        f"{odd['only_other']} by {escape(names[1])}; each share leads to a transcript.</p>"
    )
    lines = []
    for row in odd["tasks"][:SHOWN]:
        cells = [(escape(row["task_type"]), ""), (escape(row["task"]), "")]
        for side, link in zip(("one", "other"), row["transcripts"]):
            cells.append((_link(f"{row[side]:.0%}", link, directory), ""))
        lines.append(cells)
    if not lines:
        return head
    caption = "Discordant tasks"
    if len(odd["tasks"]) > SHOWN:
        caption += f", the first {SHOWN} of {len(odd['tasks'])}"
    return head + table(["task type", "task", *names], lines, text=1, caption=caption, html=True)


def suite(found: Mapping[str, Any], directory: Path) -> str:
    """The page of a suite, from its suite.json, as HTML."""
    rows, bars = [], []
    for row in found["rows"]:
        name = escape(row["name"])
        if "failed" in row:
            rows.append([(name, ""), (escape(row["method"]), ""), ("failed", "bad")])
            rows[-1] += [(escape(row["failed"].splitlines()[0]), "text"), ("", ""), ("", "")]
            continue
        link = _link(row["name"], str(directory / row["run"] / "report.html"), directory)
        mark = "" if row["rankable"] else " (not rankable)"
        success, delta = row["success"], row["delta"]
        bars.append((row["name"], success, None))
        rows.append(
            [
                (link, ""),
                (f"{escape(row['method'])} on {escape(row['environment'])}", ""),
                (escape(interval(success)), ""),
                _signed(delta),
                (f"{row.get('group', '')}{mark}", ""),
                (escape(cost_text(row["learn"])) or "-", "text"),
            ]
        )
    heads = ["row", "method", "success", "difference", "tie group", "learning"]
    body = [
        f"<h1>{escape(found['title'])}</h1>",
        f'<p class="sub">suite {escape(found["suite"])}</p>',
        charts.draw(charts.intervals(bars, ("success", "")), "Success with 95 % intervals"),
        table(heads, rows, text=1, caption="Rows", html=True),
        _factors(found),
    ]
    return frame(found["title"], "\n".join(body))


def _factors(found: Mapping[str, Any]) -> str:
    named = [(f"effect of {name}", entry) for name, entry in found["effects"].items()]
    named += [(name, entry) for name, entry in found.get("interactions", {}).items()]
    named += [
        (f"{row['row']} less {row['placebo']} (placebo)", row) for row in found.get("placebos", ())
    ]
    if not named:
        return ""
    drawn = [
        {"skill": name, "effect": e["mean"], "low": e["ci95"][0], "high": e["ci95"][1]}
        for name, e in named
        if e["mean"] is not None
    ]
    lines = [[(name, ""), _signed(e), (f"{e['p']:.3g}" if e["p"] is not None else "-", "")]
             for name, e in named]  # fmt: skip
    out = "<h2>What each part does</h2>" + charts.draw(
        charts.effects(drawn),
        "Differences of success; of an interaction, how much more the one does where the other is",
    )
    out += table(["part", "difference", "p"], lines, caption="Effects, interactions, placebos")
    grid = factors.table(found["rows"])
    names = sorted({name for row in grid for name in row["factors"]})
    cells = [
        [
            (row["name"], "text"),
            *(({True: "yes", False: "-"}.get(row["factors"].get(name), ""), "text")
               for name in names),
            (interval(row["success"]), ""),
        ]
        for row in grid
    ]  # fmt: skip
    if cells:
        heads = ["row", *names, "success"]
        out += table(heads, cells, text=len(names), caption="Success by factor")
    return out


def _signed(delta: Mapping[str, Any]) -> Cell:
    if delta.get("mean") is None:
        return "-", ""
    low, high = delta["ci95"]
    return interval(delta, "+"), "good" if low > 0 else "bad" if high < 0 else ""


def _link(text: str, target: str, directory: Path) -> str:
    """A link to a file and fragment, relative to the page; the text alone where there is none."""
    if not target:
        return escape(text)
    path, mark, fragment = target.partition("#")
    where = Path(os.path.relpath(Path(path).resolve(), directory.resolve())).as_posix()
    from urllib.parse import quote

    return f'<a href="{escape(quote(where) + mark + fragment)}">{escape(text)}</a>'
