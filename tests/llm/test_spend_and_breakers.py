"""The spend ledger and the shared breakers: what every implementation keeps, and what only a database can."""

import asyncio
import sys
from asyncio.subprocess import PIPE
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import pytest

from holdfast.adapters.postgres.database import Database
from holdfast.adapters.postgres.model_breakers import PostgresBreakers
from holdfast.adapters.postgres.models import PostgresSpend
from holdfast.adapters.postgres.runs import PostgresRuns
from holdfast.errors import BudgetExhausted
from holdfast.ids import new_id
from holdfast.llm.ports import Breakers, SpendLedger
from holdfast.testing.model_memory import MemoryBreakers, MemorySpend
from schemas.agents import AgentSpec, RunLimits
from schemas.chat import TaskClass, TokenUsage
from schemas.models import BreakerRule, BreakerState, Price
from schemas.routing import Errand, RouteDecision
from schemas.runs import RunInput
from schemas.spend import CallOutcome, SpendClaim, SpendLimit

RULE = BreakerRule(failures=3, cool_down_s=30)


def claim(
    amount: float, *, run_id: str | None = None, limit: float | None = None, deployment: str = "large"
) -> SpendClaim:
    errand = Errand(
        tenant="default", task=TaskClass.PLAN, run_id=run_id, agent="operator", run_limit_usd=limit
    )
    return SpendClaim(
        call_id=new_id("call"),
        errand=errand,
        deployment=deployment,
        model="test-large",
        amount_usd=amount,
        decision=RouteDecision(task=TaskClass.PLAN),
    )


def cost(amount: float, *, ok: bool = True) -> CallOutcome:
    return CallOutcome(
        ok=ok, cost_usd=amount, usage=TokenUsage(input_tokens=10, output_tokens=5), latency_ms=20
    )


@dataclass
class Shop:
    spend: SpendLedger
    breakers: Breakers
    deployment: str


@pytest.fixture(params=["memory", "postgres"])
def shop(request: pytest.FixtureRequest, module_database: Database) -> Shop:
    name = new_id("deployment")
    if request.param == "memory":
        return Shop(MemorySpend(), MemoryBreakers(rule=RULE), name)
    return Shop(
        PostgresSpend(database=module_database), PostgresBreakers(database=module_database, rule=RULE), name
    )


async def test_a_claim_over_the_limit_of_its_run_is_refused(shop: Shop) -> None:
    run = new_id("run")
    await shop.spend.reserve(claim(0.6, run_id=run, limit=1.0))
    with pytest.raises(BudgetExhausted) as refused:
        await shop.spend.reserve(claim(0.6, run_id=run, limit=1.0))
    assert not refused.value.retryable
    assert refused.value.ids["run_id"] == run


async def test_settling_gives_back_what_was_not_needed(shop: Shop) -> None:
    run = new_id("run")
    first = claim(0.9, run_id=run, limit=1.0)
    await shop.spend.reserve(first)
    await shop.spend.settle("default", first.call_id, cost(0.1))
    await shop.spend.reserve(claim(0.9, run_id=run, limit=1.0))


async def test_repeating_a_claim_or_a_settlement_changes_nothing(shop: Shop) -> None:
    run = new_id("run")
    first = claim(0.9, run_id=run, limit=1.0)
    for _ in range(2):
        await shop.spend.reserve(first)
    for amount in (0.1, 0.8):
        await shop.spend.settle("default", first.call_id, cost(amount))
    await shop.spend.reserve(claim(0.9, run_id=run, limit=1.0))


async def test_the_record_of_a_deployment_counts_what_was_useful(shop: Shop) -> None:
    for useful in (True, True, False):
        each = claim(0.01, run_id=new_id("run"), deployment=shop.deployment)
        await shop.spend.reserve(each)
        await shop.spend.settle("default", each.call_id, cost(0.01))
        if not useful:
            await shop.spend.grade("default", each.call_id, useful=False)
    records = await shop.spend.track_records("default", TaskClass.PLAN)
    (record,) = [each for each in records if each.deployment == shop.deployment]
    assert (record.calls, record.successes) == (3, 2)


async def test_a_breaker_opens_after_failures_in_a_row(shop: Shop) -> None:
    for _ in range(RULE.failures - 1):
        await shop.breakers.report(shop.deployment, failure="model_unreachable")
    assert await shop.breakers.enter(shop.deployment)
    await shop.breakers.report(shop.deployment, failure="model_unreachable")
    assert not await shop.breakers.enter(shop.deployment)
    now, known = await shop.breakers.read()
    (breaker,) = [each for each in known if each.deployment == shop.deployment]
    assert breaker.state is BreakerState.OPEN
    assert breaker.until is not None
    assert 25 < (breaker.until - now).total_seconds() <= 30


async def test_a_success_in_between_starts_the_count_again(shop: Shop) -> None:
    for _ in range(RULE.failures - 1):
        await shop.breakers.report(shop.deployment, failure="model_unreachable")
    await shop.breakers.report(shop.deployment, failure=None)
    await shop.breakers.report(shop.deployment, failure="model_unreachable")
    assert await shop.breakers.enter(shop.deployment)


async def test_only_one_caller_probes_and_its_success_lets_all_in(shop: Shop) -> None:
    await shop.breakers.report(shop.deployment, failure="model_rate_limited", retry_after_s=0)
    assert await shop.breakers.enter(shop.deployment)
    assert not await shop.breakers.enter(shop.deployment)
    await shop.breakers.report(shop.deployment, failure=None)
    assert await shop.breakers.enter(shop.deployment)
    assert await shop.breakers.enter(shop.deployment)


async def test_a_probe_that_ends_without_an_answer_gives_its_place_back(shop: Shop) -> None:
    await shop.breakers.report(shop.deployment, failure="model_rate_limited", retry_after_s=0)
    assert await shop.breakers.enter(shop.deployment)
    await shop.breakers.release(shop.deployment)
    assert await shop.breakers.enter(shop.deployment)


async def test_a_refused_key_opens_at_once(shop: Shop) -> None:
    await shop.breakers.report(shop.deployment, failure="model_key_refused")
    assert not await shop.breakers.enter(shop.deployment)


async def test_fifty_runs_racing_for_one_budget_never_pass_it(database: Database) -> None:
    spend = PostgresSpend(database=database)
    await spend.set_limit(
        "default", SpendLimit(scope="tenant", subject="default", period="day", limit_usd=1.0)
    )

    async def one_run() -> float:
        spent = 0.0
        run = new_id("run")
        for _ in range(3):
            each = claim(0.05, run_id=run)
            try:
                await spend.reserve(each)
            except BudgetExhausted:
                return spent
            await spend.settle("default", each.call_id, cost(0.04))
            spent += 0.04
        return spent

    amounts = await asyncio.gather(*(one_run() for _ in range(50)))
    (today,) = [view for view in await spend.totals("default", scope="tenant") if view.period != "total"]
    assert sum(amounts) == pytest.approx(today.spent_usd)
    assert today.reserved_usd == 0
    assert 0.95 <= today.spent_usd <= 1.0


async def test_what_a_child_spends_its_parent_has_spent(database: Database) -> None:
    spend = PostgresSpend(database=database)
    parent, child = await _family(database)
    await spend.reserve(claim(0.3, run_id=parent))
    await spend.reserve(claim(0.6, run_id=child))
    with pytest.raises(BudgetExhausted, match=parent):
        await spend.reserve(claim(0.2, run_id=child))


async def _family(database: Database) -> tuple[str, str]:
    runs = PostgresRuns(database=database)
    names = (new_id("run"), new_id("run"))
    for name, parent, limit in ((names[0], None, 1.0), (names[1], names[0], 5.0)):
        await runs.create(
            RunInput(
                run_id=name,
                tenant="default",
                goal="g",
                agent=AgentSpec(name="operator"),
                limits=RunLimits(spend_usd=limit),
                parent=parent,
            )
        )
    return names


async def test_latency_and_cost_are_told_with_what_is_known_of_them(database: Database) -> None:
    spend = PostgresSpend(database=database)
    for step in range(16):
        each = claim(0.1)
        await spend.reserve(each)
        told = cost(0.01 + step * 0.001).model_copy(update={"latency_ms": 100 + step * 10})
        await spend.settle("default", each.call_id, told)
    (record,) = await spend.track_records("default", TaskClass.PLAN)
    assert (record.timed, record.latency_ms) == (16, 175)
    assert 100 < record.latency_at_least_ms < 175 < record.latency_at_most_ms < 250
    assert 0.01 < record.cost_at_least_usd < record.cost_usd < record.cost_at_most_usd < 0.025


async def test_claims_of_a_dead_process_are_presumed_spent(database: Database) -> None:
    spend = PostgresSpend(database=database)
    run = new_id("run")
    await spend.reserve(claim(0.7, run_id=new_id("run")))
    await spend.reserve(claim(0.3, run_id=run).model_copy(update={"lapses_after_s": 1e-6}))
    assert await spend.presume_spent() == 1
    (view,) = await spend.totals("default", scope="run", subject=run)
    assert (view.spent_usd, view.reserved_usd) == (0.3, 0)
    (call,) = await spend.calls("default", run)
    assert call.status == "presumed"


async def test_a_fork_goes_on_with_the_purse_of_its_origin(database: Database) -> None:
    spend = PostgresSpend(database=database)
    origin, fork, second = await _line(database, limits=(1.0, 1.0, 1.5))
    await spend.reserve(claim(0.7, run_id=origin))
    await spend.reserve(claim(0.2, run_id=fork))
    with pytest.raises(BudgetExhausted, match=f"run {fork}, shared with the run it was forked from"):
        await spend.reserve(claim(0.2, run_id=fork))
    await spend.reserve(claim(0.5, run_id=second))
    with pytest.raises(BudgetExhausted, match=second):
        await spend.reserve(claim(0.2, run_id=second))
    (own,) = await spend.totals("default", scope="run", subject=fork)
    assert (own.reserved_usd, own.limit_usd) == (0.2, 1.0)


async def _line(database: Database, *, limits: tuple[float, ...]) -> list[str]:
    """Runs of which each was forked from the one before."""
    runs, names = PostgresRuns(database=database), [new_id("run") for _ in limits]
    for name, origin, limit in zip(names, [None, *names], limits, strict=False):
        await runs.create(
            RunInput(
                run_id=name,
                tenant="default",
                goal="g",
                agent=AgentSpec(name="operator"),
                limits=RunLimits(spend_usd=limit),
            ),
            forked_from=origin,
        )
    return names


async def test_another_tenant_sees_no_spend(database: Database) -> None:
    spend = PostgresSpend(database=database)
    await spend.reserve(claim(0.3, run_id=new_id("run")))
    assert await spend.totals("another") == []


async def test_a_price_set_while_running_is_kept(database: Database) -> None:
    spend = PostgresSpend(database=database)
    await spend.set_price("house-model", Price(input=1, output=2), by="a-person")
    await spend.set_price("house-model", Price(input=2, output=3), by="a-person")
    assert await spend.prices() == {"house-model": Price(input=2, output=3)}


async def test_two_workers_share_one_breaker(database: Database) -> None:
    here, there = (PostgresBreakers(database=database, rule=RULE) for _ in range(2))
    for worker in (here, there, here):
        await worker.report("large", failure="model_unreachable")
    assert not await there.enter("large")
    now, _ = await there.read()
    assert abs(now - datetime.now(UTC)) < timedelta(minutes=1)


PROBE = """
import asyncio, sys
from holdfast.adapters.postgres.database import Database
from holdfast.adapters.postgres.model_breakers import PostgresBreakers
from schemas.models import BreakerRule

async def main():
    database = await Database.open(sys.argv[1])
    breakers = PostgresBreakers(database=database, rule=BreakerRule())
    print("here", flush=True)
    await asyncio.to_thread(sys.stdin.readline)
    print(await breakers.enter("large"), flush=True)
    await asyncio.to_thread(sys.stdin.readline)
    await breakers.report("large", failure=None)
    await database.close()

asyncio.run(main())
"""


async def test_of_two_worker_processes_one_probes_and_its_success_lets_the_other_in(
    database: Database, database_url: str
) -> None:
    here = PostgresBreakers(database=database, rule=RULE)
    await here.report("large", failure="model_rate_limited", retry_after_s=0)
    workers = [
        await asyncio.create_subprocess_exec(
            sys.executable, "-c", PROBE, database_url, stdin=PIPE, stdout=PIPE
        )
        for _ in range(2)
    ]

    async def line(worker: asyncio.subprocess.Process, *, say: bool = True) -> bytes:
        assert worker.stdin
        assert worker.stdout
        if say:
            worker.stdin.write(b"\n")
        return (await worker.stdout.readline()).strip()

    async with asyncio.timeout(60):
        assert [await line(worker, say=False) for worker in workers] == [b"here", b"here"]
        let_in = await asyncio.gather(*(line(worker) for worker in workers))
        assert sorted(let_in) == [b"False", b"True"]
        assert not await here.enter("large")
        await workers[let_in.index(b"True")].communicate(b"\n")
        assert await here.enter("large")
        await workers[let_in.index(b"False")].communicate(b"\n")
