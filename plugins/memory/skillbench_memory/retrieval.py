"""Which skills a task gets, before the budget: by task type, by full text, or by embedding.

All three return three sections: general skills, skills for this task, and mistakes.

`template` looks at the task type alone. `text` and `embedding` compare the task's goal with the
skills: general skills and mistakes come in the order of relevance; task skills must match (a common
word; a cosine above the paper's threshold, arXiv:2602.08234 Eq. 4) and come from the task's type
where the bank knows the type, from all types otherwise. Ties go by the bank's own order, which is
by utility, then age.

The task type comes from the environment. SkillRL's keyword tests on the goal put 10 of 42 heating
tasks under "pick" (its own categories are still understood: `same_type`).
"""

from __future__ import annotations

import functools
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from skillbench.records import Skill, Task, Usage

from .settings import Settings

Scores = Callable[[str], tuple[Mapping[str, float], Usage]]  # query -> score by skill id
WORD = re.compile(r"[a-z0-9]+")
NO_USAGE = Usage()
# Words of a goal that say nothing about what the task is about.
# fmt: off
COMMON = frozenset(
    (
        "a", "an", "and", "are", "at", "by", "find", "for", "from", "get", "go", "in", "into",
        "is", "it", "look", "of", "on", "one", "or", "place", "put", "some", "take", "that",
        "the", "them", "then", "to", "two", "under", "use", "using", "with", "your", "you",
    )
)
# fmt: on


@dataclass(frozen=True)
class Selection:
    """What was retrieved, by section, each in the order to show it."""

    general: tuple[Skill, ...] = ()
    task: tuple[Skill, ...] = ()
    mistakes: tuple[Skill, ...] = ()
    usage: Usage = NO_USAGE

    @property
    def sections(self) -> tuple[tuple[Skill, ...], ...]:
        """The three sections in the order in which they are shown."""
        return (self.general, self.task, self.mistakes)


@functools.lru_cache(maxsize=8192)
def words(text: str) -> frozenset[str]:
    """The lower-case words and numbers of a text."""
    return frozenset(WORD.findall(text.lower()))


@functools.lru_cache(maxsize=4096)
def same_type(category: str, task_type: str) -> bool:
    """Whether a skill's category means a task's type.

    Equal names do, and so does a category all of whose words the type has: banks published with
    "clean" or "pick_and_place" serve "pick_clean_then_place_in_recep" and "pick_and_place_simple".
    """
    return category == task_type or (
        bool(category) and words(category.replace("_", " ")) <= words(task_type.replace("_", " "))
    )


def applies(skill: Skill, task: Task) -> bool:
    """Whether a skill may be shown for a task at all.

    A skill of a task type, or a mistake made at one, applies to that type. A skill whose `meta`
    holds `goal_words` applies only to goals that name one of them: advice on where mugs are found
    is of no use to somebody who looks for a towel.
    """
    if skill.task_type and not same_type(skill.task_type, task.task_type):
        return False
    needed = skill.meta.get("goal_words")
    if needed:
        goal = words(task.goal)
        return any(words(str(w)) <= goal for w in needed)
    return True


def by_type(task: Task, ranked: Sequence[Skill], settings: Settings) -> Selection:
    """Retrieval `template`: what applies to the task's type, in the bank's order."""
    fitting = [s for s in ranked if applies(s, task)]
    exact = {s.task_type for s in fitting} & {task.task_type}
    if exact:  # a type of its own beats one that merely sounds alike
        fitting = [s for s in fitting if s.kind != "task_type" or s.task_type == task.task_type]
    return _cut(
        [s for s in fitting if s.kind == "general"],
        [s for s in fitting if s.kind == "task_type"],
        [s for s in fitting if s.kind == "mistake"],
        settings,
    )


def by_score(
    task: Task, ranked: Sequence[Skill], settings: Settings, scores: Scores, threshold: float
) -> Selection:
    """Retrieval `text` and `embedding`: order by score; task skills must exceed the threshold."""
    found, usage = scores(task.goal)

    def order(skills: Sequence[Skill]) -> list[Skill]:
        # Rounded, so that the last bits of a float never decide; sorting is stable.
        return sorted(skills, key=lambda s: -round(found.get(s.id, 0.0), 4))

    open_to_all = [s for s in ranked if s.kind != "task_type" and applies(s, task)]
    typed = [s for s in ranked if s.kind == "task_type"]
    own = [s for s in typed if same_type(s.task_type or "", task.task_type)]
    candidates = [s for s in own or typed if found.get(s.id, 0.0) > threshold]
    return _cut(
        order([s for s in open_to_all if s.kind == "general"]),
        order([s for s in candidates if not own or applies(s, task)]),
        order([s for s in open_to_all if s.kind == "mistake"]),
        settings,
        usage,
    )


def _cut(
    general: list[Skill],
    task: list[Skill],
    mistakes: list[Skill],
    settings: Settings,
    usage: Usage = NO_USAGE,
) -> Selection:
    return Selection(
        tuple(general[: settings.top_k or None]),
        tuple(task[: settings.task_top_k or None]),
        tuple(mistakes[: settings.mistakes_top_k or None]),
        usage,
    )
