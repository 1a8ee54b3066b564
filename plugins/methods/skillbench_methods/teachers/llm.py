"""Teacher "openai:MODEL": a language model behind any OpenAI-compatible endpoint.

Three kinds of questions make the first bank, as in SkillRL (arXiv:2602.08234, section 3.2): general
skills, skills per task type, common mistakes; one more refines it. Prompts and schemas are files in
prompts/. Every answer is checked against its schema; a fault is fed back and the model asked again;
after `attempts` answers the stage ends with a TeacherError (the released code turns a fault into an
empty list, and nobody notices). A usable answer is kept in the run directory: a run that was killed
does not pay for it again, while each seed asks for itself. Episodes are drawn from all task types
in turn. Every call is on the ledger; the key is read from the environment by the client library and
written nowhere.
"""

from __future__ import annotations

import hashlib
import json
import os
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from skillbench.errors import TeacherError, UsageError
from skillbench.records import Episode, Skill, Usage
from skillbench.store import write_atomic
from skillbench.untrusted import one_line

from . import OPENAI, llm_notes
from .causal import Causal
from .excerpts import render, spread
from .prompting import fill, text
from .schema import check


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
        self._spend, self._environment = spend, environment
        self._client: Any = None

    # ------------------------------------------------------------------ the Teacher contract

    def distill(self, episodes: Sequence[Episode], *, step: int = 0) -> list[Skill]:
        """General skills, skills of each task type, mistakes. Raises TeacherError."""
        if self.config["form"] == "trajectories":
            rules = Causal(config={"form": "trajectories"}, environment=self._environment)
            return rules.distill(episodes, step=step)
        out: list[Skill] = []
        if not episodes:
            return out
        out += self._ask_skills("general", episodes, step, count=self.config["general"])
        for task_type in sorted({e.task.task_type for e in episodes}):
            mine = [e for e in episodes if e.task.task_type == task_type]
            out += self._ask_skills(
                "task_type", mine, step, count=self.config["per_type"], task_type=task_type
            )
        failed = [e for e in episodes if not e.success]
        if failed:
            out += self._ask_skills("mistakes", failed, step, count=self.config["mistakes"])
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
        self,
        kind: str,
        episodes: Sequence[Episode],
        step: int,
        *,
        count: int,
        task_type: str | None = None,
    ) -> list[Skill]:
        shown = spread(episodes, int(self.config["examples"]))
        prompt = fill(
            f"{kind}.md",
            episodes=self.render(shown),
            count=str(count),
            task_type=task_type or "",
        )
        answer = self.ask("distill", prompt, "skills.schema.json")
        tasks = tuple(sorted({e.task.id for e in shown}))
        name = "mistake" if kind == "mistakes" else kind
        return [self.skill(item, name, task_type, tasks, step) for item in answer["skills"][:count]]

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
        messages = [
            {"role": "system", "content": text("system.md")},
            {"role": "user", "content": prompt},
        ]
        kept = self._kept(messages, schema)
        if kept is not None and kept.is_file():  # paid for by a process that was killed
            answer, fault = _read(kept.read_text(encoding="utf-8"), json.loads(text(schema)))
            if not fault and (extra is None or not extra(answer)):
                return answer
        fault = ""
        for _ in range(max(1, int(self.config["attempts"]))):
            reply = self._complete(phase, messages)
            answer, fault = _read(reply, json.loads(text(schema)))
            if not fault and extra is not None:
                fault = extra(answer) or ""
            if not fault:
                if kept is not None:
                    kept.parent.mkdir(parents=True, exist_ok=True)
                    write_atomic(kept, json.dumps(answer, ensure_ascii=False) + "\n")
                return answer
            messages += [
                {"role": "assistant", "content": reply or "(nothing)"},
                {"role": "user", "content": fill("retry.md", fault=fault)},
            ]
        raise TeacherError(
            f"teacher {self.author} gave {self.config['attempts']} answers that cannot be used; of "
            f"the last: {fault}. Use another --teacher, raise teacher.attempts or "
            "teacher.max_tokens, or go on offline with --teacher causal"
        )

    def _kept(self, messages: Sequence[Mapping[str, str]], schema: str) -> Path | None:
        """Where the usable answer to a question is kept in the run directory; None: nowhere."""
        folder = getattr(self._spend, "folder", None)
        if folder is None:
            return None
        asked = {k: self.config[k] for k in ("temperature", "max_tokens")}
        question = json.dumps([self.model, schema, list(messages), asked], sort_keys=True)
        return folder / f"{hashlib.sha256(question.encode()).hexdigest()[:32]}.json"

    def _complete(self, phase: str, messages: Sequence[Mapping[str, str]]) -> str:
        client = self._connect()
        options: dict[str, Any] = {"max_completion_tokens": int(self.config["max_tokens"])}
        if float(self.config["temperature"]) != 1.0:  # reasoning models take no other
            options["temperature"] = float(self.config["temperature"])
        limit = int(self.config["max_tokens"])
        hold = getattr(self._spend, "hold", None)
        held = (
            hold(phase, "teacher", sum(len(m["content"]) for m in messages), limit) if hold else 0
        )
        try:
            return self._answer(client, phase, messages, options)
        finally:
            if hold:
                self._spend.release(held)  # type: ignore[union-attr]

    def _answer(
        self,
        client: Any,
        phase: str,
        messages: Sequence[Mapping[str, str]],
        options: Mapping[str, Any],
    ) -> str:
        import openai

        began = time.perf_counter()
        try:
            reply = client.chat.completions.create(
                model=self.model, messages=list(messages), **options
            )
        except openai.OpenAIError as error:
            raise TeacherError(
                f"teacher {self.author} cannot be asked: {type(error).__name__}: "
                f"{_without_key(str(error))}; check OPENAI_BASE_URL, OPENAI_API_KEY and the "
                "model's name, or use --teacher causal"
            ) from None
        except (ValueError, TypeError, AttributeError) as error:
            raise TeacherError(
                f"the endpoint of teacher {self.author} does not answer as the OpenAI API does: "
                f"{type(error).__name__}: {_without_key(str(error))[:200]}"
            ) from None
        self._book(phase, getattr(reply, "usage", None), time.perf_counter() - began)
        try:
            return reply.choices[0].message.content or ""
        except (AttributeError, IndexError, TypeError):
            return ""

    def _book(self, phase: str, used: Any, wall: float) -> None:
        if self._spend is None:
            return
        sent = int(getattr(used, "prompt_tokens", 0) or 0)
        got = int(getattr(used, "completion_tokens", 0) or 0)
        details = getattr(used, "prompt_tokens_details", None)
        usd = (
            sent * float(self.config["usd_per_mtok_in"])
            + got * float(self.config["usd_per_mtok_out"])
        ) / 1e6
        usage = Usage(
            input_tokens=sent,
            cached_tokens=int(getattr(details, "cached_tokens", 0) or 0),
            output_tokens=got,
            calls=1,
            usd=usd,
            wall_s=wall,
        )
        self._spend(phase, "teacher", usage, self.author)

    def _connect(self) -> Any:
        if self._client is None:
            try:
                import openai
            except ImportError:
                raise UsageError(
                    "teacher openai needs the client library: "
                    "pip install 'skillbench-methods[teacher]'"
                ) from None
            base = self.config["base_url"] or os.environ.get("OPENAI_BASE_URL") or None
            key = os.environ.get("OPENAI_API_KEY")
            if not key and not base:
                raise UsageError(
                    "teacher openai needs OPENAI_API_KEY in the environment, or OPENAI_BASE_URL "
                    "of a server that wants none"
                )
            self._client = openai.OpenAI(
                base_url=base, api_key=key or "none", timeout=float(self.config["timeout"])
            )
        return self._client

    def render(self, episodes: Sequence[Episode]) -> str:
        """Episodes as a prompt shows them."""
        return "\n\n".join(
            render(e, i + 1, int(self.config["steps"])) for i, e in enumerate(episodes)
        )


def _read(text: str, schema: Mapping[str, Any]) -> tuple[Any, str]:
    """The JSON object in an answer, and what is wrong with it ("" if nothing)."""
    body = text.rpartition("</think>")[2]
    start, end = body.find("{"), body.rfind("}")
    if start < 0 or end < start:
        return None, "it holds no JSON object"
    try:
        value = json.loads(body[start : end + 1])
    except (ValueError, RecursionError) as error:  # numbers without end, brackets without end
        return None, f"it is not valid JSON ({error})"
    return value, check(value, schema) or ""


def _without_key(text: str) -> str:
    key = os.environ.get("OPENAI_API_KEY")
    return text.replace(key, "***") if key else text
