"""One resolved configuration per run: component defaults < method < profile < flags < `--set`.

Every key that exists has a default, so an unknown key is an error with a suggestion, and a value
must have the type of its default. The result is written out whole (config.toml) with a digest over
everything but where the run is stored; a run is resumed only under the same digest.
"""

from __future__ import annotations

import hashlib
import json
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .errors import ConfigError, NoRunError, RunDirError, UsageError, suggest
from .layers import NAMED, WITH_MODEL, Layer, Raw, name_and_model, parse_sets, read_profile
from .registry import Registry, get

DEFAULT_PROFILE = "quick"
NONE_MEMORY = "none"

# What the core itself reads; 0 and "" mean "as the component says".
CORE: Mapping[str, Mapping[str, Any]] = {
    "run": {
        "split": "",  # what is scored on; "" = the environment's default
        "seeds": 1,  # times that it is learned and scored
        "tasks": 0,  # of the panel, its first ones; 0 = all
        "out": "",  # the run directory; "" = a new one in runs/
        "max_steps": 0,  # turns of an episode; 0 = the environment's
        "live": 0,  # episodes that are played at a time at most; 0 = all that are asked for
    },
    "agent": {
        "style": "",  # prompt layout; "" = the policy's
        "budget": 256,  # tokens of skills in a prompt
        "max_tokens": 0,  # per completion; 0 = the style's
        "history": 0,  # turns kept; 0 = all
        "observation_chars": 0,  # 0 = no truncation
    },
    "evolve": {
        "enabled": True,  # whether the memory is updated during learning
        "every": 2,  # learning steps between updates of the memory
        "threshold": 0.4,  # train success of a task type below which it is refined
        "max_new": 3,  # skills per update
        "failures": 10,  # episodes shown to the teacher
        "prune": True,  # drop entries that were measured to do harm
    },
    "score": {
        "temperature": 0.4,  # of the policy's answers
        "top_p": 1.0,  # nucleus sampling; 1 = off
        "chunk": 50,  # episodes at a time, in fixed batches so that a resumed run repeats exactly
        "retries": 2,  # of invalid episodes
        "attempts": 1,  # > 1: unsolved tasks are tried again, reported apart (retries.py)
        "extra_steps": 0.0,  # of the method: share of steps beyond the limit, e.g. 0.5
        "extra_tokens": 0,  # of the method: tokens it may spend on steps beyond the limit
        "show": None,  # share of the skills shown, by chance (0.5: half); unset = all of them
        "baseline": True,  # score the same policy without the method, too
        "record": True,  # completions.jsonl
        "bootstrap": 2000,  # resamples behind the intervals
    },
    "plan": {  # what --dry-run reckons with; changes nothing in a run, and no digest
        "device": "",  # e.g. H100; "" = what this machine has
        "devices": 0,  # how many of them; 0 = one, or as many cores as the policy has workers
        "step_share": 0.6,  # mean length of an episode, as a share of its step limit
    },
}
# Of every environment: whether it runs in processes of its own, see skillbench/isolation.
ISOLATION: Mapping[str, Any] = {
    "isolate": False,  # run it in child processes
    "interpreter": "",  # the Python that runs it; "" = this one
    "workers": 1,  # processes that share the live episodes
    "restart_after": 200,  # episodes after which a process is replaced; 0 = never
    "call_timeout": 300.0,  # seconds for one reset or step, after which it is killed
}
TABLES = (
    "run",
    "env",
    "policy",
    "agent",
    "memory",
    "teacher",
    "trainer",
    "evolve",
    "score",
    "plan",
)


@dataclass(frozen=True)
class Config(Mapping[str, Any]):
    """A resolved configuration: read it like a nested dict; tables come out as copies."""

    data: Mapping[str, Any]

    def __getitem__(self, key: str) -> Any:
        return _copy(self.data[key])

    def __iter__(self) -> Iterator[str]:
        return iter(self.data)

    def __len__(self) -> int:
        return len(self.data)

    def as_dict(self) -> dict[str, Any]:
        """A deep copy as plain dicts and lists, ready for JSON."""
        return _copy(self.data)

    @property
    def digest(self) -> str:
        """sha256 (hex) over canonical JSON of everything but `run.out` and `plan`."""
        plain = _strip(self.as_dict())
        plain.get("run", {}).pop("out", None)
        plain.pop("plan", None)
        text = json.dumps(plain, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
        return hashlib.sha256(text.encode()).hexdigest()

    def to_toml(self) -> str:
        """config.toml: every default written out, and the digest."""
        import tomli_w

        head = "# The resolved configuration of a skillbench run; do not edit, see `digest`.\n"
        return head + tomli_w.dumps({"digest": self.digest, **_strip(self.as_dict())})

    def differences(self, other: Config) -> list[str]:
        """Keys whose values differ, as "key: ours -> theirs", what no digest holds aside."""
        ours, theirs = flat(_strip(self.as_dict())), flat(_strip(other.as_dict()))
        return [
            f"{key}: {ours.get(key)!r} -> {theirs.get(key)!r}"
            for key in sorted(ours.keys() | theirs.keys())
            if not (key == "run.out" or key.startswith("plan."))
            and ours.get(key) != theirs.get(key)
        ]


def load(path: Path) -> Config:
    """Read config.toml of a run (or its directory) back. Raises RunDirError."""
    file = path / "config.toml" if path.is_dir() else path
    try:
        data = tomllib.loads(file.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise NoRunError(f"no run in {str(path)!r}: it has no config.toml") from None
    except (OSError, tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise RunDirError(
            f"{file} cannot be read as TOML ({error}): it is damaged; restore it, or start a new "
            "run with --out"
        ) from error
    digest = data.pop("digest", None)
    config = Config(data)
    if digest != config.digest:
        raise RunDirError(
            f"{file} was changed after the run began (its digest no longer fits); "
            "start a new run with --out instead"
        )
    return config


def resolve(
    *,
    method: str,
    environment: str,
    policy: str = "",
    teacher: str = "",
    profile: str = DEFAULT_PROFILE,
    split: str = "",
    seeds: int = 0,
    sets: Sequence[str] = (),
    out: str = "",
    registry: Registry | None = None,
) -> Config:
    """Merge all layers into a configuration. Raises UsageError (ConfigError, UnknownNameError)."""
    registry = registry or get()
    plan = registry.methods[method]
    registry.environments[environment]  # complain about this name before any other
    layers = [
        Layer(f"method {method!r}", {**plan.defaults}),
        *_known_names(read_profile(profile), registry),
        Layer("command line", _flags(policy, teacher, split, seeds, out), strict=True),
        *parse_sets(sets),
    ]
    names = {"env": environment, "policy": registry.environments[environment].policy}
    names["memory"], names["teacher"] = plan.memory or NONE_MEMORY, plan.teacher or ""
    layers = _for(environment, layers, names, registry)
    chosen = _names(layers, names)
    if not chosen["policy"]:
        raise UsageError(
            f"environment {environment!r} names no default policy; choose one with --policy; "
            f"known: {', '.join(registry.policies)}"
        )
    base, known = _defaults(registry, plan.trainers, chosen)
    for layer in layers:
        names |= {
            key: layer.table[key]["name"] for key in NAMED if "name" in layer.table.get(key, {})
        }
        _lay(base, layer, known, registry, names)
    data = {"method": method, "environment": environment, "profile": profile, **base}
    _check(data, registry)
    return Config(data)


def _known_names(layers: Sequence[Layer], registry: Registry) -> Sequence[Layer]:
    """The layers, if each is for what is installed. Raises ConfigError."""
    names = (*registry.environments, *registry.policies)
    for layer in layers:
        if layer.only and not layer.shipped and layer.only not in names:
            raise ConfigError(
                f"{layer.source}: unknown environment or policy{suggest(layer.only, names)} "
                f"known: {', '.join(names)}"
            )
        if layer.only in registry.policies and "name" in layer.table.get("policy", {}):
            raise ConfigError(
                f"{layer.source}: the policy is chosen outside of for, with policy.name"
            )
    return layers


def _for(
    environment: str, layers: Sequence[Layer], names: Mapping[str, str], registry: Registry
) -> list[Layer]:
    """Drop the layers for other environments and other policies than the chosen ones."""
    here = [layer for layer in layers if layer.only in ("", environment)]
    policy = _names(here, names)["policy"]
    return [layer for layer in layers if layer.only in ("", environment, policy)]


def _flags(policy: str, teacher: str, split: str, seeds: int, out: str) -> dict[str, Any]:
    run = {"split": split, "seeds": seeds, "out": out}
    table: dict[str, Any] = {"run": {key: value for key, value in run.items() if value}}
    if policy:
        table["policy"] = name_and_model(policy)
    if teacher:
        table["teacher"] = name_and_model(teacher)
    return table


def _names(layers: Sequence[Layer], names: Mapping[str, str]) -> dict[str, str]:
    """The component each named table uses: the last layer that says so wins."""
    chosen = dict(names)
    for layer in layers:
        for key in NAMED:
            name = layer.table.get(key, {}).get("name", chosen[key])
            if not isinstance(name, str):
                raise ConfigError(f"{layer.source}: {key}.name is text, not {name!r}")
            if key == "env" and name != names["env"]:
                raise ConfigError(f"{layer.source}: the environment is chosen with --env {name}")
            chosen[key] = name
    return chosen


def _defaults(
    registry: Registry, stages: Sequence[str], chosen: Mapping[str, str]
) -> tuple[dict[str, Any], dict[str, Any]]:
    """The table of all defaults, laid out in the order that config.toml shows."""
    tables: dict[str, Any] = {key: dict(value) for key, value in CORE.items()}
    for key, kind in NAMED.items():
        name = chosen[key]
        table: dict[str, Any] = {"name": name}
        if key in WITH_MODEL:
            table["model"] = ""
        if name:
            table |= _copy(getattr(registry, kind)[name].defaults)
        if key == "env":
            table = {**ISOLATION, **table}  # a key of the environment's own wins
        tables[key] = {"name": name} | table | {"name": name}
    tables["trainer"] = {
        stage: {"enabled": True} | _copy(registry.trainers[stage].defaults) for stage in stages
    }
    ordered = {key: tables[key] for key in TABLES}
    return ordered, _copy(ordered)


def _lay(
    base: dict[str, Any],
    layer: Layer,
    known: Mapping[str, Any],
    registry: Registry,
    names: Mapping[str, str],
) -> None:
    """Lay one layer over `base`; `names` are the components chosen up to this layer."""
    for key, value in layer.table.items():
        if key not in base:
            raise ConfigError(
                f"{layer.source}: unknown table {key!r}{suggest(key, TABLES)} "
                f"tables: {', '.join(TABLES)}"
            )
        if not isinstance(value, Mapping):
            raise ConfigError(f"{layer.source}: {key!r} is a table, not {value!r}")
        if key == "trainer":
            for stage, rows in value.items():
                if not isinstance(rows, Mapping) and stage not in base["trainer"]:
                    _everywhere(base["trainer"], stage, rows, known["trainer"], layer)
                elif not isinstance(rows, (Mapping, bool)):
                    raise ConfigError(
                        f"{layer.source}: trainer.{stage} is a table or true/false, not {rows!r}"
                    )
                elif stage in base["trainer"]:
                    _fill(
                        base["trainer"][stage],
                        {"enabled": rows} if isinstance(rows, bool) else rows,
                        known["trainer"][stage],
                        f"trainer.{stage}",
                        layer,
                        {},
                    )
                elif layer.strict or not (layer.shipped or stage in registry.trainers):
                    stages = list(base["trainer"])
                    raise ConfigError(
                        f"{layer.source}: the method has no stage {stage!r}"
                        f"{suggest(stage, stages)} its stages: {', '.join(stages) or 'none'}"
                    )
            continue
        elsewhere: dict[str, str] = {}
        if key in NAMED:
            # The model of one policy says nothing about another that a later layer chose.
            drop = ("name",) if names[key] == base[key]["name"] else ("name", "model")
            value = {k: v for k, v in value.items() if k not in drop}
            entries = getattr(registry, NAMED[key])
            elsewhere = {k: f"{key} {e.name!r}" for e in entries.values() for k in e.defaults}
        _fill(base[key], value, known[key], key, layer, elsewhere)


def _everywhere(
    stages: dict[str, dict[str, Any]],
    key: str,
    value: Any,
    known: Mapping[str, Mapping[str, Any]],
    layer: Layer,
) -> None:
    """`trainer.KEY=VALUE`: the key of every stage that has it."""
    having = [stage for stage in stages if key in known[stage]]
    if not having and layer.strict:
        keys = sorted({k for table in known.values() for k in table} - {"enabled"})
        raise ConfigError(
            f"{layer.source}: no stage of the method has a key {key!r}"
            f"{suggest(key, [*stages, *keys])} its stages: {', '.join(stages) or 'none'}"
        )
    for stage in having:
        _fill(stages[stage], {key: value}, known[stage], f"trainer.{stage}", layer, {})


def _fill(
    table: dict[str, Any],
    values: Mapping[str, Any],
    known: Mapping[str, Any],
    path: str,
    layer: Layer,
    elsewhere: Mapping[str, str],
) -> None:
    for key, value in values.items():
        where = f"{path}.{key}"
        if key not in known:
            if layer.shipped or (key in elsewhere and not layer.strict):
                continue  # meant for a component that was swapped for another
            owner = f" ({elsewhere[key]} has it)" if key in elsewhere else ""
            raise ConfigError(
                f"{layer.source}: unknown key {where!r}{owner}{suggest(key, known)} "
                f"keys of {path}: {', '.join(known) or 'none'}"
            )
        default = known[key]
        if isinstance(default, Mapping) and isinstance(value, Mapping):
            if default:
                _fill(table[key], value, default, where, layer, {})
            else:
                table[key] = {**table[key], **{k: _read(v) for k, v in value.items()}}
            continue
        table[key] = _typed(value, default, where, layer.source)


def _typed(value: Any, default: Any, where: str, source: str) -> Any:
    """The value, if it has the default's type; an int may stand where a float is meant."""
    if isinstance(value, Raw):
        value = str(value) if isinstance(default, str) else value.value
    value = _read(value)
    if default is None or (type(value) is type(default)):
        return value
    if isinstance(default, float) and type(value) is int:
        return float(value)
    if isinstance(default, (list, tuple)) and isinstance(value, (list, tuple)):
        return list(value)
    wanted = type(default).__name__
    raise ConfigError(f"{source}: {where} takes {wanted} (default {default!r}), not {value!r}")


def _read(value: Any) -> Any:
    return value.value if isinstance(value, Raw) else _copy(value)


def _check(data: Mapping[str, Any], registry: Registry) -> None:
    """Checks that need more than one key."""
    run, entry = data["run"], registry.environments[data["environment"]]
    run["split"] = run["split"] or entry.default_split
    if run["split"] not in entry.splits:
        raise UsageError(
            f"unknown split {run['split']!r} of {entry.name}{suggest(run['split'], entry.splits)} "
            f"splits: {', '.join(entry.splits)}"
        )
    for key, least in (("seeds", 1), ("tasks", 0), ("max_steps", 0)):
        if run[key] < least:
            raise ConfigError(f"run.{key} is at least {least}, not {run[key]}")
    for key, least in (("attempts", 1), ("extra_steps", 0), ("extra_tokens", 0)):
        if data["score"][key] < least:
            raise ConfigError(f"score.{key} is at least {least}, not {data['score'][key]}")
    share = data["score"]["show"]
    if share is not None:
        number = isinstance(share, (int, float)) and not isinstance(share, bool)
        if not number or not 0 < share < 1:
            raise ConfigError(f"score.show is {share!r}; it lies between 0 and 1, without the ends")
        if data["score"]["attempts"] > 1:
            raise ConfigError("score.show and score.attempts > 1 do not go together")
    if data["score"]["chunk"] < 1:
        raise ConfigError(f"score.chunk is at least 1, not {data['score']['chunk']}")
    for key in WITH_MODEL:
        name, model = data[key]["name"], data[key]["model"]
        if not name:
            continue
        takes = getattr(registry, NAMED[key])[name].takes_model
        if takes is True and not model:
            raise UsageError(f"{key} {name!r} needs a model: --{key} {name}:MODEL")
        if not takes and model and "model" not in getattr(registry, NAMED[key])[name].defaults:
            raise UsageError(f"{key} {name!r} takes no model; use --{key} {name}")


def _copy(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _copy(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_copy(item) for item in value]
    return value


def _strip(value: Any) -> Any:
    """Leave out None, which TOML cannot hold."""
    if isinstance(value, Mapping):
        return {key: _strip(item) for key, item in value.items() if item is not None}
    return value


def flat(table: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Nested tables as one, with dotted keys."""
    out: dict[str, Any] = {}
    for key, value in table.items():
        if isinstance(value, Mapping):
            out |= flat(value, f"{prefix}{key}.")
        else:
            out[prefix + key] = value
    return out
