"""The layers that a configuration is made of: method defaults, a profile file, flags, `--set`.

A layer is a nested table with the name of where it came from, so that an error can say which file
or option is wrong. Shorthands are spelt out here: `memory=none` means `memory.name`, `policy=hf:X`
means name and model, `evolve=false` and `trainer.sft=false` mean `enabled`.
`trainer.KEY=VALUE`, where KEY is no stage, is that key of every stage that has it (config.py).
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .errors import ConfigError, UsageError, suggest

NAMED = {  # tables that a registered component fills, and where it is registered
    "env": "environments",
    "policy": "policies",
    "memory": "memories",
    "teacher": "teachers",
}
WITH_MODEL = ("policy", "teacher")
FLAGS = {"method": "--method", "environment": "--env", "env": "--env", "profile": "--profile"}


@dataclass(frozen=True)
class Layer:
    """One source of settings. In a strict one, a key must fit what was chosen; in the others a
    key may also belong to a component that was not chosen, and is then left out."""

    source: str
    table: Mapping[str, Any]
    strict: bool = False
    shipped: bool = False  # a profile of skillbench itself: may speak of what is not installed
    only: str = ""  # the environment, or the policy, that the layer is for; "" = all


def name_and_model(text: str) -> dict[str, Any]:
    """Split "hf:Qwen/Qwen3-0.6B" into name and model; a model may hold colons itself."""
    name, colon, model = text.partition(":")
    return {"name": name, "model": model} if colon else {"name": name}


def spell_out(table: Mapping[str, Any], source: str) -> dict[str, Any]:
    """Replace shorthands by full tables. Raises ConfigError for a value where a table belongs."""
    out: dict[str, Any] = {}
    for key, value in table.items():
        if isinstance(value, Mapping):
            out[key] = dict(value)
            if key == "trainer":
                # What is neither a table nor true/false is a key of every stage that has it.
                out[key] = {
                    stage: {"enabled": rows} if isinstance(rows, bool) else rows
                    for stage, rows in value.items()
                }
        elif isinstance(value, str) and key in WITH_MODEL:
            out[key] = name_and_model(value)
        elif isinstance(value, str) and key in NAMED:
            out[key] = {"name": value}
        elif isinstance(value, bool):
            out[key] = {"enabled": value}
        else:
            raise ConfigError(
                f"{source}: {key!r} is a table, so {key}={value!r} means nothing; "
                f"set one of its keys: {key}.KEY=VALUE"
            )
    return out


def parse_sets(sets: Sequence[str]) -> list[Layer]:
    """One layer per `--set key=value`; values are TOML, anything else is a string."""
    layers = []
    for text in sets:
        key, equals, raw = text.partition("=")
        key = key.strip()
        parts = key.split(".")
        if not equals or not all(parts):
            raise UsageError(f"--set takes KEY=VALUE, not {text!r}; example: --set memory=none")
        if key in FLAGS:
            raise UsageError(f"--set {text}: use {FLAGS[key]} {raw.strip()}")
        value: Any = parse_value(raw)
        for part in reversed(parts[1:]):
            value = {part: value}
        source = f"--set {text}"
        layers.append(Layer(source, spell_out({parts[0]: value}, source), strict=True))
    return layers


class Raw(str):
    """A `--set` value that TOML reads as something else than text; keeps how it was written."""

    value: Any


def parse_value(raw: str) -> Any:
    """Read a value as TOML; text that is not TOML stays text."""
    raw = raw.strip()
    try:
        value = tomllib.loads(f"v = {raw}")["v"]
    except tomllib.TOMLDecodeError:
        return raw
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        kept = Raw(raw)  # policy.model=7 is text where the default is text
        kept.value = value
        return kept
    return value


def tasks_dir() -> Path:
    """Where panels and profiles lie: tasks/ of a checkout, or the copy inside a wheel."""
    package = Path(__file__).resolve().parent
    inside = package / "_tasks"
    return inside if inside.is_dir() else package.parent / "tasks"


def profile_names() -> list[str]:
    """The profiles that come with skillbench."""
    home = tasks_dir() / "profiles"
    found = (path.relative_to(home) for path in home.rglob("*.toml"))
    return sorted(path.with_suffix("").as_posix() for path in found)


def read_profile(profile: str) -> list[Layer]:
    """Read a profile by name, or from FILE.toml. Raises UsageError or ConfigError.

    A table `[for.NAME]` holds what the profile sets for one environment, or for one policy, alone;
    it is a layer of its own, `only` for that one, over the rest of the profile.
    """
    named = profile in profile_names()
    if not named and (profile.endswith(".toml") or "/" in profile):
        path = Path(profile).expanduser()
        if not path.is_file():
            raise UsageError(f"profile file {profile!r} does not exist; profiles: {_known()}")
    else:
        path = tasks_dir() / "profiles" / f"{profile}.toml"
        if not path.is_file():
            hint = suggest(profile, profile_names())
            raise UsageError(f"unknown profile {profile!r}{hint} profiles: {_known()}")
    try:
        table = tomllib.loads(path.read_text(encoding="utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"profile {path} is not valid TOML: {error}") from error
    except OSError as error:
        raise UsageError(f"profile {path} cannot be read: {error.strerror}") from error
    source = f"profile {profile}"
    special = table.pop("for", {})
    if not isinstance(special, Mapping) or not all(
        isinstance(v, Mapping) for v in special.values()
    ):
        raise ConfigError(f"{source}: [for.NAME] is a table of tables")
    layers = [Layer(source, spell_out(table, source), shipped=named)]
    for name, rows in special.items():
        where = f"{source}, for.{name}"
        layers.append(Layer(where, spell_out(rows, where), shipped=named, only=name))
    return layers


def _known() -> str:
    return ", ".join(profile_names()) or "none"
