"""`trajectories`: solved train episodes, shown as they were played, instead of skills.

It is SkillRL's ablation "raw trajectories" (arXiv:2602.08234, table 3), the few-shot demonstrations
of ReAct (arXiv:2210.03629) and retrieval of nearest neighbours (Synapse, arXiv:2306.07863), which
differ in the settings alone:

`retrieval="goal"`  the nearest goals of the same task type, by cosine (similarity.py)
`retrieval="type"`  the same ones for every task of a type: the first that were solved
`k`                 how many at most

An episode is written as its goal, then `> action` and what that led to, line by line. All that is
shown keeps to the token budget: demonstrations share it, and what an observation says is cut to
fewer and fewer words, down to the actions alone, before a demonstration is left out; the most
similar one comes first. Of one task the shortest solution is kept, of one type the shortest
`per_type`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from skillbench.records import Context, Episode, Skill, Task, Update, skill_from_json, to_json

from .base import EntryMemory
from .budget import estimate_tokens
from .retrieval import same_type
from .similarity import make_embedder

WIDEST = 60  # words kept of one observation
DETAIL = (WIDEST, 30, 15, 8, 4, 0)  # words of an observation, tried in turn
NOTHING = Update()


@dataclass(frozen=True)
class Settings:
    """The `memory` table."""

    k: int = 3  # demonstrations at most
    retrieval: str = "goal"  # nearest goal | first of the task type
    per_type: int = 50  # kept of one task type; the shortest stay
    embedding_model: str = "words"  # "words": hashed words; "minilm" or any embedding model


class Trajectories(EntryMemory):
    """See the module's docstring."""

    name = "trajectories"
    Settings = Settings

    def __init__(self, config: Mapping[str, Any] | None = None, **kw: Any) -> None:
        super().__init__(config, **kw)
        if self.settings.retrieval not in ("goal", "type"):
            from skillbench.errors import ConfigError

            raise ConfigError(
                f"memory.retrieval is {self.settings.retrieval!r}; {self.name} knows goal and type"
            )
        self.embedder = make_embedder(self.settings.embedding_model)
        self.pending: list[Skill] = []  # solved episodes that were observed since the last update
        self._vectors: dict[str, Any] = {}

    def context(self, task: Task, history: Sequence[Any] = (), budget: int = 0) -> Context:
        """The best-matching demonstrations, as plain text."""
        found, usage = self.nearest(task)
        shown, cut = render(found[: self.settings.k], budget)
        return Context(
            text="\n\n".join(text for _, text in shown),
            skill_ids=tuple(skill.id for skill, _ in shown),
            usage=usage,
            truncated=cut,
        )

    def nearest(self, task: Task) -> tuple[list[Skill], Any]:
        """Entries of the task's type, best first; those of all types where it has none.

        A solution of the very task is left out: it would be the answer.
        """
        others = [s for s in self.entries.values() if task.id not in s.source_tasks]
        own = [s for s in others if same_type(s.task_type or "", task.task_type)] or others
        if self.settings.retrieval == "type" or not own:
            return own, Context().usage
        import numpy as np

        missing = [s for s in own if s.id not in self._vectors]
        texts = [task.goal, *(_goal(s) for s in missing)]
        vectors, usage = self.embedder.encode(texts)
        self._vectors.update(zip((s.id for s in missing), vectors[1:]))
        scores = np.stack([self._vectors[s.id] for s in own]) @ vectors[0]
        # Rounded, so that the last bits of a float never decide; ties go to the shorter one.
        order = sorted(
            range(len(own)), key=lambda i: (-round(float(scores[i]), 4), _length(own[i]), i)
        )
        return [own[i] for i in order], usage

    def observe(self, episode: Episode) -> None:
        """Keep a solved episode for the next update."""
        self.check((episode,))
        if episode.outcome != "invalid" and episode.success and episode.steps:
            self.pending.append(entry(episode))

    def update(
        self,
        episodes: Sequence[Episode],
        teacher: Any,
        *,
        step: int = 0,
        max_new: int | None = None,
    ) -> Update:
        """Take in the solved episodes, given or observed; the teacher is not asked."""
        solved = [entry(e) for e in self.usable(episodes) if e.success and e.steps]
        before = set(self.entries)
        for skill in (*self.pending, *solved):
            self._keep(skill, step)
        self.pending = []
        self._trim(step)
        after = set(self.entries)
        added = tuple(i for i in self.entries if i not in before)
        return Update(added=added, removed=tuple(sorted(before - after)))

    def extra(self) -> dict[str, Any]:
        """What waits for the next update."""
        return {"pending": [to_json(s) for s in self.pending]}

    def restore(self, extra: Mapping[str, Any]) -> None:
        """Take it back."""
        self.pending = [skill_from_json(s) for s in extra.get("pending", ())]

    def _keep(self, skill: Skill, step: int) -> None:
        for old in [s for s in self.entries.values() if s.source_tasks == skill.source_tasks]:
            if _length(old) <= _length(skill):
                return
            self.drop(old.id, step, "shorter")
        self.put(skill, step)

    def _trim(self, step: int) -> None:
        kinds = sorted({s.task_type or "" for s in self.entries.values()})
        for kind in kinds:
            mine = [s for s in self.entries.values() if (s.task_type or "") == kind]
            for s in sorted(mine, key=_length)[self.settings.per_type :]:
                self.drop(s.id, step, "evicted")


def entry(episode: Episode) -> Skill:
    """A solved episode as an entry of a memory: its text is the episode, line by line."""
    after = [s.observation for s in episode.steps[1:]] + [episode.final_observation]
    lines = []
    for step, seen in zip(episode.steps, after):
        lines.append("> " + " ".join(step.action.split()))
        words = seen.split()
        if words:
            lines.append(" ".join(words[:WIDEST]))
    return Skill(
        title="Solved: " + " ".join(episode.task.goal.split()),
        principle="\n".join(lines),
        kind="task_type",
        task_type=episode.task.task_type,
        source_tasks=(episode.task.id,),
        source_split=episode.task.split,
        author="episode",
    )


def text_of(skill: Skill, words: int) -> str:
    """A demonstration with at most `words` words of each observation (0: actions alone)."""
    lines = [f"Example: {_goal(skill)}"]
    for line in skill.principle.split("\n"):
        if line.startswith("> "):
            lines.append(line)
        elif words:
            lines.append(" ".join(line.split()[:words]))
    return "\n".join(lines)


def render(skills: Sequence[Skill], budget: int) -> tuple[list[tuple[Skill, str]], bool]:
    """Write demonstrations into `budget` tokens; also say whether one had to be left out."""
    shown: list[tuple[Skill, str]] = []
    used, cut = 0, False
    for number, skill in enumerate(skills):
        left = len(skills) - number
        # In whole words, so that the sum over demonstrations keeps to the budget, too.
        share = used + max(0, _words_for(budget) - used) // left
        for words in DETAIL:
            text = text_of(skill, words)
            size = used + len(text.split())
            if size <= share or (words == 0 and size <= _words_for(budget)):
                shown.append((skill, text))
                used = size
                break
        else:
            cut = True
    return shown, cut


def _words_for(budget: int) -> int:
    """The most words that count as at most `budget` tokens."""
    words = int(budget / 1.35) + 1
    while words and estimate_tokens(words) > budget:
        words -= 1
    return words


def _goal(skill: Skill) -> str:
    return skill.title.removeprefix("Solved: ")


def _length(skill: Skill) -> int:
    return sum(line.startswith("> ") for line in skill.principle.split("\n"))
