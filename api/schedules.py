"""Temporal Schedules, as the API sees them: made, read, commanded. A schedule's id begins with its tenant, which no name
can hold, so nobody reaches another tenant's."""

import asyncio
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from datetime import timedelta
from typing import Final
from uuid import uuid4

from temporalio import client as temporal
from temporalio.api.workflowservice.v1 import UpdateScheduleRequest
from temporalio.common import Priority, SearchAttributeKey, SearchAttributePair, TypedSearchAttributes
from temporalio.service import RPCError, RPCStatusCode

from api.editing import content_tag
from api.engine import QUEUE, Engine
from holdfast.errors import (
    Conflict,
    HoldfastError,
    NotFound,
    PreconditionFailed,
    TooLarge,
    Unavailable,
    Unprocessable,
)
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
_RPC = timedelta(seconds=5)
_AT_ONCE: Final = 8
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
        scheduled = _fitting(ScheduledRequest(draft=draft, principal=author))
        client = await self._engine.client()
        schedule_id = _id(author.tenant, draft.name)
        try:
            with _explained(draft.name):
                await client.create_schedule(
                    schedule_id,
                    _schedule(schedule_id, scheduled),
                    search_attributes=_attributes(author.tenant),
                    rpc_timeout=_RPC,
                )
        except temporal.ScheduleAlreadyRunningError as error:
            raise Conflict(
                f"There is a schedule {draft.name} already.",
                remedy="Delete it first, or choose another name.",
            ) from error
        return await self.read(author, draft.name)

    async def change(
        self, draft: ScheduleDraft, author: Principal, *, check: Callable[[Schedule], None]
    ) -> Schedule:
        """The schedule as this draft says, and its author's from now on. `check` sees what stands; nothing is changed
        where somebody changes it between the look and the write."""
        scheduled = _fitting(ScheduledRequest(draft=draft, principal=author))
        client = await self._engine.client()
        schedule_id = _id(author.tenant, draft.name)
        seen = await self._described(client, schedule_id, draft.name)
        check(await self._told(client, seen, author))
        request = UpdateScheduleRequest(
            namespace=client.namespace,
            schedule_id=schedule_id,
            # The SDK's own update cannot carry the token.
            schedule=await _schedule(schedule_id, scheduled)._to_proto(client),  # noqa: SLF001
            conflict_token=seen.raw_description.conflict_token,
            identity=client.identity,
            request_id=uuid4().hex,
        )
        with _explained(draft.name):
            await client.workflow_service.update_schedule(request, timeout=_RPC)
        return await self.read(author, draft.name)

    async def read(self, caller: Principal, name: str) -> Schedule:
        """The schedule, if the caller may touch the environment it works in."""
        client = await self._engine.client()
        return await self._told(client, await self._described(client, _id(caller.tenant, name), name), caller)

    async def all(self, caller: Principal) -> Sequence[Schedule]:
        """By name. One that was made a moment ago may still be missing: Temporal lists with a delay."""
        client = await self._engine.client()
        prefix, several = _id(caller.tenant, ""), asyncio.Semaphore(_AT_ONCE)
        with _explained(""):
            listing = await client.list_schedules(f'{_TENANT.name} = "{caller.tenant}"', rpc_timeout=_RPC)
            names = [entry.id.removeprefix(prefix) async for entry in listing if entry.id.startswith(prefix)]

        async def read(name: str) -> Schedule | None:
            async with several:
                with suppress(NotFound):  # gone by now, or not for this caller to see
                    return await self.read(caller, name)
                return None

        found = await asyncio.gather(*(read(name) for name in sorted(names)))
        return [schedule for schedule in found if schedule is not None]

    async def _described(
        self, client: temporal.Client, schedule_id: str, name: str
    ) -> temporal.ScheduleDescription:
        with _explained(name):
            return await client.get_schedule_handle(schedule_id).describe(rpc_timeout=_RPC)

    async def _told(
        self, client: temporal.Client, found: temporal.ScheduleDescription, caller: Principal
    ) -> Schedule:
        kept = await _kept(client, found)
        if not caller.may_touch(kept.draft.run.environment):
            raise _unknown(kept.draft.name)
        state, info = found.schedule.state, found.info
        told = {
            "paused": state.paused,
            "note": state.note or "",
            "created_by": kept.principal.id,
            "next": tuple(info.next_action_times),
            "recent": tuple(_firings(info.recent_actions)),
            "started": info.num_actions,
            "missed": info.num_actions_missed_catchup_window,
            "skipped": info.num_actions_skipped_overlap,
        }
        return Schedule.model_validate(kept.draft.model_dump() | told)

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


def _fitting(scheduled: ScheduledRequest) -> ScheduledRequest:
    if len(scheduled.model_dump_json()) > _LARGEST_BYTES:
        raise TooLarge(
            f"A schedule holds at most {_LARGEST_BYTES} bytes.",
            remedy="Put what is long into a runbook or an agent, and name it.",
        )
    return scheduled


def revision(schedule: Schedule) -> str:
    """What an edit is held against: all that a draft says, and whose it is."""
    return content_tag(
        schedule.model_copy(update={"next": (), "recent": (), "started": 0, "missed": 0, "skipped": 0})
    )


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


async def _kept(client: temporal.Client, found: temporal.ScheduleDescription) -> ScheduledRequest:
    """What it runs, and as whom: the argument of the workflow that it starts."""
    action = found.raw_description.schedule.action.start_workflow
    (kept,) = await client.data_converter.decode(action.input.payloads, [ScheduledRequest])
    return ScheduledRequest.model_validate(kept)


def _firings(recent: Sequence[temporal.ScheduleActionResult]) -> Iterator[Firing]:
    for result in recent:
        if isinstance(result.action, temporal.ScheduleActionExecutionStartWorkflow):
            yield Firing(
                due_at=result.scheduled_at,
                started_at=result.started_at,
                run_id=run_id_for(f"{result.action.workflow_id} {result.action.first_execution_run_id}"),
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
    if error.status is RPCStatusCode.FAILED_PRECONDITION:
        return PreconditionFailed(
            f"Schedule {name} was changed in the meantime: {error.message}",
            remedy="Read it again, and write then.",
        )
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
