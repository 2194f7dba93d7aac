"""Verdicts and effects: the choke point. Each write is one SQL function, one round trip, one transaction."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

from psycopg.types.json import Jsonb

from holdfast.adapters.postgres.database import Database
from holdfast.adapters.postgres.readings import Position, beyond
from holdfast.adapters.postgres.runs import events_json
from holdfast.plan import tales
from schemas.base import Payload
from schemas.effects import Effect, EffectStatus
from schemas.stages import ActRequest, JudgeRequest, ResolveRequest
from schemas.tools import EffectClass, ToolResult
from schemas.verdicts import Verdict, VerdictRecord

Outcome = Literal["go", "done", "in_doubt", "unknown", "held", "refused", "paused", "stale", "over"]

_GIVE = b"select give_verdict(%s, %s, %s, %s, %s, %s) as verdict"
_GIVE_UNDER_WAY = b"select give_verdict_under_way(%s, %s, %s, %s, %s, %s) as verdict"
_PERFORM_UNDER_WAY = b"select perform_effect_under_way(%s, %s, %s, %s, %s, %s, %s, %s, %s) as told"
_HOLD = b"select hold_effects(%s, %s, %s)"
_DISPATCH = b"select outcome, result, why from dispatch_effect(%s, %s, %s, %s, %s, %s)"
_OBSERVE = b"select observe_effect(%s, %s, %s, %s, %s, %s)"
_PERFORM = b"select perform_effect(%s, %s, %s, %s, %s, %s, %s, %s, %s)"


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
        row = await self._database.call(_GIVE, *_verdict(request, record))
        return Verdict.model_validate(row["verdict"])

    async def give_verdicts(
        self, requests: Sequence[JudgeRequest], records: Sequence[VerdictRecord]
    ) -> Sequence[Verdict]:
        """All in one transaction and one round trip."""
        calls = [(_GIVE, _verdict(*pair)) for pair in zip(requests, records, strict=True)]
        return [Verdict.model_validate(row["verdict"]) for row in await self._database.calls(calls)]

    async def give_verdict_under_way(self, request: JudgeRequest, record: VerdictRecord) -> Verdict | None:
        row = await self._database.call(_GIVE_UNDER_WAY, *_verdict(request, record))
        return Verdict.model_validate(row["verdict"]) if row["verdict"] else None

    async def perform_under_way(
        self, request: JudgeRequest, record: VerdictRecord, result: ToolResult
    ) -> bool:
        row = await self._database.call(_PERFORM_UNDER_WAY, *_performed(request, record, result))
        return bool(row["told"])

    async def dispatch(self, request: ActRequest, *, effect: EffectClass, worker: str) -> LedgerAnswer:
        return _answer(await self._database.call(_DISPATCH, *_dispatched(request, effect, worker)))

    async def observe(self, request: ActRequest, result: ToolResult) -> None:
        await self._database.call(_OBSERVE, *_observed(request, result))

    async def observe_and_dispatch(
        self,
        request: ActRequest,
        result: ToolResult,
        following: ActRequest,
        *,
        effect: EffectClass,
        worker: str,
    ) -> LedgerAnswer:
        """The end of one call and the start of the next, together or not at all."""
        digests = [request.digest, following.digest]
        calls = (
            (_HOLD, (request.scope.tenant, request.scope.run_id, digests)),
            (_OBSERVE, _observed(request, result)),
            (_DISPATCH, _dispatched(following, effect, worker)),
        )
        return _answer((await self._database.calls(calls))[-1])

    async def doubt(self, request: ActRequest, why: str) -> None:
        events = events_json([tales.effect_unknown(request, why)])
        scope = request.scope
        await self._database.call(
            _OBSERVE, scope.tenant, scope.run_id, request.digest, EffectStatus.UNKNOWN, None, events
        )

    async def perform(self, done: Sequence[tuple[JudgeRequest, VerdictRecord, ToolResult]]) -> None:
        """All in one transaction and one round trip."""
        await self._database.calls([(_PERFORM, _performed(*each)) for each in done])

    async def resolve(self, request: ResolveRequest) -> None:
        await self._database.call(
            b"select resolve_effect(%s, %s, %s, %s, %s, %s, %s)",
            request.scope.tenant,
            request.scope.run_id,
            request.digest,
            request.happened,
            request.by,
            _json(tales.resolved(request)),
            events_json([tales.effect_resolved(request)]),
        )

    async def effects(
        self, tenant: str, run_id: str, *, after: Position | None = None, limit: int | None = None
    ) -> Sequence[Effect]:
        """In the order of their dispatch; all of them, unless a page is asked for."""
        async with self._database.tenant(tenant) as connection:
            cursor = await connection.execute(
                """select tenant, run_id, step_id, action_digest, tool, tool_version, effect_class, environment,
                          arguments, status, result, approval_id, resolution, resolved_by, attempts, dispatched_at,
                          observed_at
                   from effects where run_id = %(run)s
                     and (%(at)s::timestamptz is null or (dispatched_at, action_digest) > (%(at)s, %(id)s))
                   order by dispatched_at, action_digest limit %(limit)s""",
                {"run": run_id, "limit": limit, **beyond(after)},
            )
            return [Effect.model_validate(row) for row in await cursor.fetchall()]


def _verdict(request: JudgeRequest, record: VerdictRecord) -> Sequence[Any]:
    return (
        request.scope.tenant,
        request.scope.run_id,
        record.verdict.action_digest,
        _json(request.action),
        _json(record),
        events_json(tales.judged(request, record)),
    )


def _dispatched(request: ActRequest, effect: EffectClass, worker: str) -> Sequence[Any]:
    events = events_json(tales.tool_dispatched(request))
    return request.scope.tenant, request.scope.run_id, request.digest, effect, worker, events


def _observed(request: ActRequest, result: ToolResult) -> Sequence[Any]:
    return (
        request.scope.tenant,
        request.scope.run_id,
        request.digest,
        _status(result),
        _json(result),
        events_json(tales.tool_ended(request, result)),
    )


def _performed(request: JudgeRequest, record: VerdictRecord, result: ToolResult) -> Sequence[Any]:
    return (
        request.scope.tenant,
        request.scope.run_id,
        record.verdict.action_digest,
        _json(request.action),
        _json(record),
        request.tool.effect,
        _status(result),
        _json(result),
        events_json(tales.performed(request, record, result)),
    )


def _json(value: Payload) -> Jsonb:
    return Jsonb(value, dumps=Payload.model_dump_json)


def _answer(row: dict[str, Any]) -> LedgerAnswer:
    result = ToolResult.model_validate(row["result"]) if row["result"] else None
    return LedgerAnswer(outcome=row["outcome"], result=result, why=row["why"] or "")


def _status(result: ToolResult) -> EffectStatus:
    return EffectStatus.SUCCEEDED if result.ok else EffectStatus.FAILED
