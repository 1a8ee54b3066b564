"""The `webshop` environment: generated shops by default, the official catalogue on request.

Splits `train` and `test` are generated (generator.py) and labelled `webshop-generated`. The
official ones: `small` (goals 0-499 of the 6,910 synthetic goals of the 1,000-product catalogue, the
split of SkillRL and verl-agent), `human` (the 13 goals that people wrote for these products),
`full` and `full_dev` (goals 0-499 and 500-1,499 of the 12,087 human goals of the full catalogue).
The train split goes with what is scored: the goals that follow in the same canonical order.

A task's id names the product and a digest of the goal's text, options and price limit, never a
place in a list. Shops are shared by all instances; an instance is one session.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

from skillbench.environment import Environment
from skillbench.errors import UsageError, unknown_name
from skillbench.records import Task

from . import generator, official
from .catalogue import Goal
from .reward import MODES
from .shop import SEP, Session, Shop

GENERATED, OFFICIAL = generator.SPLITS, official.SPLITS
SPLITS = (*GENERATED, *OFFICIAL)
STEPS = 15  # the published limit
CACHED_SHOPS = 256  # some 0.3 MB each
GENERATED_ID = re.compile(r"(\w+)/(train|test)-(\d+)-([A-Z0-9]{10})")
INSTRUCTIONS = """\
You shop on a web site through text commands, one command per turn:
  search[words]   look for products; any words, only where there is a search field
  click[name]     click a button, a product's identifier or an option shown on the page
Pages show their parts between [SEP] marks. A product is found by its identifier, as in
"click[b07xyz1234]". Its Description and Features are pages of their own; "click[< prev]" leads
back. Choose each option that the instruction asks for (click its value), then "click[buy now]",
which ends the episode. You are rated by how well what you bought fits the instruction."""


class WebshopEnvironment(Environment):
    """One customer at a time; `reset(options={"task": id})` chooses the goal.

    source: "auto", "generated" or "official"; which goals the split `train` means, see the module.
    reward: "fixed", or "upstream" with the published code's defect (reward.py).
    search: "native", or "pyserini" for Lucene itself.
    data: folder of the official files; "" means WEBSHOP_DATA.
    disjoint: leave the products of the scored goals out of the official train goals.
    train_shops, test_shops: sizes of the generated splits, 12 goals a shop.
    max_steps: actions per episode before it is truncated; 0 means 15, as published.
    repeat_goal: begin every page with the instruction, not the first one alone.
    """

    name = "webshop"
    expert_player = "skillbench_webshop.expert:Expert"  # what the policy `expert` plays
    scripted_player = "skillbench_webshop.player:Player"  # and `scripted`

    def __init__(
        self,
        *,
        source: str = "auto",
        reward: str = "fixed",
        search: str = "native",
        data: str = "",
        disjoint: bool = False,
        train_shops: int = 200,
        test_shops: int = 17,
        max_steps: int = 0,
        repeat_goal: bool = False,
    ) -> None:
        if source not in ("auto", "generated", "official"):
            raise unknown_name("webshop source", source, ("auto", "generated", "official"))
        if reward not in MODES:
            raise unknown_name("webshop reward", reward, MODES)
        if search not in ("native", "pyserini"):
            raise unknown_name("webshop search", search, ("native", "pyserini"))
        sizes = {"train": train_shops, "test": test_shops}
        for split, size in sizes.items():
            most = generator.SHOPS[split]
            if not 1 <= size <= most:
                raise UsageError(f"env.{split}_shops is {size}; give 1 to {most}")
        if max_steps < 0:
            raise UsageError(f"env.max_steps is {max_steps}; give at least 1, or 0 for the default")
        self.source, self.reward_mode, self.search = source, reward, search
        self.max_steps = max_steps or STEPS
        self._sizes, self._data, self._disjoint = sizes, data, bool(disjoint)
        self._repeat = bool(repeat_goal)
        self._scored = "small" if source == "official" else "test"
        self._session: Session | None = None
        self._steps = 0

    # ------------------------------------------------------------------ tasks

    def scored_split(self, split: str) -> None:
        """Tell which split is scored: it decides what `train` means, and the label."""
        self._check(split)
        if self.source != "auto" and (self.source == "official") == (split == "test"):
            raise UsageError(
                f"env.source={self.source} does not go with the split {split!r}: "
                f"test is generated, {', '.join(OFFICIAL)} are official"
            )
        if split != "train":
            self._scored = split

    @property
    def label(self) -> str:  # type: ignore[override]
        """How results are labelled: never the same for generated and for official goals."""
        return "webshop" if self._scored in OFFICIAL else "webshop-generated"

    instructions = INSTRUCTIONS

    def tasks(self, split: str) -> list[Task]:
        """All tasks of a split. Raises UsageError for an unknown one, DataError without data."""
        if self._is_official(split):
            goals = official.goals(self._root(), split, self._scored, self._disjoint)
            return [
                Task(id, "webshop", split, goal.category, goal.text, {"source": "official"})
                for id, goal in goals.items()
            ]
        return list(_generated_tasks(split, self._sizes[split]))

    def fingerprint(self, split: str) -> str:
        """Digest over generator version and size, or over the goals and all that decides them."""
        if self._is_official(split):
            return official.fingerprint(self._root(), split, self._scored, self._disjoint)
        text = f"webshop-generated {generator.VERSION} {split} {self._sizes[split]}"
        return hashlib.sha256(text.encode()).hexdigest()

    def goal(self, task: str) -> tuple[Shop, Goal]:
        """The shop and the goal of a task id. Raises UsageError for an unknown id."""
        match = GENERATED_ID.fullmatch(task)
        if match is None:
            return official.find(self._root(), task, self.search)
        _, split, number, asin = match.groups()
        if int(number) < generator.SHOPS[split]:
            shop, goals = _generated_shop(split, int(number), self.search)
            goal = goals.get(asin)
            if goal is not None and task == _id(split, int(number), goal):
                return shop, goal
        raise UsageError(
            f"unknown webshop task {task!r}: the generator (version {generator.VERSION}) makes no "
            "such goal"
        )

    def expert(self, task: Task) -> Iterator[str]:
        """The actions of a customer who knows which product is meant."""
        from .expert import plan

        return iter(plan(*self.goal(task.id)))

    def causal(self) -> Any:
        """The vocabulary of shopping advice, for the offline teacher."""
        from . import lessons

        return lessons

    def _check(self, split: str) -> None:
        if split not in SPLITS:
            raise unknown_name("webshop split", split, SPLITS)

    def _is_official(self, split: str) -> bool:
        self._check(split)
        return split in OFFICIAL or (split == "train" and self._scored in OFFICIAL)

    def _root(self) -> Path:
        return official.path(self._data)

    # ------------------------------------------------------------------ playing

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[str, dict[str, Any]]:
        """Start the task `options["task"]` (an id). Nothing is drawn: the seed is unused."""
        super().reset(seed=seed)
        task = (options or {}).get("task")
        if not task:
            raise UsageError('webshop: reset needs options={"task": id}, an id from tasks(split)')
        self._session, self._steps = Session(*self.goal(task), self.reward_mode), 0
        return self._session.text(), self._info(False)

    def step(self, action: str) -> tuple[str, float, bool, bool, dict[str, Any]]:
        """Do one action; returns (text, reward, terminated, truncated, info)."""
        session = self._session
        if session is None:
            raise UsageError("webshop: step before reset")
        done = session.act(action)
        self._steps += 1
        info = self._info(not done)
        over = session.place == "done"
        text = session.text(instruction=self._repeat)
        return text, info["score"], over, not over and self._steps >= self.max_steps, info

    def _info(self, invalid: bool) -> dict[str, Any]:
        session = self._session
        assert session is not None
        reward = session.score.reward if session.score else 0.0
        return {
            "success": reward == 1.0,
            "score": reward,
            "admissible": session.admissible(),
            "invalid_action": invalid,
        }

    def compact(self, text: str) -> str:
        """The first observation as one line: the instruction alone."""
        parts = text.split(SEP)
        return parts[2] if parts[:2] == ["WebShop", "Instruction:"] else text


# ---------------------------------------------------------------------- shared caches


def _id(split: str, number: int, goal: Goal) -> str:
    return f"{goal.category}/{split}-{number:03d}-{goal.asin}"


@lru_cache(maxsize=CACHED_SHOPS)
def _generated_shop(split: str, number: int, search: str) -> tuple[Shop, dict[str, Goal]]:
    stock = generator.generate(split, number)
    shop = Shop(stock.products, official.engine(search, stock.products))
    return shop, {goal.asin: goal for goal in stock.goals}


@lru_cache(maxsize=8)
def _generated_tasks(split: str, size: int) -> Sequence[Task]:
    tasks = []
    for number in range(size):
        for goal in generator.goals(split, number):
            meta = {"source": "generated", "shop": number}
            tasks.append(
                Task(_id(split, number, goal), "webshop", split, goal.category, goal.text, meta)
            )
    return tuple(tasks)
