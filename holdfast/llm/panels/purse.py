"""What a panel may spend in all. Held beside the ledger's ceilings of run, agent and tenant, which know no panels."""

import asyncio
from collections.abc import Sequence

from holdfast.errors import BudgetExhausted, HoldfastError
from holdfast.llm.budgets import claimed_usd, usage_presumed
from holdfast.llm.ports import Model, TextSink
from holdfast.llm.prices import cost_of
from holdfast.llm.tokens import estimate_input
from schemas.chat import ChatReply, ChatRequest, EmbedReply, TokenUsage
from schemas.models import Price
from schemas.routing import Errand

_FREE = Price(input=0, output=0)


class Purse:
    """Claimed before each call, settled after it: voices that are asked at the same time cannot pass it together."""

    def __init__(self, *, limit_usd: float | None, spent_usd: float = 0) -> None:
        self._limit_usd = limit_usd
        self._taken_usd = spent_usd

    def claim(self, amount_usd: float) -> None:
        if self._limit_usd is not None and amount_usd > 0 and self._taken_usd + amount_usd > self._limit_usd:
            left = max(0.0, self._limit_usd - self._taken_usd)
            raise BudgetExhausted(
                f"The budget of the panel is {self._limit_usd:g} USD; {left:.4f} USD are left and this call may "
                f"cost {amount_usd:.4f} USD.",
                remedy="Raise `budget_usd`, or ask fewer voices.",
            )
        self._taken_usd += amount_usd

    def settle(self, *, claimed_usd: float, spent_usd: float) -> None:
        self._taken_usd += spent_usd - claimed_usd


class Metered:
    """Fulfils `holdfast.llm.ports.Model` for one voice: asks the purse first, and keeps count of what the voice cost, failures included."""

    def __init__(self, model: Model, purse: Purse, *, price: Price | None) -> None:
        self.spent_usd = 0.0
        self._model = model
        self._purse = purse
        self._price = price or _FREE

    async def chat(self, errand: Errand, request: ChatRequest, *, sink: TextSink | None = None) -> ChatReply:
        usage = TokenUsage(input_tokens=estimate_input(request), output_tokens=request.max_output_tokens)
        claim = claimed_usd(self._price, input_tokens=usage.input_tokens, output_tokens=usage.output_tokens)
        self._purse.claim(claim)
        cost = 0.0
        try:
            reply = await self._model.chat(errand, request, sink=sink)
            cost = reply.cost_usd
        except (HoldfastError, asyncio.CancelledError) as failure:
            cost = cost_of(self._price, usage_presumed(failure, usage, heard=None))
            raise
        finally:
            self._purse.settle(claimed_usd=claim, spent_usd=cost)
            self.spent_usd += cost
        return reply

    async def grade(self, errand: Errand, reply: ChatReply, *, useful: bool) -> None:
        await self._model.grade(errand, reply, useful=useful)

    async def embed(self, errand: Errand, texts: Sequence[str]) -> EmbedReply:
        return await self._model.embed(errand, texts)
