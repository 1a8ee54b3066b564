"""A run, from configuration to result.json: learn, freeze, score, report. Data flows one way.

For each seed the method's stages learn on train (learn.py), what they left is frozen, and the panel
is scored once for the method and once for the same policy without it (score.py). Everything is on
disk when it has happened, so a run that was killed goes on with `resume` and ends in the result
that it would have had, apart from times and costs.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from . import panel as panels
from . import retries, shards
from .errors import SkillbenchError, UsageError
from .learn import learn_seed
from .provenance import snapshot
from .report import write_report
from .reporting import Reporter
from .result import build, no_baseline
from .score import Scoring
from .session import Session
from .store import RunDir, guarded


def default_directory(
    config: Any, root: Path | str = "runs", shard: shards.Shard | None = None
) -> Path:
    """A new name under `root`: METHOD-ENVIRONMENT-POLICY-DIGEST, numbered if it is taken."""
    policy = config["policy"]["name"]
    stem = f"{config['method']}-{config['environment']}-{policy}-{config.digest[:8]}"
    if shard is not None:
        stem += f"-shard{shard.index}of{shard.count}"
    path, number = Path(root) / stem, 1
    while path.exists():
        number += 1
        path = Path(root) / f"{stem}-{number}"
    return path


def execute(
    config: Any,
    *,
    out: Path | str | None = None,
    resume: Path | str | None = None,
    reporter: Reporter | None = None,
    registry: Any = None,
    shared: Any = None,
    shard: shards.Shard | None = None,
    learned: Path | Mapping[int, Path] | None = None,
    max_usd: float | None = None,
) -> dict[str, Any]:
    """Run a method, or go on with a run; return the content of its result.json.

    `out` is a new directory (default: run.out, or a new one under runs/), `resume` an existing
    one with the same configuration. `shared` is what runs of a suite have in common. With `shard`
    only that share is scored, and the content of shard.json is returned; `learned` is a run that
    has learned already, or one for each seed. `max_usd` stops the run before its bill
    passes that (BudgetStop). Raises SkillbenchError with what to do. A result whose `rankable` is
    False is complete all the same.
    """

    def work(session: Session) -> dict[str, Any]:
        session.shared = shared
        if max_usd is not None:
            session.limit(max_usd)
        found = shards.read(session.run.path)
        if found is not None and shard not in (None, found[0]):
            raise UsageError(f"the run in {session.run.path} is shard {found[0]}, not {shard}")
        mine = found[0] if found is not None else shard
        if found is None and mine is not None:
            if resume is not None and (session.run.path / "manifest.json").exists():
                raise UsageError(f"the run in {session.run.path} is a whole run, not a shard")
            shards.write(session.run, mine)
        return _execute(session, mine, learned)

    return _within(work, config, out, resume, reporter, registry)


def learn_only(
    config: Any,
    seed: int,
    *,
    out: Path | str | None = None,
    resume: Path | str | None = None,
    reporter: Reporter | None = None,
    registry: Any = None,
) -> dict[str, Any]:
    """Learn one seed and score nothing: what `execute` takes as `learned`. Returns frozen.json."""

    def work(session: Session) -> dict[str, Any]:
        _begin(session)
        return learn_seed(session, seed)

    return _within(work, config, out, resume, reporter, registry)


def _within(
    work: Callable[[Session], dict[str, Any]],
    config: Any,
    out: Path | str | None,
    resume: Path | str | None,
    reporter: Reporter | None,
    registry: Any,
) -> dict[str, Any]:
    """Do some work in a run directory that is locked, and closed whatever happens."""
    if registry is None:
        from .registry import get

        registry = get()
    if resume is not None:
        if out is not None and Path(out).absolute() != Path(resume).absolute():
            raise UsageError("--out and --resume name different directories; give one of them")
        run = RunDir.resume(Path(resume), config)
    else:
        run = RunDir.create(Path(out or config["run"]["out"] or default_directory(config)), config)
    with run, guarded(run.path, run.path):
        try:
            session = Session(config, registry, run, reporter or Reporter())
            try:
                return work(session)
            finally:
                session.close()
        except SkillbenchError:
            if resume is None:
                run.discard()  # a run that could not even begin leaves nothing to resume
            raise


def _begin(session: Session) -> panels.Panel:
    """Load the panel, write where the run is made, check that its stages can run."""
    run = session.config["run"]
    panel = panels.load(session.environment, run["split"], run["tasks"])
    _manifest(session, panel)
    session.notify("skillbench_run_start", run=session.info)
    _check_stages(session)
    return panel


def _execute(
    session: Session, shard: shards.Shard | None, learned: Path | Mapping[int, Path] | None
) -> dict[str, Any]:
    config = session.config
    panel = _begin(session)
    share = None
    if shard is not None:
        share = shard.share(panel.ids, session.seeds, config["score"]["chunk"])
        _check_share(session, shard, share, panel, learned is not None)
    scoring = Scoring(session, panel, share)
    baseline = no_baseline(session) is None
    for seed in session.seeds:
        if share is not None and seed not in share:
            continue
        if learned is not None:
            source = learned[seed] if isinstance(learned, Mapping) else learned
            shards.adopt(session, source, seed)
        frozen = learn_seed(session, seed)
        scoring.method(seed, frozen)
        if baseline:
            scoring.baseline(seed)
        if config["score"]["attempts"] > 1:
            retries.play_seed(session, panel, seed, frozen)
    if share is None:
        return finish(session, panel)
    session.run.sync()
    tasks = {str(seed): len(ids) for seed, ids in share.items()}
    assert shard is not None
    return shards.write(session.run, shard, complete=True, tasks=tasks)


def _check_share(
    session: Session,
    shard: shards.Shard,
    share: dict[int, set[str]],
    panel: panels.Panel,
    learned: bool,
) -> None:
    """Say what a shard learns again; refuse to cut what cannot be cut."""
    cut = [seed for seed, ids in share.items() if len(ids) < len(panel.tasks)]
    if cut and session.config["score"]["attempts"] > 1:
        raise UsageError(
            "score.attempts > 1 plays a seed's panel as a whole: share out whole seeds, "
            f"with at most {len(session.seeds)} shards"
        )
    if cut and session.stages and not learned:
        session.reporter.say(
            f"shard {shard} learns seed {', '.join(map(str, cut))} itself, and so do other shards "
            "of it, each on its own bill; --learned RUN shares what one of them has learned"
        )


def finish(session: Session, panel: panels.Panel) -> dict[str, Any]:
    """Compute the result of a run whose episodes are all there, and write it and the report."""
    run = session.run
    run.sync()
    result = build(session, panel, why_not=_unfit(session))
    run.write_json("result.json", result)
    write_report(run, result)
    session.notify("skillbench_run_end", run=session.info, result=result)
    return result


def _manifest(session: Session, panel: panels.Panel) -> None:
    """Write where this run is made; a resume adds an entry and keeps the first."""
    here = snapshot(session.registry)
    old = session.run.load_json("manifest.json")
    if old is not None:
        old["resumed"].append({"at": here["at"], "git": here["git"], "versions": here["versions"]})
        session.run.write_json("manifest.json", old)
        return
    manifest = {
        "schema": 1,
        **here,
        "config_digest": session.config.digest,
        "seeds": session.seeds,
        "stages": session.stages,
        "data": {panel.split: panel.fingerprint},
        "panel": panel.id,
        "resumed": [],
    }
    if session.stages:
        manifest["data"]["train"] = session.environment.fingerprint("train")
    session.run.write_json("manifest.json", manifest)


def _check_stages(session: Session) -> None:
    """Complain before anything is spent about a stage that needs weights it may change."""
    entry = session.registry.policies[session.config["policy"]["name"]]
    if entry.trainable:
        return
    for stage in session.stages:
        if getattr(session.registry.trainers[stage].load(), "trains", False):
            raise UsageError(
                f"policy {session.policy_label!r} cannot be trained, and stage {stage!r} trains: "
                f"choose a trainable policy, or use --set trainer.{stage}=false"
            )


def _unfit(session: Session) -> list[str]:
    """Reasons against ranking that lie in the policy."""
    if session.run.load_json("manifest.json").get("oracle"):
        return ["the policy plays from full knowledge of the tasks"]
    return []
