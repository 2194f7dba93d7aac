"""Approvals as rows: asked by a run, decided through the API, read back by the run."""

from typing import Any

from psycopg.types.json import Jsonb

from holdfast.adapters.postgres.database import Connection, Database
from holdfast.adapters.postgres.doubts import doubt
from holdfast.adapters.postgres.runs import events_json
from holdfast.errors import NotFound
from schemas.approvals import Approval
from schemas.events import EventType, NewEvent
from schemas.stages import AskRequest, DoubtRequest, RunScope


class PostgresApprovals:
    """Fulfils the port `Approvals`. Asking twice asks once; expiring what is decided changes nothing."""

    def __init__(self, *, database: Database) -> None:
        self._database = database

    async def ask(self, request: AskRequest) -> Approval:
        requested = events_json([_requested(request)])
        async with self._database.tenant(request.scope.tenant) as connection:
            await connection.execute(
                "select refuse_behind_the_end(%s, %s)", (request.scope.run_id, requested)
            )
            await connection.execute(
                """insert into approvals (id, tenant, run_id, step_id, subject, digest, summary, terms, action,
                                          requested_by, expires_at)
                   values (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s, clock_timestamp() + make_interval(secs => %s))
                   on conflict (id) do nothing""",
                (
                    request.id,
                    request.scope.tenant,
                    request.scope.run_id,
                    request.step_id,
                    request.subject,
                    request.digest,
                    Jsonb(request.summary.model_dump(mode="json")),
                    Jsonb(request.terms.model_dump(mode="json")),
                    Jsonb(request.action.model_dump(mode="json")) if request.action else None,
                    request.requested_by,
                    request.terms.expires_s,
                ),
            )
            if request.entries:
                await _lay_envelope(connection, request)
            await _tell(connection, request.scope.run_id, _requested(request))
            return await _read(connection, request.id)

    async def read(self, tenant: str, approval_id: str) -> Approval:
        async with self._database.tenant(tenant) as connection:
            return await _read(connection, approval_id)

    async def expire(self, tenant: str, approval_id: str) -> Approval:
        async with self._database.tenant(tenant) as connection:
            cursor = await connection.execute(
                """update approvals set status = 'expired', decided_at = clock_timestamp()
                   where id = %s and status = 'pending' returning run_id, step_id, subject""",
                (approval_id,),
            )
            row = await cursor.fetchone()
            if row:
                expired = NewEvent(
                    key=f"{approval_id}:expired",
                    type=EventType.APPROVAL_EXPIRED,
                    step_id=row["step_id"],
                    data={"approval_id": approval_id, "subject": row["subject"]},
                )
                await _tell(connection, row["run_id"], expired)
            return await _read(connection, approval_id)

    async def withdraw(self, scope: RunScope, approval_id: str) -> None:
        async with self._database.tenant(scope.tenant) as connection:
            await connection.execute(
                "select tell(%(run)s, withdraw_questions(%(run)s, %(id)s))",
                {"run": scope.run_id, "id": approval_id},
            )

    async def doubt(self, request: DoubtRequest) -> None:
        async with self._database.tenant(request.scope.tenant) as connection:
            await doubt(connection, request)


async def _lay_envelope(connection: Connection, request: AskRequest) -> None:
    """It permits nothing until this approval stands, for the digest that was asked about."""
    await connection.execute(
        """insert into envelopes (approval_id, tenant, run_id, digest, entries)
           values (%s, %s, %s, %s, %s) on conflict do nothing""",
        (
            request.id,
            request.scope.tenant,
            request.scope.run_id,
            request.digest,
            Jsonb([entry.model_dump(mode="json") for entry in request.entries]),
        ),
    )


async def _read(connection: Connection, approval_id: str) -> Approval:
    cursor = await connection.execute(
        """select a.id, a.tenant, a.run_id, a.step_id, a.subject, a.digest, a.summary, a.terms, a.status,
                  a.requested_by, a.created_at, a.expires_at, a.delegations,
                  coalesce((select jsonb_agg(jsonb_build_object(
                      'approver', d.approver, 'decision', d.decision, 'digest', d.digest, 'comment', d.comment,
                      'arguments', d.arguments, 'at', d.at) order by d.at)
                    from approval_decisions d where d.approval_id = a.id), '[]') as decisions
           from approvals a where a.id = %s""",
        (approval_id,),
    )
    row: dict[str, Any] | None = await cursor.fetchone()
    if row is None:
        raise NotFound(f"There is no approval {approval_id}.", approval_id=approval_id)
    return Approval.model_validate(row)


async def _tell(connection: Connection, run_id: str, event: NewEvent) -> None:
    await connection.execute("select tell(%s, %s)", (run_id, events_json([event])))


def _requested(request: AskRequest) -> NewEvent:
    return NewEvent(
        key=f"{request.id}:requested",
        type=EventType.APPROVAL_REQUESTED,
        step_id=request.step_id,
        data={
            "approval_id": request.id,
            "subject": request.subject,
            "digest": request.digest,
            "summary": request.summary.model_dump(mode="json"),
            "terms": request.terms.model_dump(mode="json"),
        },
    )
