"""What the skill bank can be told, with defaults, checked once when the memory is made.

The defaults of retrieval are those of SkillRL (arXiv:2602.08234): six general skills, up to six of
the task's type, five mistakes, and 0.4 as the least similarity of a retrieved skill (Eq. 4).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any

from skillbench.errors import ConfigError, suggest

RETRIEVALS = ("template", "text", "embedding")


@dataclass(frozen=True)
class Settings:
    """The `memory` table of a run's configuration."""

    retrieval: str = "template"  # by task type | LanceDB full-text search | embedding similarity
    top_k: int = 6  # general skills shown at most; 0 = all
    task_top_k: int = 6  # skills of the task's type; 0 = all
    mistakes_top_k: int = 5  # lessons from failures; 0 = all
    threshold: float = 0.4  # least cosine similarity of a task skill (retrieval=embedding)
    embedding_model: str = ""  # "" = the packaged MiniLM, where embeddings are asked for at all
    dedup_threshold: float = 0.92  # at or above this similarity a new skill is a duplicate
    max_skills: int = 64  # entries at most (0: no limit); the least useful go first
    max_new: int = 3  # new skills per later update, unless the caller says otherwise
    import_path: str = ""  # a bank to start from: a snapshot of ours, or SkillRL's JSON
    holdout: float = 0.1  # share of (train task, skill) pairs not shown, to measure utility
    prune_min_shown: int = 20  # episodes that must have shown a skill before it can be pruned
    prune_margin: float = 0.1  # success it must cost at least to be pruned
    directory: str = ""  # where the LanceDB table lies; "" = a temporary directory

    @classmethod
    def from_config(cls, config: Mapping[str, Any]) -> Settings:
        """Read a `memory` table (`name` is ignored). Raises ConfigError on a bad key or value."""
        known = {f.name: f for f in fields(cls)}
        values: dict[str, Any] = {}
        for key, value in config.items():
            if key == "name":
                continue
            if key not in known:
                raise ConfigError(
                    f"unknown key memory.{key}{suggest(key, known)} known: {', '.join(known)}"
                )
            values[key] = _checked(key, value, type(known[key].default))
        settings = cls(**values)
        if settings.retrieval not in RETRIEVALS:
            raise ConfigError(
                f"memory.retrieval is {settings.retrieval!r}"
                f"{suggest(settings.retrieval, RETRIEVALS)} known: {', '.join(RETRIEVALS)}"
            )
        for key in ("threshold", "dedup_threshold", "holdout", "prune_margin"):
            if not 0 <= getattr(settings, key) <= 1:
                raise ConfigError(f"memory.{key} is {getattr(settings, key)}; it lies in [0, 1]")
        return settings

    @property
    def embeds(self) -> bool:
        """Whether this configuration uses an embedding model.

        It depends on the configuration alone, never on what happens to be installed: the same
        configuration must give the same bank on every machine.
        """
        return self.retrieval == "embedding" or bool(self.embedding_model)


def _checked(key: str, value: Any, kind: type) -> Any:
    if kind is float and isinstance(value, int) and not isinstance(value, bool):
        value = float(value)
    if not isinstance(value, kind) or (isinstance(value, bool) and kind is not bool):
        raise ConfigError(f"memory.{key} is {value!r}; it takes a value of type {kind.__name__}")
    if kind is int and isinstance(value, int) and value < 0:
        raise ConfigError(f"memory.{key} is {value}; it cannot be negative")
    return value


DEFAULTS: Mapping[str, Any] = asdict(Settings())
