"""`skillbank`: skills distilled from train episodes, shown within a budget, measured and revised.

It follows SkillRL (arXiv:2602.08234, section 3) in what it keeps (general skills, skills per task
type, common mistakes) and when it learns (one distillation, then refinements from failures), and
differs where the published code does not do what it says: ids are hashes of the content, near
duplicates are refused, a refined skill replaces its parent, every skill keeps its source tasks, and
what a skill is worth is measured (utility.py) and acted on (`prune`).

The bank lives in memory (entries.py) and LanceDB mirrors it (store.py). What `context` shows
changes in `update`, `prune` and `load` only, never while episodes run.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from skillbench.errors import DataError, LeakError
from skillbench.records import Context, Episode, Skill, Task, Update, Usage

from . import retrieval
from .budget import fit, line
from .embeddings import Embedder
from .entries import Entries
from .formats import IMPORTED, read_bank, read_snapshot, write_snapshot
from .guard import WriteGuard
from .settings import Settings
from .store import Store, searchable
from .utility import Tally, held_out

NOTHING = Update()


class SkillBank(WriteGuard):
    """The skill bank. `teacher_spend(phase, role, usage, model)` books what embeddings cost."""

    name = "skillbank"

    def __init__(
        self,
        config: Mapping[str, Any] | None = None,
        *,
        teacher_spend: Callable[..., None] | None = None,
    ) -> None:
        super().__init__()
        self.settings = Settings.from_config(config or {})
        self._spend = teacher_spend
        self._entries = Entries()
        self._vectors: dict[str, Any] = {}
        self._found: dict[tuple[str, str], retrieval.Selection] = {}
        self._embedder = Embedder(self.settings.embedding_model) if self.settings.embeds else None
        self._store = Store(self.settings.directory)
        self._stored = True  # whether the table mirrors the bank
        self.version = self._entries.version
        if self.settings.import_path:
            self._import(Path(self.settings.import_path))

    # Reading ---------------------------------------------------------------------------------

    def context(self, task: Task, history: Sequence[Any] = (), budget: int = 0) -> Context:
        """What to show for a task: one line per skill, at most `budget` tokens (0: nothing).

        Tasks of the train split miss `settings.holdout` of the skills while the bank is learning.
        `history` is not used: a bank is asked once per episode.
        """
        if budget <= 0 or not self._entries.skills:
            return Context()
        sections, usage = self.select(task)
        shown, truncated = fit(sections, budget)
        shown = self.display(shown, task, budget)
        return Context(
            text="\n".join(line(s) for s in shown),
            skill_ids=tuple(s.id for s in shown),
            usage=usage,
            truncated=truncated,
        )

    def display(self, shown: list[Skill], task: Task, budget: int) -> list[Skill]:
        """What is written in place of the skills that fit; placebos override this alone."""
        return shown

    def select(self, task: Task) -> tuple[list[list[Skill]], Usage]:
        """The skills for a task by section (general, task, mistakes), before the budget."""
        found, usage = self._retrieve(task)
        sections = [list(section) for section in found.sections]
        if task.split == "train" and not self.frozen:
            share = self.settings.holdout
            sections = [
                [s for s in section if not held_out(task.id, s.id, share)] for section in sections
            ]
        return sections, usage

    def skills(self) -> list[Skill]:
        """The entries, in the order in which they joined."""
        return list(self._entries.skills.values())

    def utilities(self) -> dict[str, dict[str, Any]]:
        """What was measured about each entry, by id (see stats.json)."""
        return {key: self._entries.tallies[key].to_json() for key in self._entries.skills}

    # Learning --------------------------------------------------------------------------------

    def observe(self, episode: Episode) -> None:
        """Count a train episode for the skills that it was shown, or that were held out from it."""
        self.check((episode,))
        played_with_this = episode.bank_version == self.version or (
            not episode.bank_version and bool(episode.skill_ids)
        )
        if episode.outcome == "invalid" or not played_with_this:
            return  # an episode of another bank says nothing about who was held out of this one
        shown = set(episode.skill_ids)
        found, _ = self._retrieve(episode.task)
        for skill in (s for section in found.sections for s in section):
            self._entries.tallies[skill.id].note(
                episode.task.task_type, shown=skill.id in shown, success=episode.success
            )

    def update(
        self,
        episodes: Sequence[Episode],
        teacher: Any,
        *,
        step: int = 0,
        max_new: int | None = None,
    ) -> Update:
        """Learn from train episodes: distill into an empty bank, refine a bank from failures.

        `max_new` bounds what a refinement adds (default: settings.max_new). Raises LeakError for
        episodes or skills from outside train.
        """
        self.check(episodes)
        usable = [e for e in episodes if e.outcome != "invalid"]
        first = not self._entries.skills
        if not first:
            usable = [e for e in usable if not e.success]
        if teacher is None or not usable:
            return self._changed()
        refined: Sequence[Skill] = ()
        if first:
            new = teacher.distill(usable, step=step)
        else:
            limit = self.settings.max_new if max_new is None else max_new
            new, refined = teacher.refine(usable, self.skills(), max_new=limit, step=step)
            new = new[:limit]
        new = [self._attributed(s, usable, step) for s in new]
        refined = [self._attributed(s, usable, step) for s in refined]
        self._embed([*self.skills(), *new, *refined], "distill" if first else "evolve")
        near: dict[str, Any] = {
            "step": step,
            "threshold": self.settings.dedup_threshold,
            "vectors": self._vectors if self._embedder else None,
        }
        changed, replaced = self._entries.refine(refined, **near)
        added = self._entries.add((s for s in new if s.id not in replaced), **near)
        gone = self._entries.evict(self.settings.max_skills, step=step, fresh=(*added, *changed))
        came = {*added, *changed}
        return self._changed(
            Update(
                tuple(i for i in added if i not in gone),
                tuple(i for i in changed if i not in gone),
                tuple(i for i in (*replaced, *gone) if i not in came),
            )
        )

    def prune(self, *, step: int = 0) -> Update:
        """Drop what measurably harms: see `Tally.harmful`."""
        self.check()
        removed = []
        for key, tally in list(self._entries.tallies.items()):
            if tally.harmful(
                min_shown=self.settings.prune_min_shown, margin=self.settings.prune_margin
            ):
                effect = round(tally.effect().difference, 4)
                self._entries.drop(key, step=step, event="pruned", effect=effect)
                removed.append(key)
        return self._changed(Update(removed=tuple(removed)))

    # State -----------------------------------------------------------------------------------

    def save(self, directory: Path) -> None:
        """Write skills.json and stats.json into `directory`."""
        stats = {
            "bank": self.version,
            "skills": self.utilities(),
            "events": self._entries.events,
        }
        write_snapshot(Path(directory), self.skills(), stats)

    def load(self, directory: Path) -> None:
        """Replace the whole state by a snapshot."""
        skills, stats = read_snapshot(Path(directory))
        try:
            tallies = {k: Tally.from_json(v) for k, v in stats.get("skills", {}).items()}
            self._entries.reset(skills, tallies, stats.get("events", ()))
        except (TypeError, ValueError, AttributeError) as error:
            raise DataError(
                f"{Path(directory) / 'stats.json'} does not read as statistics of a bank: {error}"
            ) from error
        self._stored = False
        self._refresh()

    def close(self) -> None:
        """Remove the table if it lies in a temporary directory; otherwise bring it up to date."""
        if self.settings.directory:
            self._sync()
        self._store.close()

    # Inside ----------------------------------------------------------------------------------

    def _retrieve(self, task: Task) -> tuple[retrieval.Selection, Usage]:
        """Retrieve, once per (task type, goal) and bank; a repetition costs nothing."""
        key = (task.task_type, task.goal)
        if key in self._found:
            return self._found[key], Usage()
        ranked, mode = self._entries.ranked, self.settings.retrieval
        if mode == "template":
            found = retrieval.by_type(task, ranked, self.settings)
        elif mode == "text":
            found = retrieval.by_score(task, ranked, self.settings, self._text_scores, 0.0)
        else:
            found = retrieval.by_score(
                task, ranked, self.settings, self._embedding_scores, self.settings.threshold
            )
        self._found[key] = found
        return found, found.usage

    def _text_scores(self, query: str) -> tuple[Mapping[str, float], Usage]:
        self._sync()
        return self._store.search_text(query, len(self._entries.skills)), Usage()

    def _embedding_scores(self, query: str) -> tuple[Mapping[str, float], Usage]:
        assert self._embedder is not None  # retrieval=embedding implies settings.embeds
        self._sync()
        vectors, usage = self._embedder.encode([query])
        return self._store.search_vector(vectors[0], len(self._entries.skills)), usage

    def _embed(self, skills: Iterable[Skill], phase: str) -> None:
        """Make sure that every skill has a vector, where vectors are used at all."""
        missing = [s for s in {s.id: s for s in skills}.values() if s.id not in self._vectors]
        if self._embedder is None or not missing:
            return
        vectors, usage = self._embedder.encode([searchable(s) for s in missing])
        self._vectors.update(zip((s.id for s in missing), vectors))
        if self._spend is not None:
            self._spend(phase, "embedding", usage, self._embedder.name)

    def _sync(self) -> None:
        """Bring the table up to date."""
        if self._stored:
            return
        skills = self.skills()
        self._embed(skills, "evolve")
        vectors = {s.id: self._vectors[s.id] for s in skills} if self._embedder else None
        self._store.sync(skills, vectors, full_text=self.settings.retrieval == "text")
        self._stored = True

    def _attributed(self, skill: Skill, episodes: Sequence[Episode], step: int) -> Skill:
        """Refuse a skill from outside train; fill in where and when it was made, if unsaid."""
        if skill.source_split != "train":
            raise LeakError(
                f"the teacher returned skill {skill.title!r} made from split "
                f"{skill.source_split!r}; a bank learns from train alone"
            )
        if not skill.source_tasks:
            known = {e.task.id for e in episodes}
            same = {e.task.id for e in episodes if skill.task_type in (None, e.task.task_type)}
            skill = dataclasses.replace(skill, source_tasks=tuple(sorted(same or known)))
        return skill if skill.step else dataclasses.replace(skill, step=step)

    def _changed(self, update: Update = NOTHING) -> Update:
        """End of a learning update: rank anew by what was measured, and store."""
        self._entries.rank(measure=True)
        self._refresh()
        self._sync()
        return update

    def _refresh(self) -> None:
        version = self._entries.version
        self._stored = self._stored and version == self.version
        self.version = version
        self._found.clear()

    def _import(self, path: Path) -> None:
        """Start from a bank of somebody else's, or of an earlier run; near duplicates included."""
        skills = read_bank(path)
        for skill in skills:
            if skill.source_split not in ("train", IMPORTED):
                raise LeakError(
                    f"{path} holds skill {skill.title!r} made from split {skill.source_split!r}; "
                    "a bank may hold what was learned from train alone"
                )
        self._entries.reset(skills)
        for skill in self.skills():
            self._entries.note(0, "imported", skill)
        self._refresh()
