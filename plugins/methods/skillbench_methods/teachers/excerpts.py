"""Which episodes a prompt shows, and how."""

from __future__ import annotations

from collections.abc import Sequence

from skillbench.records import Episode


def spread(episodes: Sequence[Episode], n: int) -> list[Episode]:
    """Up to `n` episodes: task types in turn, solved and failed in turn, tasks before repeats."""
    queues: list[list[Episode]] = []
    for task_type in sorted({e.task.task_type for e in episodes}):
        mine = [e for e in episodes if e.task.task_type == task_type]
        solved = _tasks_first([e for e in mine if e.success])
        failed = _tasks_first([e for e in mine if not e.success])
        queue = []
        for i in range(max(len(solved), len(failed))):
            queue += solved[i : i + 1] + failed[i : i + 1]
        queues.append(queue)
    picked: list[Episode] = []
    while len(picked) < n and any(queues):
        for queue in queues:
            if queue and len(picked) < n:
                picked.append(queue.pop(0))
    return picked


def _tasks_first(episodes: Sequence[Episode]) -> list[Episode]:
    seen: dict[str, int] = {}
    ranked = []
    for e in episodes:
        ranked.append((seen.get(e.task.id, 0), e))
        seen[e.task.id] = seen.get(e.task.id, 0) + 1
    return [e for _, e in sorted(ranked, key=lambda pair: pair[0])]


def render(episode: Episode, number: int, steps: int) -> str:
    """An episode as text: the task, how it ended, and its last steps."""
    lines = [
        f"Episode {number}. Task ({episode.task.task_type}): {episode.task.goal}",
        "It was solved." if episode.success else "It failed.",
    ]
    after = [s.observation for s in episode.steps[1:]] + [episode.final_observation]
    skipped = max(0, len(episode.steps) - steps)
    if skipped:
        lines.append(f"({skipped} earlier steps are left out.)")
    for i, (s, seen) in enumerate(zip(episode.steps, after), 1):
        if i > skipped:
            note = "" if s.valid else " (not a valid action)"
            lines.append(f"{i}. {s.action}{note} -> {' '.join(seen.split())[:240]}")
    return "\n".join(lines)
