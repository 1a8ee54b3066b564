"""more-steps, react-budget, pass-at-k: what the untouched policy does with more to spend.

Controls for methods that spend more at test (arXiv:2606.15017: a plain actor with half as many
steps again beat three memory methods). The policy is as it is, nothing is learned:

`more-steps`    50 % more steps per episode (`score.extra_steps`) `react-budget`  after the last
step it goes on until it has spent as many tokens as a memory may show
                (`score.extra_tokens`, equal to `agent.budget`): the same tokens, spent on acting
`pass-at-k`     `score.attempts` attempts at each task; `retries` of the result has pass@k. It needs
                the outcome to know when to stop, as Reflexion does
"""

from __future__ import annotations

from skillbench.protocols import Method

PAPER = "arXiv:2606.15017"
METHODS = (
    Method(
        name="more-steps",
        defaults={"score": {"extra_steps": 0.5}},
        paper=PAPER,
        notes="control: the policy with 50 % more steps",
    ),
    Method(
        name="react-budget",
        defaults={"score": {"extra_tokens": 256}},
        paper=PAPER,
        notes="control: the tokens of a memory, spent on further steps",
    ),
    Method(
        name="pass-at-k",
        defaults={"score": {"attempts": 3}},
        notes="control: several attempts, see `retries` of the result",
    ),
)
