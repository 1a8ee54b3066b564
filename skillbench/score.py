"""Scoring: every panel task exactly once per seed and arm, in fixed chunks.

An arm is the method (frozen weights and memory) or the baseline (the same policy untouched, with no
memory). Both get the same seeds, so that they differ in nothing else. A chunk that was interrupted
is played again whole, since the composition of batches may change the last digits of a model's
answers; only what is missing is recorded. A policy that streams has no batches to keep: it plays
what is missing of all chunks, as many episodes at a time as a chunk has, without waiting for the
last one of each. A shard (shards.py) scores its share alone.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from .askers import streams
from .learn import close, load_memory
from .panel import Panel
from .records import TOKEN_FIELDS, Completion, Episode, Task, to_json
from .rollout import Slot
from .session import Blank, Session, panel_tasks
from .showing import by_chance

METHOD, BASELINE = "method", "baseline"
LEDGER = {METHOD: "score", BASELINE: "baseline"}
SEED_PHASE = "score"


class Scoring:
    """Scores arms into episodes.jsonl, from where an earlier process left off."""

    def __init__(
        self, session: Session, panel: Panel, share: Mapping[int, set[str]] | None = None
    ) -> None:
        self.session, self.panel, self.share = session, panel, share
        run = session.run
        self.done = {
            (line["arm"], line["seed"], line["task"]["id"]): bool(line["success"])
            for line in run.read("episodes.jsonl")
        }
        self.tally: dict[tuple[str, int], tuple[int, int]] = {}  # (solved, played) so far
        for (arm, seed, _), won in self.done.items():
            self._count(arm, seed, won)
        self.recorded = {
            (line["arm"], line["seed"], line["task"]) for line in run.read("completions.jsonl")
        }

    def chunks(self, seed: int) -> list[list[Task]]:
        """The tasks to score with a seed, in chunks of fixed composition."""
        chunks = panel_tasks(self.panel, self.session.config["score"]["chunk"])
        if self.share is None:
            return chunks
        mine = self.share.get(seed, set())
        cut = [[task for task in chunk if task.id in mine] for chunk in chunks]
        return [chunk for chunk in cut if chunk]

    def complete(self, arm: str, seed: int) -> bool:
        """Whether all tasks of an arm are on disk."""
        return all((arm, seed, task.id) in self.done for c in self.chunks(seed) for task in c)

    def method(self, seed: int, frozen: dict[str, Any]) -> None:
        """Score what was learned."""
        if self.complete(METHOD, seed):
            return
        run = self.session.run
        policy = self.session.policy(run.path / frozen["weights"] if frozen["weights"] else None)
        memory = load_memory(self.session, seed, run.path / f"learn/{seed}/memory/frozen")
        memory.freeze()
        try:
            shown = by_chance(memory, self.session.config["score"], seed)
            self._arm(METHOD, seed, policy, shown, self.session.config["method"])
        finally:
            close(memory)

    def baseline(self, seed: int) -> None:
        """Score the same policy without the method."""
        shared = self.session.shared
        if shared is not None and not self.complete(BASELINE, seed):
            for line in shared.take_baseline(self.session, seed):
                self.done[line["arm"], seed, line["task"]["id"]] = bool(line["success"])
        if not self.complete(BASELINE, seed):
            self._arm(BASELINE, seed, self.session.policy(), Blank(), "baseline")
        if shared is not None:
            shared.offer_baseline(self.session, seed)

    def _arm(self, arm: str, seed: int, policy: Any, memory: Any, title: str) -> None:
        with self.session.metered(LEDGER[arm], seed=seed):
            self._play(arm, seed, policy, memory, title)

    def _play(self, arm: str, seed: int, policy: Any, memory: Any, title: str) -> None:
        session = self.session
        table = session.config["score"]
        chunks = self._batches(arm, seed, policy)
        session.reporter.start(
            f"seed {seed}: score {title}" if arm == METHOD else f"seed {seed}: score the baseline",
            total=sum(map(len, chunks)),
        )
        lines = session.run.lines("episodes.jsonl")
        scripts = session.run.lines("completions.jsonl") if table["record"] else None

        def on_episode(slot: Slot, episode: Episode, answers: list[Completion]) -> None:
            key = (arm, seed, slot.task.id)
            if key in self.done:
                return
            # The record goes first: an episode on disk has its completions on disk.
            if scripts is not None and key not in self.recorded:
                scripts.append(_script(arm, seed, slot, episode, answers))
                self.recorded.add(key)
            line = {"arm": arm, "env_seed": slot.episode_seed}
            lines.append(line | to_json(episode, omit=TOKEN_FIELDS))
            self.done[key] = episode.success
            self._count(arm, seed, episode.success)
            session.reporter.advance(1, success=self._running(arm, seed))
            session.notify("skillbench_episode_end", run=session.info, episode=episode)
            if len(self.done) % table["chunk"] == 0:
                session.run.sync()

        for chunk in chunks:
            have = sum((arm, seed, task.id) in self.done for task in chunk)
            if have == len(chunk):
                session.reporter.advance(have, success=self._running(arm, seed))
                continue
            session.reporter.advance(have)
            session.play(
                [Slot(task, seed, SEED_PHASE) for task in chunk],
                agent=session.agent(getattr(policy, "style", ""), table),
                policy=policy,
                memory=memory,
                phase=LEDGER[arm],
                on_episode=on_episode,
                live=table["chunk"],
                seed=seed,
                **(session.beyond if arm == METHOD else {}),
            )
            session.run.sync()

    def _batches(self, arm: str, seed: int, policy: Any) -> list[list[Task]]:
        """Tasks that are asked for together: whole chunks, or what is on disk and what is not."""
        chunks = self.chunks(seed)
        if not streams(policy):
            return chunks
        tasks = [task for chunk in chunks for task in chunk]
        have = [task for task in tasks if (arm, seed, task.id) in self.done]
        missing = [task for task in tasks if (arm, seed, task.id) not in self.done]
        return [part for part in (have, missing) if part]

    def _running(self, arm: str, seed: int) -> float:
        won, known = self.tally.get((arm, seed), (0, 0))
        return won / known if known else 0.0

    def _count(self, arm: str, seed: int, won: bool) -> None:
        wins, known = self.tally.get((arm, seed), (0, 0))
        self.tally[arm, seed] = (wins + won, known + 1)


def _script(
    arm: str, seed: int, slot: Slot, episode: Episode, answers: list[Completion]
) -> dict[str, Any]:
    """What a replay needs: the answers of the episode's last attempt, in order."""
    return {
        "arm": arm,
        "seed": seed,
        "task": slot.task.id,
        "attempt": episode.attempt,
        "completions": [
            {
                "text": answer.text,
                "finish": answer.finish_reason,
                "model": answer.model,
                "in": answer.usage.input_tokens,
                "cached": answer.usage.cached_tokens,
                "out": answer.usage.output_tokens,
            }
            for answer in answers
        ],
    }
