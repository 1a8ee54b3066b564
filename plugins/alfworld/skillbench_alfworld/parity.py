"""Plays games in the native and in the stock engine side by side and compares every text.

    python -m skillbench_alfworld.parity --games 300 --steps 5000 [--memo] [--python PYTHON]

After the reset and after every step the feedback, the sorted admissible commands and `won` must be
equal. Two games in five begin with their whole walkthrough. Every other step is drawn, by seed,
from what is left of the walkthrough, from the admissible commands (things done to objects more
often than walking) and from garbage (wrong places, wrong numbers, stray blanks, noise). Play goes
on after a win. Ends with exit code 1 at any difference, and with a JSON summary.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import random
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from . import oracle
from .data import games, path
from .engine import World
from .game import Game
from .generator import generate
from .pddl import parse_game, read_game
from .textworld_engine import StockWorld, Worker

TASK_MARK = "Your task is to: "
NOISE = ("", "dance", "go", "go to", "take", "open sesame 1", "put it there", "LOOK", "look around")


@dataclass
class Report:
    """What a parity run found."""

    games: int = 0
    steps: int = 0
    wins: int = 0
    nothing: int = 0  # steps answered "Nothing happens."
    differences: list[dict[str, Any]] = field(default_factory=list)
    by_source: dict[str, int] = field(default_factory=dict)


def next_command(world: World, plan: list[str], rng: random.Random) -> str:
    """Draw the next command; `plan` is what is left of the walkthrough."""
    admissible = world.admissible()
    dice = rng.random()
    if plan and dice < 0.35:
        return plan.pop(0)
    if dice < 0.45:
        return garbage(world, admissible, rng)
    acting = [c for c in admissible if not c.startswith("go to ")]
    doing = [c for c in acting if c not in ("help", "inventory", "look")]
    if doing and dice < 0.80:
        # Moving things about is what reveals differences in `look` and in the slicing commands.
        touching = [c for c in doing if not c.startswith(("examine ", "close "))]
        return rng.choice(touching or doing)
    if dice < 0.84:
        return "look"
    return rng.choice(admissible)


def garbage(world: World, admissible: list[str], rng: random.Random) -> str:
    """A command that is probably, but not always, refused."""
    kind = rng.randrange(6)
    receptacle = rng.choice(world.game.receptacles).name
    thing = rng.choice(world.game.objects).name if world.game.objects else "mug 1"
    if kind == 0:
        return rng.choice(NOISE)
    if kind == 1:
        return f"  {rng.choice(admissible)} "  # blanks around are forgiven
    if kind == 2:
        return rng.choice((f"take {thing} from {receptacle}", f"use {thing}", f"examine {thing}"))
    if kind == 3:
        return f"{world.game.verb} {thing} to {receptacle}"
    if kind == 4:
        return f"go to {receptacle}"
    return rng.choice(
        (f"open {receptacle}", f"examine {receptacle}", f"heat {thing} with microwave 1")
    )


def compare(game: Game, stock: StockWorld, steps: int, seed: int, source: str, out: Report) -> None:
    """Play one game in both engines; the first difference ends it and is noted in `out`."""
    rng = random.Random(f"parity {seed} {game.id}")
    world, plan = World(game), list(game.walkthrough)
    log: list[str] = []
    straight = rng.random() < 0.4
    texts = world.reset(), stock.reset()
    out.games += 1
    out.by_source[source] = out.by_source.get(source, 0) + 1
    for step in range(steps + 1):
        native = {"text": texts[0], "admissible": world.admissible(), "won": world.won()}
        theirs = {"text": texts[1], "admissible": stock.admissible(), "won": stock.won()}
        if native != theirs:
            wrong = {k: [native[k], theirs[k]] for k in native if native[k] != theirs[k]}
            out.differences.append(
                {"game": game.id, "step": step, "log": log, "native|stock": wrong}
            )
            break
        if step == steps:
            break
        won = world.won()
        command = plan.pop(0) if straight and plan else next_command(world, plan, rng)
        log.append(command)
        texts = world.step(command), stock.step(command)
        out.steps += 1
        out.wins += world.won() and not won
        out.nothing += texts[0] == "Nothing happens."
    stock.close()


def sources(
    args: argparse.Namespace, worker: Worker, folder: Path
) -> Iterator[tuple[Game, Any, str]]:
    """Yield (game, what the stock engine loads, where it is from)."""
    for i in range(args.generated):
        split = ("train", "unseen", "seen")[i % 3]
        game = generate(split, i)
        game = dataclasses.replace(game, walkthrough=oracle.plan(game))
        yield game, game, f"generated {split}"
    if not args.games:
        return
    folder_of_games, splits = path(args.data or ""), args.splits.split(",")
    rng = random.Random(f"parity games {args.seed}")
    left = args.games
    for n, split in enumerate(splits):
        files = games(folder_of_games, split)
        want = min(left // (len(splits) - n), len(files))  # what a small split lacks, others give
        left -= want
        for file in rng.sample(files, want):
            if not args.grammar:
                yield read_game(file), file, split
                continue
            data = json.loads(file.read_bytes())
            head, tail = Path(args.grammar).read_text().split(TASK_MARK, 1)
            grammar = head + TASK_MARK + read_game(file).task + tail[tail.index('"') :]
            data["grammar"] = grammar
            if 'template :: "help"' not in grammar:  # then the domain must not have it either
                start = data["pddl_domain"].index("(:action help")
                data["pddl_domain"] = data["pddl_domain"][:start] + ")"
            other = folder / "game.tw-pddl"
            other.write_text(json.dumps(data))
            yield parse_game(data, id=read_game(file).id), other, split


def main(argv: list[str] | None = None) -> int:
    """Command line. Returns the exit code."""
    parser = argparse.ArgumentParser(
        prog="python -m skillbench_alfworld.parity", description=__doc__
    )
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("--games", type=int, default=300, help="official games, over all splits")
    parser.add_argument("--generated", type=int, default=0, help="generated games besides")
    parser.add_argument("--steps", type=int, default=5000, help="steps in all")
    parser.add_argument(
        "--splits", default="valid_seen,train", help="official splits, shared evenly"
    )
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--data", help="the folder that holds json_2.1.1 (default: ALFWORLD_DATA)")
    parser.add_argument("--python", default="", help="interpreter that has alfworld")
    parser.add_argument("--grammar", help="play with this .twl2 file (e.g. the old put in/on one)")
    parser.add_argument("--memo", action="store_true", help="remember the stock engine's parses")
    args = parser.parse_args(argv)
    report, worker = Report(), Worker(args.python, memo=args.memo)
    total, begin = max(1, args.games + args.generated), time.time()
    each = -(-args.steps // total)
    try:
        versions = worker.ask("versions")
        with tempfile.TemporaryDirectory() as folder:
            for game, source, name in sources(args, worker, Path(folder)):
                compare(game, StockWorld(source, worker), each, args.seed, name, report)
                if report.games % 10 == 0:
                    note = f"{report.games}/{total} games, {report.steps} steps"
                    print(f"{note}, {len(report.differences)} differences", file=sys.stderr)
    except KeyboardInterrupt:
        print("interrupted: the summary is of what was played", file=sys.stderr)
    finally:
        worker.close()
    print(
        json.dumps(
            {
                "stock": versions | {"memo": args.memo},
                **dataclasses.asdict(report),
                "differences": report.differences[:10],
                "n_differences": len(report.differences),
                "wall_s": round(time.time() - begin, 1),
                "seed": args.seed,
            },
            indent=1,
        )
    )
    return 1 if report.differences or not report.games else 0


if __name__ == "__main__":
    sys.exit(main())
