"""`run --executor ray`: seeds are learned, and shards of the panel scored, over a Ray cluster.

One task learns one seed (`learn_only`) or scores one shard (shards.py) in a run directory of its
own below OUT.parts (ray_worker.py); the driver merges them into OUT. Where a worker sees the
driver's directory (a shared file system) it writes there, and a task that is begun again goes on
from what is on disk; elsewhere it works in a directory of its own, and the files come back through
Ray. A task whose node is lost is begun again on another one by Ray. The driver may be killed, too:
the same command goes on with the parts that are there.

Keys of providers are read from the environment of the nodes; none travels.
"""

from __future__ import annotations

import contextlib
import logging
import shutil
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from .config import Config
from .errors import PluginError, SkillbenchError, UsageError, suggest
from .ray_worker import TOKEN, _complete, _name, _pack, _place, _task, _unpack  # noqa: F401
from .reporting import Reporter
from .shards import Shard

EXECUTORS = ("local", "ray")


@dataclass(frozen=True)
class RayOptions:
    """What stands behind `--executor ray:`, e.g. `ray:shards=16,gpus=1`."""

    shards: int = 0  # 0: one for each chunk of the panel and seed
    cpus: float = 1.0  # of one task
    gpus: float = 0.0
    retries: int = 3  # of a task whose node was lost
    address: str = ""  # of the cluster; "": RAY_ADDRESS, or a cluster of this machine alone


def parse(text: str) -> RayOptions | None:
    """Read `local`, `ray` or `ray:KEY=VALUE,...`; None means in this process."""
    name, _, rest = text.partition(":")
    if name not in EXECUTORS:
        known = ", ".join(EXECUTORS)
        raise UsageError(f"unknown executor {name!r}{suggest(name, EXECUTORS)} known: {known}")
    if name == "local":
        if rest:
            raise UsageError("executor local has no options")
        return None
    kinds: dict[str, Any] = {f.name: type(f.default) for f in fields(RayOptions)}
    given: dict[str, Any] = {}
    for pair in filter(None, rest.split(",")):
        key, equals, value = pair.partition("=")
        if key not in kinds or not equals:
            raise UsageError(
                f"--executor {text}: {pair!r} is not one of KEY=VALUE{suggest(key, kinds)} "
                f"keys: {', '.join(kinds)}"
            )
        try:
            given[key] = kinds[key](value)
        except ValueError:
            raise UsageError(f"--executor {text}: {key} is a number, not {value!r}") from None
    return RayOptions(**given)


def execute(
    config: Config,
    *,
    out: Path,
    options: RayOptions,
    reporter: Reporter | None = None,
    registry: Any = None,
) -> dict[str, Any]:
    """Run a method over a Ray cluster; return the content of result.json of `out`.

    Raises SkillbenchError where a task fails for a reason that no other node can mend.
    """
    from . import merging

    reporter = reporter or Reporter()
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise UsageError(f"{out} exists already: choose another place with --out")
    ray = _connect(options)
    if registry is None:
        from .registry import get

        registry = get()
    units, ids = _units(config, registry)
    count = options.shards or len(units)
    shards = [Shard(i, count) for i in range(count)]
    seeds = range(config["run"]["seeds"])
    shares = [s.share(ids, seeds, config["score"]["chunk"]) for s in shards]
    parts = out.with_name(out.name + ".parts")
    parts.mkdir(parents=True, exist_ok=True)
    (parts / TOKEN).write_text(token := uuid.uuid4().hex)
    cluster = _Cluster(ray, options, config, parts, token, reporter)
    try:
        learned: dict[int, Any] = {}
        stages = [
            s
            for s in registry.methods[config["method"]].trainers
            if config["trainer"][s]["enabled"]
        ]
        if stages:
            reporter.start("learn over the cluster", total=len(seeds))
            learned = cluster.run({seed: {"learn": seed} for seed in seeds})
        reporter.start("score over the cluster", total=count)
        cluster.run(
            {
                shard: {
                    "shard": (shard.index, shard.count),
                    "learned": {seed: learned[seed] for seed in share} if learned else None,
                }
                for shard, share in zip(shards, shares)
            }
        )
    finally:
        cluster.stop()
    result = merging.merge(
        out, [parts / _name({"shard": (s.index, s.count)}) for s in shards],
        registry=registry, reporter=reporter,
    )  # fmt: skip
    shutil.rmtree(parts, ignore_errors=True)
    return result


def _connect(options: RayOptions) -> Any:
    try:
        import ray
    except ImportError:
        raise PluginError(
            "--executor ray needs Ray: pip install 'skillbench-harness[ray]', on every node"
        ) from None
    if not ray.is_initialized():
        try:
            ray.init(
                address=options.address or None, include_dashboard=False, log_to_driver=False,
                logging_level=logging.ERROR,
            )  # fmt: skip
        except (ConnectionError, ValueError) as error:
            raise UsageError(
                f"no Ray cluster answers at {options.address or 'RAY_ADDRESS'} ({error}): "
                "start one with `ray start --head`"
            ) from error
    return ray


def _units(config: Config, registry: Any) -> tuple[list[tuple[int, int]], tuple[str, ...]]:
    """The cells (seed, chunk) that can be scored apart, and the ids of the panel."""
    from . import environments, panel

    run = config["run"]
    ids = panel.load(environments.factory(config, registry)(), run["split"], run["tasks"]).ids
    chunks = -(-len(ids) // config["score"]["chunk"])
    return [(seed, chunk) for seed in range(run["seeds"]) for chunk in range(chunks)], ids


class _Cluster:
    """Runs tasks over the cluster and brings home what they wrote."""

    def __init__(
        self, ray: Any, options: RayOptions, config: Config, parts: Path, token: str,
        reporter: Reporter,
    ) -> None:  # fmt: skip
        self.ray, self.parts, self.reporter = ray, parts, reporter
        self.live: list[Any] = []
        self.remote = ray.remote(_task).options(
            num_cpus=options.cpus,
            num_gpus=options.gpus,
            max_retries=options.retries,  # where a node or a worker is lost; errors are answers
            scheduling_strategy="SPREAD",
        )
        self.common = (config.as_dict(), str(parts), token)

    def run(self, jobs: Mapping[Any, Mapping[str, Any]]) -> dict[Any, Any]:
        """Run jobs; returns what `learned` takes for each. Raises the first job's error."""
        out: dict[Any, Any] = {}
        waiting: dict[Any, Any] = {}
        for key, job in jobs.items():
            home = self.parts / _name(job)
            if _complete(home):  # of an earlier driver
                out[key] = str(home)
                self.reporter.advance(1)
                continue
            waiting[self.remote.remote(*self.common, dict(job))] = key
        self.live = list(waiting)
        while self.live:
            (ready,), self.live = self.ray.wait(self.live, num_returns=1)
            key = waiting[ready]
            out[key] = self._bring(ready, jobs[key])
        return out

    def _bring(self, ready: Any, job: Mapping[str, Any]) -> Any:
        home = self.parts / _name(job)
        try:
            answer = self.ray.get(ready)
        except self.ray.exceptions.RayError as error:
            text = (str(error).strip().splitlines() or [type(error).__name__])[-1]
            raise SkillbenchError(
                f"{_name(job)} was lost on every node that began it ({text}); the same command "
                "goes on with what is there"
            ) from error
        if "error" in answer:
            raise SkillbenchError(f"{_name(job)}: {answer['error']}")
        if answer["files"] is not None:
            _unpack(answer["files"], home)
        self.reporter.advance(1)
        again = f", begun {answer['begun']} times" if answer["begun"] > 1 else ""
        self.reporter.say(f"{_name(job)} is done on node {answer['node'][:8]}{again}")
        return str(home) if answer["files"] is None else ready

    def stop(self) -> None:
        """End what still runs."""
        for job in self.live:
            with contextlib.suppress(Exception):
                self.ray.cancel(job, force=True)
        self.live = []
