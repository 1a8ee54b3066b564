"""Stage "experience": the policy plays train tasks, and what happened becomes the first bank.

Nothing is shown to the policy (the bank does not exist yet), successes and failures are both kept,
and the teacher turns them into skills and lessons (SkillRL, arXiv:2602.08234, section 3.1). Weights
stay as they are. The stage is one rollout and one update, both decided by the run's seed, so that
a stage that was killed and starts again ends with the same bank.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any

from skillbench.protocols import Checkpoint, LearnContext
from skillbench.records import Context, Episode, Skill

from .guards import usable

DEFAULTS: dict[str, Any] = {
    "tasks": 60,  # train tasks that are played
    "repeats": 2,  # episodes of each task
    "temperature": 1.0,  # of the play
}


class Blank:
    """A memory that shows nothing and forgets everything; only ever used for rolling out."""

    def context(self, task: Any, history: Any, budget: int) -> Context:
        """Show nothing."""
        return Context()

    def skills(self) -> list[Skill]:
        """No entries."""
        return []


class Experience:
    """Trainer of the stage; see the module's docstring."""

    shareable = True  # it depends on its own table and on the stages before it

    @staticmethod
    def episodes(config: Mapping[str, Any]) -> int:
        """How many episodes a stage with this table plays at most."""
        return int(config["tasks"]) * int(config["repeats"])

    @staticmethod
    def plan(config: Mapping[str, Any], evolve: Mapping[str, Any], types: int) -> dict[str, float]:
        """What it costs: one wave of episodes; general skills, each type's, mistakes."""
        return {"episodes": Experience.episodes(config), "teacher_calls": types + 2}

    def fit(self, context: LearnContext) -> Checkpoint:
        """Roll out, distill, snapshot. Raises TeacherError where the teacher fails."""
        config = {**DEFAULTS, **context.config}
        tasks = context.tasks(int(config["tasks"]), step=0)
        played = context.rollout(
            tasks,
            repeats=int(config["repeats"]),
            phase="experience",
            step=0,
            memory=Blank(),  # type: ignore[arg-type]
            tokens=False,
        )
        episodes = usable(played)
        for episode in episodes:
            context.memory.observe(episode)
        update = context.memory.update(episodes, context.teacher, step=0)
        context.snapshot(0)
        metrics = {
            **summary(episodes),
            "invalid": len(played) - len(episodes),
            "skills": len(context.memory.skills()),
            "skills_added": len(update.added),
        }
        context.log(0, metrics)
        context.shared["experience"] = {
            "tasks": [t.id for t in tasks],
            "n": len(episodes),
            "success": metrics["success"],
        }
        return Checkpoint(context.directory, None, metrics)


def summary(episodes: Sequence[Episode]) -> dict[str, Any]:
    """Success rate over all episodes and per task type, steps and share of valid actions."""
    by_type: dict[str, list[int]] = defaultdict(list)
    steps = valid = 0
    for e in episodes:
        by_type[e.task.task_type].append(int(e.success))
        steps += len(e.steps)
        valid += sum(s.valid for s in e.steps)
    n = len(episodes)
    return {
        "n": n,
        "success": sum(e.success for e in episodes) / n if n else 0.0,
        "success_by_type": {t: sum(v) / len(v) for t, v in sorted(by_type.items())},
        "steps": steps / n if n else 0.0,
        "valid_actions": valid / steps if steps else 0.0,
    }
