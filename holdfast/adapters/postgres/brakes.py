"""Freezes and envelopes as rows: what holds actions back at once, and what lets them through in advance."""

from collections.abc import Sequence

from psycopg import sql

from holdfast.adapters.postgres.database import Database
from holdfast.ids import new_id
from schemas.brakes import Envelope, Freeze, FreezeDraft, FreezeFilter

_FREEZE = sql.SQL(
    """id, tenant, environment, tool, agent, label_key, label_value, reason, created_by, created_at, thawed_at,
  thawed_by"""
)


class PostgresBrakes:
    """Fulfils the port `BrakeStore`."""

    def __init__(self, *, database: Database) -> None:
        self._database = database

    async def freeze(self, tenant: str, draft: FreezeDraft, *, by: str) -> Freeze:
        """In force once this returns: the ledger asks the table when an action goes out."""
        async with self._database.tenant(tenant) as connection:
            cursor = await connection.execute(
                sql.SQL("""insert into freezes (id, tenant, environment, tool, agent, label_key, label_value, reason, created_by)
                    values (%s, %s, %s, %s, %s, %s, %s, %s, %s) returning {}""").format(_FREEZE),
                (new_id("frz"), tenant, *_place(draft), draft.reason, by),
            )
            return Freeze.model_validate(await cursor.fetchone())

    async def thaw(self, tenant: str, which: FreezeFilter, *, by: str) -> Sequence[Freeze]:
        """Those that were released; none where nothing matched."""
        place = _place(which.where) if which.where else None
        async with self._database.tenant(tenant) as connection:
            cursor = await connection.execute(
                sql.SQL("""update freezes set thawed_at = clock_timestamp(), thawed_by = %s
                    where thawed_at is null and (%s::text is null or id = %s) and (%s or
                      (environment, tool, agent, label_key, label_value)
                        is not distinct from (%s::text, %s::text, %s::text, %s::text, %s::text))
                    returning {}""").format(_FREEZE),
                (by, which.id, which.id, place is None, *(place or (None,) * 5)),
            )
            return [Freeze.model_validate(row) for row in await cursor.fetchall()]

    async def held_runs(self, tenant: str, *, most: int) -> Sequence[str]:
        """Runs under way that a freeze has held at some time."""
        async with self._database.tenant(tenant) as connection:
            cursor = await connection.execute(
                """select r.id from runs r where r.status in ('running', 'input_required', 'paused') and exists (
                     select from run_events e where e.run_id = r.id and e.type = 'verdict.held')
                   order by r.id limit %s""",
                (most,),
            )
            return [row["id"] for row in await cursor.fetchall()]

    async def freezes(self, tenant: str, *, thawed: bool = False) -> Sequence[Freeze]:
        async with self._database.tenant(tenant) as connection:
            cursor = await connection.execute(
                sql.SQL(
                    "select {} from freezes where %s or thawed_at is null order by created_at, id"
                ).format(_FREEZE),
                (thawed,),
            )
            return [Freeze.model_validate(row) for row in await cursor.fetchall()]

    async def envelopes(self, tenant: str, run_id: str) -> Sequence[Envelope]:
        async with self._database.tenant(tenant) as connection:
            cursor = await connection.execute(
                """select e.approval_id, e.run_id, e.entries, envelope_terms(a) as terms,
                          coalesce((select jsonb_agg(d.approver order by d.at) from approval_decisions d
                            where d.approval_id = e.approval_id and d.decision <> 'reject'), '[]') as granted_by
                   from envelopes e join approvals a on a.id = e.approval_id
                   where e.run_id = %s and a.run_id = e.run_id and a.status = 'approved'
                     and a.approved_digest = e.digest
                   order by e.created_at""",
                (run_id,),
            )
            return [Envelope.model_validate(row) for row in await cursor.fetchall()]


def _place(draft: FreezeDraft) -> tuple[str | None, ...]:
    return (draft.environment, draft.tool, draft.agent, draft.label_key, draft.label_value)
