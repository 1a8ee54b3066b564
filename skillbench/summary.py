"""The table that a run ends with: the method against the same policy without it, and what it cost.

Every share comes with its interval and n; whatever a result lacks is left out rather than guessed.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

BARS = "▁▂▃▄▅▆▇█"


def print_summary(result: Mapping[str, Any], directory: Path, *, console: Any = None) -> None:
    """Print the summary of a result on stdout (or a given rich console)."""
    from rich.console import Console
    from rich.table import Table

    console = console or Console(highlight=False)
    console.print()
    console.print(title(result), style="bold", markup=False)
    table = Table(box=None, pad_edge=False)
    heads: tuple[str, ...] = ("", result.get("method", "method"), "without it", "difference")
    rows: list[tuple[str, ...]] = list(score_rows(result))
    if not result.get("baseline"):
        heads, rows = heads[:2], [row[:2] for row in rows]
    for index, head in enumerate(heads):
        table.add_column(head, justify="left" if index == 0 else "right", no_wrap=True)
    for row in rows:
        table.add_row(*row)
    console.print(table)
    for name, text in facts(result, directory):
        console.print(f"{name:<16} {text}", markup=False, soft_wrap=True)


def title(result: Mapping[str, Any]) -> str:
    """One line: what ran where, on how many tasks."""
    label = result.get("label") or result.get("environment", "")
    panel = result.get("panel")
    name = panel.get("name", "") if isinstance(panel, Mapping) else panel
    seeds = _count(result.get("seeds"))
    return (
        f"{result.get('method')} on {label}, split {result.get('split')}"
        f"{f' (panel {name})' if name else ''}, policy {policy_name(result)}, "
        f"{seeds} seed{'s' if seeds != 1 else ''}, profile {result.get('profile')}"
    )


def policy_name(result: Mapping[str, Any]) -> str:
    """The policy as one word: "household" or "hf:MODEL"."""
    policy = result.get("policy")
    if isinstance(policy, Mapping):
        model = policy.get("model")
        return f"{policy.get('name', '?')}{f':{model}' if model else ''}"
    return str(policy)


def score_rows(result: Mapping[str, Any]) -> list[tuple[str, str, str, str]]:
    """Rows of the main table: each score, then success by task type."""
    base = result.get("baseline") or {}
    rows = []
    for name, score in (result.get("scores") or {}).items():
        other = (base.get("scores") or {}).get(name, {})
        change = difference(result.get("delta")) if name == "success" else ""
        rows.append((name, share(score), share(other), change))
    for name, score in (result.get("by_task_type") or {}).items():
        other = (base.get("by_task_type") or {}).get(name, {})
        rows.append((f"  {name}", share(score), share(other), _plain_difference(score, other)))
    return rows


def share(score: Mapping[str, Any] | None) -> str:
    """A share in percent with its interval and n: `62.0 % [55.1, 68.4] n=200`."""
    if not score or score.get("mean") is None:
        return "-"
    return f"{100 * score['mean']:.1f} %{_interval(score.get('ci95'))} n={score.get('n', '?')}"


def difference(delta: Mapping[str, Any] | None) -> str:
    """A difference in points with its interval and p: `+31.0 [22.5, 39.0] p<0.001`."""
    if not delta or delta.get("mean") is None:
        return "-"
    p = delta.get("p")
    tail = "" if p is None else " p<0.001" if p < 0.001 else f" p={p:.3f}"
    return f"{100 * delta['mean']:+.1f}{_interval(delta.get('ci95'))}{tail}"


def facts(result: Mapping[str, Any], directory: Path) -> list[tuple[str, str]]:
    """What stands below the table, as (name, text)."""
    rows = [("outcomes", _outcomes(result.get("outcomes")))]
    base = result.get("baseline") or {}
    if base.get("outcomes"):
        rows.append(("  without it", _outcomes(base["outcomes"])))
    rows.append(("learning curve", curve_text(result.get("curve") or ())))
    rows.append(("skills", skills_text(result.get("skills"))))
    cost = result.get("cost") or {}
    for name in ("learn", "per_episode", "per_success"):
        text = cost_text(cost.get(name), digits=4 if name == "learn" else 3)
        rows.append((f"cost {name.replace('_', ' ')}", text))
    rows.append(("  without it", cost_text((base.get("cost") or {}).get("per_episode"))))
    even = result.get("break_even") or {}
    if even:
        episodes = even.get("episodes")
        rows.append(
            (
                "break even",
                str(even.get("reason", "")) if episodes is None else f"{episodes:.0f} episodes",
            )
        )
    if not result.get("rankable", True):
        why = result.get("why_not") or "no reason was recorded"
        rows.append(("NOT RANKABLE", why if isinstance(why, str) else "; ".join(why)))
    rows.append(("run", str(directory)))
    if (directory / "report.html").is_file():
        rows.append(("report", str(directory / "report.html")))
    return [(name, text) for name, text in rows if text]


def curve_text(curve: Sequence[Mapping[str, Any]]) -> str:
    """The learning curve: a sparkline, then `step: share` for at most eight points."""
    values: list[tuple[Any, float]] = []
    for point in curve:
        success = point.get("success")
        mean = success.get("mean") if isinstance(success, Mapping) else success
        if mean is not None:
            values.append((point.get("step"), float(mean)))
    if not values:
        return ""
    line = "".join(BARS[min(7, int(8 * max(0.0, v)))] for _, v in values)
    stride = max(1, -(-len(values) // 8))
    shown = values[::stride]
    if shown[-1] != values[-1]:
        shown.append(values[-1])
    return f"{line}  " + "  ".join(f"{step}: {100 * v:.0f} %" for step, v in shown)


def skills_text(skills: Mapping[str, Any] | None) -> str:
    """`12 -> 19 (general 4, task_type 11, mistake 4), 180 tokens per episode`."""
    if not skills:
        return ""
    text = f"{skills.get('initial', 0)} -> {skills.get('final', 0)}"
    kinds = skills.get("by_kind") or {}
    if kinds:
        text += f" ({', '.join(f'{kind} {n}' for kind, n in kinds.items())})"
    tokens = skills.get("tokens_per_episode")
    return text + (f", {tokens:.0f} tokens per episode" if tokens else "")


UNITS = {  # key in result.json -> (format, unit)
    "usd": ("${:.4f}", ""),
    "input_tokens": ("{:,.0f}", " tokens in"),
    "cached_tokens": ("{:,.0f}", " cached"),
    "output_tokens": ("{:,.0f}", " tokens out"),
    "tokens": ("{:,.0f}", " tokens"),
    "calls": ("{:,.0f}", " calls"),
    "steps": ("{:,.1f}", " steps"),
    "wall_s": ("{:,.1f}", " s"),
    "device_s": ("{:,.1f}", " device s"),
}


def cost_text(cost: Mapping[str, Any] | None, digits: int = 3) -> str:
    """What a table of costs says, in the order of `UNITS`; zeros are left out, dollars never."""
    if not cost:
        return ""
    parts = []
    for key, (form, unit) in UNITS.items():
        value = cost.get(key)
        if isinstance(value, (int, float)) and (value or key == "usd"):
            small = 0 < abs(value) < 10 and key not in ("usd", "wall_s", "device_s", "steps")
            parts.append((f"{value:.{digits}g}" if small else form.format(value)) + unit)
    return ", ".join(parts)


def _interval(ci: Any) -> str:
    if not ci or ci[0] is None:
        return ""
    return f" [{100 * ci[0]:.1f}, {100 * ci[1]:.1f}]"


def _plain_difference(score: Mapping[str, Any], other: Mapping[str, Any]) -> str:
    if not other or score.get("mean") is None or other.get("mean") is None:
        return ""
    return f"{100 * (score['mean'] - other['mean']):+.1f}"


def _outcomes(outcomes: Mapping[str, Any] | None) -> str:
    return ", ".join(f"{name} {n}" for name, n in (outcomes or {}).items())


def _count(seeds: Any) -> int:
    return len(seeds) if isinstance(seeds, (list, tuple)) else int(seeds or 1)
