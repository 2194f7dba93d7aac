"""The spend ledger: what calls of models may cost, did cost, and how they went."""

from collections.abc import Sequence
from typing import Any

from psycopg.types.json import Jsonb

from holdfast.adapters.postgres.database import Database
from holdfast.adapters.postgres.readings import Position, beyond
from holdfast.errors import BudgetExhausted
from holdfast.llm.statistics import interval_of, mean_between, median_between
from holdfast.memory.signatures import goal_kind
from schemas.agents import RunLimits
from schemas.chat import TaskClass, TokenUsage
from schemas.models import ArmReport, Price, TrackRecord
from schemas.spend import CallOutcome, ModelCall, SpendClaim, SpendLimit, SpendView

_LEARNT_FROM = "14 days"
_TIMED = "24 hours"
"""How fast a deployment is changes within hours; one that was too slow is tried again a day later."""
_ENOUGH_LIKE_IT = 3


class PostgresSpend:
    """Fulfils `holdfast.llm.ports.SpendLedger`."""

    def __init__(self, *, database: Database) -> None:
        self._database = database

    async def reserve(self, claim: SpendClaim) -> None:
        async with self._database.statement() as connection:
            cursor = await connection.execute(
                "select reserve_spend(%s, %s) as over",
                (claim.errand.tenant, Jsonb(claim.model_dump(mode="json"))),
            )
            row = await cursor.fetchone()
        if row and row["over"]:
            raise _exhausted(claim, row["over"])

    async def settle(self, tenant: str, call_id: str, outcome: CallOutcome) -> None:
        async with self._database.statement() as connection:
            await connection.execute(
                "select settle_spend(%s, %s, %s)", (tenant, call_id, Jsonb(outcome.model_dump(mode="json")))
            )

    async def presume_spent(self) -> int:
        """Settles the claims of processes that died in a call, at what was claimed. Safe to run anywhere, any time."""
        async with self._database.statement() as connection:
            cursor = await connection.execute("select tenant, call_id from lapsed_claims()")
            rows = await cursor.fetchall()
            for row in rows:
                await connection.execute("select settle_spend(%s, %s, null)", (row["tenant"], row["call_id"]))
        return len(rows)

    async def grade(self, tenant: str, call_id: str, *, useful: bool) -> None:
        async with self._database.tenant(tenant) as connection:
            await connection.execute("update model_calls set useful = %s where id = %s", (useful, call_id))

    async def track_records(self, tenant: str, task: TaskClass) -> Sequence[TrackRecord]:
        return await self._records(tenant, task)

    async def all_records(self, tenant: str) -> Sequence[TrackRecord]:
        """Of every kind of task, for people to look at."""
        return await self._records(tenant, None)

    async def _records(self, tenant: str, task: TaskClass | None) -> Sequence[TrackRecord]:
        async with self._database.tenant(tenant) as connection:
            cursor = await connection.execute(
                """select task, deployment, count(*) as calls,
                          count(*) filter (where ok and useful is not false) as successes,
                          count(*) filter (where ok and lately) as timed,
                          percentile_cont(array[0.25, 0.5, 0.75]) within group (order by latency_ms)
                            filter (where ok and lately) as quarters,
                          count(*) filter (where ok) as answered,
                          coalesce(avg(cost_usd) filter (where ok), 0)::float8 as cost_usd,
                          coalesce(stddev_samp(cost_usd) filter (where ok), 0)::float8 as deviation
                   from (select *, created_at > clock_timestamp() - %(lately)s::interval as lately from model_calls) c
                   where (%(task)s::text is null or task = %(task)s) and status = 'settled'
                     and failure <> 'cancelled' and created_at > clock_timestamp() - %(age)s::interval
                   group by task, deployment order by task, deployment""",
                {"task": task, "age": _LEARNT_FROM, "lately": _TIMED},
            )
            return [_record(row) for row in await cursor.fetchall()]

    async def past_success(self, tenant: str, agent: str, goal: str) -> float | None:
        """The share of runs for goals of this kind that succeeded; of the agent's runs, where those are too few."""
        async with self._database.tenant(tenant) as connection:
            cursor = await connection.execute(
                """select coalesce(
                     (select avg((content->'data'->>'status' = 'succeeded')::int) from memory_items
                      where kind = 'episode' and status = 'active' and goal_kind = %(kind)s and goal_kind <> ''
                        and created_at > clock_timestamp() - %(age)s::interval having count(*) >= %(enough)s),
                     (select avg((status = 'succeeded')::int) from runs
                      where agent = %(agent)s and status in ('succeeded', 'failed', 'rejected', 'timed_out')
                        and created_at > clock_timestamp() - %(age)s::interval))::float8 as share""",
                {"kind": goal_kind(goal), "agent": agent, "age": _LEARNT_FROM, "enough": _ENOUGH_LIKE_IT},
            )
            row = await cursor.fetchone()
        share: float | None = row["share"] if row else None
        return share

    async def experiment(self, tenant: str, name: str) -> Sequence[ArmReport]:
        """How the arms of an A/B split did, by the calls that were given to them."""
        async with self._database.tenant(tenant) as connection:
            cursor = await connection.execute(
                """select decision->>'arm' as arm, count(*) as calls, count(distinct run_id) as runs,
                          count(*) filter (where ok and useful is not false and deployment = decision->>'arm')
                            as successes,
                          coalesce(percentile_cont(0.5) within group (order by latency_ms) filter (where ok), 0)
                            as latency_ms,
                          coalesce(avg(cost_usd), 0)::float8 as cost_usd
                   from model_calls
                   where decision->>'experiment' = %s and status = 'settled' and attempt = 0
                   group by 1 order by 1""",
                (name,),
            )
            return [ArmReport.model_validate({**row, **_bounds(row)}) for row in await cursor.fetchall()]

    async def calls(
        self, tenant: str, run_id: str, *, after: Position | None = None, limit: int | None = None
    ) -> Sequence[ModelCall]:
        """In the order in which they were made; all of them, unless a page is asked for."""
        async with self._database.tenant(tenant) as connection:
            cursor = await connection.execute(
                """select id, run_id, agent, step_id, task, deployment, model, status, ok, useful, attempt,
                          reserved_usd::float8, cost_usd::float8, input_tokens, output_tokens, cached_tokens, estimated,
                          latency_ms, failure, decision, created_at
                   from model_calls where run_id = %(run)s
                     and (%(at)s::timestamptz is null or (created_at, id) > (%(at)s, %(id)s))
                   order by created_at, id limit %(limit)s""",
                {"run": run_id, "limit": limit, **beyond(after)},
            )
            return [_call(row) for row in await cursor.fetchall()]

    async def totals(
        self, tenant: str, *, scope: str | None = None, subject: str | None = None
    ) -> Sequence[SpendView]:
        async with self._database.tenant(tenant) as connection:
            cursor = await connection.execute(
                """select t.scope, t.subject, t.period, t.spent_usd::float8, t.reserved_usd::float8,
                          case when t.scope = 'run' then (r.input->'limits'->>'spend_usd')::float8
                               else l.limit_usd::float8 end as limit_usd
                   from spend_totals t
                   left join spend_limits l on l.scope = t.scope and l.subject = t.subject
                         and l.period = case t.period when 'total' then 'total' else 'day' end
                   left join runs r on t.scope = 'run' and r.id = t.subject
                   where (%(scope)s::text is null or t.scope = %(scope)s)
                     and (%(subject)s::text is null or t.subject = %(subject)s)
                   order by t.scope, t.subject, t.period limit 1000""",
                {"scope": scope, "subject": subject},
            )
            return [SpendView(**row) for row in await cursor.fetchall()]

    async def set_limit(self, tenant: str, limit: SpendLimit) -> None:
        async with self._database.tenant(tenant) as connection:
            await connection.execute(
                """insert into spend_limits (tenant, scope, subject, period, limit_usd) values (%s, %s, %s, %s, %s)
                   on conflict (tenant, scope, subject, period) do update set limit_usd = excluded.limit_usd""",
                (tenant, limit.scope, limit.subject, limit.period, limit.limit_usd),
            )

    async def limit_run(self, tenant: str, run_id: str, limits: RunLimits) -> None:
        """The limits a person gave a run later: the next claim is held against these."""
        async with self._database.tenant(tenant) as connection:
            await connection.execute(
                "update runs set input = jsonb_set(input, '{limits}', %s) where id = %s",
                (Jsonb(limits.model_dump(mode="json")), run_id),
            )

    async def prices(self) -> dict[str, Price]:
        """Prices set while running; they stand above the list that ships."""
        async with self._database.statement() as connection:
            cursor = await connection.execute("select model, price from model_prices")
            return {row["model"]: Price.model_validate(row["price"]) for row in await cursor.fetchall()}

    async def set_price(self, model: str, price: Price, *, by: str) -> None:
        async with self._database.statement() as connection:
            await connection.execute(
                """insert into model_prices (model, price, set_by) values (%s, %s, %s)
                   on conflict (model) do update
                   set price = excluded.price, set_by = excluded.set_by, updated_at = now()""",
                (model, Jsonb(price.model_dump(mode="json")), by),
            )


def _exhausted(claim: SpendClaim, over: dict[str, Any]) -> BudgetExhausted:
    period = "" if over["period"] == "total" else f" on {over['period']}"
    shared = over["owner"] != over["subject"]
    whose = f"{over['scope']} {over['owner']}{', shared with the run it was forked from,' if shared else ''}"
    left = max(0.0, over["limit"] - over["spent"] - over["reserved"])
    return BudgetExhausted(
        f"The budget of {whose}{period} is {over['limit']:g} USD; {left:.4f} USD are left and "
        f"this call may cost {claim.amount_usd:.4f} USD.",
        remedy=f"Raise the limit of {over['scope']} {over['owner']}, or wait until calls under way have been settled.",
        scope=over["scope"],
        subject=over["owner"],
        run_id=claim.errand.run_id,
    )


def _record(row: dict[str, Any]) -> TrackRecord:
    low, middle, high = row.pop("quarters") or (0.0, 0.0, 0.0)
    answered, deviation = row.pop("answered"), row.pop("deviation")
    latency = median_between(low, middle, high, row["timed"])
    cost = mean_between(row["cost_usd"], deviation, answered)
    measured = {
        "latency_ms": middle,
        "latency_at_least_ms": round(latency[0], 1),
        "latency_at_most_ms": round(latency[1], 1),
        "cost_at_least_usd": round(cost[0], 9),
        "cost_at_most_usd": round(cost[1], 9),
    }
    return TrackRecord.model_validate({**row, **_bounds(row), **measured})


def _bounds(row: dict[str, Any]) -> dict[str, float]:
    low, high = interval_of(row["successes"], row["calls"])
    return {"at_least": round(low, 3), "at_most": round(high, 3)}


def _call(row: dict[str, Any]) -> ModelCall:
    counted = ("input_tokens", "output_tokens", "cached_tokens", "estimated")
    usage = TokenUsage(**{name: row.pop(name) for name in counted})
    return ModelCall(**row, usage=usage)
