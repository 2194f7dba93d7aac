"""What the API reads and no run writes: pages of runs, what a run cost, what it was told. Read-only."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, LiteralString

from psycopg.types.json import Jsonb

from holdfast.adapters.postgres.database import Database
from holdfast.adapters.postgres.run_order import RunOrder, RunPlace
from holdfast.errors import NotFound
from schemas.base import Digest
from schemas.events import RunEvent
from schemas.reports import ModelCost, RunCost, StepCost, VerdictView
from schemas.runs import Run

_RUN_COLUMNS: LiteralString = """r.tenant, r.id, r.goal, r.agent, r.agent_version, r.environment, r.mode, r.status,
  r.reason, r.answer, r.outputs, r.cites, r.labels, r.thread, r.parent, r.forked_from, r.requested_by,
  r.spend_usd::float8 as spend_usd, r.created_at, r.started_at, r.ended_at, h.last_seq"""


_STEP_COSTS: LiteralString = """
  select step_id, sum(model_calls)::int as model_calls, sum(cost_usd)::float8 as cost_usd,
         sum(tool_calls)::int as tool_calls, sum(tool_ms) / 1000 as tool_s
  from (select step_id, 1 as model_calls, coalesce(cost_usd, reserved_usd) as cost_usd, 0 as tool_calls,
               0::float8 as tool_ms, created_at
        from model_calls where run_id = %(run)s and step_id is not null
        union all
        select step_id, 0, 0, 1, coalesce((result->>'duration_ms')::float8, 0), dispatched_at
        from effects where run_id = %(run)s) parts
  group by step_id order by min(created_at), step_id limit 10000"""

Measure = tuple[str, tuple[str, ...], tuple[str, ...], float]
"""A metric's name, its labels and their values, and how much."""


@dataclass(frozen=True)
class RunFilter:
    """Which runs; what is None or empty does not narrow."""

    statuses: Sequence[str] = ()
    agent: str | None = None
    environments: Sequence[str] | None = None
    thread: str | None = None
    parent: str | None = None
    labels: dict[str, str] = field(default_factory=dict)
    text: str | None = None
    created_after: datetime | None = None
    created_before: datetime | None = None


@dataclass(frozen=True)
class Position:
    """The place between two runs of a list."""

    created_at: datetime
    id: str


def beyond(after: Position | None) -> dict[str, Any]:
    """The parameters `at` and `id` of a page that begins after this place; none for the first."""
    return {"at": after.created_at if after else None, "id": after.id if after else None}


@dataclass(frozen=True)
class StoredArtifact:
    content_type: str
    data: bytes


class PostgresReadings:
    def __init__(self, *, database: Database) -> None:
        self._database = database

    async def runs(
        self,
        tenant: str,
        wanted: RunFilter,
        *,
        after: RunPlace | None,
        limit: int,
        order: RunOrder,
    ) -> Sequence[Run]:
        async with self._database.tenant(tenant) as connection:
            cursor = await connection.execute(
                f"""select {_RUN_COLUMNS} from runs r join run_heads h on h.run_id = r.id
                where (%(statuses)s::text[] is null or r.status = any (%(statuses)s))
                  and (%(agent)s::text is null or r.agent = %(agent)s)
                  and (%(environments)s::text[] is null or r.environment = any (%(environments)s))
                  and (%(thread)s::text is null or r.thread = %(thread)s)
                  and (%(parent)s::text is null or r.parent = %(parent)s)
                  and (%(labels)s::jsonb is null or r.labels @> %(labels)s)
                  and (%(text)s::text is null or r.goal ilike %(text)s or r.answer ilike %(text)s)
                  and (%(created_after)s::timestamptz is null or r.created_at >= %(created_after)s)
                  and (%(created_before)s::timestamptz is null or r.created_at < %(created_before)s)
                  and {order.beyond}
                order by {order.by} limit %(limit)s""",  # noqa: S608 - constants only
                {
                    **_parameters(wanted),
                    "key": after.key if after else None,
                    "id": after.id if after else None,
                    "limit": limit,
                },
            )
            return [Run.model_validate(row) for row in await cursor.fetchall()]

    async def verdicts(
        self, tenant: str, run_id: str, *, after: Position | None, limit: int
    ) -> Sequence[VerdictView]:
        async with self._database.tenant(tenant) as connection:
            cursor = await connection.execute(
                """select step_id, action, verdict, created_at from verdicts where run_id = %(run)s
                     and (%(at)s::timestamptz is null or (created_at, action_digest) > (%(at)s, %(id)s))
                   order by created_at, action_digest limit %(limit)s""",
                {"run": run_id, "limit": limit, **beyond(after)},
            )
            return [VerdictView.model_validate(row) for row in await cursor.fetchall()]

    async def cost(self, tenant: str, run_id: str) -> RunCost:
        async with self._database.tenant(tenant) as connection:
            cursor = await connection.execute(
                """select model, count(*) as calls, sum(input_tokens) as tokens_in, sum(output_tokens) as tokens_out,
                          coalesce(sum(coalesce(cost_usd, reserved_usd)), 0)::float8 as cost_usd
                   from model_calls where run_id = %s group by model order by cost_usd desc""",
                (run_id,),
            )
            models = [ModelCost.model_validate(row) for row in await cursor.fetchall()]
            cursor = await connection.execute(
                """select count(*) as tool_calls,
                          coalesce(sum((result->>'duration_ms')::float8), 0) / 1000 as tool_s
                   from effects where run_id = %s""",
                (run_id,),
            )
            calls = await cursor.fetchone() or {}
            cursor = await connection.execute(_STEP_COSTS, {"run": run_id})
            steps = [StepCost.model_validate(row) for row in await cursor.fetchall()]
        spend = sum(model.cost_usd for model in models)
        return RunCost.model_validate(
            {"run_id": run_id, "models": models, "steps": steps, "spend_usd": spend, **calls}
        )

    async def artifact(self, tenant: str, run_id: str, digest: str) -> StoredArtifact:
        async with self._database.tenant(tenant) as connection:
            cursor = await connection.execute(
                "select content_type, data from artifacts where run_id = %s and digest = %s", (run_id, digest)
            )
            row = await cursor.fetchone()
        if row is None:
            raise NotFound(f"Run {run_id} has no artifact {digest}.", run_id=run_id)
        return StoredArtifact(content_type=row["content_type"], data=bytes(row["data"]))

    async def forget_run(self, tenant: str, run_id: str) -> None:
        """Delete a run and all that belongs to it."""
        async with self._database.tenant(tenant) as connection:
            await connection.execute("delete from panel_results where run_id = %s", (run_id,))
            await connection.execute("delete from judge_opinions where run_id = %s", (run_id,))
            await connection.execute("delete from runs where id = %s", (run_id,))

    async def active(self, tenant: str) -> Digest | None:
        """The policy bundle in force."""
        async with self._database.statement() as connection:
            cursor = await connection.execute("select active_bundle(%s) as digest", (tenant,))
            row = await cursor.fetchone()
        return row["digest"] if row else None

    async def events(self, tenant: str, run_id: str, *, after: int, limit: int) -> Sequence[RunEvent]:
        """A page of a run's story, in one round trip."""
        async with self._database.statement() as connection:
            cursor = await connection.execute(
                "select * from run_story(%s, %s, %s, %s)", (tenant, run_id, after, limit)
            )
            return [RunEvent.model_validate(row) for row in await cursor.fetchall()]

    async def tenant_events(
        self,
        tenant: str,
        *,
        since: datetime,
        environments: Sequence[str] | None,
        run_id: str | None = None,
        after: int = 0,
        limit: int = 500,
    ) -> Sequence[RunEvent]:
        """Events told after a moment, in the order of time: of all runs, or of one run after a number."""
        async with self._database.tenant(tenant) as connection:
            cursor = await connection.execute(
                """select e.tenant, e.run_id, e.seq, e.type, e.step_id, e.data, e.at
                   from run_events e join runs r on r.id = e.run_id
                   where e.tenant = %(tenant)s and e.at > %(since)s
                     and (%(run)s::text is null or (e.run_id = %(run)s and e.seq > %(after)s))
                     and (%(environments)s::text[] is null or r.environment = any (%(environments)s))
                   order by e.at, e.run_id, e.seq limit %(limit)s""",
                {
                    "tenant": tenant,
                    "since": since,
                    "run": run_id,
                    "after": after,
                    "environments": None if environments is None else list(environments),
                    "limit": limit,
                },
            )
            return [RunEvent.model_validate(row) for row in await cursor.fetchall()]

    async def measures(self) -> list[Measure]:
        """Counts over all tenants, for the metrics page."""
        async with self._database.statement() as connection:
            cursor = await connection.execute("select name, labels, label_values, amount from measures()")
            return [
                (row["name"], tuple(row["labels"]), tuple(row["label_values"]), row["amount"])
                for row in await cursor.fetchall()
            ]

    async def schema_version(self) -> str:
        """The newest migration that ran here."""
        async with self._database.statement() as connection:
            cursor = await connection.execute("select newest_migration() as name")
            row = await cursor.fetchone()
        return str(row["name"]) if row else ""


def _parameters(wanted: RunFilter) -> dict[str, Any]:
    return {
        "statuses": list(wanted.statuses) or None,
        "agent": wanted.agent,
        "environments": None if wanted.environments is None else list(wanted.environments),
        "thread": wanted.thread,
        "parent": wanted.parent,
        "labels": Jsonb(wanted.labels) if wanted.labels else None,
        "text": f"%{_literally(wanted.text)}%" if wanted.text else None,
        "created_after": wanted.created_after,
        "created_before": wanted.created_before,
    }


def _literally(text: str) -> str:
    """The text itself, with nothing in it that `like` would read as a pattern."""
    return text.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_")
