"""The leaderboard as a static page: one self-contained file, written by `leaderboard build`.

For each panel: the table, success against cost per use with its Pareto front, break-even curves,
and what was changed against the unchanged method (the parts of a method and its placebos, side by
side). Published figures follow in a table of their own. Every link leads to a part of this page.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from html import escape
from typing import Any

from . import charts, published
from .breakeven import net
from .leaderboard import Column, Row, cells, compared, dollars, heads, uses
from .pages import frame, interval, table
from .summary import cost_text

POINTS = 24


def page(
    found: Mapping[str, Sequence[Row]],
    quoted: Sequence[published.Quoted],
    extra: Sequence[Column] = (),
) -> str:
    """The whole page as HTML."""
    links = [f'<li><a href="#{_id(name)}">{escape(name)}</a></li>' for name in found]
    if quoted:
        links.append('<li><a href="#published">Published figures, unranked</a></li>')
    body = [
        "<h1>skillbench leaderboard</h1>",
        '<p class="sub">Methods that let an agent learn, each against the same policy without it, '
        "on held-out tasks, with what learning cost. Rows of one tie group cannot be told apart."
        "</p>",
        f'<nav aria-label="tables"><ul>{"".join(links)}</ul></nav>',
    ]
    if not found:
        body.append("<p>No results yet.</p>")
    for name, rows in found.items():
        body.append(_panel(name, rows, extra))
    if quoted:
        body.append(_published(quoted))
    return frame("skillbench leaderboard", "\n".join(body))


def _id(name: str) -> str:
    return "t-" + re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")


def _panel(name: str, rows: Sequence[Row], extra: Sequence[Column]) -> str:
    columns = heads(extra)
    lines = []
    for row in rows:
        line = [escape(cell) for cell in cells(row, extra)]
        place = columns.index("method")
        line[place] = f'<a href="#{_id(row.data["file"])}">{line[place]}</a>'
        lines.append([(cell, "") for cell in line])
    parts = [f'<h2 id="{_id(name)}">{escape(name)}</h2>']
    said = f"{len(rows)} result{'s' if len(rows) != 1 else ''}, the best first"
    parts.append(table(columns, lines, text=3, caption=said, html=True))
    for unit in sorted({row.money["unit"] for row in rows}):
        points = [_point(row) for row in rows if row.money["unit"] == unit]
        parts.append(
            charts.draw(
                charts.pareto(points, unit),
                "Success against the cost of a use; the broken line joins the Pareto front",
            )
        )
    parts.append(_parts(rows))
    parts += [_row(row) for row in rows]
    return "\n".join(parts)


def _point(row: Row) -> dict[str, Any]:
    low, high = row.data["scores"]["success"]["ci95"] or (row.success, row.success)
    cost = row.money["per_episode"] or 0.0
    return {"name": row.name[:40], "cost": cost, "success": row.success, "low": low,
            "high": high, "front": row.front}  # fmt: skip


def _parts(rows: Sequence[Row]) -> str:
    """Rows with changes against the same method and policy without any."""
    lines = []
    for row in rows:
        if not row.data.get("variant"):
            continue
        whole = [
            other
            for other in rows
            if not other.data.get("variant")
            and (other.data["method"], other.data["policy"])
            == (row.data["method"], row.data["policy"])
        ]
        if whole:
            delta = compared(row, whole[0])
            p = delta["p"]
            cell = interval(delta, "+")
            lines.append([(row.name, ""), (cell, ""), ("-" if p is None else f"{p:.3g}", "")])
    if not lines:
        return ""
    return "<h3>What each part does</h3>" + table(
        ["changed", "difference from the unchanged method", "p"],
        lines,
        caption="Ablations and placebos against the method as it is",
    )


def _row(row: Row) -> str:
    data, unit = row.data, row.money["unit"]
    base = (data.get("baseline") or {}).get("by_task_type") or {}
    deltas = (data.get("delta") or {}).get("by_task_type") or {}
    types = [
        [
            (kind, ""),
            (interval(entry), ""),
            (interval(base.get(kind)), ""),
            (interval(deltas.get(kind), "+"), ""),
            (str(entry["n"]), ""),
        ]
        for kind, entry in (data.get("by_task_type") or {}).items()
    ]
    facts = [
        ("command", f"<code>{escape(str(data.get('command', '')))}</code>"),
        ("learning bill", escape(f"{dollars(row.money['learn'], unit)} for one learning run; "
                                 f"all runs: {cost_text((data.get('cost') or {}).get('learn'))}")),
        ("per use", escape(dollars(row.money["per_episode"], unit))),
        ("skills", escape(f"{(data.get('skills') or {}).get('final', 0):,.4g}")),
        ("configuration", escape(str(data.get("config_digest", ""))[:16])),
    ]  # fmt: skip
    facts += [
        (f"N* against {even['against']}", escape(uses(even) + _why(even))) for even in row.even
    ]
    if not data["rankable"]:
        facts.append(("not rankable", escape("; ".join(data.get("why_not") or ()))))
    lines = "".join(f"<tr><td class=text>{escape(k)}</td><td class=text>{v}</td></tr>"
                    for k, v in facts)  # fmt: skip
    curves = [even for even in row.even if even.get("gain_per_use") is not None][:1]
    chart = ""
    if curves and curves[0].get("episodes"):
        last = 2 * max(curves[0]["episodes"], (curves[0]["ci95"][1] or 0) / 2)
        points = net(curves[0], [round(last * i / POINTS) for i in range(POINTS + 1)])
        chart = charts.draw(charts.net(points, unit), f"Break-even of {row.name}")
    learning = charts.draw(
        charts.curve(data.get("curve") or ()), "Success on train tasks at each learning step"
    )
    heading = f'<h3 id="{_id(data["file"])}">{escape(row.name)}, {escape(str(data["policy"]))}</h3>'
    typed = table(
        ["task type", "success", "without it", "difference", "n"],
        types,
        caption=f"{row.name} by task type",
    )
    return (
        f"{heading}<details open><summary>Figures</summary>"
        f'<table class="facts"><tbody>{lines}</tbody></table>{typed}</details>{chart}{learning}'
    )


def _why(even: Mapping[str, Any]) -> str:
    return f" ({even['reason']})" if even.get("reason") else ""


def _published(quoted: Sequence[published.Quoted]) -> str:
    rows = [[(cell, "text") for cell in published.cells(row)] for row in quoted]
    return (
        '<h2 id="published">Published figures, unranked</h2>'
        "<p>Quoted from papers and their repositories; none was measured here. Protocols differ: "
        "rows must not be compared with each other or with the tables above.</p>"
        + table(list(published.HEADS), rows, text=6, caption="Published figures")
    )
