"""A model, as everything above sees it: a call is routed, paid for, and falls back to the next deployment."""

import time
from collections.abc import Awaitable, Callable, Sequence

from holdfast.errors import HoldfastError
from holdfast.llm.accounting import Accounts, Heard, Paid, Place, Reply
from holdfast.llm.exhaustion import nobody_answers
from holdfast.llm.failures import TRY_ANOTHER
from holdfast.llm.keeping import Keeping
from holdfast.llm.ports import Breakers, ModelProvider, Pacer, SpendLedger, StartingRoutes, TextSink
from holdfast.llm.prices import PriceBook
from holdfast.llm.router import Known, Load, choose
from holdfast.llm.structured import fit_to
from holdfast.llm.tokens import estimate_input, estimate_tokens
from schemas.chat import ChatReply, ChatRequest, EmbedReply, TaskClass
from schemas.models import BreakerState, ModelSettings, Route, TrackRecord
from schemas.routing import Errand, RouteDecision

_RECORDS_AGE_S = 30.0
_EMBED_TIMEOUT_S = 60.0


class ModelCaller:
    """Fulfils `holdfast.llm.ports.Model`."""

    def __init__(
        self,
        *,
        settings: ModelSettings,
        provider: ModelProvider,
        spend: SpendLedger,
        breakers: Breakers,
        new_call_id: Callable[[], str],
        pacer: Pacer | None = None,
        starts: StartingRoutes | None = None,
    ) -> None:
        self.keeping = Keeping(settings=settings, starts=starts)
        self._provider = provider
        self._spend = spend
        self._breakers = breakers
        self._pacer = pacer
        self._prices = PriceBook(settings=settings)
        self._accounts = Accounts(
            spend=spend, breakers=breakers, prices=self._prices, new_call_id=new_call_id
        )
        self._deployments = {deployment.name: deployment for deployment in settings.deployments}
        self._records: dict[tuple[str, TaskClass], tuple[float, Sequence[TrackRecord]]] = {}

    async def chat(self, errand: Errand, request: ChatRequest, *, sink: TextSink | None = None) -> ChatReply:
        load = Load(input_tokens=estimate_input(request), output_tokens=request.max_output_tokens)

        async def at(place: Place) -> ChatReply:
            if place.attempt and sink:
                await sink.restart()
            return await self._chat_at(place, errand, request, load.at(place.deployment), Heard(sink))

        return await self._first_answer(errand, load, at, timeout_s=request.timeout_s)

    async def embed(self, errand: Errand, texts: Sequence[str]) -> EmbedReply:
        load = Load(input_tokens=sum(map(estimate_tokens, texts)), output_tokens=0)

        async def at(place: Place) -> EmbedReply:
            return await self._embed_at(place, errand, texts, load)

        return await self._first_answer(errand, load, at, timeout_s=_EMBED_TIMEOUT_S)

    async def close(self) -> None:
        """Returns when every call that was cut off has been settled."""
        await self._accounts.close()

    async def _first_answer(
        self, errand: Errand, load: Load, at: Callable[[Place], Awaitable[Reply]], *, timeout_s: float
    ) -> Reply:
        """Of the first deployment that gives one, in the order of the decision."""
        failures: list[HoldfastError] = []
        known, decision = await self._decide(errand, load)
        for place in self._places(known, decision, timeout_s):
            try:
                if self._pacer:
                    await self._pacer.wait(place.deployment)
                return await at(place)
            except TRY_ANOTHER as failure:
                failures.append(failure)
        raise nobody_answers(decision, known, failures)

    async def _chat_at(
        self, place: Place, errand: Errand, request: ChatRequest, load: Load, heard: Heard
    ) -> ChatReply:
        fitted = fit_to(place.deployment, request, output_tokens=load.output_tokens)

        async def call() -> ChatReply:
            on_text = heard.text if heard.tokens is not None else None
            return await self._provider.chat(place.deployment, fitted, on_text=on_text)

        reply, paid = await self._accounts.make(place, errand, load, call, heard)
        return reply.model_copy(update=_receipt(place, paid))

    async def _embed_at(self, place: Place, errand: Errand, texts: Sequence[str], load: Load) -> EmbedReply:
        async def call() -> EmbedReply:
            return await self._provider.embed(place.deployment, texts, timeout_s=_EMBED_TIMEOUT_S)

        reply, _ = await self._accounts.make(place, errand, load, call, Heard(None))
        return reply

    async def grade(self, errand: Errand, reply: ChatReply, *, useful: bool) -> None:
        await self._spend.grade(errand.tenant, reply.call_id, useful=useful)

    async def _decide(self, errand: Errand, load: Load) -> tuple[Known, RouteDecision]:
        now, breakers = await self._breakers.read()
        records = await self._records_of(errand)
        kept = await self.keeping.of(errand.tenant, errand.run_id)
        known = Known(
            now=now,
            breakers={breaker.deployment: breaker for breaker in breakers},
            records={record.deployment: record for record in records},
            withdrawn=kept.withdrawn,
            beside=kept.now.get(errand.task, Route()),
        )
        return known, choose(errand, load, kept.settings, self._prices, known)

    def _places(self, known: Known, decision: RouteDecision, timeout_s: float) -> list[Place]:
        touched = {
            name
            for name, each in known.breakers.items()
            if each.state is not BreakerState.CLOSED or each.failures
        }
        return [
            Place(
                self._deployments[each.deployment], decision, attempt, each.deployment in touched, timeout_s
            )
            for attempt, each in enumerate(decision.order)
        ]

    async def _records_of(self, errand: Errand) -> Sequence[TrackRecord]:
        """Statistics may be half a minute old; asking for them with every call would cost more than they tell."""
        key = (errand.tenant, errand.task)
        read_at, records = self._records.get(key, (float("-inf"), ()))
        if time.monotonic() - read_at > _RECORDS_AGE_S:
            records = await self._spend.track_records(errand.tenant, errand.task)
            self._records[key] = (time.monotonic(), records)
        return records


def _receipt(place: Place, paid: Paid) -> dict[str, object]:
    return {
        "deployment": place.deployment.name,
        "call_id": paid.call_id,
        "cost_usd": paid.cost_usd,
        "latency_ms": paid.latency_ms,
    }
