"""Charts as Vega-Lite specifications, drawn to SVG when a page is written.

A page holds finished SVG and no chart library: it opens at once, needs no script for its figures,
and every mark carries its numbers as an accessible label (`aria-label="success: 0.62; ..."`).
Text and lines take the page's colour, so charts follow light and dark. `draw` needs vl-convert
(extra `pages`); without it pages say so and keep their tables.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterable, Mapping, Sequence
from html import escape
from typing import Any

MAIN, OTHER, GOOD, BAD = "#2f7de1", "#8a94a3", "#2a9d57", "#d1493f"
MISSING = (
    '<p class="soft">No chart here: drawing needs '
    "<code>pip install 'skillbench-harness[pages]'</code>.</p>"
)
WIDTH, HEIGHT, FONT = 720, 300, 11
INK = "currentColor"
CONFIG: dict[str, Any] = {
    "font": "Liberation Sans, Arial, Helvetica, sans-serif",
    "view": {"stroke": None},
    "axis": {
        "labelColor": INK, "titleColor": INK, "gridColor": INK, "gridOpacity": 0.15,
        "domainColor": INK, "tickColor": INK, "labelFontSize": 12, "titleFontSize": 12,
        "labelLimit": 260, "titleFontWeight": "normal",
    },
    "legend": {"labelColor": INK, "titleColor": INK, "orient": "top", "labelFontSize": 12},
}  # fmt: skip
_numbers = itertools.count(1)
Spec = dict[str, Any]


def available() -> bool:
    """Whether charts can be drawn here."""
    from importlib.util import find_spec

    return find_spec("vl_convert") is not None


def draw(spec: Spec | None, label: str) -> str:
    """A specification as an <svg> with a label; nothing for None."""
    if spec is None:
        return ""
    if not available():
        return MISSING
    import vl_convert

    whole = {"background": "transparent", "config": CONFIG, "width": WIDTH, **spec}
    svg = vl_convert.vegalite_to_svg(whole)
    # Two charts on one page must not share the ids of their clip paths.
    number = next(_numbers)
    svg = re.sub(r'id="(clip\d+)"', rf'id="c{number}\1"', svg)
    svg = re.sub(r"url\(#(clip\d+)\)", rf"url(#c{number}\1)", svg)
    return (
        f'<figure><figcaption>{escape(label)}</figcaption><div class="chart" tabindex="0" '
        f'role="group" aria-label="{escape(label)}">{svg}</div></figure>'
    )


def _percent(field: str, title: str, **scale: Any) -> Spec:
    axis = {"format": ".0%"}
    return {"field": field, "type": "quantitative", "title": title, "axis": axis,
            "scale": scale or {"zero": False}}  # fmt: skip


def intervals(
    rows: Sequence[tuple[str, Mapping[str, Any], Mapping[str, Any] | None]], names: tuple[str, str]
) -> Spec | None:
    """Means with 95 % intervals of the method and the baseline, by task type.

    A second name of "" stands for a chart of one arm alone.
    """
    values = [
        {"task type": name, "arm": arm, "success": entry["mean"],
         "low": entry["ci95"][0], "high": entry["ci95"][1]}
        for name, *entries in rows
        for arm, entry in zip(names, entries)
        if entry and entry.get("mean") is not None
    ]  # fmt: skip
    if not values:
        return None
    place = {
        "y": {"field": "task type", "type": "nominal", "title": None,
              "sort": [name for name, *_ in rows], "axis": _room(name for name, *_ in rows)},
        "yOffset": {"field": "arm", "type": "nominal", "sort": list(names)},
        "color": _arms(names),
    }  # fmt: skip
    return {
        "data": {"values": values},
        "height": {"step": 18},
        "encoding": place,
        "layer": [
            {"mark": {"type": "rule", "strokeWidth": 2.5},
             "encoding": {"x": _percent("low", "success", domain=[0, 1]), "x2": {"field": "high"}}},
            {"mark": {"type": "point", "filled": True, "size": 70},
             "encoding": {"x": _percent("success", "success", domain=[0, 1])}},
        ],
    }  # fmt: skip


def _room(labels: Iterable[str]) -> Spec:
    """An axis with room for its labels in any font: the reader's may be wider than the measured."""
    return {"minExtent": min(7.2 * max(map(len, labels)), 300), "labelLimit": 320}


def _arms(names: tuple[str, ...]) -> Spec:
    names = tuple(filter(None, names))
    scale = {"domain": list(names), "range": [MAIN, OTHER][: len(names)]}
    return {"field": "arm", "type": "nominal", "title": None, "scale": scale}


def curve(points: Sequence[Mapping[str, Any]], field: str = "success") -> Spec | None:
    """Train success, or the size of the bank, over learning steps."""
    if not points:
        return None
    values = [
        {"learning step": p["step"], field: float(p[field]), "stage": p["stage"],
         "step of the stage": p["stage_step"], "episodes": p["n"]}
        for p in points
    ]  # fmt: skip
    y = {"field": field, "type": "quantitative", "title": field}
    if field == "success":
        y = _percent(field, "success on train", domain=[0, 1])
    x = {"field": "learning step", "type": "quantitative", "axis": {"tickMinStep": 1}}
    step = "step-after" if field != "success" else "linear"
    return {
        "data": {"values": values},
        "height": 190,
        "encoding": {"x": x, "y": y},
        "layer": [
            {"mark": {"type": "line", "color": OTHER, "interpolate": step, "aria": False}},
            {"mark": {"type": "point", "filled": True, "size": 60},
             "encoding": {"color": {"field": "stage", "type": "nominal", "title": None,
                                    "scale": {"scheme": "tableau10"}},
                          "detail": [{"field": "episodes"}, {"field": "step of the stage"}]}},
        ],
    }  # fmt: skip


def net(rows: Sequence[Mapping[str, Any]], unit: str) -> Spec | None:
    """What learning has brought after N uses, less its bill, with its interval."""
    if not rows:
        return None
    name = "dollars" if unit == "usd" else unit.replace("_s", " seconds")
    title = f"gained less the bill, {name}"
    x = {"field": "uses", "type": "quantitative", "title": "uses", "scale": {"nice": False}}
    return {
        "data": {"values": [dict(row) for row in rows]},
        "height": 200,
        "layer": [
            {"mark": {"type": "area", "color": MAIN, "opacity": 0.18, "aria": False},
             "encoding": {"x": x, "y": {"field": "low", "type": "quantitative", "title": title},
                          "y2": {"field": "high"}}},
            {"mark": {"type": "line", "color": MAIN, "aria": False},
             "encoding": {"x": x, "y": {"field": "net", "type": "quantitative"}}},
            {"mark": {"type": "point", "filled": True, "color": MAIN, "size": 25},
             "encoding": {"x": x, "y": {"field": "net", "type": "quantitative"}}},
            {"mark": {"type": "rule", "color": BAD, "strokeDash": [4, 3], "aria": False},
             "encoding": {"y": {"datum": 0}}},
        ],
    }  # fmt: skip


def pareto(rows: Sequence[Mapping[str, Any]], unit: str) -> Spec | None:
    """Success against cost per use; the line joins the Pareto front.

    A row is {name, cost, success, low, high, front}.
    """
    if not rows:
        return None
    what = "dollars" if unit == "usd" else unit.replace("_s", " seconds")
    name = f"{what} per 1,000 uses"
    rows = [{**row, "cost": 1000 * row["cost"]} for row in rows]
    costs = [row["cost"] for row in rows]
    room = 0.06 * (max(costs) - min(costs)) or 0.1 * max(costs) or 1.0
    ends = (max(min(costs) - room, 0.0), max(costs) + room)
    rows = _labelled(rows, ends)
    x = {"field": "cost", "type": "quantitative", "title": name,
         "axis": {"tickCount": 8}, "scale": {"domain": list(ends), "nice": False}}  # fmt: skip
    y = _percent("success", "success", domain=[0, 1])
    return {
        "data": {"values": rows},
        "height": HEIGHT,
        "layer": [
            {"transform": [{"filter": "datum.front"}],
             "mark": {"type": "line", "color": OTHER, "strokeDash": [5, 3], "aria": False},
             "encoding": {"x": x, "y": y, "order": {"field": "cost"}}},
            {"mark": {"type": "rule", "color": MAIN, "aria": False},
             "encoding": {"x": x, "y": {**y, "field": "low"}, "y2": {"field": "high"}}},
            {"mark": {"type": "point", "filled": True, "size": 80, "color": MAIN},
             "encoding": {"x": x, "y": y,
                          "detail": [{"field": "name"}, {"field": "low"}, {"field": "high"}]}},
            {"mark": {"type": "rule", "color": INK, "opacity": 0.35, "aria": False},
             "transform": [{"filter": "datum.moved"}],
             "encoding": {"x": x, "y": y, "x2": {"field": "label_x"}, "y2": {"field": "label_y"}}},
            *({"mark": {"type": "text", "align": side, "color": INK, "fontSize": FONT,
                        "aria": False},
               "transform": [{"filter": f"datum.side == '{side}'"}],
               "encoding": {"x": {**x, "field": "label_x"}, "y": {**y, "field": "label_y"},
                            "text": {"field": "name"}}}
              for side in ("left", "right")),
        ],
    }  # fmt: skip


def _labelled(rows: Sequence[Mapping[str, Any]], ends: tuple[float, float]) -> list[Spec]:
    """Give each point a place for its name that no other name and no point covers.

    Places are tried in pixels, the nearest first: right of the point, left of it where there is
    no room, then further up and down; `moved` names get a line to their point.
    """
    span = ends[1] - ends[0]
    spots = [(WIDTH * (r["cost"] - ends[0]) / span, HEIGHT * (1 - r["success"])) for r in rows]
    taken = [(x - 5, y - 5, x + 5, y + 5) for x, y in spots]
    out = []
    for row, (x, y) in zip(rows, spots):
        width = 0.56 * FONT * len(str(row["name"])) + 4
        best = None
        for step in range(20):
            for up in (-1, 1) if step else (-1,):
                middle = y + up * step * (FONT + 2)
                for side, left in (("left", x + 9), ("right", x - 9 - width)):
                    box = (left, middle - FONT / 2 - 1, left + width, middle + FONT / 2 + 1)
                    inside = left >= 0 and box[2] <= WIDTH + 90 and 0 <= box[1] <= HEIGHT - FONT
                    if best is None and inside and not any(_meet(box, b) for b in taken):
                        best = (side, box, middle, step)
        side, box, middle, step = best or ("left", (x + 9, y, x + 9 + width, y), y, 0)
        taken.append(box)
        edge = box[0] if side == "left" else box[2]
        out.append(
            {**row, "side": side, "moved": step > 0, "label_x": ends[0] + span * edge / WIDTH,
             "label_y": 1 - middle / HEIGHT}
        )  # fmt: skip
    return out


def _meet(a: Sequence[float], b: Sequence[float]) -> bool:
    return a[0] < b[2] and b[0] < a[2] and a[1] < b[3] and b[1] < a[3]


def effects(rows: Sequence[Mapping[str, Any]]) -> Spec | None:
    """What each skill does to success, with its interval. A row is {skill, effect, low, high}."""
    if not rows:
        return None
    kind = "datum.low > 0 ? 'helps' : datum.high < 0 ? 'harms' : 'not told'"
    y = {"field": "skill", "type": "nominal", "title": None, "sort": None,
         "axis": _room(str(row["skill"]) for row in rows)}  # fmt: skip
    colour = {"field": "kind", "type": "nominal", "title": None,
              "scale": {"domain": ["helps", "not told", "harms"],
                        "range": [GOOD, OTHER, BAD]}}  # fmt: skip
    return {
        "data": {"values": [dict(row) for row in rows]},
        "transform": [{"calculate": kind, "as": "kind"}],
        "height": {"step": 20},
        "encoding": {"y": y, "color": colour},
        "layer": [
            {"mark": {"type": "rule", "strokeWidth": 2.5},
             "encoding": {"x": _percent("low", "difference of success"), "x2": {"field": "high"}}},
            {"mark": {"type": "point", "filled": True, "size": 70},
             "encoding": {"x": _percent("effect", "difference of success")}},
            {"mark": {"type": "rule", "strokeDash": [4, 3], "color": INK, "aria": False},
             "encoding": {"x": {"datum": 0}, "y": {"value": 0}, "y2": {"value": "height"},
                          "color": {"value": INK}}},
        ],
    }  # fmt: skip
