"""Steps per second of the native engine against stock TextWorld, in one run: `make bench`.

Both engines play the same games with the same commands (random admissible ones, by seed) and answer
with feedback, sorted admissible commands and `won` at every step; the texts are compared on the
way. Times are CPU seconds of the process that plays. Games: the official valid_seen ones where
ALFWORLD_DATA has them, else generated ones. Without the reference extra the stock part is skipped,
and said so; SKILLBENCH_TEXTWORLD_PYTHON names another interpreter that has it.

    python plugins/alfworld/bench.py [--games 3] [--steps 20] [--json]
"""

from __future__ import annotations

import argparse
import json
import random
import sys
import time
from typing import Any

from skillbench_alfworld import data, textworld_engine
from skillbench_alfworld.engine import World
from skillbench_alfworld.game import Game
from skillbench_alfworld.generator import generate
from skillbench_alfworld.pddl import read_game

from skillbench.errors import DataError

EPISODE = 50


def load(n: int) -> tuple[str, list[tuple[Game, Any]]]:
    """(where from, [(game, what the stock engine loads)])"""
    try:
        files = data.games(data.path(), "valid_seen")
    except DataError:
        games = [generate("train", i) for i in range(n)]
        return "generated train games", [(g, g) for g in games]
    step = max(1, len(files) // n)
    return "official valid_seen games", [(read_game(f), f) for f in files[::step][:n]]


def random_play(games: list[Game], steps: int, seed: int = 0) -> tuple[list[list[str]], float]:
    """Play each game at random; the commands and the CPU seconds, drawing included."""
    rng, scripts = random.Random(seed), []
    begin = time.process_time()
    for game in games:
        world, script = World(game), []
        admissible = world.admissible()
        for _ in range(steps):
            command = rng.choice(admissible)
            world.step(command)
            admissible = world.admissible()
            world.won()
            script.append(command)
        scripts.append(script)
    return scripts, time.process_time() - begin


def native_speed(games: list[Game], scripts: list[list[str]]) -> tuple[float, list[list[tuple]]]:
    """CPU seconds per step over prepared commands (the best of five), and what was answered."""
    best, steps = float("inf"), sum(map(len, scripts))
    for _ in range(5):
        answers = []
        begin = time.process_time()
        for game, script in zip(games, scripts, strict=True):
            world, row = World(game), []
            for command in script:
                row.append((world.step(command), world.admissible(), world.won()))
            answers.append(row)
        best = min(best, time.process_time() - begin)
    return best / steps, answers


def stock_speed(
    sources: list[Any], scripts: list[list[str]], answers: list[list[tuple]]
) -> tuple[float, float, int]:
    """CPU seconds per step, per load and reset, and the number of differing answers."""
    worker = textworld_engine.Worker()
    step_s = load_s = 0.0
    differences = 0
    try:
        worker.ask("versions")
        for source, script, row in zip(sources, scripts, answers, strict=True):
            world = textworld_engine.StockWorld(source, worker)
            load_s += worker.cpu_s
            world.reset()
            load_s += worker.cpu_s
            for command, answer in zip(script, row, strict=True):
                text = world.step(command)
                step_s += worker.cpu_s
                differences += (text, world.admissible(), world.won()) != answer
            world.close()
    finally:
        worker.close()
    return step_s / sum(map(len, scripts)), load_s / len(sources), differences


def main(argv: list[str] | None = None) -> int:
    """Command line; exit code 1 when the engines differ."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("--games", type=int, default=3, help="games for the stock engine")
    parser.add_argument("--steps", type=int, default=20, help="steps per game in the stock engine")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    args = parser.parse_args(argv)

    begin = time.process_time()
    where, pairs = load(100)
    compile_s = (time.process_time() - begin) / len(pairs)
    games = [game for game, _ in pairs]
    scripts, _ = random_play(games, EPISODE)
    native_s, answers = native_speed(games, scripts)
    out: dict[str, Any] = {
        "games": where,
        "native": {
            "steps": sum(map(len, scripts)),
            "us_per_step": round(native_s * 1e6, 2),
            "steps_per_s": round(1 / native_s),
            "ms_per_load": round(compile_s * 1e3, 2),
        },
        "stock": None,
    }
    stock = textworld_engine.available()
    if stock:
        few = [scripts[i][: args.steps] for i in range(args.games)]
        sources = [source for _, source in pairs[: args.games]]
        same = [row[: args.steps] for row in answers[: args.games]]
        stock_s, load_s, differences = stock_speed(sources, few, same)
        out["stock"] = {
            "steps": args.games * args.steps,
            "us_per_step": round(stock_s * 1e6),
            "steps_per_s": round(1 / stock_s, 1),
            "ms_per_load_and_reset": round(load_s * 1e3),
            "differences": differences,
        }
        out["times_faster"] = round(stock_s / native_s)
    if args.json:
        sys.stdout.write(json.dumps(out) + "\n")
    else:
        sys.stdout.write(render(out))
    return int(bool(stock and out["stock"]["differences"]))


def render(out: dict[str, Any]) -> str:
    """The result as a few lines of text."""
    native, stock = out["native"], out["stock"]
    lines = [
        f"ALFWorld engines on {out['games']} (CPU time; feedback, admissible commands and won)",
        f"  native  {native['steps_per_s']:>9,} steps/s  {native['us_per_step']:>10,.1f} µs a "
        f"step  ({native['steps']:,} steps; a game is read in {native['ms_per_load']} ms)",
    ]
    if stock is None:
        lines.append(
            "  stock   not measured: `pip install 'skillbench-alfworld[reference]'` installs it, "
            "or name an interpreter that has it in SKILLBENCH_TEXTWORLD_PYTHON"
        )
    else:
        lines.append(
            f"  stock   {stock['steps_per_s']:>9,} steps/s  {stock['us_per_step']:>10,} µs a step  "
            f"({stock['steps']:,} steps; load and reset {stock['ms_per_load_and_reset']:,} ms)"
        )
        lines.append(
            f"  native is {out['times_faster']:,} times as fast; differing answers: "
            f"{stock['differences']}"
        )
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    sys.exit(main())
