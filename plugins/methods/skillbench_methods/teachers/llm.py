"""Teacher "openai:MODEL": a language model behind any OpenAI-compatible endpoint.

Three kinds of questions make the first bank, as in SkillRL (arXiv:2602.08234, section 3.2): general
skills, skills per task type, common mistakes; one more refines it. Prompts and schemas are files in
prompts/. Every answer is checked against its schema; a fault is fed back and the model asked again;
after `attempts` answers the stage ends with a TeacherError (the released code turns a fault into an
empty list, and nobody notices). Usable answers are kept in the run directory (asking.py), while
each seed asks for itself. Questions go one by one, or as batches at half the price (batch.py).
Episodes are drawn from all task types in turn. Every call is on the ledger (endpoint.py).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from skillbench.errors import UsageError
from skillbench.records import Episode, Skill
from skillbench.untrusted import one_line

from . import OPENAI, batch, llm_notes
from .asking import Messages, Question, Talk, one_by_one
from .causal import Causal
from .endpoint import Endpoint
from .excerpts import render, spread
from .prompting import fill

COUNTS = {"general": "general", "task_type": "per_type", "mistakes": "mistakes"}  # setting of each


class OpenAI:
    """Teacher "openai"; see the module's docstring."""

    name = "openai"

    def __init__(
        self,
        model: str | None,
        config: Mapping[str, Any] | None = None,
        *,
        spend: Callable[..., None] | None = None,
        environment: Any = None,
    ) -> None:
        if not model:
            raise UsageError("teacher openai needs a model: --teacher openai:MODEL")
        self.model = model
        self.config = {**OPENAI, **{k: v for k, v in (config or {}).items() if k in OPENAI}}
        self.author = f"openai:{model}"
        self._environment = environment
        self._endpoint = Endpoint(model, self.config, spend)

    # ------------------------------------------------------------------ the Teacher contract

    def distill(self, episodes: Sequence[Episode], *, step: int = 0) -> list[Skill]:
        """General skills, skills of each task type, mistakes. Raises TeacherError."""
        if self.config["form"] == "trajectories":
            rules = Causal(config={"form": "trajectories"}, environment=self._environment)
            return rules.distill(episodes, step=step)
        if not episodes:
            return []
        wanted: list[tuple[str, Sequence[Episode], str | None]] = [("general", episodes, None)]
        for task_type in sorted({e.task.task_type for e in episodes}):
            mine = [e for e in episodes if e.task.task_type == task_type]
            wanted.append(("task_type", mine, task_type))
        failed = [e for e in episodes if not e.success]
        if failed:
            wanted.append(("mistakes", failed, None))
        out = self._ask_skills(wanted, step)
        return list({s.id: s for s in out}.values())

    def refine(
        self, failures: Sequence[Episode], skills: Sequence[Skill], *, max_new: int, step: int = 0
    ) -> tuple[list[Skill], list[Skill]]:
        """At most `max_new` new skills, and better versions of old ones. Raises TeacherError."""
        if self.config["form"] == "trajectories" or not failures:
            return [], []
        shown = spread(failures, int(self.config["examples"]))
        tasks = tuple(sorted({e.task.id for e in shown}))
        types = sorted({e.task.task_type for e in failures})
        known = {s.id: s for s in skills}
        prompt = fill(
            "refine.md",
            skills="\n".join(f"[{s.id}] {s.title}: {s.principle}" for s in skills) or "(none)",
            episodes=self.render(shown),
            count=str(max_new),
            task_types=", ".join(types),
        )

        def extra(answer: Any) -> str | None:
            for item in answer["refined"]:
                if item["replaces"] not in known:
                    return f"there is no advice with the id {item['replaces']!r}"
            for item in answer["new"]:
                if item["task_type"] is not None and item["task_type"] not in types:
                    return f"there is no kind of task called {item['task_type']!r}"
            return None

        answer = self.ask("evolve", prompt, "refine.schema.json", extra)
        new = [
            self.skill(
                item,
                "task_type" if item["task_type"] else "general",
                item["task_type"],
                tasks,
                step,
            )
            for item in answer["new"][:max_new]
        ]
        refined = []
        for item in answer["refined"]:
            old = known[item["replaces"]]
            sources = tuple(sorted({*old.source_tasks, *tasks}))
            refined.append(self.skill(item, old.kind, old.task_type, sources, step, old.id))
        return new, [s for s in refined if s.id != s.parent]

    def note(
        self,
        purpose: str,
        episodes: Sequence[Episode],
        skills: Sequence[Skill] = (),
        *,
        limit: int = 0,
        step: int = 0,
    ) -> list[Skill]:
        """Reflections, procedures, items, principles, rules, a file: see llm_notes.py."""
        return llm_notes.write(self, purpose, episodes, skills, limit=limit, step=step)

    # ------------------------------------------------------------------ asking

    def _ask_skills(
        self, wanted: Sequence[tuple[str, Sequence[Episode], str | None]], step: int
    ) -> list[Skill]:
        """Skills for each (kind, episodes, task type); the kinds are prompts."""
        most = int(self.config["examples"])
        asked = [(k, spread(e, most), t, int(self.config[COUNTS[k]])) for k, e, t in wanted]
        questions = []
        for kind, shown, task_type, count in asked:
            values = {"episodes": self.render(shown), "task_type": task_type or ""}
            prompt = fill(f"{kind}.md", count=str(count), **values)
            questions.append(Question("distill", prompt, "skills.schema.json"))
        out = []
        for (kind, shown, task_type, count), answer in zip(asked, self.ask_all(questions)):
            tasks = tuple(sorted({e.task.id for e in shown}))
            name = "mistake" if kind == "mistakes" else kind
            items = answer["skills"][:count]
            out += [self.skill(item, name, task_type, tasks, step) for item in items]
        return out

    def skill(
        self,
        item: Mapping[str, str],
        kind: str,
        task_type: str | None,
        tasks: tuple[str, ...],
        step: int,
        parent: str | None = None,
    ) -> Skill:
        """A skill from an item of an answer."""
        return Skill(
            title=one_line(item["title"]),
            principle=one_line(item["principle"]),
            when_to_apply=one_line(item["when_to_apply"]),
            kind=kind,  # type: ignore[arg-type]
            task_type=task_type,
            source_tasks=tasks,
            step=step,
            parent=parent,
            author=self.author,
        )

    def ask(
        self, phase: str, prompt: str, schema: str, extra: Callable[[Any], str | None] | None = None
    ) -> Any:
        """Ask until the answer fits the schema; TeacherError after `attempts` answers."""
        return self.ask_all([Question(phase, prompt, schema, extra)])[0]

    def ask_all(self, questions: Sequence[Question]) -> list[Any]:
        """The answers to questions that do not depend on each other, in order."""
        folder = getattr(self._endpoint.spend, "folder", None)
        asked = [Talk(q, self.model, self.config, folder) for q in questions]
        talks = {talk.key: talk for talk in asked}  # the same question is asked once
        for talk in talks.values():
            talk.recall()
        waiting = [talk for talk in talks.values() if talk.answer is None]
        attempts = max(1, int(self.config["attempts"]))
        if self.config["batch"]:
            batch.answer(self._endpoint, waiting, batch.Record(folder, talks), attempts)
        else:
            one_by_one(waiting, self._complete, self.author, attempts)
        return [talks[talk.key].answer for talk in asked]

    def _complete(self, phase: str, messages: Messages) -> str:
        return self._endpoint.complete(phase, messages)

    def render(self, episodes: Sequence[Episode]) -> str:
        """Episodes as a prompt shows them."""
        return "\n\n".join(
            render(e, i + 1, int(self.config["steps"])) for i, e in enumerate(episodes)
        )
