"""Conformance of policies (skillbench.protocols.Policy)."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Sequence
from typing import Any

from ..agent import load_style
from ..errors import PolicyError, SkillbenchError, UsageError
from ..lazy import describe
from ..records import Completion, Message, Request, SamplingParams, Task
from .hostile import TEXTS
from .kit import NotApplicable, Subject, Unfit, conformance, made, need
from .world import NAME, KitWorld

MEMBERS = ("generate", "release", "close")
WEIGHTS = ("model", "tokenizer", "sync", "save", "load")
LONGEST = (
    2000  # characters of a hostile observation: longer ones are `agent.observation_chars`' task
)
UNSAFE = (".bin", ".pt", ".pth", ".pkl", ".pickle", ".ckpt", ".joblib", ".npy")


def new(subject: Subject) -> Any:
    """A fresh instance. NotApplicable where it needs a model, a key or a package."""
    entry = subject.entry
    if entry.takes_model is True and not subject.model:
        raise NotApplicable(f"it needs a model: give --model for {subject.name}:MODEL")
    return made(subject, lambda: entry.load()(subject.model or None, subject.table()))


def requests(subject: Subject, n: int = 4, *, live: str = "a", text: str = "") -> list[Request]:
    """First requests of `n` episodes of the kit's world, or of the environment that was given."""
    name = subject.environment or NAME
    if name == NAME:
        world: Any = KitWorld()
        tasks = world.tasks("train")[:n]
    else:
        entry = subject.registry.environments[name]
        world = entry.load()(**entry.defaults)
        tasks = world.tasks(entry.splits[0])[:n]
    return [_request(world, task, f"{live}/{i}", text, 11 + i) for i, task in enumerate(tasks)]


def _request(world: Any, task: Task, episode_id: str, text: str, seed: int) -> Request:
    seen, info = world.reset(seed=1, options={"task": task.id})
    admissible = info.get("admissible")
    messages: tuple[Message, ...] = (
        {"role": "system", "content": world.instructions},
        {"role": "user", "content": text or seen},
    )
    params = SamplingParams(temperature=0.7, max_tokens=16, seed=seed)
    shown = None if admissible is None else tuple(admissible)
    return Request(episode_id, 0, messages, params, shown, task)


def ask(policy: Any, batch: Sequence[Request]) -> list[Any]:
    """The answers. NotApplicable where the policy says that this is no place for it."""
    try:
        return list(asyncio.run(policy.generate(batch)))
    except UsageError as error:
        raise NotApplicable(
            f"it cannot play here: {error} (choose another place with --env)"
        ) from error


def texts(answers: Sequence[Any]) -> list[str]:
    """The texts; a PolicyError among them is a server's, not the policy's."""
    for answer in answers:
        if isinstance(answer, PolicyError):
            raise NotApplicable(f"it could not answer: {answer}")
    return [answer.text for answer in answers]


@conformance("policy")
def it_says_what_it_is(subject: Subject) -> None:
    policy = new(subject)
    for member in MEMBERS:
        need(
            callable(getattr(policy, member, None)),
            f"it has no method {member}",
            why="the loop calls it",
            mend="see skillbench.protocols.Policy",
        )
    batching = getattr(policy, "batching", None)
    need(
        batching in ("gather", "stream"),
        f"batching is {batching!r}",
        why="it decides whether requests are handed over as one batch or one by one",
        mend='use "gather" for a model in this process, "stream" for a server',
    )
    concurrency = getattr(policy, "concurrency", None)
    need(
        isinstance(concurrency, int) and concurrency >= 1,
        f"concurrency is {concurrency!r}",
        why="it limits how many requests a server gets at once",
        mend="set it to a positive number",
    )
    try:
        load_style(getattr(policy, "style", ""))
    except SkillbenchError as error:
        raise Unfit(
            f"style: {error}",
            why="it names the prompt layout that the policy reads best",
            mend='use "chat" for an instruct model, "compact" for one trained on bare transcripts',
        ) from error
    flag = bool(getattr(policy, "trainable", False))
    need(
        flag == subject.entry.trainable,
        f"trainable is {flag}, and it was registered with trainable={subject.entry.trainable}",
        why="trainers are refused before anything is spent, by what was registered",
        mend="let both say the same",
    )
    policy.close()


@conformance("policy")
def each_request_gets_its_answer_in_order(subject: Subject) -> None:
    policy = new(subject)
    batch = requests(subject)
    answers = ask(policy, batch)
    fine = len(answers) == len(batch) and all(
        isinstance(a, Completion | PolicyError) for a in answers
    )
    need(
        fine,
        f"{len(batch)} requests got {len(answers)} answers: {[type(a).__name__ for a in answers]}",
        why="an answer that is missing or of another type makes its whole batch invalid",
        mend="return one Completion per request, or a PolicyError in the place of one that failed",
    )
    for answer in answers:
        if isinstance(answer, PolicyError):
            continue
        usage = answer.usage
        need(
            isinstance(answer.text, str) and usage.calls >= 1,
            f"an answer has the text {answer.text!r} and usage.calls {usage.calls}",
            why="costs are counted from the usage of completions",
            mend="set Completion(text=str, usage=Usage(calls=1, input_tokens=..., ...))",
        )
        need(
            min(usage.input_tokens, usage.output_tokens, usage.cached_tokens, usage.usd) >= 0
            and usage.cached_tokens <= usage.input_tokens,
            f"usage is {usage}",
            why="costs are counted from it",
            mend="cached tokens are a part of the input tokens; nothing is negative",
        )
    if policy.batching == "gather":
        rest = ask(policy, requests(subject, live="b")[1:])
        need(
            texts(answers)[1:] == texts(rest),
            "without the first request, the other ones get other answers",
            why="an episode would act on the answer that was meant for another",
            mend="return the answers in the order of the requests",
        )
    policy.close()


@conformance("policy")
def a_seed_makes_an_answer_repeatable(subject: Subject) -> None:
    policy = new(subject)
    if policy.batching == "stream":
        raise NotApplicable("what a server answers is not the policy's to promise")
    first = texts(ask(policy, requests(subject, live="a")))
    again = texts(ask(policy, requests(subject, live="b")))
    other = texts(ask(new(subject), requests(subject, live="c")))
    need(
        first == again == other,
        "the same requests with the same seeds get other answers when asked again",
        why="a run could not be resumed or repeated",
        mend="draw from request.params.seed alone, and keep nothing from one episode to the next",
    )
    single = [texts(ask(policy, [r]))[0] for r in requests(subject, live="d")]
    need(
        single == first,
        "a request alone gets another answer than in a batch",
        why="what an episode does would depend on which others are live",
        mend="seed each request by itself; pad so that padding changes nothing",
    )
    policy.close()


@conformance("policy")
def calls_may_overlap(subject: Subject) -> None:
    policy = new(subject)
    batches = [requests(subject, 2, live=f"o{i}") for i in range(3)]

    async def at_once() -> list[Any]:
        return await asyncio.gather(*(policy.generate(batch) for batch in batches))

    try:
        answers = asyncio.run(at_once())
    except UsageError as error:
        raise NotApplicable(f"it cannot play here: {error}") from error
    together = [texts(a) for a in answers]
    if policy.batching == "gather":
        need(
            all(t == together[0] for t in together),
            "calls that overlap change each other's answers",
            why="episodes are asynchronous",
            mend="keep what belongs to a call in local variables",
        )
    policy.close()


@conformance("policy")
def hostile_prompts_are_answered(subject: Subject) -> None:
    policy = new(subject)
    for number, text in enumerate(TEXTS):
        batch = requests(subject, 1, live=f"h{number}", text=text[:LONGEST] or " ")
        try:
            (answer,) = asyncio.run(policy.generate(batch))
        except (UsageError, PolicyError) as error:
            raise NotApplicable(f"it cannot play here: {error}") from error
        except Exception as error:
            raise Unfit(
                f"the observation {text[:40]!r} raised {describe(error)}",
                why="observations come from web pages and models; a raise makes the batch invalid",
                mend="encode with errors='replace' and cut what is too long",
            ) from error
        if isinstance(answer, PolicyError):
            raise NotApplicable(f"it could not answer: {answer}")
        policy.release(f"h{number}/0")
    policy.close()


@conformance("policy")
def letting_go_is_always_allowed(subject: Subject) -> None:
    policy = new(subject)
    policy.release("never/asked")
    batch = requests(subject, 1)
    ask(policy, batch)
    policy.release(batch[0].episode_id)
    policy.release(batch[0].episode_id)
    policy.close()
    policy.close()


@conformance("policy")
def training_gets_tokens_and_safe_weights(subject: Subject) -> None:
    if not subject.entry.trainable:
        raise NotApplicable("it is not trainable")
    policy = new(subject)
    for member in WEIGHTS:
        need(
            callable(getattr(policy, member, None)),
            f"it is registered as trainable and has no method {member}",
            why="trainers use it",
            mend="see skillbench.protocols.TrainablePolicy, or register with trainable=False",
        )
    for answer in ask(policy, requests(subject, 2)):
        if isinstance(answer, PolicyError):
            raise NotApplicable(f"it could not answer: {answer}")
        ids, logs, prompt = answer.token_ids, answer.logprobs, answer.prompt_ids
        need(
            ids and prompt and logs is not None and len(ids) == len(logs),
            "a completion lacks prompt_ids, token_ids or one log-probability per sampled token",
            why="training rows are made of them",
            mend="fill all three",
        )
        need(
            all(math.isfinite(x) and x <= 1e-6 for x in logs or ()),
            "a log-probability is positive or not finite",
            why="they are natural logarithms of the sampler's probabilities",
            mend="log_softmax of the logits that were sampled from",
        )
    before = texts(ask(policy, requests(subject, live="w")))
    folder = subject.folder("weights")
    policy.save(folder)
    unsafe = [p.name for p in folder.rglob("*") if p.suffix in UNSAFE]
    need(
        not unsafe,
        f"save wrote {', '.join(unsafe)}",
        why="pickles run code when they are loaded; checkpoints are shared",
        mend="write safetensors and JSON: save_pretrained(..., safe_serialization=True)",
    )
    other = new(subject)
    other.load(folder)
    need(
        texts(ask(other, requests(subject, live="x"))) == before,
        "weights that were saved and loaded answer otherwise",
        why="what is scored is read back from disk",
        mend="save and load everything that decides an answer",
    )
    policy.close()
    other.close()
