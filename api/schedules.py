"""Temporal Schedules, as the API sees them: made, read, commanded. A schedule's id begins with its tenant, which no name
can hold, so nobody reaches another tenant's."""

from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import contextmanager
from datetime import timedelta
from typing import Final

from temporalio import client as temporal
from temporalio.common import Priority, SearchAttributeKey, SearchAttributePair, TypedSearchAttributes
from temporalio.service import RPCError, RPCStatusCode

from api.engine import QUEUE, Engine
from holdfast.errors import Conflict, HoldfastError, NotFound, TooLarge, Unavailable, Unprocessable
from holdfast.runs import run_id_for
from schemas.access import Principal
from schemas.schedules import (
    BackfillRequest,
    Firing,
    Overlap,
    Schedule,
    ScheduleDraft,
    ScheduledRequest,
    Times,
)

WORKFLOW: Final = "ScheduledRun"
_TENANT = SearchAttributeKey.for_keyword("HoldfastTenant")
_MEMO: Final = "holdfast"
_RPC = timedelta(seconds=5)
_LARGEST_BYTES: Final = 16 * 1024
"""What is larger would be kept outside of Temporal, and be swept away while the schedule lives on."""

_OVERLAPS: Final = {
    Overlap.SKIP: temporal.ScheduleOverlapPolicy.SKIP,
    Overlap.BUFFER_ONE: temporal.ScheduleOverlapPolicy.BUFFER_ONE,
    Overlap.BUFFER_ALL: temporal.ScheduleOverlapPolicy.BUFFER_ALL,
    Overlap.CANCEL_OTHER: temporal.ScheduleOverlapPolicy.CANCEL_OTHER,
    Overlap.ALLOW_ALL: temporal.ScheduleOverlapPolicy.ALLOW_ALL,
}


class Schedules:
    def __init__(self, *, engine: Engine) -> None:
        self._engine = engine

    async def create(self, draft: ScheduleDraft, author: Principal) -> Schedule:
        scheduled = ScheduledRequest(draft=draft, principal=author)
        if len(scheduled.model_dump_json()) > _LARGEST_BYTES:
            raise TooLarge(
                f"A schedule holds at most {_LARGEST_BYTES} bytes.",
                remedy="Put what is long into a runbook or an agent, and name it.",
            )
        client = await self._engine.client()
        schedule_id = _id(author.tenant, draft.name)
        try:
            with _explained(draft.name):
                await client.create_schedule(
                    schedule_id,
                    _schedule(schedule_id, scheduled),
                    memo={_MEMO: scheduled},
                    search_attributes=_attributes(author.tenant),
                    rpc_timeout=_RPC,
                )
        except temporal.ScheduleAlreadyRunningError as error:
            raise Conflict(
                f"There is a schedule {draft.name} already.",
                remedy="Delete it first, or choose another name.",
            ) from error
        return await self.read(author, draft.name)

    async def read(self, caller: Principal, name: str) -> Schedule:
        """The schedule, if the caller may touch the environment it works in."""
        handle = await self._handle(caller.tenant, name)
        with _explained(name):
            found = await handle.describe(rpc_timeout=_RPC)
        kept = await found.memo_value(_MEMO, type_hint=ScheduledRequest)
        if not caller.may_touch(kept.draft.run.environment):
            raise _unknown(name)
        state, info = found.schedule.state, found.info
        return _told(kept, paused=state.paused, note=state.note, next_at=info.next_action_times, recent=info.recent_actions).model_copy(
            update={
                "started": info.num_actions,
                "missed": info.num_actions_missed_catchup_window,
                "skipped": info.num_actions_skipped_overlap,
            }
        )  # fmt: skip

    async def all(self, caller: Principal) -> Sequence[Schedule]:
        """By name. One that was made a moment ago may still be missing: Temporal lists with a delay."""
        found = [schedule async for schedule in self._listed(caller)]
        return sorted(found, key=lambda schedule: schedule.name)

    async def _listed(self, caller: Principal) -> AsyncIterator[Schedule]:
        client = await self._engine.client()
        with _explained(""):
            listing = await client.list_schedules(f'{_TENANT.name} = "{caller.tenant}"', rpc_timeout=_RPC)
            async for entry in listing:
                if not entry.id.startswith(_id(caller.tenant, "")) or entry.schedule is None:
                    continue
                kept = await entry.memo_value(_MEMO, type_hint=ScheduledRequest)
                if not caller.may_touch(kept.draft.run.environment):
                    continue
                info, state = entry.info, entry.schedule.state
                yield _told(
                    kept,
                    paused=state.paused,
                    note=state.note,
                    next_at=info.next_action_times if info else (),
                    recent=info.recent_actions if info else (),
                )

    async def delete(self, caller: Principal, name: str) -> None:
        handle = await self._own(caller, name)
        with _explained(name):
            await handle.delete(rpc_timeout=_RPC)

    async def pause(self, caller: Principal, name: str, note: str) -> Schedule:
        handle = await self._own(caller, name)
        with _explained(name):
            await handle.pause(note=note or f"paused by {caller.id}", rpc_timeout=_RPC)
        return await self.read(caller, name)

    async def unpause(self, caller: Principal, name: str, note: str) -> Schedule:
        handle = await self._own(caller, name)
        with _explained(name):
            await handle.unpause(note=note or f"unpaused by {caller.id}", rpc_timeout=_RPC)
        return await self.read(caller, name)

    async def trigger(self, caller: Principal, name: str, overlap: Overlap | None) -> Schedule:
        handle = await self._own(caller, name)
        with _explained(name):
            await handle.trigger(overlap=_OVERLAPS[overlap] if overlap else None, rpc_timeout=_RPC)
        return await self.read(caller, name)

    async def backfill(self, caller: Principal, name: str, request: BackfillRequest) -> Schedule:
        handle = await self._own(caller, name)
        asked = temporal.ScheduleBackfill(
            start_at=request.start_at, end_at=request.end_at, overlap=_OVERLAPS[request.overlap]
        )
        with _explained(name):
            await handle.backfill(asked, rpc_timeout=_RPC)
        return await self.read(caller, name)

    async def _own(self, caller: Principal, name: str) -> temporal.ScheduleHandle:
        await self.read(caller, name)
        return await self._handle(caller.tenant, name)

    async def _handle(self, tenant: str, name: str) -> temporal.ScheduleHandle:
        return (await self._engine.client()).get_schedule_handle(_id(tenant, name))


def _id(tenant: str, name: str) -> str:
    return f"schedule/{tenant}/{name}"


def _attributes(tenant: str) -> TypedSearchAttributes:
    return TypedSearchAttributes([SearchAttributePair(_TENANT, tenant)])


def _schedule(schedule_id: str, scheduled: ScheduledRequest) -> temporal.Schedule:
    draft, tenant = scheduled.draft, scheduled.principal.tenant
    return temporal.Schedule(
        action=temporal.ScheduleActionStartWorkflow(
            WORKFLOW,
            scheduled,
            id=schedule_id,
            task_queue=QUEUE,
            typed_search_attributes=_attributes(tenant),
            static_summary=draft.run.goal[:200],
            priority=Priority(priority_key=draft.run.priority, fairness_key=tenant),
        ),
        spec=_spec(draft),
        policy=temporal.SchedulePolicy(
            overlap=_OVERLAPS[draft.overlap], catchup_window=timedelta(seconds=draft.catchup_s)
        ),
        state=temporal.ScheduleState(note=draft.note, paused=draft.paused),
    )


def _spec(times: Times) -> temporal.ScheduleSpec:
    interval = (
        temporal.ScheduleIntervalSpec(
            every=timedelta(seconds=times.every_s), offset=timedelta(seconds=times.offset_s)
        )
        if times.every_s is not None
        else None
    )
    return temporal.ScheduleSpec(
        cron_expressions=times.cron,
        intervals=[interval] if interval else [],
        time_zone_name=times.time_zone,
        jitter=timedelta(seconds=times.jitter_s) if times.jitter_s else None,
        start_at=times.start_at,
        end_at=times.end_at,
    )


def _told(
    kept: ScheduledRequest,
    *,
    paused: bool,
    note: str | None,
    next_at: Sequence[object],
    recent: Sequence[temporal.ScheduleActionResult],
) -> Schedule:
    state = {"paused": paused, "note": note or "", "created_by": kept.principal.id}
    told = {"next": tuple(next_at), "recent": tuple(_firings(recent))}
    return Schedule.model_validate(kept.draft.model_dump() | state | told)


def _firings(recent: Sequence[temporal.ScheduleActionResult]) -> Iterator[Firing]:
    for result in recent:
        if isinstance(result.action, temporal.ScheduleActionExecutionStartWorkflow):
            yield Firing(
                due_at=result.scheduled_at,
                started_at=result.started_at,
                run_id=run_id_for(result.action.workflow_id),
            )


@contextmanager
def _explained(name: str) -> Iterator[None]:
    try:
        yield
    except RPCError as error:
        raise _of_schedule(error, name) from error


def _of_schedule(error: RPCError, name: str) -> HoldfastError:
    if error.status is RPCStatusCode.NOT_FOUND:
        return _unknown(name)
    if error.status is RPCStatusCode.INVALID_ARGUMENT:
        return Unprocessable(
            f"Temporal does not take this schedule: {error.message}.",
            remedy="Check the cron lines and the time zone.",
        )
    return Unavailable(
        f"Temporal cannot be reached: {error.status.name}.", remedy="The call is safe to repeat."
    )


def _unknown(name: str) -> NotFound:
    return NotFound(f"There is no schedule {name}.", remedy="`holdfast schedules ls` lists them.")
