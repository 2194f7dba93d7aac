"""A claim is settled however its call ends: cancelled once, cancelled again, while it is made, or by a defect."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest

from holdfast.adapters.llm.keys import KeyRing
from holdfast.adapters.llm.providers import Providers
from holdfast.adapters.postgres.database import Database
from holdfast.adapters.postgres.model_breakers import PostgresBreakers
from holdfast.adapters.postgres.models import PostgresSpend
from holdfast.ids import new_id
from holdfast.llm.caller import ModelCaller
from holdfast.llm.ports import ModelProvider
from holdfast.testing.model_server import ModelServer
from holdfast.testing.script import Reply, Rule
from schemas.chat import ChatMessage, ChatReply, ChatRequest, TaskClass
from schemas.models import Deployment, ModelSettings, Price
from schemas.routing import Errand
from schemas.spend import CallOutcome, ModelCall, SpendClaim

REQUEST = ChatRequest(messages=(ChatMessage(role="user", content="hello"),), timeout_s=30)


class GatedSpend(PostgresSpend):
    """The real ledger, whose answers can be held back on their way."""

    def __init__(self, *, database: Database) -> None:
        super().__init__(database=database)
        self.reserved, self.settling = asyncio.Event(), asyncio.Event()
        self.after_reserve, self.before_settle = asyncio.Event(), asyncio.Event()
        self.after_reserve.set()
        self.before_settle.set()

    async def reserve(self, claim: SpendClaim) -> None:
        await super().reserve(claim)
        self.reserved.set()
        await self.after_reserve.wait()

    async def settle(self, tenant: str, call_id: str, outcome: CallOutcome) -> None:
        self.settling.set()
        await self.before_settle.wait()
        await super().settle(tenant, call_id, outcome)


class Defective:
    """A provider with a bug."""

    async def chat(self, deployment: Deployment, request: ChatRequest, **_: Any) -> ChatReply:
        raise LookupError("a defect")

    embed: Any = None


@pytest.fixture
async def server() -> AsyncIterator[ModelServer]:
    async with ModelServer([Rule(replies=(Reply(text="hi", delay_s=300),))]) as running:
        yield running


@pytest.fixture
def spend(module_database: Database) -> GatedSpend:
    return GatedSpend(database=module_database)


@pytest.fixture
async def provider() -> AsyncIterator[ModelProvider]:
    each = Providers(keys=KeyRing({}))
    yield each
    await each.close()


def caller(provider: ModelProvider, spend: GatedSpend, database: Database, url: str) -> ModelCaller:
    settings = ModelSettings(
        deployments=(
            Deployment(name="test", model="t", via="openai", base_url=url, price=Price(input=1, output=1)),
        )
    )
    return ModelCaller(
        settings=settings,
        provider=provider,
        spend=spend,
        breakers=PostgresBreakers(database=database, rule=settings.breaker),
        new_call_id=lambda: new_id("call"),
    )


def errand() -> Errand:
    return Errand(tenant="default", task=TaskClass.PLAN, run_id=new_id("run"))


async def told(spend: GatedSpend, asked: Errand) -> ModelCall:
    assert asked.run_id
    (call,) = await spend.calls(asked.tenant, asked.run_id)
    return call


async def test_a_call_cancelled_twice_is_settled_before_the_layer_closes(
    server: ModelServer, spend: GatedSpend, provider: ModelProvider, module_database: Database
) -> None:
    model, asked = caller(provider, spend, module_database, server.base_url), errand()
    spend.before_settle.clear()
    calling = asyncio.ensure_future(model.chat(asked, REQUEST))
    async with asyncio.timeout(30):
        await server.until(lambda calls: len(calls) > 0)
        calling.cancel()
        await spend.settling.wait()
        calling.cancel()
        with pytest.raises(asyncio.CancelledError):
            await calling
        assert (await told(spend, asked)).status == "reserved"
        spend.before_settle.set()
        await model.close()
    call = await told(spend, asked)
    assert (call.status, call.failure) == ("settled", "cancelled")


async def test_a_call_cancelled_while_it_claims_has_cost_nothing(
    server: ModelServer, spend: GatedSpend, provider: ModelProvider, module_database: Database
) -> None:
    model, asked = caller(provider, spend, module_database, server.base_url), errand()
    spend.after_reserve.clear()
    calling = asyncio.ensure_future(model.chat(asked, REQUEST))
    async with asyncio.timeout(30):
        await spend.reserved.wait()
        calling.cancel()
        with pytest.raises(asyncio.CancelledError):
            await calling
    call = await told(spend, asked)
    assert (call.status, call.failure, call.cost_usd) == ("settled", "cancelled", 0)
    assert not server.calls


async def test_a_defect_leaves_no_claim_open(spend: GatedSpend, module_database: Database) -> None:
    model, asked = caller(Defective(), spend, module_database, "http://127.0.0.1:9"), errand()
    with pytest.raises(LookupError):
        await model.chat(asked, REQUEST)
    call = await told(spend, asked)
    assert (call.status, call.failure) == ("settled", "internal")
