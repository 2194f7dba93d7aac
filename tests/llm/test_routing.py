"""Where a call goes: a pure choice, so it is tested without models; what an outage does, over the wire."""

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta

import pytest

from holdfast.adapters.llm.keys import KeyRing
from holdfast.adapters.llm.providers import Providers
from holdfast.adapters.postgres.database import Database
from holdfast.adapters.postgres.model_breakers import PostgresBreakers
from holdfast.adapters.postgres.models import PostgresSpend
from holdfast.errors import BudgetExhausted, Misconfigured
from holdfast.ids import new_id
from holdfast.llm.caller import ModelCaller
from holdfast.llm.complexity import complexity_of
from holdfast.llm.configuring import configured
from holdfast.llm.failures import ContextOverflow, ModelRateLimited, ModelUnpriced, NoModelAnswers
from holdfast.llm.prices import PriceBook, cost_of
from holdfast.llm.router import Known, Load, choose
from holdfast.testing.model_server import ModelServer
from holdfast.testing.script import Fault, Match, Reply, Rule
from schemas.chat import ChatMessage, ChatRequest, OutputForm, TaskClass, TokenUsage
from schemas.models import (
    Arm,
    Breaker,
    BreakerRule,
    BreakerState,
    Deployment,
    Experiment,
    ModelSettings,
    Price,
    Route,
    TrackRecord,
)
from schemas.routing import Complexity, Errand, RouteDecision
from schemas.spend import SpendLimit

NOW = datetime(2026, 11, 20, tzinfo=UTC)
SMALL = Deployment(name="small", model="s", strength=2, price=Price(input=1, output=2), context_tokens=8000)
LARGE = Deployment(name="large", model="l", strength=5, price=Price(input=10, output=20), residency=("eu",))
LOAD = Load(input_tokens=1000, output_tokens=1000)


def decide(
    route: Route,
    *,
    errand: Errand | None = None,
    load: Load = LOAD,
    breakers: tuple[Breaker, ...] = (),
    records: tuple[TrackRecord, ...] = (),
    deployments: tuple[Deployment, ...] = (SMALL, LARGE),
) -> RouteDecision:
    settings = ModelSettings(deployments=deployments, routes={TaskClass.PLAN: route})
    known = Known(
        now=NOW,
        breakers={each.deployment: each for each in breakers},
        records={each.deployment: each for each in records},
    )
    asked = errand or Errand(tenant="default", task=TaskClass.PLAN)
    return choose(asked, load, settings, PriceBook(settings=settings), known)


def names(decision: RouteDecision) -> list[str]:
    return [candidate.deployment for candidate in decision.order]


def why_not(decision: RouteDecision) -> dict[str, str]:
    return {each.deployment: each.code for each in decision.excluded}


def test_the_route_says_the_order() -> None:
    assert names(decide(Route(deployments=("large", "small")))) == ["large", "small"]
    assert names(decide(Route())) == ["small", "large"]


def test_constraints_exclude_with_a_reason() -> None:
    assert why_not(decide(Route(residency="eu"))) == {"small": "residency"}
    assert why_not(decide(Route(max_cost_usd=0.01))) == {"large": "cost"}
    assert why_not(decide(Route(), load=Load(input_tokens=9000, output_tokens=10))) == {"small": "context"}
    slow = TrackRecord(
        deployment="large", task=TaskClass.PLAN, timed=5, latency_ms=9000, latency_at_least_ms=8000
    )
    assert why_not(decide(Route(max_latency_s=6), records=(slow,))) == {"large": "latency"}


@pytest.mark.parametrize(("timed", "at_least_ms"), [(4, 8000), (50, 5000)])
def test_latency_excludes_only_where_it_is_measured_beyond_doubt(timed: int, at_least_ms: float) -> None:
    record = TrackRecord(
        deployment="large", task=TaskClass.PLAN, timed=timed, latency_ms=9000, latency_at_least_ms=at_least_ms
    )
    assert why_not(decide(Route(max_latency_s=6), records=(record,))) == {}


def test_an_unknown_price_is_no_price() -> None:
    free = Deployment(name="unpriced", model="nobody-knows")
    assert why_not(decide(Route(), deployments=(free,))) == {"unpriced": "unpriced"}


def test_an_open_breaker_excludes_until_its_time() -> None:
    opened = Breaker(deployment="small", state=BreakerState.OPEN, until=NOW + timedelta(seconds=5))
    assert why_not(decide(Route(), breakers=(opened,))) == {"small": "breaker"}
    over = opened.model_copy(update={"until": NOW})
    assert why_not(decide(Route(), breakers=(over,))) == {}


def test_an_agents_own_model_goes_first_and_must_be_known() -> None:
    asked = Errand(tenant="default", task=TaskClass.PLAN, prefer="l")
    assert names(decide(Route(), errand=asked)) == ["large", "small"]
    with pytest.raises(Misconfigured, match="no deployment serves it"):
        decide(Route(), errand=asked.model_copy(update={"prefer": "gpt-unknown"}))


def test_the_cheapest_that_is_strong_enough_goes_first() -> None:
    route = Route(by_complexity=True)
    easy = Errand(tenant="default", task=TaskClass.PLAN, complexity=Complexity(score=0.1))
    hard = Errand(tenant="default", task=TaskClass.PLAN, complexity=Complexity(score=0.7))
    assert names(decide(route, errand=easy)) == ["small", "large"]
    assert names(decide(route, errand=hard)) == ["large", "small"]


def test_complexity_is_explained_and_grows() -> None:
    easy = complexity_of("ping db01", tools=3)
    hard = complexity_of(
        "check each host and restart it if it fails, then wait " * 20, tools=60, rejections=1
    )
    assert easy.score < hard.score <= 1
    assert sum(hard.parts.values()) == pytest.approx(hard.score, abs=0.01)


def test_a_deployment_falls_behind_only_when_it_is_surely_worse() -> None:
    def record(name: str, successes: int, calls: int) -> TrackRecord:
        return TrackRecord(deployment=name, task=TaskClass.PLAN, calls=calls, successes=successes)

    unsure = (record("small", 2, 5), record("large", 5, 5))
    sure = (record("small", 40, 100), record("large", 98, 100))
    assert names(decide(Route(), records=unsure)) == ["small", "large"]
    assert names(decide(Route(), records=sure)) == ["large", "small"]
    assert names(decide(Route(learn=False), records=sure)) == ["small", "large"]


def test_an_experiment_splits_runs_and_each_stays_with_its_arm() -> None:
    split = Experiment(name="ab", arms=(Arm(deployment="small", weight=1), Arm(deployment="large", weight=3)))
    route = Route(experiment=split)
    arms = []
    for _ in range(400):
        errand = Errand(tenant="default", task=TaskClass.PLAN, run_id=new_id("run"))
        first, second = (decide(route, errand=errand) for _ in range(2))
        assert first.arm == second.arm == names(first)[0]
        arms.append(first.arm)
    assert 0.65 < arms.count("large") / 400 < 0.85


def test_prices_are_found_without_provider_and_date() -> None:
    book = PriceBook(settings=ModelSettings(prices={"house": Price(input=3)}))
    dated = Deployment(name="a", model="openai/gpt-4o-mini-2024-07-18")
    assert book.price_of(dated) == Price(input=0.15, output=0.6, cached_input=0.075)
    assert book.price_of(Deployment(name="b", model="azure/house")) == Price(input=3)
    assert book.price_of(Deployment(name="c", model="gpt-4o-mini-2")) is None
    assert (
        cost_of(Price(input=2, output=4, cached_input=1), TokenUsage(input_tokens=10, cached_tokens=4))
        == 16e-6
    )


def test_a_few_settings_make_deployments_and_routes() -> None:
    settings = configured(
        default="openai/gpt-5",
        routes={"judge": "ollama/qwen3"},
        bases={"ollama": "http://localhost:11434"},
        keys=(),
    )
    default, judge = settings.deployments
    assert (judge.name, judge.base_url, judge.key) == ("ollama-qwen3", "http://localhost:11434", None)
    assert (default.name, default.key) == ("openai-gpt-5", "openai")
    assert settings.routes[TaskClass.JUDGE].deployments == ("ollama-qwen3", "openai-gpt-5")
    assert settings.routes[TaskClass.PLAN].deployments == ("openai-gpt-5",)
    with pytest.raises(Misconfigured, match="kind of task"):
        configured(default="x", routes={"juge": "x"}, bases={}, keys=())
    with pytest.raises(Misconfigured, match="none for the others"):
        configured(default=None, routes={"judge": "x"}, bases={}, keys=())


# Over the wire ------------------------------------------------------------------------------------------------------


@pytest.fixture
async def server() -> AsyncIterator[ModelServer]:
    async with ModelServer() as running:
        yield running


@pytest.fixture
async def providers() -> AsyncIterator[Providers]:
    each = Providers(keys=KeyRing({}))
    yield each
    await each.close()


def two_deployments(server: ModelServer, **changes: object) -> ModelSettings:
    deployments = tuple(
        Deployment(
            name=name, model=name, via="openai", base_url=server.base_url, price=Price(input=1, output=1)
        )
        for name in ("first", "second")
    )
    whole = ModelSettings(deployments=deployments, breaker=BreakerRule(failures=2, cool_down_s=60))
    return whole.model_copy(update=changes)


def worker(settings: ModelSettings, providers: Providers, database: Database) -> ModelCaller:
    return ModelCaller(
        settings=settings,
        provider=providers,
        spend=PostgresSpend(database=database),
        breakers=PostgresBreakers(database=database, rule=settings.breaker),
        new_call_id=lambda: new_id("call"),
    )


ERRAND = Errand(tenant="default", task=TaskClass.PLAN)
HELLO = ChatRequest(messages=(ChatMessage(role="user", content="hello"),), max_output_tokens=100)


async def test_an_outage_falls_back_and_soon_nobody_knocks_any_more(
    server: ModelServer, providers: Providers, database: Database
) -> None:
    server.rules += [
        Rule(match=Match(model="first"), replies=(Reply(fault=Fault(kind="overloaded")),)),
        Rule(match=Match(model="second"), replies=(Reply(text="here"),)),
    ]
    settings = two_deployments(server)
    here, there = worker(settings, providers, database), worker(settings, providers, database)
    for caller in (here, there, here, there):
        assert (await caller.chat(ERRAND, HELLO)).deployment == "second"
    assert [call.model for call in server.calls].count("first") == 2


async def test_a_deployment_that_is_well_again_is_used_again(
    server: ModelServer, providers: Providers, database: Database
) -> None:
    fault = Reply(fault=Fault(kind="rate_limit", retry_after_s=0))
    server.rules += [
        Rule(match=Match(model="first"), replies=(fault, Reply(text="back"))),
        Rule(match=Match(model="second"), replies=(Reply(text="here"),)),
    ]
    caller = worker(two_deployments(server), providers, database)
    assert (await caller.chat(ERRAND, HELLO)).deployment == "second"
    assert (await caller.chat(ERRAND, HELLO)).deployment == "first"
    _, breakers = await PostgresBreakers(database=database, rule=BreakerRule()).read()
    assert {each.state for each in breakers if each.deployment == "first"} == {BreakerState.CLOSED}


async def test_a_refusal_of_content_is_not_shopped_around(
    server: ModelServer, providers: Providers, database: Database
) -> None:
    server.rules.append(Rule(replies=(Reply(fault=Fault(kind="content")),)))
    with pytest.raises(Exception, match="refuses this content"):
        await worker(two_deployments(server), providers, database).chat(ERRAND, HELLO)
    assert len(server.calls) == 1


async def test_rate_limits_everywhere_mean_wait_and_not_do_without(
    server: ModelServer, providers: Providers, database: Database
) -> None:
    server.rules.append(Rule(replies=(Reply(fault=Fault(kind="rate_limit", retry_after_s=40)),)))
    caller = worker(two_deployments(server), providers, database)
    for _ in range(2):
        with pytest.raises(ModelRateLimited) as raised:
            await caller.chat(ERRAND, HELLO)
        assert 30 < (raised.value.retry_after_s or 0) <= 40
    assert len(server.calls) == 2


async def test_a_request_is_fitted_to_what_a_deployment_can_take(
    server: ModelServer, providers: Providers, database: Database
) -> None:
    server.rules.append(Rule(replies=(Reply(text="{}"),)))
    settings = two_deployments(server)
    limited = settings.deployments[0].model_copy(
        update={"output_tokens": 64, "sampling": False, "structured": "none"}
    )
    asked = HELLO.model_copy(update={"form": OutputForm(name="thing", json_schema={"title": "Thing"})})
    caller = worker(settings.model_copy(update={"deployments": (limited,)}), providers, database)
    await caller.chat(ERRAND, asked)
    body = server.calls[0].body
    assert (body["max_tokens"], "temperature" in body, "response_format" in body) == (64, False, False)
    assert '{"title":"Thing"}' in server.calls[0].last


async def test_what_is_wrong_with_a_route_is_said(
    server: ModelServer, providers: Providers, database: Database
) -> None:
    bare = two_deployments(server)
    free = tuple(each.model_copy(update={"price": None}) for each in bare.deployments)
    with pytest.raises(ModelUnpriced, match="no price is known"):
        await worker(bare.model_copy(update={"deployments": free}), providers, database).chat(ERRAND, HELLO)
    long = HELLO.model_copy(update={"messages": (ChatMessage(role="user", content="x" * 500_000),)})
    with pytest.raises(ContextOverflow):
        await worker(bare, providers, database).chat(ERRAND, long)
    with pytest.raises(NoModelAnswers, match="none is configured"):
        await worker(ModelSettings(), providers, database).chat(ERRAND, HELLO)


async def test_fifty_runs_over_the_wire_never_pass_the_days_limit(
    server: ModelServer, providers: Providers, database: Database
) -> None:
    server.rules.append(Rule(replies=(Reply(text="ok", usage=(20, 80)),)))
    price = Price(input=1000, output=1000)
    only = Deployment(name="only", model="only", via="openai", base_url=server.base_url, price=price)
    caller = worker(ModelSettings(deployments=(only,)), providers, database)
    spend = PostgresSpend(database=database)
    await spend.set_limit(
        "default", SpendLimit(scope="tenant", subject="default", period="day", limit_usd=2.0)
    )

    async def one_run() -> int:
        errand = ERRAND.model_copy(update={"run_id": new_id("run")})
        try:
            await caller.chat(errand, HELLO)
        except BudgetExhausted:
            return 0
        return 1

    answered = sum(await asyncio.gather(*(one_run() for _ in range(50))))
    (today,) = [view for view in await spend.totals("default", scope="tenant") if view.period != "total"]
    assert today.spent_usd == pytest.approx(answered * 0.1)
    assert today.spent_usd <= 2.0
    assert today.reserved_usd == 0
    assert len(server.calls) == answered >= 10


async def test_cancelling_a_call_settles_it_and_frees_the_claim(
    server: ModelServer, providers: Providers, database: Database
) -> None:
    server.rules.append(Rule(replies=(Reply(text="x", delay_s=60),)))
    run = new_id("run")
    errand = ERRAND.model_copy(update={"run_id": run})
    calling = asyncio.ensure_future(worker(two_deployments(server), providers, database).chat(errand, HELLO))
    async with asyncio.timeout(30):
        await server.until(lambda calls: len(calls) > 0)
        calling.cancel()
        with pytest.raises(asyncio.CancelledError):
            await calling
        await server.until(lambda calls: calls[0].outcome == "abandoned")
    (call,) = await PostgresSpend(database=database).calls("default", run)
    assert (call.status, call.ok, call.failure) == ("settled", False, "cancelled")
    assert call.cost_usd is not None
    assert 0 < call.cost_usd <= call.reserved_usd


async def test_why_a_call_went_where_it_went_is_kept(
    server: ModelServer, providers: Providers, database: Database
) -> None:
    server.rules.append(Rule(replies=(Reply(text="ok"),)))
    split = Experiment(name="ab", arms=(Arm(deployment="second", weight=1),))
    routes = {TaskClass.PLAN: Route(experiment=split)}
    run = new_id("run")
    errand = ERRAND.model_copy(update={"run_id": run})
    await worker(two_deployments(server, routes=routes), providers, database).chat(errand, HELLO)
    spend = PostgresSpend(database=database)
    (call,) = await spend.calls("default", run)
    assert call.deployment == call.decision.arm == "second"
    assert call.decision.order[0].why == "the experiment's arm"
    (arm,) = await spend.experiment("default", "ab")
    assert (arm.arm, arm.calls, arm.runs, arm.successes) == ("second", 1, 1, 1)
