"""report.html: one self-contained page of a run. No network, every text escaped.

Scores with intervals, the learning curve and the bank's growth, what each skill did, costs and the
break-even curve, all episodes with their transcripts (viewer.py), and where the run comes from.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from html import escape
from typing import TYPE_CHECKING, Any

from . import charts, devices
from .attribution import shown_effects
from .breakeven import net
from .pages import Cell, frame, interval, number, table
from .store import RunDir
from .viewer import viewer

if TYPE_CHECKING:
    from pathlib import Path

LONGEST = 1500  # characters of one text of a skill
POINTS = 24  # of the break-even curve


def write_report(run: RunDir, result: Mapping[str, Any]) -> Path:
    """Write report.html of a run; return its path."""
    banks = [run.load_json(f"learn/{seed}/skills/final.json") for seed in range(result["seeds"])]
    skills: dict[str, Mapping[str, Any]] = {}
    for bank in banks:
        for skill in (bank or {"skills": []})["skills"]:
            skills.setdefault(skill["id"], skill)
    # The episodes are read twice, line by line: all of them at once can fill a gigabyte.
    shown: list[dict[str, Any]] = []
    if result["skills"].get("final"):
        shown = shown_effects(run.read("episodes.jsonl"), share=result["skills"].get("show"))
    episodes = run.read("episodes.jsonl")
    run.write("report.html", page(result, list(skills.values()), episodes, shown))
    return run.path / "report.html"


def page(
    result: Mapping[str, Any],
    skills: Sequence[Mapping[str, Any]],
    episodes: Iterable[Mapping[str, Any]],
    effects: Sequence[Mapping[str, Any]],
) -> str:
    """The whole page as HTML. `effects` are rows of attribution.py."""
    body = "\n".join(
        (
            _head(result),
            _scores(result),
            _curve(result),
            _skills(result, skills, effects),
            _cost(result),
            viewer(episodes, skills),
            _origin(result),
        )
    )
    return frame(f"{result['method']} on {result['environment']}", body)


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
            (interval(ours), ""),
            (str(ours["n"]), ""),
            (interval(other), ""),
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
        note = f"<p>With invalid episodes counted as lost: {escape(interval(invalid))}.</p>"
    return (
        "<h2>Scores on the panel</h2>"
        + charts.draw(
            charts.intervals(pairs, (str(result["method"]), "baseline")),
            "Success with 95 % intervals, all tasks and by task type",
        )
        + table(heads, rows, caption="Success, all tasks and by task type")
        + note
        + table(["episodes", *result["outcomes"]], outcomes, caption="How episodes ended")
    )


def _curve(result: Mapping[str, Any]) -> str:
    points = result["curve"]
    if not points:
        return ""
    out = "<h2>Learning</h2>" + charts.draw(
        charts.curve(points), "Success on train tasks at each learning step"
    )
    if any(point.get("skills") for point in points):
        out += charts.draw(charts.curve(points, "skills"), "Skills in the bank")
    rows = [
        [
            (f"{p['stage']} {p['stage_step']}", ""),
            (f"{p['success']:.1%}", ""),
            (str(p["n"]), ""),
            (number(p["skills"]), ""),
        ]
        for p in points
    ]
    numbers = table(
        ["learning step", "success on train", "episodes", "skills"], rows, caption="Learning steps"
    )
    return out + f"<details><summary>The same as a table</summary>{numbers}</details>"


def _skills(
    result: Mapping[str, Any],
    skills: Sequence[Mapping[str, Any]],
    effects: Sequence[Mapping[str, Any]],
) -> str:
    counts = result["skills"]
    share = counts.get("show")
    if not skills and not counts["final"]:
        return ""
    kinds = ", ".join(f"{n} {kind}" for kind, n in counts["by_kind"].items())
    line = (
        f"{counts['initial']} at first, {counts['final']} at the end ({kinds}); "
        f"{counts['tokens_per_episode']:.0f} tokens an episode (estimated)"
    )
    known = {row["id"]: row for row in effects}
    rows = []
    for skill in skills:
        effect = known.get(skill.get("id", ""), {})
        rows.append(
            [
                (skill["kind"] + (f": {skill['task_type']}" if skill.get("task_type") else ""), ""),
                (_cut(skill["title"]), ""),
                (_cut(skill["principle"]), ""),
                (str(skill.get("step", 0)), ""),
                (str(len(skill.get("source_tasks", ()))), ""),
                (number(effect.get("shown", 0)), ""),
                (number(effect.get("cited", 0)), ""),
                _delta_cell(effect.get("effect") or {}),
                *([_delta_cell(effect.get("chance") or {})] if share else []),
            ]
        )
    heads = ["kind", "title", "principle", "step", "sources", "shown", "cited", "when shown"]
    heads += ["by itself"] if share else []
    which = "chance" if share else "effect"
    told = [row for row in effects if (row.get(which) or {}).get("mean") is not None]
    titles = {s.get("id"): s["title"] for s in skills}
    drawn = [
        {
            "skill": f"{_cut(titles.get(row['id'], ''))[:36]} {row['id'][:6]}".strip(),
            "effect": row[which]["mean"],
            "low": row[which]["ci95"][0],
            "high": row[which]["ci95"][1],
        }
        for row in sorted(told, key=lambda row: -row[which]["mean"])
    ]
    said = (
        f"What each skill does by itself: chance showed it at {share:.0%} of the episodes"
        if share
        else "Success of the method less that of the same policy without it, on the tasks where "
        "the skill was shown (weights and other skills have their part in it)"
    )
    chart = charts.draw(charts.effects(drawn), said)
    return (
        f"<h2>Skills</h2><p>{escape(line)}</p>{chart}"
        f"<details><summary>The bank that was scored ({len(skills)})</summary>"
        f"{table(heads, rows, text=2, caption='Skills')}</details>"
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
    spent = table(
        ["of", *keys],
        [[(name, ""), *((number(row.get(key)), "") for key in keys)] for name, row in rows],
        caption="What was spent",
    )
    reported = devices.text(cost.get("devices"))
    said = f"<p>Devices: {escape(reported)}.</p>" if reported else ""
    return f"<h2>Cost</h2>{_money(cost.get('money'))}{_even(result['break_even'])}{spent}{said}"


def _money(money: Mapping[str, Any] | None) -> str:
    if not money:
        return ""
    from .leaderboard import dollars

    unit = money["unit"]
    parts = [
        f"one learning run {dollars(money['learn'], unit)}",
        f"a use {dollars(money['per_episode'], unit)}",
        f"a solved task {dollars(money['per_success'], unit)}",
    ]
    if "baseline_per_success" in money:
        parts.append(f"without the method {dollars(money['baseline_per_success'], unit)}")
    return f"<p>{escape('; '.join(parts))}. Prices of {escape(money['prices'])}.</p>"


def _even(even: Mapping[str, Any]) -> str:
    if even.get("episodes") is None:
        return f"<p>Break-even: {escape(str(even['reason']))}.</p>"
    low, high = (("never" if v is None else f"{v:,}") for v in even["ci95"])
    line = f"Learning is paid back after {even['episodes']:,} uses [{low}, {high}]."
    if even.get("reason"):
        line += f" ({even['reason']})"
    last = 2 * max(even["episodes"], (even["ci95"][1] or 0) / 2, 1)
    rows = net(even, [round(last * i / POINTS) for i in range(POINTS + 1)])
    chart = charts.draw(
        charts.net(rows, str(even.get("unit"))),
        "What the method has brought after N uses, less what learning cost (95 % band)",
    )
    return f"<p>{escape(line)}</p>{chart}"


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
        ("leaks", f"{result['leaks']['count']} found, checked {_counts(result['leaks'])}"),
    ]
    origin_table = table(
        ["what", "value"], [[(k, ""), (v, "text")] for k, v in rows], text=1, caption="Provenance"
    )
    return f"<h2>Where this comes from</h2>{origin_table}"


def _counts(leaks: Mapping[str, Any]) -> str:
    checked = leaks.get("checked")
    if not isinstance(checked, Mapping):
        return str(checked)
    return ", ".join(f"{n} {what}" for what, n in checked.items())


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
    return interval(delta, "+"), css


def _p(value: float | None) -> str:
    return "-" if value is None else f"{value:.3g}"


def _cut(text: str) -> str:
    return text if len(text) <= LONGEST else text[:LONGEST] + " [...]"
