"""`skillbench compare RUN RUN ...`: the paired difference of runs on one panel."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ..cli import Handler
from ..errors import UsageError

SHOWN = 10
EXAMPLES = """\
examples:
  skillbench compare runs/skillrl runs/grpo
  skillbench compare runs/skillrl runs/react --value-per-success 0.05
  skillbench compare runs/skillrl runs/grpo --page compare.html
a RUN is a run directory or a file of leaderboard/results; differences are those of the first RUN
less each of the others, and swapping two runs flips their signs"""


def command(parser: argparse.ArgumentParser) -> Handler:
    parser.epilog = EXAMPLES
    parser.add_argument("runs", metavar="RUN", nargs="+", help="two or more runs of one panel")
    parser.add_argument(
        "--value-per-success",
        metavar="USD",
        type=float,
        help="what a solved task is worth (what it costs with the other run)",
    )
    parser.add_argument(
        "--tasks",
        metavar="N",
        type=int,
        default=SHOWN,
        help=f"how many discordant tasks to list, with their transcripts ({SHOWN})",
    )
    parser.add_argument("--page", metavar="FILE", help="also write it as a page, FILE.html")
    parser.add_argument("--json", action="store_true", help="print everything as JSON")
    return run


def run(arguments: argparse.Namespace) -> int:
    from ..comparison import compare, load, names

    if len(arguments.runs) < 2:
        raise UsageError("compare takes two or more runs: skillbench compare RUN RUN")
    runs = [load(place) for place in arguments.runs]
    value = arguments.value_per_success
    found = [compare(runs[0], other, value=value) for other in runs[1:]]
    titles = names(runs)
    if arguments.page:
        _write(arguments.page, found, titles)
    if arguments.json:
        json.dump(found, sys.stdout, indent=2, ensure_ascii=False)
        sys.stdout.write("\n")
        return 0
    for result, title in zip(found, titles[1:]):
        _print(result, titles[0], title, arguments.tasks)
    return 0


def _write(name: str, found: Sequence[Mapping[str, Any]], titles: Sequence[str]) -> None:
    from ..side_by_side import comparison
    from ..store import write_atomic

    path = Path(name).expanduser()
    if path.suffix != ".html" or not path.parent.is_dir():
        raise UsageError(f"--page {name}: name a file.html in a directory that is there")
    write_atomic(path, comparison(found, titles, path.parent))


def _print(found: Mapping[str, Any], one: str, other: str, tasks: int) -> None:
    from rich.console import Console
    from rich.table import Table

    from ..summary import difference, mean

    console = Console(highlight=False)
    if not console.is_terminal:
        console.width = max(console.width, 120)
    console.print(f"{one} against {other}, panel {found['panel']}", style="bold", markup=False)
    table = Table(box=None, pad_edge=False)
    for i, head in enumerate(("success, %", one, other, "difference", "pairs")):
        table.add_column(head, justify="right" if i else "left", overflow="fold")
    delta = found["delta"]
    sides = [found[side]["success"] for side in ("one", "other")]
    table.add_row("all", *map(mean, sides), difference(delta), str(delta["n"]))
    for kind, row in found["by_task_type"].items():
        table.add_row(
            f"  {kind}",
            mean(row["one"]),
            mean(row["other"]),
            mean(row["delta"], sign="+"),
            str(row["delta"]["n"]),
        )
    console.print(table)
    lines = [("test", f"{delta.get('test', '-')}; interval: {delta.get('interval', '-')}")]
    if delta.get("note"):
        lines.append(("note", delta["note"]))
    if found["welch"] is not None:
        lines.append(("Welch", f"p={found['welch']:.3g} on the means of runs"))
    lines.append(("seeds", f"{found['one']['seeds']} and {found['other']['seeds']}"))
    lines += _costs(found, one, other)
    odd = found["discordant"]
    lines.append(
        ("tasks", f"{odd['only_one']} solved more by {one}, {odd['only_other']} by {other}")
    )
    for name, text in lines:
        console.print(f"{name:<16} {text}", markup=False, soft_wrap=True)
    for row in odd["tasks"][: max(tasks, 0)]:
        head = f"  {row['one']:.0%} against {row['other']:.0%}  {row['task']}"
        console.print(head, markup=False, soft_wrap=True)
        for link in filter(None, row["transcripts"]):
            console.print(f"      {link}", markup=False, soft_wrap=True)
    if len(odd["tasks"]) > tasks:
        console.print(f"  and {len(odd['tasks']) - tasks} more: --tasks N", markup=False)
    console.print()


def _costs(found: Mapping[str, Any], one: str, other: str) -> list[tuple[str, str]]:
    from ..leaderboard import dollars
    from ..summary import break_even_text

    lines = []
    for key, name in (("per_episode", "per use"), ("per_success", "per solved task")):
        texts = [dollars(found[s][key], found[s]["unit"]) for s in ("one", "other")]
        lines.append((name, f"{texts[0]} and {texts[1]}"))
    titles = {found["one"]["name"]: one, found["other"]["name"]: other}
    for even in found["break_even"]:
        who, against = titles[even["run"]], titles[even["against"]]
        lines.append(("break even", f"{who} against {against}: {break_even_text(even)}"))
    return lines
