"""What panels said, as rows."""

from collections.abc import Sequence

from psycopg.types.json import Jsonb

from holdfast.adapters.postgres.database import Database
from schemas.models import TaskClass, TrackRecord
from schemas.panels import PanelResult

_LEARNT_FROM = "90 days"


class PostgresPanelBook:
    """Fulfils `holdfast.llm.panels.panel.PanelBook`."""

    def __init__(self, *, database: Database) -> None:
        self._database = database

    async def keep(self, result: PanelResult) -> None:
        async with self._database.tenant(result.tenant) as connection:
            await connection.execute(
                """insert into panel_results
                     (id, tenant, run_id, step_id, method, question, result, score, escalated, cost_usd)
                   values (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s) on conflict (id) do nothing""",
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

    async def newest(self, tenant: str, *, limit: int = 1000) -> Sequence[PanelResult]:
        async with self._database.tenant(tenant) as connection:
            cursor = await connection.execute(
                "select result, created_at from panel_results order by created_at desc, id limit %s", (limit,)
            )
            rows = await cursor.fetchall()
        return [
            PanelResult.model_validate({**row["result"], "created_at": row["created_at"]}) for row in rows
        ]
