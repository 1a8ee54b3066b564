"""The harness itself: episode steps per second, start-up, large runs, a soak. `make bench`.

A zero-cost policy plays ALFWorld (generated games) through whole runs, with everything that a run
writes. Figures are wall times with the share of a core that the process got beside them, since a
busy machine says more about its other work than about this one: `steps/CPU-s` is what to compare.

    python bench/harness.py [loop latency startup large page soak] [--record] [--episodes N]

`latency` plays against a policy that takes a fixed time and no work: what the loop adds to it, and
how full it keeps the places of an engine while short episodes end and long ones go on.

`--record` adds the figures to bench/RESULTS.md with commit and machine.
"""

from __future__ import annotations

import argparse
import contextlib
import datetime
import gc
import io
import json
import os
import platform
import random
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

ROOT = Path(__file__).parent.parent
PARTS = ("loop", "latency", "startup", "large", "page", "soak")
Row = tuple[str, str]


class Clock:
    """Wall and CPU seconds of a block."""

    def __enter__(self) -> Clock:
        self._wall, self._cpu = time.perf_counter(), time.process_time()
        return self

    def __exit__(self, *error: Any) -> None:
        self.wall = time.perf_counter() - self._wall
        self.cpu = time.process_time() - self._cpu

    def __str__(self) -> str:
        return f"{self.wall:.2f} s wall, {self.cpu:.2f} s CPU"


def run(place: Path, chunk: int, tasks: int, *sets: str, split: str = "unseen") -> dict[str, Any]:
    """One run of the zero-cost policy `random` on generated games, scored and reported."""
    from skillbench.config import resolve
    from skillbench.runner import execute

    config = resolve(
        method="base",
        environment="alfworld",
        policy="random",
        split=split,
        sets=(
            f"run.tasks={tasks}", f"score.chunk={chunk}", "score.baseline=false",
            "score.bootstrap=100", "env.unseen_games=200", *sets,
        ),
    )  # fmt: skip
    return execute(config, out=place)


def loop(episodes: int) -> Iterator[Row]:
    """Episodes through the loop alone, and written to disk, at 1, 64 and 1,000 at once."""
    import asyncio

    from skillbench.agent import Agent
    from skillbench.records import TOKEN_FIELDS, to_json
    from skillbench.registry import get
    from skillbench.rollout import Loop, Slot, play
    from skillbench.session import Blank
    from skillbench.store import Lines

    registry = get()
    factory = registry.environments["alfworld"].load()
    policy = registry.policies["random"].load()(None, {})
    tasks = factory().tasks("unseen")
    for warm in tasks:
        factory().game(warm.id)
    for live in (1, 64, 1000):
        n = {1: 40, 64: 256, 1000: 1000}[live]
        slots = [Slot(tasks[i % len(tasks)], 0, "score", repeat=i // len(tasks)) for i in range(n)]
        with tempfile.TemporaryDirectory() as folder, Clock() as clock:
            lines = Lines(Path(folder) / "episodes.jsonl", Path(folder))

            def on_episode(slot: Any, episode: Any, answers: Any, lines: Any = lines) -> None:
                lines.append(to_json(episode, omit=TOKEN_FIELDS))

            table = Loop(
                agent=Agent.make({}, "compact", temperature=0.4, top_p=1.0),
                policy=policy,
                memory=Blank(),
                make_environment=factory,
                on_episode=on_episode,
            )
            steps = 0
            for start in range(0, n, live):
                played = asyncio.run(play(slots[start : start + live], table))
                steps += sum(len(e.steps) for e in played)
            lines.close()
        yield (
            f"loop, {live:,} at once ({n} episodes, {steps:,} steps)",
            f"{steps / clock.wall:,.0f} steps/s, {steps / clock.cpu:,.0f} steps/CPU-s, "
            f"{n / clock.wall:,.0f} episodes/s ({clock})",
        )
    for task in factory().tasks("train"):
        factory().game(task.id)
    with tempfile.TemporaryDirectory() as folder:
        with Clock() as clock:
            scores = run(Path(folder) / "run", 1000, 1000, split="train")["scores"]
        steps = round(scores["steps"]["mean"] * scores["steps"]["n"])
    yield (
        f"whole run, 1,000 at once (1,000 episodes, {steps:,} steps)",
        f"{steps / clock.wall:,.0f} steps/s, {steps / clock.cpu:,.0f} steps/CPU-s, from resolving "
        f"the configuration to report.html ({clock})",
    )


LATENCY = 0.25  # seconds of one answer, or of one batch
PLACES = 64  # requests that the engine serves at a time


class FixedLatency:
    """The scripted player behind an engine that takes `LATENCY` for whatever it is given."""

    name, style, trainable, concurrency = "fixed", "compact", False, PLACES

    def __init__(self, inner: Any, batching: str) -> None:
        self.inner, self.batching = inner, batching
        self.calls: list[int] = []
        self.inside = 0.0  # CPU seconds of the player

    async def generate(self, requests: Any) -> Any:
        import asyncio

        began = time.process_time()
        answers = await self.inner.generate(requests)
        self.inside += time.process_time() - began
        self.calls.append(len(requests))
        await asyncio.sleep(LATENCY)
        return answers

    def release(self, episode_id: str) -> None:
        self.inner.release(episode_id)

    def close(self) -> None:
        self.inner.close()


def latency(episodes: int) -> Iterator[Row]:
    """What the loop adds at 64 episodes at once, and how full the places are over 256."""
    import asyncio

    from skillbench.agent import Agent
    from skillbench.registry import get
    from skillbench.rollout import Loop, Slot, play
    from skillbench.session import Blank

    registry = get()
    factory = registry.environments["alfworld"].load()
    tasks = factory().tasks("unseen")
    for warm in tasks:
        factory().game(warm.id)
    for batching, n in (("gather", PLACES), ("stream", 4 * PLACES)):
        policy = FixedLatency(registry.policies["scripted"].load()(), batching)
        slots = [Slot(tasks[i % len(tasks)], 0, "score", repeat=i // len(tasks)) for i in range(n)]
        table = Loop(
            agent=Agent.make({}, "compact", temperature=0.4, top_p=1.0),
            policy=policy,
            memory=Blank(),
            make_environment=factory,
        )
        with Clock() as clock:
            played = asyncio.run(play(slots, table))
        steps = [len(e.steps) for e in played]
        busy = LATENCY * len(policy.calls)
        mean = sum(policy.calls) / len(policy.calls)
        if batching == "stream":  # one request each; how many were in the engine at a time
            mean = busy / clock.wall
        # Lockstep in groups of 64: a round for each step of the longest, the short ones idle.
        rounds = sum(max(steps[i : i + PLACES]) for i in range(0, n, PLACES))
        ideal = sum(steps) / rounds
        own = clock.cpu - policy.inside
        text = f"mean batch {mean:.1f}, lockstep {ideal:.1f} ({100 * mean / ideal:.0f} %)"
        if batching == "gather":
            added = 100 * (clock.wall / busy - 1)
            text = f"loop adds {added:.1f} % wall, {100 * own / busy:.1f} % CPU; {text}"
        yield (
            f"fixed latency {1000 * LATENCY:.0f} ms, {batching}, {n} episodes",
            f"{text} ({clock})",
        )


def startup(episodes: int) -> Iterator[Row]:
    """A cold start of the command line, the best of five."""
    for words in (["--help"], ["run", "--help"], ["list"]):
        best = min(_timed([sys.executable, "-m", "skillbench", *words]) for _ in range(5))
        yield f"start-up: skillbench {' '.join(words)}", f"{best:.2f} s wall"


def _timed(words: list[str]) -> float:
    began = time.perf_counter()
    subprocess.run(words, stdout=subprocess.DEVNULL, check=True)
    return time.perf_counter() - began


def large(episodes: int) -> Iterator[Row]:
    """`leaderboard build` over runs of so many episodes in all; reading one run of so many."""
    from skillbench.cli import main
    from skillbench.report import write_report
    from skillbench.store import RunDir

    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder) / "run"
        run(place, 200, 200, "run.max_steps=8")
        base = Path(folder) / "board"
        (base / "leaderboard" / "results").mkdir(parents=True)
        shutil.copy(ROOT / "README.md", base)
        if (ROOT / "leaderboard" / "prices").is_dir():
            shutil.copytree(ROOT / "leaderboard" / "prices", base / "leaderboard" / "prices")
        with contextlib.chdir(base), contextlib.redirect_stdout(io.StringIO()):
            main(["leaderboard", "add", str(place)])
            (result,) = (base / "leaderboard" / "results").glob("*.json")
            total = rows = 0
            while total < episodes:
                seeds = 3 if rows % 4 == 0 else 1  # every fourth run learned, with three seeds
                text = like(json.loads(result.read_text(encoding="utf-8")), rows, seeds)
                result.with_name(f"{rows}.json").write_text(text, encoding="utf-8")
                total, rows = total + 200 * seeds, rows + 1
            result.unlink()
            took = {}
            for action in ("build", "check"):
                with Clock() as clock:
                    code = main(["leaderboard", action])
                took[action] = _told(clock, code)
        for action, figure in took.items():
            yield f"leaderboard {action}, {rows} runs, {total:,} episodes", figure

        lines = (place / "episodes.jsonl").read_text(encoding="utf-8").splitlines()
        with (place / "episodes.jsonl").open("w", encoding="utf-8") as file:
            for seed in range(-(-episodes // 200)):
                file.writelines(
                    line.replace('"seed":0,', f'"seed":{seed},', 1) + "\n" for line in lines
                )
        size = (place / "episodes.jsonl").stat().st_size / 1e6
        what = f"a run of {episodes:,} episodes ({size:,.0f} MB)"
        task = json.loads(lines[0])["task"]["id"]
        for words in (["show"], ["show", "--episode", task]):
            with Clock() as clock, contextlib.redirect_stdout(io.StringIO()):
                code = main([words[0], str(place), *words[1:]])
            yield f"{' '.join(words[:2])}, {what}", _told(clock, code)
        with Clock() as clock:
            write_report(RunDir(place), json.loads((place / "result.json").read_text()))
        page = (place / "report.html").stat().st_size / 1e6
        yield f"report.html, {what}", f"{clock}, {page:.1f} MB; process {peak() / 1e6:,.0f} MB"


def like(row: dict[str, Any], number: int, seeds: int) -> str:
    """A leaderboard file like `row`, with outcomes drawn anew; what is stated follows from them."""
    from skillbench import outcomes, stats, submission

    rng = random.Random(number)
    learned, share, table = seeds > 1, rng.uniform(0.2, 0.9), row["episodes"]
    tasks, method = len(table["tasks"]), table["method"]
    for key, rows in method.items():
        method[key] = rows * seeds
    method["outcomes"] = [
        "".join("S" if rng.random() < share else "F" for _ in range(tasks)) for _ in range(seeds)
    ]
    arm = outcomes.from_json(table, learned=learned).method
    steps = np.asarray(arm.figure("steps"))
    row["scores"] = {"success": arm.success, "steps": steps} | {
        "success_invalid_as_failure": arm.lost
    }
    row["scores"] = {k: stats.summary(v, learned=learned) for k, v in row["scores"].items()}
    row["by_task_type"] = stats.by_group(arm.success, tuple(table["types"]), learned=learned)
    row |= {"outcomes": arm.counts, "seeds": seeds, "learned": learned, "variant": f"n={number}"}
    row["bills"] = [{"usd": 1.0, "device_s": 0.0, "wall_s": 60.0}] * seeds
    row["config_digest"] = f"{number:064x}"
    row["digest"] = submission.digest(row)
    return submission.dumps(row)


def _told(clock: Clock, code: int) -> str:
    return str(clock) if code == 0 else f"{clock}, exit code {code}"


def page(episodes: int) -> Iterator[Row]:
    """report.html with 5,000 episodes in headless Chromium: until it is drawn, and a filter."""
    import json

    from playwright.sync_api import sync_playwright

    from skillbench.report import page as written
    from skillbench.store import read_lines

    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder) / "run"
        result = run(place, 200, 200, "run.max_steps=30")
        lines = list(read_lines(place / "episodes.jsonl"))
        many = [{**lines[i % len(lines)], "seed": i // len(lines)} for i in range(5000)]
        path = Path(folder) / "report.html"
        with Clock() as clock:
            path.write_text(written(json.loads(json.dumps(result)), [], many, effects=[]))
        size = path.stat().st_size / 1e6
        yield "report of 5,000 episodes, written", f"{size:.1f} MB ({clock})"
        with sync_playwright() as playwright:
            browser = playwright.chromium.launch(
                executable_path=shutil.which("chromium") or shutil.which("google-chrome"),
                args=["--no-sandbox"],
            )
            opened, filtered, read = [], [], []
            for _ in range(5):
                tab = browser.new_page()
                with Clock() as clock:
                    tab.goto(path.as_uri(), wait_until="load")
                    tab.wait_for_selector(".row")
                opened.append(clock.wall)
                with Clock() as clock:
                    tab.select_option("#outcome", "truncated")
                    tab.fill("#search", "mug")
                    tab.wait_for_selector(".row")
                filtered.append(clock.wall)
                with Clock() as clock:
                    tab.click(".row")
                    tab.wait_for_selector("#episode .step")
                read.append(clock.wall)
                tab.close()
            browser.close()
    for what, times in (("opened", opened), ("filtered", filtered), ("episode shown", read)):
        figure = f"{sorted(times)[2]:.2f} s wall, worst {max(times):.2f} s, of 5"
        yield f"report of 5,000 episodes, {what} in Chromium", figure


def soak(episodes: int) -> Iterator[Row]:
    """Whole runs one after the other, until so many episodes were scored: memory and handles."""
    with tempfile.TemporaryDirectory() as folder:
        done = number = 0
        marks: list[tuple[int, int, int]] = []
        with Clock() as clock:
            while done < episodes:
                result = run(Path(folder) / str(number), 100, 200, "run.max_steps=8")
                done += result["scores"]["success"]["n"]
                number += 1
                gc.collect()
                marks.append((done, resident(), len(os.listdir("/proc/self/fd"))))
    first = marks[min(9, len(marks) - 1)]  # caches are full by then
    last = marks[-1]
    growth = 100 * (last[1] - first[1]) / first[1]
    yield (
        f"soak, {done:,} episodes in {number} runs",
        f"memory {first[1] / 1e6:.1f} MB after {first[0]:,} episodes, {last[1] / 1e6:.1f} MB at "
        f"the end ({growth:+.1f} %); handles {first[2]}, then {last[2]} ({clock})",
    )


def resident() -> int:
    """Bytes of memory that the process holds."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")


def peak() -> int:
    """The most bytes of memory that the process has held so far."""
    return 1024 * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


def machine() -> str:
    """Commit and machine, as they stand in the table."""
    git = subprocess.run(
        ["git", "-C", str(ROOT), "describe", "--always", "--dirty"], capture_output=True, text=True
    )
    cores = len(os.sched_getaffinity(0))
    load = os.getloadavg()[0]
    return (
        f"{git.stdout.strip() or 'no commit'}, {platform.machine()}, {cores} cores, load "
        f"{load:.1f}, Python {platform.python_version()}"
    )


def main(argv: list[str] | None = None) -> int:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("parts", nargs="*", help=f"what to measure: {', '.join(PARTS)} (not soak)")
    parser.add_argument("--episodes", type=int, default=0, help="of the large run and the soak")
    parser.add_argument("--record", action="store_true", help="add the figures to RESULTS.md")
    given = parser.parse_args(argv)
    where = machine()
    rows: list[Row] = []
    for part in given.parts or PARTS[:4]:
        for row in globals()[part](given.episodes or {"soak": 20_000}.get(part, 100_000)):
            rows.append(row)
            sys.stdout.write(f"{row[0]:<58} {row[1]}\n")
            sys.stdout.flush()
    if given.record:
        day = datetime.date.today().isoformat()
        with (ROOT / "bench" / "RESULTS.md").open("a", encoding="utf-8") as file:
            file.writelines(f"| {day} | {what} | {figure} | {where} |\n" for what, figure in rows)
    return 0


if __name__ == "__main__":
    sys.exit(main())
