"""What was each skill worth? Counts, success where it was shown, and leave-one-out.

    shown     scored episodes whose prompt held the skill
    cited     those in which an answer names its id or its title
    effect    success of the method less that of the same policy without it, on the very tasks
              (and seeds) where the skill was shown; paired, with an interval over tasks
    elsewhere the same on the tasks where it was not shown

`effect` is the whole method's doing on those tasks: weights and other skills have their part in it.
Two ways tell them apart. `score.show=0.5` leaves it to chance which skills are shown, in the scored
run itself: a row then holds `chance`, what the skill does by itself (showing.py). `leave_one_out`
scores the frozen method again through the one loop on the tasks where the skill was shown, with the
skill taken out of the prompt and nothing else changed (its place stays empty): what is lost without
it is what it was worth. A skill whose interval lies below zero is harmful. The scored run is not
touched, nor is the panel's score.
"""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from . import showing, stats
from .errors import RunDirError
from .records import Context, Skill, Task
from .showing import by_chance, take_out

Key = tuple[int, str]  # seed, task id


def shown_effects(
    lines: Iterable[Mapping[str, Any]],
    titles: Mapping[str, str] | None = None,
    share: float | None = None,
) -> list[dict[str, Any]]:
    """[{id, shown, cited, success, effect, elsewhere}], most shown first, from episode lines.

    With `share`, the run's `score.show`, a row also has {withheld, chance} of showing.py.
    """
    lines = list(lines)
    arms: dict[str, dict[Key, float]] = {"method": {}, "baseline": {}}
    shown: dict[str, set[Key]] = {}
    cited: dict[str, int] = {}
    for line in lines:
        key = (line["seed"], line["task"]["id"])
        if line["outcome"] != "invalid":
            arms[line["arm"]][key] = float(line["success"])
        if line["arm"] != "method":
            continue
        said = " ".join(step.get("response", "") for step in line.get("steps", ())).lower()
        for skill in line.get("skill_ids", ()):
            shown.setdefault(skill, set()).add(key)
            title = (titles or {}).get(skill, "").lower()
            cited[skill] = cited.get(skill, 0) + bool(skill in said or title and title in said)
    out = []
    for skill, keys in sorted(shown.items(), key=lambda row: (-len(row[1]), row[0])):
        won = [arms["method"][key] for key in keys if key in arms["method"]]
        rest = arms["method"].keys() - keys
        out.append(
            {
                "id": skill,
                "shown": len(keys),
                "cited": cited[skill],
                "success": round(sum(won) / len(won), 6) if won else None,
                "effect": difference(arms["method"], arms["baseline"], keys),
                "elsewhere": difference(arms["method"], arms["baseline"], rest),
            }
        )
    if share is not None:
        chance = {row["id"]: row for row in showing.effects(lines, share)}
        for row in out:
            found = chance.get(row["id"], {})
            row |= {"withheld": found.get("withheld", 0), "chance": found.get("effect")}
    return out


def difference(
    ours: Mapping[Key, float], theirs: Mapping[Key, float], keys: Iterable[Key]
) -> dict[str, Any]:
    """The paired difference over the (seed, task) pairs that both have; seeds stay with a task."""
    both = [key for key in keys if key in ours and key in theirs]
    seeds, tasks = sorted({key[0] for key in both}), sorted({key[1] for key in both})
    if len(tasks) < 2:
        return {"mean": None, "ci95": None, "p": None, "n": len(both)}
    sides = [stats.matrix({k: arm[k] for k in both}, seeds, tasks) for arm in (ours, theirs)]
    return stats.compare(sides[0], sides[1], learned=(False, False))


class Without:
    """A frozen memory, less one skill: its lines are taken out of what is shown."""

    def __init__(self, memory: Any, skill: Skill) -> None:
        self._memory, self._skill = memory, skill
        self.version = f"{getattr(memory, 'version', '')}-{skill.id}"

    def context(self, task: Task, history: Any = (), budget: int = 0) -> Context:
        """What the memory shows, without the skill. Raises PluginError where it cannot be found."""
        found = self._memory.context(task, history, budget)
        if self._skill.id not in found.skill_ids:
            return found
        ids = tuple(i for i in found.skill_ids if i != self._skill.id)
        return replace(found, text=take_out(found.text, self._skill), skill_ids=ids)

    def skills(self) -> list[Skill]:
        """The entries without the skill."""
        return [skill for skill in self._memory.skills() if skill.id != self._skill.id]


def leave_one_out(
    directory: Path,
    skills: Sequence[str],
    *,
    registry: Any = None,
    reporter: Any = None,
    limit: int = 0,
    on_skill: Callable[[dict[str, Any]], None] | None = None,
) -> list[dict[str, Any]]:
    """Score the frozen method again without each skill: [{id, n, worth: {mean, ci95, p}}].

    `worth` is success with the skill less success without it. `limit` bounds the tasks per skill
    and seed (0: all on which it was shown).
    """
    from .config import load
    from .reporting import Reporter
    from .session import Session
    from .store import RunDir

    if registry is None:
        from .registry import get

        registry = get()
    config = load(directory)
    lines = [e for e in RunDir(directory).read("episodes.jsonl") if e["arm"] == "method"]
    out = []
    with tempfile.TemporaryDirectory(prefix="leave-one-out-") as folder:
        copy = Path(folder) / "run"
        with RunDir.create(copy, config) as run:
            shutil.copy(directory / "manifest.json", copy / "manifest.json")
            session = Session(config, registry, run, reporter or Reporter())
            try:
                for skill in skills:
                    out.append(_without(session, directory.absolute(), lines, skill, limit))
                    if on_skill is not None:
                        on_skill(out[-1])
            finally:
                session.close()
    return out


def _without(
    session: Any, directory: Path, lines: Sequence[Mapping[str, Any]], skill: str, limit: int
) -> dict[str, Any]:
    from . import panel as panels
    from .learn import close, load_memory
    from .rollout import Slot
    from .score import SEED_PHASE
    from .store import RunDir

    old, table = RunDir(directory), session.config["score"]
    run = session.config["run"]
    tasks = {t.id: t for t in panels.load(session.environment, run["split"], run["tasks"]).tasks}
    with_it: dict[Key, float] = {}
    without: dict[Key, float] = {}
    for seed in session.seeds:
        rows = [e for e in lines if e["seed"] == seed and skill in e.get("skill_ids", ())]
        rows = [e for e in rows if e["outcome"] != "invalid"][: limit or None]
        if not rows:
            continue
        frozen = old.load_json(f"learn/{seed}/frozen.json")
        if frozen is None:
            raise RunDirError(f"{directory} lacks learn/{seed}/frozen.json: it has not finished")
        weights = directory / frozen["weights"] if frozen["weights"] else None
        copy = session.run.path / f"memory-{seed}"
        if not copy.exists():
            shutil.copytree(directory / f"learn/{seed}/memory/frozen", copy)
        memory = load_memory(session, seed, copy)
        memory.freeze()
        try:
            entry = next(s for s in memory.skills() if s.id == skill)
            policy = session.policy(weights)
            episodes = session.play(
                [Slot(tasks[e["task"]["id"]], seed, SEED_PHASE) for e in rows],
                agent=session.agent(getattr(policy, "style", ""), table),
                policy=policy,
                memory=Without(by_chance(memory, table, seed), entry),
                phase="score",
                seed=seed,
            )
        finally:
            close(memory)
        for old_line, episode in zip(rows, episodes):
            key = (seed, episode.task.id)
            if episode.outcome != "invalid":
                with_it[key] = float(old_line["success"])
                without[key] = float(episode.success)
    worth = difference(with_it, without, with_it)
    return {"id": skill, "n": len(without), "worth": worth}


def harmful(rows: Iterable[Mapping[str, Any]], key: str = "worth") -> list[str]:
    """Ids of the skills whose interval lies below zero."""
    return [
        row["id"]
        for row in rows
        if (row.get(key) or {}).get("mean") is not None and row[key]["ci95"][1] < 0
    ]


def verdict(effect: Mapping[str, Any] | None) -> str:
    """`helps`, `harms`, or `not told` where the interval holds 0."""
    if not effect or effect.get("mean") is None:
        return "-"
    low, high = effect["ci95"]
    return "helps" if low > 0 else "harms" if high < 0 else "not told"


def diff(
    old: Sequence[Mapping[str, Any]], new: Sequence[Mapping[str, Any]]
) -> dict[str, list[dict[str, Any]]]:
    """{added, removed, refined, kept} between two banks; refined: a new skill names its parent."""
    before, after = ({skill["id"]: dict(skill) for skill in bank} for bank in (old, new))
    added = [skill for i, skill in after.items() if i not in before]
    parents = {skill.get("parent") for skill in added} & before.keys()
    return {
        "added": [skill for skill in added if skill.get("parent") not in before],
        "refined": [skill for skill in added if skill.get("parent") in before],
        "removed": [skill for i, skill in before.items() if i not in after and i not in parents],
        "kept": [skill for i, skill in after.items() if i in before],
    }


def history(directory: Path, seed: int) -> list[dict[str, Any]]:
    """The bank's snapshots of a seed, in order: [{step, skills, added, removed}]."""
    import json

    folder = directory / "learn" / str(seed) / "skills"
    steps = sorted(folder.glob("step_*.json"), key=lambda p: int(p.stem.partition("_")[2]))
    paths = [folder / "start.json", *steps, folder / "final.json"]
    out: list[dict[str, Any]] = []
    previous: list[dict[str, Any]] = []
    for path in paths:
        if not path.is_file():
            continue
        skills = json.loads(path.read_text(encoding="utf-8"))["skills"]
        change = diff(previous, skills)
        new, gone = len(change["added"]) + len(change["refined"]), len(change["removed"])
        row = {"step": path.stem.removeprefix("step_"), "skills": len(skills)}
        out.append(row | {"added": new, "removed": gone + len(change["refined"])})
        previous = skills
    return out
