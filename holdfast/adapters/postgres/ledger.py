"""Verdicts and effects: the choke point. Each write is one SQL function, one round trip, one transaction."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

from psycopg.types.json import Jsonb

from holdfast.adapters.postgres.database import Database
from holdfast.adapters.postgres.runs import events_json
from holdfast.plan import tales
from schemas.effects import Effect, EffectStatus
from schemas.events import NewEvent
from schemas.stages import ActRequest, JudgeRequest, ResolveRequest
from schemas.tools import EffectClass, ToolResult
from schemas.verdicts import Verdict, VerdictRecord

Outcome = Literal["go", "done", "in_doubt", "unknown", "held", "refused"]


@dataclass(frozen=True)
class LedgerAnswer:
    """What the ledger says when an action asks to go out."""

    outcome: Outcome
    result: ToolResult | None = None
    why: str = ""


class PostgresLedger:
    """Fulfils the port `Ledger`."""

    def __init__(self, *, database: Database) -> None:
        self._database = database

    async def give_verdict(self, request: JudgeRequest, record: VerdictRecord) -> Verdict:
        row = await self._call(
            "select give_verdict(%s, %s, %s, %s, %s, %s) as verdict",
            request.scope.tenant,
            request.scope.run_id,
            record.verdict.action_digest,
            Jsonb(request.action.model_dump(mode="json")),
            Jsonb(record.model_dump(mode="json")),
            events_json(tales.judged(request, record)),
        )
        return Verdict.model_validate(row["verdict"])

    async def dispatch(self, request: ActRequest, *, effect: EffectClass, worker: str) -> LedgerAnswer:
        row = await self._call(
            "select outcome, result, why from dispatch_effect(%s, %s, %s, %s, %s, %s)",
            request.scope.tenant,
            request.scope.run_id,
            request.digest,
            effect,
            worker,
            events_json([tales.tool_dispatched(request)]),
        )
        result = ToolResult.model_validate(row["result"]) if row["result"] else None
        return LedgerAnswer(outcome=row["outcome"], result=result, why=row["why"] or "")

    async def observe(self, request: ActRequest, result: ToolResult) -> None:
        await self._observe(request, _status(result), result, tales.tool_ended(request, result))

    async def doubt(self, request: ActRequest, why: str) -> None:
        await self._observe(request, EffectStatus.UNKNOWN, None, [tales.effect_unknown(request, why)])

    async def _observe(
        self, request: ActRequest, status: EffectStatus, result: ToolResult | None, events: Sequence[NewEvent]
    ) -> None:
        await self._call(
            "select observe_effect(%s, %s, %s, %s, %s, %s)",
            request.scope.tenant,
            request.scope.run_id,
            request.digest,
            status,
            Jsonb(result.model_dump(mode="json")) if result else None,
            events_json(events),
        )

    async def perform(self, request: JudgeRequest, record: VerdictRecord, result: ToolResult) -> Verdict:
        await self._call(
            "select perform_effect(%s, %s, %s, %s, %s, %s, %s, %s, %s)",
            request.scope.tenant,
            request.scope.run_id,
            record.verdict.action_digest,
            Jsonb(request.action.model_dump(mode="json")),
            Jsonb(record.model_dump(mode="json")),
            request.tool.effect,
            _status(result),
            Jsonb(result.model_dump(mode="json")),
            events_json(tales.performed(request, record, result)),
        )
        return record.verdict

    async def resolve(self, request: ResolveRequest) -> None:
        await self._call(
            "select resolve_effect(%s, %s, %s, %s, %s, %s)",
            request.scope.tenant,
            request.scope.run_id,
            request.digest,
            request.happened,
            request.by,
            events_json([tales.effect_resolved(request)]),
        )

    async def effects(self, tenant: str, run_id: str) -> Sequence[Effect]:
        async with self._database.tenant(tenant) as connection:
            cursor = await connection.execute(
                """select tenant, run_id, step_id, action_digest, tool, tool_version, effect_class, environment,
                          arguments, status, result, approval_id, resolution, resolved_by, attempts, dispatched_at,
                          observed_at
                   from effects where run_id = %s order by dispatched_at, action_digest""",
                (run_id,),
            )
            return [Effect.model_validate(row) for row in await cursor.fetchall()]

    async def _call(self, statement: str, *arguments: Any) -> dict[str, Any]:
        async with self._database.statement() as connection:
            cursor = await connection.execute(statement.encode(), arguments)
            return await cursor.fetchone() or {}


def _status(result: ToolResult) -> EffectStatus:
    return EffectStatus.SUCCEEDED if result.ok else EffectStatus.FAILED
