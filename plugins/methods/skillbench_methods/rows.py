"""Training rows: what a policy-gradient step reads, built from episodes that kept their token ids.

A row is `prompt_ids` (what stood before the first sampled token), `response_ids` (everything after
it: sampled tokens and, between turns, what the environment said), a 0/1 `mask` that is 1 on sampled
tokens, the sampler's log-probabilities and an advantage per response token.

One rule makes rows out of turns: a turn whose prompt extends the tokens already held continues its
row, otherwise a new row begins. So an append-only transcript becomes one row in which every token
is read once, and prompts rebuilt at each step (the form of verl-agent and SkillRL) become one row
per step; both train through the same code. `form="steps"` makes one row per step of transcripts,
too: the same tokens are learned under the same prompts, and prompts are read again for each. No
row is ever repeated to fill a batch, and an episode
has rows only for the turns that it played.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from skillbench.errors import ConfigError, suggest
from skillbench.records import Episode

FORMS = ("transcript", "steps")


@dataclass(frozen=True)
class Row:
    """One training sequence. All tuples but `prompt_ids` have the length of `response_ids`."""

    prompt_ids: tuple[int, ...]
    response_ids: tuple[int, ...]
    mask: tuple[int, ...]
    logprobs: tuple[float, ...]
    advantages: tuple[float, ...]
    task: str = ""
    split: str = ""
    episode: int = 0  # index of the episode in the batch
    group: int = 0
    bank_version: str = ""

    @property
    def length(self) -> int:
        """Tokens of the whole sequence."""
        return len(self.prompt_ids) + len(self.response_ids)

    @property
    def trained(self) -> int:
        """Tokens that the policy sampled, which are the ones that the loss reads."""
        return sum(self.mask)


def episode_rows(
    episode: Episode,
    advantage: float | Sequence[float] = 0.0,
    *,
    index: int = 0,
    group: int = 0,
    max_tokens: int = 0,
    form: str = "transcript",
) -> list[Row]:
    """Rows of one episode. `advantage` is one value, or one for each step.

    A step without token ids (a policy that gives none, or an answer that never came) gives no row.
    `max_tokens` > 0 ends a row before the turn with which it would grow longer than that, and
    leaves out turns that cannot fit; it bounds memory, and is off by default. `form` is one of
    FORMS. Raises ConfigError for another one.
    """
    if form not in FORMS:
        raise ConfigError(f"rows is {form!r}{suggest(form, FORMS)} known: {', '.join(FORMS)}")
    per_step = (
        [float(advantage)] * len(episode.steps)
        if isinstance(advantage, (int, float))
        else [float(a) for a in advantage]
    )
    if len(per_step) != len(episode.steps):
        raise ValueError(f"{len(per_step)} advantages for {len(episode.steps)} steps")
    rows: list[Row] = []
    held: tuple[int, ...] = ()
    draft: _Draft | None = None

    def close() -> None:
        nonlocal draft
        if draft is not None:
            rows.append(
                Row(
                    prompt_ids=draft.prompt,
                    response_ids=tuple(draft.ids),
                    mask=tuple(draft.mask),
                    logprobs=tuple(draft.logprobs),
                    advantages=tuple(draft.advantages),
                    task=episode.task.id,
                    split=episode.task.split,
                    episode=index,
                    group=group,
                    bank_version=episode.bank_version,
                )
            )
            draft = None

    for step, value in zip(episode.steps, per_step):
        if step.prompt_ids is None or not step.token_ids:
            continue
        prompt, sampled = tuple(step.prompt_ids), tuple(step.token_ids)
        if max_tokens and len(prompt) + len(sampled) > max_tokens:
            close()
            held = ()
            continue
        if draft is None or form == "steps" or prompt[: len(held)] != held:
            close()
            draft = _Draft(prompt)
        else:
            draft.add(prompt[len(held) :], None, 0.0)
        draft.add(sampled, step.logprobs or (0.0,) * len(sampled), value)
        held = prompt + sampled
    close()
    return rows


class _Draft:
    """A row that is still growing."""

    def __init__(self, prompt: tuple[int, ...]) -> None:
        self.prompt = prompt
        self.ids: list[int] = []
        self.mask: list[int] = []
        self.logprobs: list[float] = []
        self.advantages: list[float] = []

    def add(self, ids: Sequence[int], logprobs: Sequence[float] | None, advantage: float) -> None:
        """Append sampled tokens, or, with `logprobs` None, tokens of the environment."""
        if logprobs is not None and len(logprobs) != len(ids):
            raise ValueError(f"{len(logprobs)} log-probabilities for {len(ids)} sampled tokens")
        self.ids.extend(ids)
        self.mask.extend([int(logprobs is not None)] * len(ids))
        self.logprobs.extend(logprobs if logprobs is not None else [0.0] * len(ids))
        self.advantages.extend([advantage] * len(ids))


def with_advantage(row: Row, value: float) -> Row:
    """The same row with one advantage on each sampled token."""
    return replace(row, advantages=tuple(value * m for m in row.mask))


def micro_batches(rows: Sequence[Row], budget: int) -> list[list[int]]:
    """Indices of `rows` in batches of like length, each at most `budget` tokens when padded.

    Longest first, so that memory is at its highest in the first batch; a row longer than the
    budget is a batch of its own. Deterministic: ties keep their order.
    """
    order = sorted(range(len(rows)), key=lambda i: (-rows[i].length, i))
    batches: list[list[int]] = []
    for i in order:
        if batches:
            longest = rows[batches[-1][0]].length
            if longest * (len(batches[-1]) + 1) <= budget:
                batches[-1].append(i)
                continue
        batches.append([i])
    return batches
