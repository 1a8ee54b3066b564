"""`run --max-usd X`: nothing is begun that could take the bill beyond X.

The bill is what the ledger of the run says, earlier processes included: what providers charge, and
device seconds at the dated price (prices.py). Before a call, its worst price is held: the tokens of
its prompt (a third of its characters, which is more than tokenisers make of them) and all tokens
that its answer may have. A call of a model on our own devices is held at the dearest one so far,
and in learning the dearest update so far is held besides, since one is about to follow. Calls in
flight stay held until they are on the ledger. So the limit is never passed where providers charge,
and by one call or one update at most where time is what costs.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from .errors import BudgetStop
from .ledger import EVALUATION
from .prices import Rates, charged
from .records import Request

CHARS_PER_TOKEN = 3


class Budget:
    """What may still be spent. `tables` are the configuration's `policy` and `teacher`."""

    def __init__(
        self,
        limit: float,
        rates: Rates,
        tables: Mapping[str, Mapping[str, Any]],
        lines: Iterable[Mapping[str, Any]] = (),
    ) -> None:
        self.limit, self.rates, self.tables = limit, rates, tables
        self.spent = self.held = 0.0
        self.flying = 0  # calls that hold something
        self.dearest: dict[str, float] = {}  # line of each role so far
        for line in lines:
            self.add(line)

    def add(self, line: Mapping[str, Any]) -> None:
        """Count a line of the ledger."""
        paid = self.rates.line(line)
        self.spent += paid
        role = str(line["role"])
        self.dearest[role] = max(self.dearest.get(role, 0.0), paid)

    def price(self, role: str, tokens_in: float, tokens_out: float) -> float | None:
        """Dollars of a call at its provider's price; None where nobody charges by tokens."""
        spend = {"in": tokens_in, "out": tokens_out}
        return charged(self.tables.get(role, {}), spend, self.rates.prices)

    def hold(self, role: str, phase: str, tokens_in: float, tokens_out: float) -> float:
        """Hold what a call may cost; returns it, for `release`. Raises BudgetStop."""
        worst = self.price(role, tokens_in, tokens_out)
        if worst is None:
            worst = self.dearest.get(role, 0.0)
        to_come = 0.0 if phase in EVALUATION else self.dearest.get("trainer", 0.0)
        if self.spent + self.held + worst + to_come > self.limit:
            raise BudgetStop(
                f"stopped before the bill passes --max-usd {self.limit:g}: {self.spent:.4f} USD "
                f"are spent, and what comes next may cost {worst + to_come:.4f}. Everything so "
                "far is kept: resume it with a larger --max-usd"
            )
        self.held += worst
        self.flying += 1
        return worst

    def hold_requests(self, phase: str, requests: Sequence[Request]) -> float:
        """Hold a batch of requests to the policy."""
        characters = sum(len(m["content"]) for r in requests for m in r.messages)
        answers = sum(r.params.max_tokens for r in requests)
        return self.hold("policy", phase, characters / CHARS_PER_TOKEN, answers)

    def release(self, amount: float) -> None:
        """A call is on the ledger now, or has failed."""
        self.flying -= 1
        self.held = self.held - amount if self.flying else 0.0


class Gate:
    """The budget as the loop asks it, in one phase.

    What is in flight holds its worst price and nearly always costs less: a request that does not
    fit beside it waits, and the run stops only where it would not fit alone.
    """

    def __init__(self, budget: Budget, phase: str) -> None:
        self.budget, self.phase = budget, phase
        self.waiting: list[asyncio.Future[None]] = []

    async def hold(self, requests: Sequence[Request]) -> float:
        """Hold what the requests may cost. Raises BudgetStop."""
        while True:
            try:
                return self.budget.hold_requests(self.phase, requests)
            except BudgetStop:
                if not self.budget.flying:
                    raise
            turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            self.waiting.append(turn)
            await turn

    def release(self, amount: float) -> None:
        """A call is over, and on the ledger: let those who wait look again."""
        self.budget.release(amount)
        waiting, self.waiting = self.waiting, []
        for turn in waiting:
            if not turn.done():
                turn.set_result(None)


class Spender:
    """What teachers and memories book their calls with; `hold` comes before a call, if it can.

    `folder` is where answers that were paid for may be kept, so that a resumed run has them.
    """

    def __init__(
        self,
        ledger: Any,
        budget: Budget | None,
        extra: Mapping[str, Any],
        folder: Path | None = None,
    ) -> None:
        self._ledger, self._budget, self._extra = ledger, budget, extra
        self.folder = folder

    def __call__(self, phase: str, role: str, usage: Any, model: str = "") -> None:
        """Write on the ledger."""
        self._ledger.spend(phase, role, usage, model=model, **self._extra)

    def hold(self, phase: str, role: str, characters: int, max_tokens: int) -> float:
        """Hold what a call may cost. Raises BudgetStop."""
        if self._budget is None:
            return 0.0
        return self._budget.hold(role, phase, characters / CHARS_PER_TOKEN, max_tokens)

    def release(self, amount: float) -> None:
        """The call is over."""
        if self._budget is not None:
            self._budget.release(amount)
