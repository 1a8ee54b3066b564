"""The command that leads to a configuration: what a leaderboard row says about how it was made."""

from __future__ import annotations

import json
import shlex
from typing import Any

from .config import DEFAULT_PROFILE, Config, flat, resolve
from .registry import Registry, get


def command_line(config: Config, registry: Registry | None = None) -> str:
    """The shortest `skillbench run` that resolves to `config`. Raises UsageError where the names
    in it are not installed."""
    words, sets = parts(config, registry)
    for text in sets:
        words += ["--set", text]
    return shlex.join(words)


def parts(config: Config, registry: Registry | None = None) -> tuple[list[str], list[str]]:
    """The command without `--set`, and what `--set` must add to it."""
    registry = registry or get()
    method, environment = config["method"], config["environment"]
    words = ["skillbench", "run", "--method", method, "--env", environment]
    chosen: dict[str, Any] = {"method": method, "environment": environment}
    policy = _label(config["policy"])
    if policy != registry.environments[environment].policy:
        words += ["--policy", policy]
        chosen["policy"] = policy
    teacher = _label(config["teacher"])
    if teacher != (registry.methods[method].teacher or ""):
        words += ["--teacher", teacher]
        chosen["teacher"] = teacher
    if config["profile"] != DEFAULT_PROFILE:
        words += ["--profile", config["profile"]]
        chosen["profile"] = config["profile"]
    run = config["run"]
    if run["split"] != registry.environments[environment].default_split:
        words += ["--split", run["split"]]
        chosen["split"] = run["split"]
    if run["seeds"] != 1:
        words += ["--seeds", str(run["seeds"])]
        chosen["seeds"] = run["seeds"]
    sets: list[str] = []
    if config["memory"]["name"] != registry.methods[method].memory:
        sets.append(f"memory={config['memory']['name']}")
    base = flat(resolve(**chosen, sets=sets, registry=registry).as_dict())
    for key, value in flat(config.as_dict()).items():
        if key != "run.out" and base.get(key) != value:
            sets.append(f"{key.removesuffix('.enabled')}={_toml(value)}")
    return words, sets


def _label(table: dict[str, Any]) -> str:
    return f"{table['name']}:{table['model']}" if table["model"] else str(table["name"])


def _toml(value: Any) -> str:
    """A value as `--set` reads it; strings only quoted where they would read as something else."""
    if isinstance(value, str):
        return value if value and not value[0].isdigit() else json.dumps(value)
    return json.dumps(value)
