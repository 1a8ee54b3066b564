"""The `alfworld` environment: generated household games by default, the official ones on request.

Splits `train`, `seen` and `unseen` are generated (generator.py) and labelled `alfworld-generated`;
`valid_seen` and `valid_unseen` are the official evaluation games, labelled `alfworld`. The train
split goes with what is scored: once `scored_split` has been told a valid_* split, or with
`source="official"`, `train` means the 3,553 official train games. Task ids say by themselves where
a task is from, so that `reset` needs no such hint: TASK/trial_... against TASK/SPLIT-00042.

Compiled games are shared by all instances through bounded caches; an instance is a few sets.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path
from typing import Any

from skillbench.environment import Environment
from skillbench.errors import DataError, UsageError, unknown_name
from skillbench.records import Task

from . import data as official
from . import generator
from .engine import BANNER, NOTHING, World
from .game import TASK_TYPES, Game
from .oracle import plan
from .pddl import read_game, task_sentence

GENERATED, OFFICIAL = generator.SPLITS, ("valid_seen", "valid_unseen")
SPLITS = (*GENERATED, *OFFICIAL)
OFFICIAL_STEPS, GENERATED_STEPS = 50, 30
CACHED_GAMES = 512  # some 60 kB each
GENERATED_ID = re.compile(r".*/(train|seen|unseen)-(\d+)")
INSTRUCTIONS = """\
You act in a household through text commands, one command per turn:
  go to (receptacle)                  take (object) from (receptacle)
  open (receptacle)                   {put}
  close (receptacle)                  heat (object) with (microwave)
  examine (something)                 cool (object) with (fridge)
  use (lamp)                          clean (object) with (sinkbasin)
  inventory, look, help               slice (object) with (knife)
Names carry numbers, as in "drawer 2". You carry one object at a time. A wrong command answers
"Nothing happens." and costs a turn."""


class AlfworldEnvironment(Environment):
    """One live game at a time; `reset(options={"task": id})` chooses it.

    engine: "native", or "textworld" for the stock engine (extra `reference`; about 0.1 s a step).
    source: "auto", "generated" or "official"; which games the split `train` means, see the module.
    data: folder that holds json_2.1.1; "" means ALFWORLD_DATA.
    train_games, seen_games, unseen_games: sizes of the generated splits.
    max_steps: commands per episode before it is truncated; 0 means 50 on official games, as
        published, and 30 on generated ones, whose rooms are smaller.
    python: interpreter that has the stock package, for engine="textworld".
    """

    name = "alfworld"
    expert_player = "skillbench_alfworld.expert:Expert"  # what the policy `expert` plays
    scripted_player = "skillbench_policies.household.player:Player"  # and `scripted`

    def __init__(
        self,
        *,
        engine: str = "native",
        source: str = "auto",
        data: str = "",
        train_games: int = 3000,
        seen_games: int = 200,
        unseen_games: int = 200,
        max_steps: int = 0,
        python: str = "",
    ) -> None:
        if engine not in ("native", "textworld"):
            raise unknown_name("alfworld engine", engine, ("native", "textworld"))
        if source not in ("auto", "generated", "official"):
            raise unknown_name("alfworld source", source, ("auto", "generated", "official"))
        sizes = {"train": train_games, "seen": seen_games, "unseen": unseen_games}
        for split, size in sizes.items():
            if size < 1:
                raise UsageError(f"env.{split}_games is {size}; give at least 1")
        if max_steps < 0:
            raise UsageError(f"env.max_steps is {max_steps}; give at least 1, or 0 for the default")
        self.engine, self.source, self._limit = engine, source, max_steps
        self.blocking = engine == "textworld"  # the loop then steps it in a thread
        self._sizes, self._data, self._python = sizes, data, python
        self._official = source == "official"
        self._world: Any = None
        self._steps = 0

    # ------------------------------------------------------------------ tasks

    def scored_split(self, split: str) -> None:
        """Tell which split is scored: it decides what `train` means, and the label."""
        self._check(split)
        if self.source == "auto":
            self._official = split in OFFICIAL
        elif (self.source == "official") == (split in ("seen", "unseen")):
            raise UsageError(
                f"env.source={self.source} does not go with the split {split!r}: "
                "seen and unseen are generated games, valid_seen and valid_unseen official ones"
            )

    @property
    def max_steps(self) -> int:  # type: ignore[override]
        """Commands per episode before it is truncated."""
        return self._limit or (OFFICIAL_STEPS if self._official else GENERATED_STEPS)

    @max_steps.setter
    def max_steps(self, steps: int) -> None:
        self._limit = steps

    @property
    def label(self) -> str:  # type: ignore[override]
        """How results are labelled: never the same for generated and for official games."""
        return "alfworld" if self._official else "alfworld-generated"

    @property
    def instructions(self) -> str:  # type: ignore[override]
        """What an instruct model is told about the commands, in the grammar of the games."""
        verb = getattr(self, "_verb", "move")
        put = (
            "move (object) to (receptacle)" if verb == "move" else "put (object) in/on (receptacle)"
        )
        return INSTRUCTIONS.format(put=put)

    def tasks(self, split: str) -> list[Task]:
        """All tasks of a split. Raises UsageError for an unknown one, DataError without data."""
        if self._is_official(split):
            return list(_official_tasks(self._root(), split))
        return list(_generated_tasks(split, self._sizes[split]))

    def fingerprint(self, split: str) -> str:
        """Digest over generator version and size, or over ids, problems and sentences."""
        if self._is_official(split):
            return _official_fingerprint(self._root(), split)
        text = f"alfworld-generated {generator.VERSION} {split} {self._sizes[split]}"
        return hashlib.sha256(text.encode()).hexdigest()

    def game(self, task: str) -> Game:
        """The compiled game of a task id. Raises UsageError for an unknown id."""
        match = GENERATED_ID.fullmatch(task)
        if match is None:
            return _official_game(self._root(), task)
        game = _generated_game(match[1], int(match[2]))
        if game.id != task:
            raise UsageError(
                f"unknown alfworld task {task!r}: the generator (version {generator.VERSION}) "
                f"makes {game.id!r} of that number"
            )
        return game

    def expert(self, task: Task) -> Iterator[str]:
        """The commands of a full-knowledge plan that wins."""
        return iter(plan(self.game(task.id)))

    def causal(self) -> Any:
        """The vocabulary of household advice, for the offline teacher."""
        from . import lessons

        return lessons

    def _check(self, split: str) -> None:
        if split not in SPLITS:
            raise unknown_name("alfworld split", split, SPLITS)

    def _is_official(self, split: str) -> bool:
        self._check(split)
        return split in OFFICIAL or (split == "train" and self._official)

    def _root(self) -> Path:
        return official.path(self._data)

    # ------------------------------------------------------------------ playing

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[str, dict[str, Any]]:
        """Start the task `options["task"]` (an id). Games are deterministic: the seed is unused."""
        super().reset(seed=seed)
        task = (options or {}).get("task")
        if not task:
            raise UsageError('alfworld: reset needs options={"task": id}, an id from tasks(split)')
        self.close()
        self._steps = 0
        game = self.game(task)
        self._verb = game.verb
        if self.engine == "textworld":
            from .textworld_engine import StockWorld, shared_worker

            generated = GENERATED_ID.fullmatch(task)
            source = game if generated else _official_file(self._root(), task)
            self._world = StockWorld(source, shared_worker(self._python))
        else:
            self._world = World(game)
        text = self._world.reset()
        return text, self._info(text)

    def step(self, action: str) -> tuple[str, float, bool, bool, dict[str, Any]]:
        """Send one command; returns (text, reward, terminated, truncated, info)."""
        if self._world is None:
            raise UsageError("alfworld: step before reset")
        text = self._world.step(action)
        self._steps += 1
        info = self._info(text)
        won = info["success"]
        return text, float(won), won, not won and self._steps >= self.max_steps, info

    def close(self) -> None:
        """Leave the game; gives a stock game's memory back."""
        world, self._world = self._world, None
        if world is not None and hasattr(world, "close"):
            world.close()

    def _info(self, text: str) -> dict[str, Any]:
        won = self._world.won()
        return {
            "success": won,
            "score": float(won),
            "admissible": self._world.admissible(),
            "invalid_action": text == NOTHING,
        }

    def compact(self, text: str) -> str:
        """The first observation as one line: room and task, without banner and blank lines."""
        lines = (line.strip() for line in text.removeprefix(BANNER).split("\n"))
        return " ".join(line for line in lines if line)


# ---------------------------------------------------------------------- shared caches


@lru_cache(maxsize=CACHED_GAMES)
def _generated_game(split: str, index: int) -> Game:
    return generator.generate(split, index)


@lru_cache(maxsize=8)
def _generated_tasks(split: str, size: int) -> tuple[Task, ...]:
    tasks = []
    for index in range(size):
        game = generator.generate(split, index)
        meta = {"source": "generated", "index": index}
        tasks.append(Task(game.id, "alfworld", split, game.task_type, game.task, meta))
    return tuple(tasks)


@lru_cache(maxsize=8)
def _official_files(root: Path, split: str) -> dict[str, Path]:
    files = official.games(root, split)
    return {f"{f.parts[-3]}/{f.parts[-2]}": f for f in files}


def _official_file(root: Path, task: str) -> Path:
    for split in official.EXPECTED:
        file = root / official.FOLDER / split / task / "game.tw-pddl"
        if ".." not in task and file.is_file():
            return file
    official.check(root)
    raise UsageError(f"unknown alfworld task {task!r}: no such game in {root / official.FOLDER}")


@lru_cache(maxsize=CACHED_GAMES)
def _official_game(root: Path, task: str) -> Game:
    return read_game(_official_file(root, task), id=task)


@lru_cache(maxsize=8)
def _official_tasks(root: Path, split: str) -> tuple[Task, ...]:
    tasks = []
    for id, file in _official_files(root, split).items():
        task_type = id.split("-", 1)[0]
        if task_type not in TASK_TYPES:
            raise DataError(f"{file}: {task_type!r} is none of ALFWorld's six task types")
        goal = task_sentence(file)
        tasks.append(Task(id, "alfworld", split, task_type, goal, {"source": "official"}))
    return tuple(tasks)


@lru_cache(maxsize=8)
def _official_fingerprint(root: Path, split: str) -> str:
    """Over what decides the tasks, not over the bytes: releases differ in form alone."""
    digest = hashlib.sha256()
    for id, file in _official_files(root, split).items():
        try:
            content = json.loads(file.read_bytes())
            problem = " ".join(content["pddl_problem"].split()).encode()
            verb = "move" if '"move {o} to {r}"' in content["grammar"] else "put"
        except (OSError, ValueError, KeyError, TypeError, AttributeError):
            read_game(file)  # says what is wrong with it
            raise
        digest.update(f"{id}\n{verb}\n{task_sentence(file)}\n".encode())
        digest.update(hashlib.sha256(problem).digest())
    return digest.hexdigest()
