"""`skillbench run`: one method on one environment; learn, freeze, score, report."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..cli import Handler
from ..errors import RunDirError, SkillbenchError, UsageError

if TYPE_CHECKING:
    from ..config import Config

NOT_RANKABLE = 3
EXAMPLES = """\
examples:
  skillbench run --method skillrl --env alfworld
  skillbench run --method skillrl --env alfworld --seeds 3 --set trainer.sft=false
  skillbench run --method base --env alfworld --policy openai:MODEL --split seen
  skillbench run --resume runs/skillrl-alfworld-household-1a2b3c4d
  skillbench run --suite contribution
  skillbench run --method base --env alfworld --shard 0/4 --out s0
what the names may be: skillbench list; every key that --set knows: --dry-run shows them all"""


def command(parser: argparse.ArgumentParser) -> Handler:
    parser.epilog = EXAMPLES
    parser.add_argument(
        "--method", metavar="NAME", help="what to run, e.g. skillrl (the policy as it is)"
    )
    parser.add_argument("--env", metavar="NAME", help="where to run it, e.g. alfworld")
    parser.add_argument(
        "--policy", metavar="NAME[:MODEL]", default="", help="the model that acts (household)"
    )
    parser.add_argument(
        "--teacher", metavar="NAME[:MODEL]", default="", help="who distills skills (the method's)"
    )
    parser.add_argument(
        "--profile", metavar="NAME|FILE.toml", default="", help="settings by scale (quick)"
    )
    parser.add_argument("--split", default="", help="the split to score on (the environment's)")
    parser.add_argument("--seeds", metavar="N", type=_positive, help="learn and score N times (1)")
    parser.add_argument(
        "--set",
        metavar="KEY=VALUE",
        action="append",
        default=[],
        dest="sets",
        help="change one key, e.g. memory=none, trainer.sft=false, agent.budget=128",
    )
    parser.add_argument(
        "--suite", metavar="NAME|FILE.toml", default="", help="run a whole comparison, row by row"
    )
    parser.add_argument(
        "--max-usd", metavar="X", type=_dollars, help="stop, resumable, before the bill passes X"
    )
    parser.add_argument("--out", metavar="DIR", help="the run directory (a new one in runs/)")
    parser.add_argument("--resume", metavar="DIR", help="go on with a run that was cut off")
    parser.add_argument(
        "--shard", metavar="I/N", default="", help="score part I (from 0) of N, to be merged"
    )
    parser.add_argument(
        "--learned", metavar="RUN", help="take what a run of the same settings has learned"
    )
    parser.add_argument(
        "--executor",
        metavar="NAME[:KEY=VALUE,...]",
        default="local",
        help="where it runs: local, or ray, e.g. ray:shards=16,gpus=1 (local)",
    )
    parser.add_argument("--dry-run", action="store_true", help="print the plan and stop")
    parser.add_argument("--json", action="store_true", help="print result.json on stdout")
    return run


def run(arguments: argparse.Namespace) -> int:
    if arguments.suite:
        from .suite import run_suite

        for flag, default in (
            ("shard", ""),
            ("learned", None),
            ("executor", "local"),
            ("max_usd", None),
        ):
            if getattr(arguments, flag) != default:
                raise UsageError(f"--{flag.replace('_', '-')} is for one run, not for a suite")
        return run_suite(arguments)
    config = _config(arguments)
    if arguments.dry_run:
        _plan(config, arguments.json)
        return 0

    from .. import executors
    from ..progress import make_reporter
    from ..runner import default_directory, execute
    from ..shards import Shard

    shard = Shard.parse(arguments.shard) if arguments.shard else None
    chosen = arguments.resume or config["run"]["out"]
    directory = Path(chosen).expanduser() if chosen else default_directory(config, shard=shard)
    resuming = bool(arguments.resume) and (directory / "config.toml").is_file()
    cluster = executors.parse(arguments.executor)
    reporter = make_reporter()
    if cluster is not None:
        if shard or arguments.learned or arguments.resume or arguments.max_usd is not None:
            raise UsageError(
                "--executor ray makes its own shards, each with its own bill: leave out --shard, "
                "--learned, --max-usd and --resume (the same command goes on with what is there)"
            )
        try:
            result = executors.execute(config, out=directory, options=cluster, reporter=reporter)
        finally:
            reporter.finish()
        return show(result, directory, as_json=arguments.json)
    try:
        result = execute(
            config,
            out=None if resuming else directory,
            resume=directory if resuming else None,
            reporter=reporter,
            shard=shard,
            learned=Path(arguments.learned).expanduser() if arguments.learned else None,
            max_usd=arguments.max_usd,
        )
    except (KeyboardInterrupt, SkillbenchError) as error:
        told = _with_hint(error, directory)
        if told is error:
            raise
        raise told from error
    finally:
        reporter.finish()
    return show(result, directory, as_json=arguments.json)


def show(result: dict[str, Any], directory: Path, *, as_json: bool = False) -> int:
    """Print a result, or what a shard has done; return the exit code."""
    shard = "scores" not in result
    if as_json:
        json.dump(result, sys.stdout, indent=2, ensure_ascii=False)
        sys.stdout.write("\n")
    elif shard:
        number, count = result["index"], result["count"]
        tasks = sum(result["tasks"].values())
        sys.stdout.write(
            f"shard {number}/{count} is done: {tasks} tasks in {directory}\n"
            f"when all are: skillbench merge OUT SHARD ... (all {count} directories)\n"
        )
    else:
        from ..summary import print_summary

        print_summary(result, directory)
    return 0 if shard or result.get("rankable") else NOT_RANKABLE


def _config(arguments: argparse.Namespace) -> Config:
    from ..config import DEFAULT_PROFILE, load, resolve

    given = arguments.method or arguments.env
    if arguments.resume and arguments.out:
        raise UsageError("--out and --resume exclude each other: a run goes on where it lies")
    stored = None
    if arguments.resume and not (given and _not_begun(arguments.resume)):
        stored = load(Path(arguments.resume))
    if stored is not None and not given:
        for name in ("policy", "teacher", "profile", "split", "seeds", "sets"):
            if getattr(arguments, name):
                raise UsageError(
                    f"--resume takes its configuration from {arguments.resume}/config.toml; "
                    f"leave out --{name.removesuffix('s') if name == 'sets' else name}"
                )
        return stored
    method = arguments.method
    if arguments.env and not method:
        from ..registry import get

        method = get().plain
    for flag, value in (("--method", method), ("--env", arguments.env)):
        if not value:
            raise UsageError(f"{flag} is missing; example: {EXAMPLES.splitlines()[1].strip()}")
    config = resolve(
        method=method,
        environment=arguments.env,
        policy=arguments.policy,
        teacher=arguments.teacher,
        profile=arguments.profile or DEFAULT_PROFILE,
        split=arguments.split,
        seeds=arguments.seeds or 0,
        sets=arguments.sets,
        out=arguments.out or "",
    )
    if stored is not None and (changed := stored.differences(config)):
        raise RunDirError(
            f"{arguments.resume} was begun with another configuration; what differs (run -> "
            f"command line): {'; '.join(changed)}. Leave the options out, or start a new run"
        )
    return stored or config


def _not_begun(directory: str) -> bool:
    """A run that was killed before it had written anything: begin it, in the same place."""
    path = Path(directory)
    return path.is_dir() and all(child.name.startswith(".") for child in path.iterdir())


def _plan(config: Config, as_json: bool) -> None:
    from ..planning import plan
    from ..registry import get

    made = plan(config, get())
    if as_json:
        table = {"digest": config.digest, **config.as_dict(), "estimate": made.as_dict()}
        json.dump(table, sys.stdout, indent=2)
        sys.stdout.write("\n")
        return
    stages = [name for name, table in config["trainer"].items() if table["enabled"]]
    run = config["run"]
    sys.stdout.write(
        f"# plan: {run['seeds']} seed(s); learn: {', '.join(stages) or 'nothing'}; then score "
        f"{config['method']} on {config['environment']}/{run['split']}"
        f"{', and the same policy without it' if config['score']['baseline'] else ''}\n"
    )
    sys.stdout.write(f"# power: {_power(config, bool(stages))}\n")
    for line in made.text():
        sys.stdout.write(f"# {line}\n")
    sys.stdout.write(config.to_toml())


def _power(config: Config, learned: bool) -> str:
    """What difference the planned seeds can find; needs the panel, so it may not be known here."""
    from .. import environments, panel
    from ..power import Plan
    from ..registry import get

    run = config["run"]
    try:
        environment = environments.factory(config, get())()
        tasks = len(panel.load(environment, run["split"], run["tasks"]).tasks)
    except SkillbenchError as error:
        return f"not known here: {str(error).splitlines()[0]}"
    return Plan(tasks, run["seeds"], learned).text()


def _with_hint(error: BaseException, directory: Path) -> BaseException:
    """Say how to go on, where there is something to go on with."""
    if not (directory / "config.toml").is_file():
        return error
    hint = f"go on with: skillbench run --resume {directory}"
    if isinstance(error, KeyboardInterrupt):
        return KeyboardInterrupt(hint)
    if isinstance(error, SkillbenchError) and not isinstance(error, UsageError | RunDirError):
        return type(error)(f"{error}\n{hint}")
    return error


def _dollars(text: str) -> float:
    value = float(text)
    if not 0 <= value < float("inf"):
        raise argparse.ArgumentTypeError(f"dollars, not {text}")
    return value


def _positive(text: str) -> int:
    value = int(text)
    if value < 1:
        raise argparse.ArgumentTypeError(f"at least 1, not {value}")
    return value
