"""What panels said, as rows: answers as they come, results, and what they tell of the models."""

from collections.abc import Sequence
from typing import Any, LiteralString

from psycopg.types.json import Jsonb

from holdfast.adapters.postgres.database import Database
from holdfast.adapters.postgres.readings import Position
from holdfast.llm.panels.ports import Said
from schemas.chat import TaskClass
from schemas.models import TrackRecord
from schemas.panels import PanelResult

_LEARNT_FROM = "90 days"
_VISIBLE: LiteralString = """(%(environments)s::text[] is null
    or exists (select from runs r where r.id = p.run_id and r.environment = any (%(environments)s)))"""


class PostgresPanelBook:
    """Fulfils `holdfast.llm.panels.panel.PanelBook`, and is where the API reads."""

    def __init__(self, *, database: Database) -> None:
        self._database = database

    async def find(self, tenant: str, panel_id: str) -> PanelResult | None:
        async with self._database.tenant(tenant) as connection:
            cursor = await connection.execute(
                "select result, created_at from panel_results where tenant = %s and id = %s",
                (tenant, panel_id),
            )
            row = await cursor.fetchone()
        return _result(row) if row else None

    async def keep(self, result: PanelResult) -> None:
        """The result takes the place of the notes it was made from, and of those that nobody came back for."""
        async with self._database.tenant(result.tenant) as connection:
            await connection.execute(
                """insert into panel_results
                     (id, tenant, run_id, step_id, method, question, result, score, escalated, cost_usd)
                   values (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s) on conflict (tenant, id) do nothing""",
                (
                    result.id,
                    result.tenant,
                    result.run_id,
                    result.step_id,
                    result.method,
                    result.question,
                    Jsonb(result.model_dump(mode="json")),
                    result.score,
                    result.escalate,
                    result.cost_usd,
                ),
            )
            await connection.execute(
                """delete from panel_notes
                   where tenant = %s and (panel_id = %s or created_at < clock_timestamp() - interval '7 days')""",
                (result.tenant, result.id),
            )

    async def notes(self, tenant: str, panel_id: str) -> Sequence[Said]:
        async with self._database.tenant(tenant) as connection:
            cursor = await connection.execute(
                """select turn, text, cost_usd::float8 as cost_usd, latency_ms
                   from panel_notes where tenant = %s and panel_id = %s""",
                (tenant, panel_id),
            )
            return [Said(**row) for row in await cursor.fetchall()]

    async def note(self, tenant: str, panel_id: str, said: Said) -> None:
        async with self._database.tenant(tenant) as connection:
            await connection.execute(
                """insert into panel_notes (tenant, panel_id, turn, text, cost_usd, latency_ms)
                   values (%s, %s, %s, %s, %s, %s) on conflict do nothing""",
                (tenant, panel_id, said.turn, said.text, said.cost_usd, said.latency_ms),
            )

    async def reliability(self, tenant: str) -> Sequence[TrackRecord]:
        async with self._database.tenant(tenant) as connection:
            cursor = await connection.execute(
                """select v->>'deployment' as deployment, count(*) as calls,
                          count(*) filter (where (v->>'agrees')::boolean) as successes
                   from panel_results p cross join jsonb_array_elements(p.result->'voices') v
                   where not p.escalated and v->>'state' = 'answered'
                     and p.created_at > clock_timestamp() - %s::interval
                   group by 1 order by 1""",
                (_LEARNT_FROM,),
            )
            return [TrackRecord(task=TaskClass.PANEL, **row) for row in await cursor.fetchall()]

    async def of_step(self, tenant: str, run_id: str, step_id: str) -> PanelResult | None:
        """What the panel of this step said last."""
        async with self._database.tenant(tenant) as connection:
            cursor = await connection.execute(
                """select result, created_at from panel_results where run_id = %s and step_id = %s
                   order by created_at desc limit 1""",
                (run_id, step_id),
            )
            row = await cursor.fetchone()
        return _result(row) if row else None

    async def page(
        self,
        tenant: str,
        *,
        run_id: str | None = None,
        environments: Sequence[str] | None = None,
        after: Position | None = None,
        limit: int,
    ) -> Sequence[PanelResult]:
        """Newest first."""
        async with self._database.tenant(tenant) as connection:
            cursor = await connection.execute(
                f"""select p.result, p.created_at from panel_results p
                    where (%(run)s::text is null or p.run_id = %(run)s) and {_VISIBLE}
                      and (%(at)s::timestamptz is null or (p.created_at, p.id) < (%(at)s, %(id)s))
                    order by p.created_at desc, p.id desc limit %(limit)s""",  # noqa: S608 - constants only
                {
                    "run": run_id,
                    "environments": None if environments is None else list(environments),
                    "at": after.created_at if after else None,
                    "id": after.id if after else None,
                    "limit": limit,
                },
            )
            return [_result(row) for row in await cursor.fetchall()]

    async def since(
        self, tenant: str, *, days: int, environments: Sequence[str] | None = None, limit: int = 2000
    ) -> Sequence[PanelResult]:
        """For analytics, without the texts: of an answer, only whether there is one."""
        async with self._database.tenant(tenant) as connection:
            cursor = await connection.execute(
                f"""select p.created_at, p.result - 'dissent' - 'breakdown' || jsonb_build_object(
                           'question', '', 'answer', left(p.result->>'answer', 1),
                           'voices', (select coalesce(jsonb_agg(v - 'text' - 'role' - 'error'), '[]')
                                      from jsonb_array_elements(p.result->'voices') v)) as result
                    from panel_results p
                    where p.created_at > clock_timestamp() - make_interval(days => %(days)s) and {_VISIBLE}
                    order by p.created_at desc limit %(limit)s""",  # noqa: S608 - constants only
                {
                    "days": days,
                    "environments": None if environments is None else list(environments),
                    "limit": limit,
                },
            )
            return [_result(row) for row in await cursor.fetchall()]

    async def asked_people(self, tenant: str, run_id: str, step_id: str) -> str | None:
        """The id of what people were asked about this step, the last time."""
        async with self._database.tenant(tenant) as connection:
            cursor = await connection.execute(
                """select id from approvals where run_id = %s and step_id = %s and subject = 'step'
                   order by created_at desc limit 1""",
                (run_id, step_id),
            )
            row = await cursor.fetchone()
        return str(row["id"]) if row else None

    async def last_word(self, tenant: str, run_id: str, step_id: str) -> dict[str, Any]:
        """The outcome a step ended with, as its run told it; empty until then."""
        async with self._database.tenant(tenant) as connection:
            cursor = await connection.execute(
                """select data->'outcome' as outcome from run_events
                   where run_id = %s and step_id = %s and type in ('step.succeeded', 'step.failed', 'step.denied')
                   order by seq desc limit 1""",
                (run_id, step_id),
            )
            row = await cursor.fetchone()
        return row["outcome"] or {} if row else {}


def _result(row: dict[str, Any]) -> PanelResult:
    return PanelResult.model_validate({**row["result"], "created_at": row["created_at"]})
