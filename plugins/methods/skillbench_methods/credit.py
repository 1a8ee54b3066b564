"""From episodes to training rows: rewards, and the advantage of each step within its group.

The reward of an episode is success (1 or 0) minus `invalid_penalty` times the share of invalid
actions; its steps' rewards sum up to it. `estimator` says how returns become advantages:

`grpo`, `rloo`  one value per episode; with `discount` < 1 one per step, from its return to go,
                compared with all steps of the group
`gigpo`         episode advantages plus those among steps that began at the same observation
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from skillbench.errors import ConfigError, suggest
from skillbench.records import Episode

from . import advantages
from .rows import Row, episode_rows

KNOWN = (*advantages.ESTIMATORS, "gigpo")


def training_rows(
    episodes: Sequence[Episode],
    config: Mapping[str, Any],
    bonus: Sequence[float] | None = None,
) -> tuple[list[Row], dict[str, Any]]:
    """Rows with advantages of the groups that carry a gradient, and the counts.

    Episodes of one task are a group, wherever they stand; some may have been lost as invalid.
    `bonus` is added to the reward of each episode.
    """
    groups: dict[str, list[int]] = {}
    for i, e in enumerate(episodes):
        groups.setdefault(e.task.id, []).append(i)
    shape: dict[str, Any] = {
        "max_tokens": int(config["max_row_tokens"]),
        "form": str(config["rows"]),
    }
    plain = [episode_rows(e, **shape) for e in episodes]
    penalty = float(config["invalid_penalty"])
    extra = list(bonus) if bonus is not None else [0.0] * len(episodes)
    rewards = [step_rewards(e, penalty, b) for e, b in zip(episodes, extra)]
    values = step_advantages(episodes, rewards, [len(p) for p in plain], groups, config)
    rows: list[Row] = []
    kept = 0
    for g, members in enumerate(groups.values()):
        kept += any(any(values[i]) for i in members)
        for i in members:
            if any(values[i]):
                rows += episode_rows(episodes[i], values[i], index=i, group=g, **shape)
    played = [s for e in episodes for s in e.steps if s.token_ids]
    return rows, {
        "reward": sum(map(sum, rewards)) / len(rewards) if rewards else 0.0,
        "kept_groups": kept,
        "dropped_groups": len(groups) - kept,
        "rows_per_episode": sum(map(len, plain)) / len(plain) if plain else 0.0,
        "response_tokens": sum(len(s.token_ids or ()) for s in played) / len(played)
        if played
        else 0.0,
    }


def step_advantages(
    episodes: Sequence[Episode],
    rewards: Sequence[Sequence[float]],
    rows: Sequence[int],
    groups: Mapping[str, Sequence[int]],
    config: Mapping[str, Any],
) -> list[list[float]]:
    """One advantage for each step of each episode. Raises ConfigError for an unknown estimator."""
    estimator, discount = str(config["estimator"]), float(config["discount"])
    if estimator not in KNOWN:
        raise ConfigError(
            f"trainer.grpo.estimator is {estimator!r}{suggest(estimator, KNOWN)} "
            f"known: {', '.join(KNOWN)}"
        )
    stats = str(config["advantage_stats"])
    counts = rows if stats == "rows" else [len(e.steps) for e in episodes]
    common: dict[str, Any] = {"stats": stats, "singleton": config["singleton"]}
    if estimator != "rloo":
        common |= {k: config[k] for k in ("normalise", "std_eps", "std_floor")}
    out: list[list[float]] = [[] for _ in episodes]
    for members in groups.values():
        mine = [rewards[i] for i in members]
        if estimator == "gigpo":
            found = advantages.gigpo(
                mine,
                [[s.observation for s in episodes[i].steps] for i in members],
                discount=discount,
                step_weight=float(config["step_weight"]),
                similarity=float(config["anchor_similarity"]),
                sizes=[counts[i] for i in members],
                **common,
            )
        elif discount < 1.0:
            goes = [advantages.returns_to_go(r, discount) for r in mine]
            flat = [g for row in goes for g in row]
            options = {**common, "stats": "episodes"}  # every step counts once already
            (values,) = advantages.by_group([flat], estimator=estimator, **options).values
            found, at = [], 0
            for row in goes:
                found.append(list(values[at : at + len(row)]))
                at += len(row)
        else:
            (values,) = advantages.by_group(
                [[sum(r) for r in mine]],
                estimator=estimator,
                sizes=[[counts[i] for i in members]],
                **common,
            ).values
            found = [[v] * len(r) for v, r in zip(values, mine)]
        for i, row in zip(members, found):
            out[i] = row
    return out


def step_rewards(episode: Episode, invalid_penalty: float, bonus: float = 0.0) -> list[float]:
    """The reward of each step: a share of the penalty where it was invalid; success at the end."""
    n = max(1, len(episode.steps))
    out = [-invalid_penalty / n * (not s.valid) for s in episode.steps]
    if out:
        out[-1] += float(episode.success) + bonus
    return out


def reward(episode: Episode, invalid_penalty: float) -> float:
    """Success minus `invalid_penalty` times the share of steps that were not valid actions."""
    invalid = sum(not s.valid for s in episode.steps) / max(1, len(episode.steps))
    return float(episode.success) - invalid_penalty * invalid
