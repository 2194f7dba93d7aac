"""Makes one call at one deployment: let in by the breaker, claimed from the budget, and settled however it ends."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TypeVar

from holdfast.errors import HoldfastError
from holdfast.llm.budgets import claimed_usd, usage_presumed
from holdfast.llm.failures import BLAMES_DEPLOYMENT, ModelUnreachable
from holdfast.llm.ports import Breakers, SpendLedger, TextSink
from holdfast.llm.prices import PriceBook, cost_of
from holdfast.llm.router import Load
from schemas.models import (
    CallOutcome,
    ChatReply,
    Deployment,
    EmbedReply,
    Errand,
    Price,
    RouteDecision,
    SpendClaim,
)

Reply = TypeVar("Reply", ChatReply, EmbedReply)
_FREE = Price(input=0, output=0)


@dataclass(frozen=True)
class Place:
    """One deployment in the order of a decision. `guarded`: its breaker has something to say."""

    deployment: Deployment
    decision: RouteDecision
    attempt: int
    guarded: bool


@dataclass(frozen=True)
class Paid:
    call_id: str
    cost_usd: float
    latency_ms: float


class Heard:
    """Counts what a stream brought, on its way to whoever listens."""

    def __init__(self, sink: TextSink | None) -> None:
        self._sink = sink
        self._bytes = 0

    @property
    def tokens(self) -> int | None:
        return -(-self._bytes // 3) if self._sink else None

    async def text(self, piece: str) -> None:
        self._bytes += len(piece.encode("utf-8", errors="replace"))
        if self._sink:
            await self._sink.text(piece)


class Accounts:
    def __init__(
        self, *, spend: SpendLedger, breakers: Breakers, prices: PriceBook, new_call_id: Callable[[], str]
    ) -> None:
        self._spend = spend
        self._breakers = breakers
        self._prices = prices
        self._new_call_id = new_call_id

    async def make(
        self, place: Place, errand: Errand, load: Load, call: Callable[[], Awaitable[Reply]], heard: Heard
    ) -> tuple[Reply, Paid]:
        name = place.deployment.name
        if place.guarded and not await self._breakers.enter(name):
            raise ModelUnreachable(f"`{name}` is being probed by somebody else.", deployment=name)
        claim = await self._claimed(place, errand, load)
        started = time.perf_counter()
        try:
            reply = await call()
        except (HoldfastError, asyncio.CancelledError) as failure:
            await asyncio.shield(self._failed(place, claim, load, failure, heard, _since(started)))
            raise
        cost = cost_of(self._price(place), reply.usage)
        outcome = CallOutcome(
            ok=True, cost_usd=cost, usage=reply.usage, latency_ms=_since(started), model=reply.model
        )
        await asyncio.shield(self._succeeded(place, claim, outcome))
        return reply, Paid(call_id=claim.call_id, cost_usd=cost, latency_ms=outcome.latency_ms)

    async def _claimed(self, place: Place, errand: Errand, load: Load) -> SpendClaim:
        price = self._prices.price_of(place.deployment)
        amount = claimed_usd(price or _FREE, input_tokens=load.input_tokens, output_tokens=load.output_tokens)
        claim = SpendClaim(
            call_id=self._new_call_id(),
            errand=errand,
            deployment=place.deployment.name,
            model=place.deployment.model,
            amount_usd=amount,
            priced=price is not None,
            attempt=place.attempt,
            decision=place.decision,
        )
        try:
            await self._spend.reserve(claim)
        except HoldfastError:
            if place.guarded:
                await self._breakers.release(place.deployment.name)
            raise
        return claim

    async def _succeeded(self, place: Place, claim: SpendClaim, outcome: CallOutcome) -> None:
        await self._spend.settle(claim.errand.tenant, claim.call_id, outcome)
        if place.guarded:
            await self._breakers.report(place.deployment.name, failure=None)

    async def _failed(
        self,
        place: Place,
        claim: SpendClaim,
        load: Load,
        failure: BaseException,
        heard: Heard,
        took_ms: float,
    ) -> None:
        usage = usage_presumed(failure, load.usage, heard=heard.tokens)
        code = failure.code if isinstance(failure, HoldfastError) else "cancelled"
        outcome = CallOutcome(
            ok=False,
            cost_usd=cost_of(self._price(place), usage),
            usage=usage,
            latency_ms=took_ms,
            failure=code,
        )
        await self._spend.settle(claim.errand.tenant, claim.call_id, outcome)
        name = place.deployment.name
        if isinstance(failure, BLAMES_DEPLOYMENT):
            await self._breakers.report(name, failure=failure.code, retry_after_s=failure.retry_after_s)
        elif place.guarded and isinstance(failure, HoldfastError):
            await self._breakers.report(name, failure=None)
        elif place.guarded:
            await self._breakers.release(name)

    def _price(self, place: Place) -> Price:
        return self._prices.price_of(place.deployment) or _FREE


def _since(started: float) -> float:
    return round((time.perf_counter() - started) * 1000, 1)
