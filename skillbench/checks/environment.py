"""Conformance of environments (skillbench.Environment)."""

from __future__ import annotations

import asyncio
import math
import random
from collections.abc import Iterator, Sequence
from typing import Any

from ..agent import Agent
from ..errors import DataError, SkillbenchError, UsageError
from ..lazy import describe
from ..records import Task
from .hostile import TEXTS
from .kit import NotApplicable, Subject, Unfit, conformance, made, need, refusing

FEW = 4  # tasks tried of a split
TURNS = 12  # of a random trial
LARGEST = 1 << 20  # characters of one observation
REPEATS = "a run could not be repeated, resumed or replayed"


def new(subject: Subject) -> Any:
    """A fresh instance."""
    return made(subject, lambda: subject.entry.load()(**subject.table()))


def playable(subject: Subject) -> Iterator[tuple[str, list[Task]]]:
    """Each split whose data are on this machine, with its tasks. NotApplicable without one."""
    count, reason = 0, ""
    for split in subject.entry.splits:
        try:
            tasks = list(new(subject).tasks(split))
        except DataError as error:
            reason = str(error)
            continue
        count += 1
        yield split, tasks
    if not count:
        raise NotApplicable(f"no split has its data on this machine: {reason}")


def some(subject: Subject) -> list[Task]:
    """A few tasks of the first split that can be played, spread over it."""
    for _, tasks in playable(subject):
        if tasks:
            return tasks[:: max(1, len(tasks) // FEW)][:FEW]
    raise NotApplicable("no split has a task")


def start(environment: Any, task: Task, seed: int = 7) -> tuple[str, dict[str, Any]]:
    return environment.reset(seed=seed, options={"task": task.id})


def commands(info: dict[str, Any]) -> Sequence[str]:
    return info.get("admissible") or ("look", "help", "1")


def script(environment: Any, task: Task, seed: int = 0, turns: int = TURNS) -> list[str]:
    """Draw commands while playing; the commands."""
    rng, actions = random.Random(seed), []
    _, info = start(environment, task)
    for _ in range(turns):
        actions.append(rng.choice(list(commands(info))))
        _, _, terminated, truncated, info = environment.step(actions[-1])
        if terminated or truncated:
            break
    return actions


def played(environment: Any, task: Task, actions: Sequence[str]) -> list[Any]:
    """Everything that an environment says when it is played with these commands."""
    text, info = start(environment, task)
    seen: list[Any] = [(text, visible(info))]
    for action in actions:
        text, reward, terminated, truncated, info = environment.step(action)
        seen.append((text, reward, terminated, truncated, visible(info)))
    return seen


def visible(info: dict[str, Any]) -> dict[str, Any]:
    return {k: info.get(k) for k in ("success", "score", "admissible", "invalid_action")}


def difference(one: Sequence[Any], two: Sequence[Any]) -> str:
    for number, (a, b) in enumerate(zip(one, two)):
        if a != b:
            pairs = [(x, y) for x, y in zip(a, b) if x != y]
            return f"turn {number}: {str(pairs[0][0])[:120]!r} against {str(pairs[0][1])[:120]!r}"
    return f"{len(one)} turns against {len(two)}"


@conformance("environment")
def splits_are_stable_and_apart(subject: Subject) -> None:
    seen: dict[str, str] = {}
    for split, tasks in playable(subject):
        need(
            tasks,
            f"split {split!r} has no task",
            why="a registered split that is empty cannot be scored",
            mend="list its tasks in `tasks`, or leave it out of `splits` when registering",
        )
        ids = [task.id for task in tasks]
        need(
            len(set(ids)) == len(ids),
            f"split {split!r} has two tasks with the id {max(ids, key=ids.count)!r}",
            why="each task is scored exactly once; two with one id cannot be told apart",
            mend="give every task of a split its own id",
        )
        wrong = [t for t in tasks if t.split != split]
        need(
            not wrong,
            f"tasks({split!r}) lists {wrong and wrong[0].id!r} of split "
            f"{wrong and wrong[0].split!r}",
            why="what may be learned from is decided by Task.split",
            mend="set Task.split to the split that was asked for",
        )
        need(
            all(isinstance(t.goal, str) and isinstance(t.task_type, str) for t in tasks),
            f"a task of {split!r} has a goal or a task_type that is no text",
            why="reports, memories and panels group by them",
            mend="use strings (one constant task_type where there are no types)",
        )
        for _ in range(2):
            again = [task.id for task in new(subject).tasks(split)]
            need(
                again == ids,
                f"tasks({split!r}) lists other tasks, or another order, when asked again",
                why="panels are ordered lists of task ids; " + REPEATS,
                mend="sort the tasks, and draw nothing at random without a fixed seed",
            )
        for task in ids:
            other = seen.setdefault(task, split)
            need(
                "train" not in (other, split) or other == split,
                f"task {task!r} is in {other!r} and in {split!r}",
                why="a method would be scored on what it was trained on",
                mend="make the train split disjoint from the others, by id",
            )


@conformance("environment")
def unknown_splits_and_tasks_are_refused(subject: Subject) -> None:
    with refusing(
        SkillbenchError,
        "the unknown split 'no-such-split'",
        why="a misspelt --split would score something else without a word",
        mend="raise skillbench.errors.unknown_name('split', split, SPLITS) in `tasks`",
    ):
        new(subject).tasks("no-such-split")
    some(subject)
    with refusing(
        SkillbenchError,
        "the unknown task 'no/such-task'",
        why="scores would count for a task that was not played",
        mend="raise UsageError in `reset` for an id that no split lists",
    ):
        new(subject).reset(seed=0, options={"task": "no/such-task"})


@conformance("environment")
def fingerprints_tell_splits_apart(subject: Subject) -> None:
    prints = {}
    for split, _ in playable(subject):
        first, again = new(subject).fingerprint(split), new(subject).fingerprint(split)
        need(
            isinstance(first, str) and first and first == again,
            f"fingerprint({split!r}) is {first!r}, then {again!r}",
            why="a panel is valid only for the data that it was made from",
            mend="return a digest over whatever decides what the tasks are; no times, no paths",
        )
        prints[split] = first
    need(
        len(set(prints.values())) == len(prints),
        f"two splits have one fingerprint: {prints}",
        why="results on different data would look comparable",
        mend="let the split take part in the digest",
    )


@conformance("environment")
def reset_and_step_keep_their_types(subject: Subject) -> None:
    for task in some(subject):
        environment = new(subject)
        text, info = start(environment, task)
        _observation(text, info, "reset")
        need(
            not info.get("success"),
            f"{task.id!r} counts as solved before the first action",
            why="every policy would score 100 %",
            mend="set info['success'] only when the goal is reached",
        )
        for action in (commands(info)[0], "a command that is none"):
            text, reward, terminated, truncated, info = environment.step(action)
            _observation(text, info, "step")
            fine = not isinstance(reward, complex) and math.isfinite(float(reward))
            need(
                fine and isinstance(terminated, bool) and isinstance(truncated, bool),
                f"step gave reward {reward!r}, terminated {terminated!r}, truncated {truncated!r}",
                why="trainers read them",
                mend="return (text, float, bool, bool, info)",
            )
            if terminated or truncated:
                break
    limit = getattr(new(subject), "max_steps", None)
    need(
        isinstance(limit, int) and limit > 0,
        f"max_steps is {limit!r}",
        why="it ends episodes that lead nowhere",
        mend="set the class attribute max_steps to a positive number",
    )


def _observation(text: Any, info: Any, where: str) -> None:
    need(
        isinstance(text, str) and len(text) <= LARGEST and isinstance(info, dict),
        f"{where} gave {type(text).__name__} and {type(info).__name__}"
        + (f" of {len(text)} characters" if isinstance(text, str) else ""),
        why="observations are shown to a model and stored",
        mend=f"return a string of at most {LARGEST} characters and a dict",
    )
    success, score = info.get("success"), info.get("score", 0.0)
    need(
        isinstance(success, bool),
        f"{where}: info['success'] is {success!r}",
        why="it alone decides what is a success; an episode that is over is not one",
        mend="set info['success'] to True or False at every step",
    )
    need(
        isinstance(score, int | float) and 0 <= score <= 1,
        f"{where}: info['score'] is {score!r}",
        why="scores of environments are averaged and compared in [0, 1]",
        mend="scale it into [0, 1], or leave it out",
    )
    listed = info.get("admissible")
    fine = listed is None or (
        not isinstance(listed, str) and len(listed) > 0 and all(isinstance(c, str) for c in listed)
    )
    need(
        fine,
        f"{where}: info['admissible'] is {str(listed)[:80]!r}",
        why="prompts list the commands and the random baseline draws from them",
        mend="give a non-empty list of commands, or None where commands are free text",
    )


@conformance("environment")
def same_task_seed_and_actions_give_the_same_texts(subject: Subject) -> None:
    for task in some(subject):
        actions = script(new(subject), task)
        one, two = (played(new(subject), task, actions) for _ in range(2))
        need(
            one == two,
            f"{task.id!r} played twice differs at {difference(one, two)}",
            why=REPEATS,
            mend="draw everything from the seed given to reset (or fix it), sort sets and "
            "directory listings, and use no clock",
        )


@conformance("environment")
def reset_forgets_the_last_episode(subject: Subject) -> None:
    tasks = some(subject)
    environment = new(subject)
    for task in tasks:
        actions = script(new(subject), task)
        fresh = played(new(subject), task, actions)
        script(environment, tasks[0], seed=5)
        used = played(environment, task, actions)
        need(
            fresh == used,
            f"{task.id!r} after another episode in the same instance differs at "
            f"{difference(fresh, used)}",
            why="what an episode did must not reach the next one",
            mend="set every attribute of an episode anew in `reset`",
        )


@conformance("environment")
def live_instances_do_not_touch_each_other(subject: Subject) -> None:
    tasks = some(subject)
    scripts = [script(new(subject), task, seed=i) for i, task in enumerate(tasks)]
    alone = [played(new(subject), task, actions) for task, actions in zip(tasks, scripts)]
    worlds = [new(subject) for _ in tasks]
    together: list[list[Any]] = []
    for world, task in zip(worlds, tasks):
        text, info = start(world, task)
        together.append([(text, visible(info))])
    for turn in range(TURNS):
        for world, actions, seen in zip(worlds, scripts, together):
            if turn < len(actions):
                text, reward, terminated, truncated, info = world.step(actions[turn])
                seen.append((text, reward, terminated, truncated, visible(info)))
    for task, one, two in zip(tasks, alone, together):
        need(
            one == two,
            f"{task.id!r} played beside others differs at {difference(one, two)}",
            why="the harness keeps one instance per live episode, all in one process",
            mend="keep the state of an episode in `self`, not in the class or the module",
        )


@conformance("environment")
def hostile_actions_are_answered(subject: Subject) -> None:
    task = some(subject)[0]
    environment = new(subject)
    start(environment, task)
    for text in TEXTS:
        try:
            answer, _, terminated, truncated, info = environment.step(text)
        except Exception as error:
            raise Unfit(
                f"the action {text[:40]!r} raised {describe(error)}",
                why="a model may write anything; an exception makes the episode invalid instead "
                "of a failed step",
                mend="answer any string with a text, and set info['invalid_action'] = True",
            ) from error
        _observation(answer, info, f"the action {text[:40]!r}")
        need(
            not info["success"],
            f"the action {text[:40]!r} solves {task.id!r}",
            why="a task that anything solves measures nothing",
            mend="compare actions exactly",
        )
        if terminated or truncated:
            start(environment, task)


@conformance("environment")
def the_expert_solves_tasks(subject: Subject) -> None:
    environment, wins, tried = new(subject), 0, 0
    for task in some(subject):
        plan = environment.expert(task)
        if plan is None:
            raise NotApplicable("it has no expert")
        tried += 1
        _, info = start(environment, task)
        for action in plan:
            _, _, terminated, truncated, info = environment.step(action)
            if terminated or truncated:
                break
        wins += bool(info.get("success"))
    need(
        wins == tried,
        f"the expert solves {wins} of {tried} tasks",
        why="a task that full knowledge cannot solve lowers every score by the same amount",
        mend="mend `expert`, or drop tasks that cannot be solved from the split",
    )


@conformance("environment")
def random_play_ends_and_does_not_solve_everything(subject: Subject) -> None:
    wins, tasks = 0, some(subject)
    for task in tasks:
        environment = new(subject)
        limit = environment.max_steps
        _, info = start(environment, task)
        if not info.get("admissible"):
            raise NotApplicable("commands are free text: there is no random player")
        rng = random.Random(task.id)
        for _ in range(limit):
            _, _, terminated, truncated, info = environment.step(rng.choice(info["admissible"]))
            if terminated or truncated:
                break
        wins += bool(info.get("success"))
    need(
        wins < len(tasks) or len(tasks) < FEW,
        f"random commands solve {wins} of {len(tasks)} tasks",
        why="a benchmark whose floor is its ceiling tells no two policies apart",
        mend="is info['success'] set where an episode is merely over? Else make tasks harder",
    )


@conformance("environment")
def the_loop_plays_it_alone_and_together_alike(subject: Subject) -> None:
    from ..rollout import Loop, Slot, play
    from ..session import Blank
    from .world import KitPlayer

    tasks = some(subject)
    player = KitPlayer()  # where commands are free text, it says what nobody understands
    loop = Loop(
        agent=Agent.make({}, "compact", temperature=0.4, top_p=1.0),
        policy=player,
        memory=Blank(),
        make_environment=lambda: new(subject),
        retries=0,
    )

    def outcome(tasks: Sequence[Task]) -> list[Any]:
        episodes = asyncio.run(play([Slot(t, 0, "score") for t in tasks], loop))
        return [(e.task.id, e.outcome, [s.action for s in e.steps], e.error) for e in episodes]

    together = outcome(tasks)
    alone = [row for task in tasks for row in outcome([task])]
    bad = [row for row in together if row[1] == "invalid"]
    need(
        not bad,
        f"the loop could not play {bad and bad[0][0]!r}: {bad and bad[0][3]}",
        why="invalid episodes make a result that cannot be ranked",
        mend="answer every string with the five values of `step`",
    )
    need(
        together == alone,
        "episodes end otherwise when others are live beside them",
        why="the size of a batch would change the score",
        mend="keep the state of an episode in `self`",
    )


@conformance("environment")
def closing_twice_is_harmless(subject: Subject) -> None:
    environment = new(subject)
    try:
        start(environment, some(subject)[0])
    except UsageError as error:
        raise NotApplicable(str(error)) from error
    environment.close()
    environment.close()
