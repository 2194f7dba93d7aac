"""Signals that say a decision was made which nobody made: told in the run's story and audited, in one transaction."""

from datetime import UTC, datetime

from holdfast.adapters.postgres.database import Connection
from holdfast.adapters.postgres.runs import events_json
from schemas.access import AuditEntry
from schemas.approvals import ApprovalStatus
from schemas.canonical import canonical_json
from schemas.events import EventType, NewEvent
from schemas.stages import DoubtRequest

MOST_TOLD = 20
"""For each run. A flood is told by its beginning; all of it is in Temporal's history."""

_WHY = {
    None: "the run asks no such question",
    ApprovalStatus.PENDING: "what is needed to decide it has not been said",
    ApprovalStatus.EXPIRED: "it has expired",
}
"""Any other status is a decision, and a signal about it is late or sent twice."""


async def doubt(connection: Connection, request: DoubtRequest) -> None:
    told = await _told(connection, request)
    if told is None or told == MOST_TOLD:
        return
    status = await _status(connection, request)
    if status not in _WHY:
        return
    why = _WHY[status]
    await connection.execute(
        "select tell(%s, %s)", (request.scope.run_id, events_json([_event(request, why, told + 1)]))
    )
    await connection.execute(
        "select append_audit(%s, %s)",
        (request.scope.tenant, canonical_json(_line(request, why).model_dump(mode="json")).decode()),
    )


async def _told(connection: Connection, request: DoubtRequest) -> int | None:
    """How many were told before; None where this one was, or where there is no run to tell it of. Others wait."""
    run_id = request.scope.run_id
    cursor = await connection.execute("select from run_heads where run_id = %s for update", (run_id,))
    if not cursor.rowcount:
        return None
    cursor = await connection.execute(
        """select count(*) as told, coalesce(bool_or(key = %s), false) as known
           from run_events where run_id = %s and type = %s""",
        (request.key, run_id, EventType.APPROVAL_UNFOUNDED),
    )
    row = await cursor.fetchone()
    return None if row is None or row["known"] else int(row["told"])


async def _status(connection: Connection, request: DoubtRequest) -> ApprovalStatus | None:
    cursor = await connection.execute(
        "select status from approvals where id = %s and run_id = %s", (request.claimed, request.scope.run_id)
    )
    row = await cursor.fetchone()
    return ApprovalStatus(row["status"]) if row else None


def _event(request: DoubtRequest, why: str, number: int) -> NewEvent:
    return NewEvent(
        key=request.key,
        type=EventType.APPROVAL_UNFOUNDED,
        data={"approval_id": request.claimed, "why": why, "last": number == MOST_TOLD},
    )


def _line(request: DoubtRequest, why: str) -> AuditEntry:
    """Temporal does not say to a workflow who signals it."""
    return AuditEntry(
        at=datetime.now(UTC),
        actor="unknown",
        action="SIGNAL approval_decided",
        object=f"/v1/runs/{request.scope.run_id}",
        status=409,
        origin="temporal",
        request_id=request.key,
        detail={"approval_id": request.claimed, "why": why},
    )
