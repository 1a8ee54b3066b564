"""What every page shares: the frame with its security policy, tables, and embedded data.

A page is one file. Its security policy names the page's own style sheet and script by hash and
allows nothing else, so a text that a model wrote can be nothing but text. Data stand in the page as
JSON in script elements of a type that is not run, with `<` written as \\u003c.
"""

from __future__ import annotations

import base64
import gzip
import hashlib
import json
from collections.abc import Mapping, Sequence
from html import escape
from pathlib import Path
from string import Template
from typing import Any

from .store import finite

TEMPLATES = Path(__file__).parent / "templates"
Cell = tuple[str, str]  # text, css class


def frame(title: str, body: str) -> str:
    """The whole page."""
    style = (TEMPLATES / "report.css").read_text(encoding="utf-8")
    script = (TEMPLATES / "report.js").read_text(encoding="utf-8")
    return Template((TEMPLATES / "report.html").read_text(encoding="utf-8")).substitute(
        title=escape(title),
        style_hash=_hash(style),
        style=style,
        script_hash=_hash(script),
        script=script,
        body=body,
    )


def _hash(text: str) -> str:
    return "sha256-" + base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()


def data(name: str, value: Any) -> str:
    """A JSON value in the page, as the element with this id."""
    text = json.dumps(finite(value), ensure_ascii=False, separators=(",", ":"))
    text = text.replace("<", "\\u003c").replace("\u2028", "\\u2028").replace("\u2029", "\\u2029")
    return f'<script type="application/json" id="{escape(name)}">{text}</script>'


def packed(value: Any) -> str:
    """A JSON value, compressed with gzip and written in base64."""
    text = json.dumps(finite(value), ensure_ascii=False, separators=(",", ":"))
    return base64.b64encode(gzip.compress(text.encode(), 9, mtime=0)).decode()


def table(
    heads: Sequence[str],
    rows: Sequence[Sequence[Cell]],
    *,
    text: int = 0,
    caption: str = "",
    html: bool = False,
) -> str:
    """A table; the first 1 + `text` columns are words. `html`: cells are finished HTML."""
    top = "".join(
        f'<th scope="col"{" class=text" if i <= text else ""}>{escape(h)}</th>'
        for i, h in enumerate(heads)
    )
    lines = []
    for row in rows:
        cells = []
        for i, (value, css) in enumerate(row):
            css = css or ("text" if i <= text else "")
            mark = f' class="{css}"' if css else ""
            cells.append(f"<td{mark}>{value if html else escape(value)}</td>")
        lines.append(f"<tr>{''.join(cells)}</tr>")
    said = f"<caption>{escape(caption)}</caption>" if caption else ""
    return (
        f'<div class="wide" tabindex="0" role="region" aria-label="{escape(caption or "table")}">'
        f"<table>{said}<thead><tr>{top}</tr></thead>"
        f"<tbody>{''.join(lines)}</tbody></table></div>"
    )


def interval(entry: Mapping[str, Any] | None, sign: str = "") -> str:
    """`62.0% [55.1%, 68.4%]`."""
    if not entry or entry.get("mean") is None:
        return "-"
    ends = entry.get("ci95")
    tail = f" [{ends[0]:{sign}.1%}, {ends[1]:{sign}.1%}]" if ends else ""
    return f"{entry['mean']:{sign}.1%}{tail}"


def number(value: float | None) -> str:
    """A figure for a table."""
    if value is None:
        return "-"
    return f"{value:,.0f}" if float(value).is_integer() else f"{value:,.4g}"
