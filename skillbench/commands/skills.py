"""`skillbench skills RUN [--diff RUN]`: the bank, its history, and what each skill was worth."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ..cli import Handler
from ..errors import UsageError

EXAMPLES = """\
examples:
  skillbench skills runs/skillrl
  skillbench skills runs/skillrl --leave-one-out 3
  skillbench skills runs/skillrl --diff runs/other
`when shown` is the method less the same policy without it, on the tasks where the skill was shown;
`by itself` is what the skill does, of a run with --set score.show=0.5, where chance decides what is
shown; `worth` (leave-one-out) is what is lost when this skill alone is taken out of the prompt"""


def command(parser: argparse.ArgumentParser) -> Handler:
    parser.epilog = EXAMPLES
    parser.add_argument("run", metavar="RUN", help="a finished run directory")
    parser.add_argument("--diff", metavar="RUN", help="compare the bank with that of another run")
    parser.add_argument("--seed", metavar="N", type=int, default=0, help="whose bank to show (0)")
    parser.add_argument(
        "--leave-one-out",
        metavar="N",
        type=int,
        default=0,
        help="score again without each of the N skills shown most, one at a time (0)",
    )
    parser.add_argument(
        "--tasks", metavar="N", type=int, default=0, help="at most N tasks for each of them (all)"
    )
    parser.add_argument("--json", action="store_true", help="print everything as JSON")
    return run


def run(arguments: argparse.Namespace) -> int:
    from .. import attribution
    from ..progress import make_reporter
    from ..runs import load_result
    from ..store import read_lines

    directory, result = load_result(arguments.run)
    share = result["skills"].get("show")
    skills = _bank(directory, arguments.seed)
    titles = {skill["id"]: skill["title"] for skill in skills}
    rows = attribution.shown_effects(read_lines(directory / "episodes.jsonl"), titles, share)
    found: dict[str, Any] = {
        "skills": skills,
        "effects": rows,
        "history": attribution.history(directory, arguments.seed),
    }
    if arguments.diff:
        other, _ = load_result(arguments.diff)
        found["diff"] = attribution.diff(_bank(other, arguments.seed), skills)
    if arguments.leave_one_out:
        reporter = make_reporter()
        top = [row["id"] for row in rows if row["id"] in titles][: arguments.leave_one_out]
        try:
            found["leave_one_out"] = attribution.leave_one_out(
                directory, top, reporter=reporter, limit=arguments.tasks
            )
        finally:
            reporter.finish()
    found["show"] = share
    found["harmful"] = attribution.harmful(found.get("leave_one_out", ()))
    found["harmful_by_itself"] = attribution.harmful(rows, "chance")
    found["harmful_where_shown"] = attribution.harmful(rows, "effect")
    if arguments.json:
        json.dump(found, sys.stdout, indent=2, ensure_ascii=False)
        sys.stdout.write("\n")
    else:
        _print(found)
    return 0


def _bank(directory: Path, seed: int) -> list[dict[str, Any]]:
    path = directory / "learn" / str(seed) / "skills" / "final.json"
    if not (directory / "learn" / str(seed)).is_dir() and seed:
        raise UsageError(f"{directory} has no seed {seed}")
    if not path.is_file():
        return []
    return json.loads(path.read_text(encoding="utf-8"))["skills"]


def _print(found: Mapping[str, Any]) -> None:
    from rich.console import Console
    from rich.table import Table

    from ..attribution import verdict
    from ..summary import difference

    console = Console(highlight=False)
    if not console.is_terminal:
        console.width = max(console.width, 200)  # a log cuts no figure short
    if not found["skills"] and not found["effects"]:
        console.print("the bank is empty, and no skill was shown")
        return
    effects = {row["id"]: row for row in found["effects"]}
    worth = {row["id"]: row["worth"] for row in found.get("leave_one_out", ())}
    table = Table(box=None, pad_edge=False)
    chance = found["show"] is not None
    heads = ["skill", "title", "step", "shown", "cited", "when shown"]
    heads += ["withheld", "by itself", "so it"] * chance + ["worth"] * bool(worth)
    for i, head in enumerate(heads):
        table.add_column(head, justify="right" if i > 1 else "left", overflow="fold")
    for skill in found["skills"]:
        row = effects.get(skill["id"], {})
        cells = [
            skill["id"],
            skill["title"],
            str(skill.get("step", 0)),
            str(row.get("shown", 0)),
            str(row.get("cited", 0)),
            difference(row.get("effect")),
        ]
        if chance:
            effect = row.get("chance")
            cells += [str(row.get("withheld", 0)), difference(effect), verdict(effect)]
        table.add_row(*cells, *([difference(worth.get(skill["id"]))] if worth else []))
    console.print(table)
    steps = "  ".join(f"{row['step']}: {row['skills']}" for row in found["history"])
    console.print(f"bank by step      {steps}", markup=False, soft_wrap=True)
    _list(console, "harmful", found["harmful"], "none by leave-one-out" if worth else "")
    if chance:
        _list(console, "harmful by itself", found["harmful_by_itself"], "none")
    else:
        _list(console, "worse where shown", found["harmful_where_shown"], "none")
    for what, skills in found.get("diff", {}).items():
        console.print(f"{what}: {len(skills)}", style="bold", markup=False)
        for skill in skills if what != "kept" else ():
            console.print(f"  {skill['id']}  {skill['title']}", markup=False, soft_wrap=True)


def _list(console: Any, name: str, ids: Sequence[str], nothing: str) -> None:
    if ids or nothing:
        console.print(f"{name:<17} {', '.join(ids) or nothing}", markup=False, soft_wrap=True)
