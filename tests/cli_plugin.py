"""A whole plugin for the tests of the command line: doors, a guesser and a method without learning.

Loaded by SKILLBENCH_LOAD_PLUGINS=cli_plugin with this directory on the path.
"""

from __future__ import annotations

import skillbench
from skillbench.records import Completion, Context, Task, Usage

COLOURS = ("red", "green", "blue", "black")


class Doors(skillbench.Environment):
    """Say the colour of the door; the first observation tells it."""

    name = label = "doors"
    max_steps = 3
    instructions = "Name the colour of the door."

    def __init__(self, doors: int = 8, broken: bool = False) -> None:
        self.doors, self.broken, self.answer = doors, broken, ""

    def tasks(self, split):
        kinds = [("warm" if i % 4 == 0 else "cold", COLOURS[i % 4]) for i in range(self.doors)]
        return [
            Task(f"{split}-{i}", self.label, split, k, f"open {c}")
            for i, (k, c) in enumerate(kinds)
        ]

    def fingerprint(self, split):
        return f"doors-{self.doors}-{split}"

    def reset(self, *, seed=None, options=None):
        if self.broken:
            raise RuntimeError("the door is stuck")
        self.answer = COLOURS[int(options["task"].split("-")[1]) % 4]
        info = {"success": False, "admissible": list(COLOURS), "invalid_action": False}
        return f"A {self.answer} door.", info

    def step(self, action):
        won = action == self.answer
        info = {
            "success": won,
            "admissible": list(COLOURS),
            "invalid_action": action not in COLOURS,
        }
        return ("It opens." if won else "It stays shut."), float(won), won, False, info


class Guesser:
    """Reads the colour, but never dares to say black."""

    name, batching, concurrency, style, trainable = "guesser", "gather", 1, "compact", False

    def __init__(self, model, config) -> None:
        self.interrupt = config.get("interrupt")

    async def generate(self, requests):
        if self.interrupt:
            raise KeyboardInterrupt
        return [self._one(r.messages[-1]["content"]) for r in requests]

    def _one(self, text):
        seen = next((c for c in COLOURS if c in text and c != "black"), "red")
        return Completion(f"<think></think><action>{seen}</action>", Usage(3, 0, 1, 1))

    def release(self, episode_id) -> None: ...

    def close(self) -> None: ...


class NoMemory:
    """Remembers nothing."""

    def __init__(self, config, *, teacher_spend=None) -> None: ...

    def context(self, task, history, budget):
        return Context()

    def skills(self):
        return []

    def observe(self, episode) -> None: ...

    def freeze(self) -> None: ...

    def save(self, directory) -> None: ...

    def load(self, directory) -> None: ...


def wave(parser):
    """A sub-command."""
    parser.add_argument("--times", type=int, default=1, help="how often")

    def run(arguments):
        print("wave " * arguments.times)
        return 0

    return run


@skillbench.hookimpl
def skillbench_register_environments(register):
    register(
        "doors",
        "cli_plugin:Doors",
        splits=("train", "unseen"),
        defaults={"doors": 8, "broken": False},
        label="doors",
        policy="household",
    )


@skillbench.hookimpl
def skillbench_register_policies(register):
    register("household", "cli_plugin:Guesser", defaults={"interrupt": False})


@skillbench.hookimpl
def skillbench_register_memories(register):
    register("none", "cli_plugin:NoMemory")


@skillbench.hookimpl
def skillbench_register_methods(register):
    register(skillbench.Method("base", notes="the policy as it is"))


@skillbench.hookimpl
def skillbench_register_commands(cli):
    cli.add_command("wave", "cli_plugin:wave", help="wave a hand")
