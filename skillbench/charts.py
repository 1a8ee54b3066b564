"""Two inline SVG charts for the report: the learning curve, and intervals side by side."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape
from typing import Any

WIDTH, HEIGHT = 640, 240
LEFT, RIGHT, TOP, BOTTOM = 44, 12, 10, 34


def curve(points: Sequence[Mapping[str, Any]]) -> str:
    """Train success over learning steps, as an SVG; empty without points."""
    if not points:
        return ""
    span = max(len(points) - 1, 1)
    inner = WIDTH - LEFT - RIGHT

    def x(index: int) -> float:
        return LEFT + inner * (index / span if len(points) > 1 else 0.5)

    def y(value: float) -> float:
        return TOP + (HEIGHT - TOP - BOTTOM) * (1 - value)

    parts = []
    for tick in (0.0, 0.25, 0.5, 0.75, 1.0):
        parts.append(_line(LEFT, y(tick), WIDTH - RIGHT, y(tick), "axis"))
        parts.append(_text(LEFT - 6, y(tick) + 4, f"{tick:.0%}", "end"))
    places = [(x(i), y(float(p["success"]))) for i, p in enumerate(points)]
    path = " ".join(f"{a:.1f},{b:.1f}" for a, b in places)
    parts.append(f'<polyline class="curve" points="{path}"/>')
    every = max(1, len(points) // 12)
    for i, ((a, b), point) in enumerate(zip(places, points)):
        title = (
            f"{point['stage']} step {point['stage_step']}: {float(point['success']):.1%}, "
            f"n {point['n']}, {point['skills']} skills"
        )
        parts.append(
            f'<circle class="dot" cx="{a:.1f}" cy="{b:.1f}" r="3.5">'
            f"<title>{escape(title)}</title></circle>"
        )
        if i % every == 0 or i == len(points) - 1:
            parts.append(_text(a, HEIGHT - 18, str(point["stage_step"]), "middle"))
        if i == 0 or points[i - 1]["stage"] != point["stage"]:
            parts.append(_text(a, HEIGHT - 4, str(point["stage"]), "middle"))
    return _svg(HEIGHT, "Success on train tasks while learning", parts)


def intervals(rows: Sequence[tuple[str, Mapping[str, Any], Mapping[str, Any] | None]]) -> str:
    """Means with 95 % intervals of the method and the baseline, one pair of bars a row."""
    rows = [row for row in rows if row[1].get("mean") is not None]
    if not rows:
        return ""
    left, step = 190, 30
    height = TOP + step * len(rows) + 22

    def x(value: float) -> float:
        return left + (WIDTH - left - RIGHT) * min(max(value, 0.0), 1.0)

    parts = []
    for tick in (0.0, 0.25, 0.5, 0.75, 1.0):
        parts.append(_line(x(tick), TOP, x(tick), height - 20, "axis"))
        parts.append(_text(x(tick), height - 6, f"{tick:.0%}", "middle"))
    for i, (name, method, baseline) in enumerate(rows):
        middle = TOP + step * i + step / 2
        parts.append(_text(left - 8, middle + 4, name, "end"))
        for offset, entry, kind in ((-4, method, ""), (5, baseline, "0")):
            if not entry or entry.get("mean") is None:
                continue
            low, high = entry["ci95"]
            at = middle + offset
            parts.append(_line(x(low), at, x(high), at, f"bar{kind}"))
            parts.append(
                f'<circle class="mark{kind}" cx="{x(entry["mean"]):.1f}" cy="{at:.1f}" r="4"/>'
            )
    return _svg(height, "Success with 95 % intervals, method and baseline", parts)


def _svg(height: float, label: str, parts: Sequence[str]) -> str:
    return (
        f'<svg viewBox="0 0 {WIDTH} {height:.0f}" role="img" aria-label="{escape(label)}">'
        + "".join(parts)
        + "</svg>"
    )


def _line(x1: float, y1: float, x2: float, y2: float, kind: str) -> str:
    return f'<line class="{kind}" x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}"/>'


def _text(x: float, y: float, text: str, anchor: str) -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}">{escape(text)}</text>'
