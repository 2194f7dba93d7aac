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
from holdfast.llm.settlements import Settlements
from schemas.chat import ChatReply, EmbedReply, TokenUsage
from schemas.models import Deployment, Price
from schemas.routing import Errand, RouteDecision
from schemas.spend import CallOutcome, SpendClaim

Reply = TypeVar("Reply", ChatReply, EmbedReply)
_FREE = Price(input=0, output=0)
_GRACE_S = 60.0
"""A call ends with its time limit; what is not settled this long after it, nobody is there to settle."""


@dataclass(frozen=True)
class Place:
    """One deployment in the order of a decision. `guarded`: its breaker has something to say."""

    deployment: Deployment
    decision: RouteDecision
    attempt: int
    guarded: bool
    timeout_s: float


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
        self._settlements = Settlements()

    async def close(self) -> None:
        """Before the ledger closes: calls that were cut off are settled first."""
        await self._settlements.done()

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
        except BaseException as failure:
            await self._settlements.through(self._failed(place, claim, load, failure, heard, _since(started)))
            raise
        cost = cost_of(self._price(place), reply.usage)
        outcome = CallOutcome(
            ok=True, cost_usd=cost, usage=reply.usage, latency_ms=_since(started), model=reply.model
        )
        await self._settlements.through(self._succeeded(place, claim, outcome))
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
            lapses_after_s=place.timeout_s + _GRACE_S,
            decision=place.decision,
        )
        try:
            await self._spend.reserve(claim)
        except BaseException as failure:
            await self._settlements.through(self._not_made(place, claim, failure))
            raise
        return claim

    async def _not_made(self, place: Place, claim: SpendClaim, failure: BaseException) -> None:
        """Whoever is cancelled while claiming cannot know whether the claim stands, and has spent nothing."""
        if place.guarded:
            await self._breakers.release(place.deployment.name)
        if isinstance(failure, asyncio.CancelledError):
            outcome = CallOutcome(ok=False, usage=TokenUsage(estimated=True), failure=_code_of(failure))
            await self._spend.settle(claim.errand.tenant, claim.call_id, outcome)

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
        outcome = CallOutcome(
            ok=False,
            cost_usd=cost_of(self._price(place), usage),
            usage=usage,
            latency_ms=took_ms,
            failure=_code_of(failure),
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


def _code_of(failure: BaseException) -> str:
    if isinstance(failure, asyncio.CancelledError):
        return "cancelled"
    return failure.code if isinstance(failure, HoldfastError) else HoldfastError.code


def _since(started: float) -> float:
    return round((time.perf_counter() - started) * 1000, 1)
