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
WIDTH = 640
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
        f'<figure><figcaption>{escape(label)}</figcaption><div class="chart">{svg}</div></figure>'
    )


def _percent(field: str, title: str, **scale: Any) -> Spec:
    axis = {"format": ".0%"}
    return {"field": field, "type": "quantitative", "title": title, "axis": axis,
            "scale": scale or {"zero": False}}  # fmt: skip


def intervals(
    rows: Sequence[tuple[str, Mapping[str, Any], Mapping[str, Any] | None]], names: tuple[str, str]
) -> Spec | None:
    """Means with 95 % intervals of the method and the baseline, by task type."""
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


def _arms(names: tuple[str, str]) -> Spec:
    scale = {"domain": list(names), "range": [MAIN, OTHER]}
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
    x = {"field": "uses", "type": "quantitative", "title": "uses"}
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
    name = "dollars per use" if unit == "usd" else unit.replace("_s", " seconds per use")
    x = {"field": "cost", "type": "quantitative", "title": name, "scale": {"zero": False}}
    return {
        "data": {"values": [dict(row) for row in rows]},
        "height": 260,
        "layer": [
            {"transform": [{"filter": "datum.front"}],
             "mark": {"type": "line", "color": OTHER, "strokeDash": [5, 3], "aria": False},
             "encoding": {"x": x, "y": _percent("success", "success"), "order": {"field": "cost"}}},
            {"mark": {"type": "rule", "color": MAIN, "aria": False},
             "encoding": {"x": x, "y": _percent("low", "success"), "y2": {"field": "high"}}},
            {"mark": {"type": "point", "filled": True, "size": 80, "color": MAIN},
             "encoding": {"x": x, "y": _percent("success", "success"),
                          "detail": [{"field": "name"}, {"field": "low"}, {"field": "high"}]}},
            {"mark": {"type": "text", "align": "left", "dx": 8, "dy": -8, "color": INK,
                      "aria": False},
             "encoding": {"x": x, "y": _percent("success", "success"),
                          "text": {"field": "name"}}},
        ],
    }  # fmt: skip


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
