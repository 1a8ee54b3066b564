"""The table that a run ends with: the method against the same policy without it, and what it cost.

Every share comes with its interval and n; whatever a result lacks is left out rather than guessed.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from . import devices

BARS = "▁▂▃▄▅▆▇█"


def print_summary(result: Mapping[str, Any], directory: Path, *, console: Any = None) -> None:
    """Print the summary of a result on stdout (or a given rich console)."""
    from rich.console import Console
    from rich.table import Table

    console = console or Console(highlight=False)
    if not console.is_terminal:
        console.width = max(console.width, 120)  # a log cuts no figure short
    console.print()
    console.print(title(result), style="bold", markup=False, soft_wrap=True)
    table = Table(box=None, pad_edge=False)
    heads = ("", result.get("method", "method"), "without it", "difference", "n")
    kept = range(5) if (result.get("baseline") or {}).get("scores") else (0, 1, 4)
    for index in kept:
        table.add_column(heads[index], justify="right" if index else "left", overflow="fold")
    for row in score_rows(result):
        table.add_row(*(row[index] for index in kept))
    console.print(table)
    for name, text in facts(result, directory):
        console.print(f"{name:<16} {text}", markup=False, soft_wrap=True)


def title(result: Mapping[str, Any]) -> str:
    """One line: what ran where, on how many tasks."""
    seeds, tasks = result.get("seeds", 1), (result.get("panel_info") or {}).get("n")
    return (
        f"{result.get('method')} on {result.get('environment')}, panel {result.get('panel')}"
        f"{f' of {tasks} tasks' if tasks else ''}, policy {result.get('policy')}, "
        f"{seeds} seed{'s' if seeds != 1 else ''}, profile {result.get('profile')}"
    )


def score_rows(result: Mapping[str, Any]) -> list[tuple[str, str, str, str, str]]:
    """Rows of the main table: each score, then success by task type; shares in percent.

    A row is (name, with the method, without it, difference in points, n).
    """
    base = result.get("baseline") or {}
    delta = result.get("delta") or {}
    invalid = _invalid(result) or _invalid(base)
    rows = []
    for name, score in (result.get("scores") or {}).items():
        if name in ("success_invalid_as_failure", "valid") and not invalid:
            continue  # says nothing new
        factor, unit = (1, "") if name == "steps" else (100, ", %")
        other = (base.get("scores") or {}).get(name)
        change = difference(delta) if name == "success" else ""
        label = name.replace("_", " ") + unit
        rows.append((label, mean(score, factor), mean(other, factor), change, _n(score)))
    types = delta.get("by_task_type") or {}
    for name, score in (result.get("by_task_type") or {}).items():
        other = (base.get("by_task_type") or {}).get(name)
        change = mean(types.get(name), sign="+")
        rows.append((f"  {name}", mean(score), mean(other), change, _n(score)))
    return rows


def mean(score: Mapping[str, Any] | None, factor: float = 100, sign: str = "") -> str:
    """A mean with its interval: `62.0 [55.1, 68.4]`."""
    if not score or score.get("mean") is None:
        return "-"
    return f"{factor * score['mean']:{sign}.1f}{_interval(score.get('ci95'), factor)}"


def share(score: Mapping[str, Any] | None) -> str:
    """A share in percent with its interval and n: `62.0 % [55.1, 68.4] n=200`."""
    if not score or score.get("mean") is None:
        return "-"
    ends = _interval(score.get("ci95"), 100)
    return f"{100 * score['mean']:.1f} %{ends} n={score.get('n', '?')}"


def difference(delta: Mapping[str, Any] | None) -> str:
    """A difference in points with its interval and p: `+31.0 [22.5, 39.0] p<0.001`."""
    if not delta or delta.get("mean") is None:
        return "-"
    p = delta.get("p")
    tail = "" if p is None else " p<0.001" if p < 0.001 else f" p={p:.3f}"
    return mean(delta, sign="+") + tail


def facts(result: Mapping[str, Any], directory: Path) -> list[tuple[str, str]]:
    """What stands below the table, as (name, text)."""
    rows = [("outcomes", _outcomes(result.get("outcomes")))]
    base = result.get("baseline") or {}
    if base.get("outcomes"):
        rows.append(("  without it", _outcomes(base["outcomes"])))
    if base.get("reason"):
        rows.append(("without it", f"not scored: {base['reason']}"))
    rows += retries_rows(result.get("retries"))
    rows.append(("learning curve", curve_text(result.get("curve") or ())))
    rows.append(("skills", skills_text(result.get("skills"))))
    cost = result.get("cost") or {}
    rows.append(("cost of learning", cost_text(cost.get("learn"))))
    rows.append(("cost per episode", cost_text(cost.get("per_episode"))))
    rows.append(("  without it", cost_text((base.get("cost") or {}).get("per_episode"))))
    rows.append(("cost per success", cost_text(cost.get("per_success"))))
    rows.append(("devices", devices.text(cost.get("devices"))))
    rows.append(("break even", break_even_text(result.get("break_even"))))
    if not result.get("rankable", True):
        why = result.get("why_not") or "no reason was recorded"
        rows.append(("NOT RANKABLE", why if isinstance(why, str) else "; ".join(why)))
    rows.append(("run", str(directory)))
    if (directory / "report.html").is_file():
        rows.append(("report", str(directory / "report.html")))
    return [(name, text) for name, text in rows if text]


def curve_text(curve: Sequence[Mapping[str, Any]]) -> str:
    """Success on train while learning: a sparkline, then `step: share` for at most eight points."""
    values = [(p.get("step"), float(p["success"])) for p in curve if p.get("success") is not None]
    if not values:
        return ""
    line = "".join(BARS[max(0, min(7, int(8 * v)))] for _, v in values)
    stride = -(-len(values) // 8)
    shown = values[::stride]
    if shown[-1] != values[-1]:
        shown.append(values[-1])
    return f"{line}  " + "  ".join(f"{step}: {100 * v:.0f} %" for step, v in shown) + "  (on train)"


def retries_rows(found: Mapping[str, Any] | None) -> list[tuple[str, str]]:
    """Solved within k attempts of both arms, and their difference; marked as no score."""
    if not found:
        return []
    k = found["attempts"]
    rows = []
    for arm, name in (("method", f"within {k} tries"), ("baseline", "  without it")):
        if arm in found:
            shares = " -> ".join(f"{100 * row['mean']:.1f}" for row in found[arm]["within"])
            ends = share(found[arm]["within"][-1])
            rows.append((name, f"{shares} %, {ends} ({found[arm]['measure']}; not a score)"))
    if "delta" in found:
        rows.append(("  difference", difference(found["delta"])))
    return rows


def break_even_text(even: Mapping[str, Any] | None) -> str:
    """`after 1,200 uses [800, 2,100]`, or why there is no such number."""
    if not even:
        return ""
    if even.get("episodes") is None:
        return str(even.get("reason") or "")
    low, high = even.get("ci95") or (None, None)
    ends = "" if low is None else f" [{low:,.0f}, {f'{high:,.0f}' if high else 'never'}]"
    reason = f"; {even['reason']}" if even.get("reason") else ""
    return f"after {even['episodes']:,.0f} uses{ends}, counted in {even.get('unit')}{reason}"


def skills_text(skills: Mapping[str, Any] | None) -> str:
    """`12 -> 19 (general 4, task_type 11, mistake 4), 180 tokens per episode`."""
    if not skills:
        return ""
    if not (skills.get("initial") or skills.get("final")):
        return "none"
    text = f"{skills.get('initial', 0):g} -> {skills.get('final', 0):g}"
    kinds = skills.get("by_kind") or {}
    if kinds:
        text += f" ({', '.join(f'{kind} {n:g}' for kind, n in kinds.items())})"
    tokens = skills.get("tokens_per_episode")
    return text + (f", {tokens:.0f} tokens per episode" if tokens else "")


UNITS = (  # key in result.json, what stands before the figure and after it
    ("usd", "$", ""),
    ("tokens_in", "", " tokens in"),
    ("tokens_cached", "", " cached"),
    ("tokens_out", "", " tokens out"),
    ("calls", "", " calls"),
    ("steps", "", " steps"),
    ("wall_s", "", " s"),
    ("device_s", "", " device s"),
)


def cost_text(cost: Mapping[str, Any] | None) -> str:
    """What a table of costs says, in the order of `UNITS`; zeros are left out."""
    parts = []
    for key, before, after in UNITS:
        value = (cost or {}).get(key)
        if value:
            figure = f"{value:,.0f}" if value >= 100 or value == int(value) else f"{value:.3g}"
            parts.append(f"{before}{figure}{after}")
    return ", ".join(parts)


def _interval(ci: Any, factor: float) -> str:
    if not ci or ci[0] is None:
        return ""
    return f" [{factor * ci[0]:.1f}, {factor * ci[1]:.1f}]"


def _n(score: Mapping[str, Any] | None) -> str:
    return str((score or {}).get("n", ""))


def _invalid(arm: Mapping[str, Any]) -> int:
    return (arm.get("outcomes") or {}).get("invalid", 0)


def _outcomes(outcomes: Mapping[str, Any] | None) -> str:
    return ", ".join(f"{name} {n}" for name, n in (outcomes or {}).items())
