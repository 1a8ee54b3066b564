"""The `searchqa` environment: a question, a few searches, an answer.

Each instance is one episode's few fields; questions, corpora and indexes are shared by the process.
`source` says which questions are meant by the splits `train` and `test`, and the label says it
again: searchqa-generated, searchqa-mini (searchqa-mini32k over the larger corpus) or searchqa.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from skillbench.environment import Environment
from skillbench.errors import UsageError, unknown_name
from skillbench.records import Task

from . import cache, data, retrievers, scoring, sources
from .actions import INVALID, parse, show
from .sources import Item

INSTRUCTIONS = """\
Answer a question with the help of a search engine. Each turn is one of these two actions:
  <search>words to look up</search>     shows the passages that match best
  <answer>the answer</answer>           ends the task
The answer is a few words, no sentence: it must be exactly what is asked for. You have {steps}
turns in all, so the last one must be the answer."""
GENERATED_ID = re.compile(r"[a-z_]+/(train|test)-(\d{5,7})")
SHORT_WARNING = "This was your last turn."


class SearchqaEnvironment(Environment):
    """One live question at a time; `reset(options={"task": id})` chooses it.

    source: "generated", "mini" or "official"; data: folder of the latter two.
    corpus: "10k" or "32k", of the mini set.
    search: one of `retrievers.NAMES`; url: of the server, for "http".
    top_k: passages a search shows; passage_words: where each is cut (0: never).
    max_steps: turns; the answer is one of them.
    form: "plain", or "search_r1" for the published layout of observations.
    """

    name = "searchqa"
    expert_player = "skillbench_searchqa.expert:Expert"  # what the policy `expert` plays
    scripted_player = "skillbench_searchqa.player:Player"
    random_player = "skillbench_searchqa.expert:guess"  # what `random` does: actions are free text

    def __init__(
        self,
        *,
        source: str = "generated",
        data: str = "",
        corpus: str = "10k",
        search: str = "bm25",
        url: str = "",
        top_k: int = 3,
        max_steps: int = 4,
        passage_words: int = 120,
        form: str = "plain",
        train_questions: int = 3000,
        test_questions: int = 200,
        cache: str = "",
    ) -> None:
        for what, value, known in (
            ("source", source, sources.SOURCES),
            ("corpus", corpus, ("10k", "32k")),
            ("search", search, retrievers.NAMES),
            ("form", form, ("plain", "search_r1")),
        ):
            if value not in known:
                raise unknown_name(f"searchqa {what}", value, known)
        numbers = {"top_k": top_k, "max_steps": max_steps, "train_questions": train_questions,
                   "test_questions": test_questions}  # fmt: skip
        for key, number in numbers.items():
            if number < 1:
                raise UsageError(f"env.{key} is {number}; give at least 1")
        if passage_words < 0:
            raise UsageError(f"env.passage_words is {passage_words}; give 0 for no limit, or more")
        if search == "http" and not url:
            raise UsageError("env.search=http needs --set env.url=http://HOST:PORT/retrieve")
        self.source, self.max_steps, self.form = source, max_steps, form
        self.blocking = search == "http"  # the loop then steps it in a thread
        self._search, self._url, self._top_k, self._words = search, url, top_k, passage_words
        self._sizes = {"train": train_questions, "test": test_questions}
        self._data, self._corpus, self._cache = data, corpus, cache
        self._item: Item | None = None
        self._steps = 0

    # ------------------------------------------------------------------ tasks

    @property
    def label(self) -> str:  # type: ignore[override]
        """How results are labelled: questions over different corpora never share a label."""
        if self.source == "mini":
            return "searchqa-mini" if self._corpus == "10k" else f"searchqa-mini{self._corpus}"
        return "searchqa" if self.source == "official" else "searchqa-generated"

    @property
    def instructions(self) -> str:  # type: ignore[override]
        """What an instruct model is told."""
        return INSTRUCTIONS.format(steps=self.max_steps)

    def tasks(self, split: str) -> list[Task]:
        """All questions of a split. Raises UsageError, or DataError where there are no data."""
        return [
            Task(i.id, self.name, split, i.task_type, i.question, {"source": self.source})
            for i in self._items(self.source, split)
        ]

    def fingerprint(self, split: str) -> str:
        """Digest over ids, questions and gold answers."""
        return sources.fingerprint(self._items(self.source, split), self.source)

    def _items(self, source: str, split: str) -> tuple[Item, ...]:
        if source == "generated":
            return sources.generated(split, self._sizes.get(split, 1))
        return (sources.mini if source == "mini" else sources.official)(self._root(), split)

    def _root(self) -> Path:
        return data.path(self._data)

    def item(self, task: str) -> Item:
        """The question of a task id. Raises UsageError for an unknown id."""
        source, rest = sources.source_of(task)
        if source == "generated":
            match = GENERATED_ID.fullmatch(rest)
            if match is not None:
                number = int(match[2])
                size = max(number + 1, self._sizes[match[1]])
                found = sources.generated(match[1], size)[number]
                if found.id == task:
                    return found
        else:
            for split in sources.SPLITS:
                found_item = _by_id(source, self._root(), split).get(task)
                if found_item is not None:
                    return found_item
        raise UsageError(f"unknown searchqa task {task!r}: no such question")

    def expert(self, task: Task) -> Iterator[str]:
        """Searches that find the evidence, then the gold answer."""
        item = self.item(task.id)
        hints = item.hints
        if item.gold_ids and self._search != "http":
            titles = _titles(self._root(), self._corpus)
            hints = tuple(titles[i] for i in item.gold_ids if titles.get(i))
        for hint in hints[: self.max_steps - 1]:
            yield f"<search>{hint}</search>"
        yield f"<answer>{item.answers[0]}</answer>"

    def causal(self) -> Any:
        """The vocabulary of advice about questions, for the offline teacher."""
        from . import lessons

        return lessons

    # ------------------------------------------------------------------ playing

    def retriever(self, split: str) -> Any:
        """The search engine that questions of a split are answered with."""
        if self._search == "http":
            return _client(self._url)
        folder = str(cache.home(self._cache))
        return _index(self._search, self.source, self._root(), self._corpus, split, folder)

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[str, dict[str, Any]]:
        """Start the task `options["task"]` (an id). Nothing is random: the seed is unused."""
        super().reset(seed=seed)
        task = (options or {}).get("task")
        if not task:
            raise UsageError('searchqa: reset needs options={"task": id}, an id from tasks(split)')
        self._item = self.item(task)
        self._steps = 0
        self._engine = self.retriever(self._item.split)
        return f"Question: {self._item.question}", self._info()

    def step(self, action: str) -> tuple[str, float, bool, bool, dict[str, Any]]:
        """Search or answer; returns (text, reward, terminated, truncated, info)."""
        if self._item is None:
            raise UsageError("searchqa: step before reset")
        self._steps += 1
        done = parse(action)
        last = self._steps >= self.max_steps
        if done.verb == "answer":
            info = self._info(done.text)
            text = "Right." if info["success"] else "Wrong."
            return text, float(info["success"]), True, False, info
        if not done.verb:
            info = self._info("" if last else None)
            info["invalid_action"] = True
            return INVALID, 0.0, False, last, info
        # What the last turn finds can serve nobody.
        text = SHORT_WARNING if last else self._look_up(done.text)
        return text, 0.0, False, last, self._info("" if last else None)

    def _look_up(self, query: str) -> str:
        hits = self._engine.search([query], self._top_k)[0]
        return show([hit.passage for hit in hits], self._words, self.form)

    def _info(self, answer: str | None = None) -> dict[str, Any]:
        """`answer` is None while the episode goes on."""
        info: dict[str, Any] = {
            "success": False,
            "score": 0.0,
            "admissible": None,
            "invalid_action": False,
        }
        if answer is not None and self._item is not None:
            found = scoring.metrics(answer, self._item.answers)
            info |= {
                "success": bool(found["exact_match"]),
                "score": found["exact_match"],
                "metrics": found,
            }
        return info


# ---------------------------------------------------------------------- shared by the process


@functools.lru_cache(maxsize=4)
def _by_id(source: str, folder: Path, split: str) -> dict[str, Item]:
    items = (sources.mini if source == "mini" else sources.official)(folder, split)
    return {item.id: item for item in items}


@functools.lru_cache(maxsize=4)
def _titles(folder: Path, size: str) -> dict[str, str]:
    return {p.id: p.title for p in sources.passages("mini", folder, size, "")}


@functools.lru_cache(maxsize=4)
def _index(search: str, source: str, folder: Path, size: str, split: str, home: str) -> Any:
    one = source != "generated"  # those have one corpus for both splits
    texts = sources.passages(source, folder, size if one else "", "" if one else split)
    # Indexing the encyclopedia takes less time than reading an index.
    place = None if search == "bm25" and not one else Path(home)
    return retrievers.build(search, texts, place)


@functools.lru_cache(maxsize=4)
def _client(url: str) -> Any:
    from .retrievers.http import Http

    return Http(url)
