"""Environments that misbehave, for the tests of isolation. Standard library, Python 3.8 syntax."""

from __future__ import annotations

import os
import sys
import time

import skillbench
from skillbench import Environment, Task, hookimpl
from skillbench.errors import UsageError

leak = []


class Doors(Environment):
    """Say the colour; `fault` is done at the tasks with these numbers, once per flag file."""

    name = label = "iso-doors"
    max_steps = 4
    instructions = "Name the colour."
    colours = ("red", "green", "blue")

    def __init__(self, fault="", at="", flag=""):
        self.fault, self.flag = fault, flag
        self.at = [int(n) for n in at.split(",") if n]
        self.turn = 0

    def tasks(self, split):
        if split not in ("train", "test"):
            raise UsageError("no such split: " + split)
        return [Task(f"{split}-{i}", self.name, split, "door", "open") for i in range(12)]

    def fingerprint(self, split):
        return "iso-" + split

    def reset(self, *, seed=None, options=None):
        self.number = int(options["task"].split("-")[1])
        self.turn = 0
        return f"A {self.colours[self.number % 3]} door.", self.info(False)

    def info(self, won):
        return {"success": won, "admissible": list(self.colours), "invalid_action": False}

    def step(self, action):
        self.turn += 1
        if self.number in self.at and self.turn == 2 and self.due():
            self.misbehave()
        won = action == self.colours[self.number % 3] and self.turn >= 3
        return f"Turn {self.turn}.", float(won), won, False, self.info(won)

    def due(self):
        """Whether the fault is still to happen; with a flag file it happens once per task."""
        if not self.flag:
            return True
        path = f"{self.flag}.{self.number}"
        if os.path.exists(path):
            return False
        open(path, "w").close()
        return True

    def misbehave(self):
        if self.fault == "hang":
            time.sleep(3600)
        elif self.fault == "crash":
            os._exit(3)
        elif self.fault == "raise":
            raise RuntimeError("the hinge broke")
        elif self.fault == "print":
            for _ in range(3000):
                print("noise " * 100)
                sys.stderr.write("more noise " * 20 + "\n")
            os.write(1, b'{"id": 0, "ok": "forged"}\n')
        elif self.fault == "read":
            sys.stdin.read()
        elif self.fault == "leak":
            leak.append(bytearray(20 << 20))

    def where(self):
        return skillbench.__name__


class Reader:
    """Says what it sees."""

    name, batching, concurrency, style, trainable = "reader", "gather", 8, "compact", False

    def __init__(self, model=None, config=None):
        pass

    async def generate(self, requests):
        from skillbench import Completion, Usage

        out = []
        for request in requests:
            text = request.messages[1]["content"]
            said = next((c for c in Doors.colours if c in text), "red")
            out.append(Completion(f"<action>{said}</action>", Usage(calls=1)))
        return out

    def release(self, episode_id):
        pass

    def close(self):
        pass


@hookimpl
def skillbench_register_environments(register):
    register(
        "iso-doors",
        "isolated_worlds:Doors",
        splits=("train", "test"),
        defaults={"fault": "", "at": "", "flag": ""},
    )


@hookimpl
def skillbench_register_policies(register):
    register("reader", "isolated_worlds:Reader")
