"""Schedules: runs that start by the clock, as their author."""

from typing import Annotated

from fastapi import APIRouter, Path, Response

from api.problems import documented
from api.services import Caller, Held
from holdfast.errors import Forbidden
from schemas.access import Permission
from schemas.base import Name
from schemas.pages import Items
from schemas.schedules import BackfillRequest, Schedule, ScheduleDraft, ScheduleNote, TriggerRequest

router = APIRouter(prefix="/v1/schedules", tags=["schedules"])

SchedulePath = Annotated[Name, Path(description="The schedule's name.")]


@router.get("", responses=documented())
async def list_schedules(held: Held, caller: Caller) -> Items[Schedule]:
    """Every schedule of the tenant. One that was made a moment ago may still be missing."""
    return Items(items=await held.schedules.all(caller))


@router.post("", status_code=201, responses=documented(409, 413, 415))
async def create_schedule(draft: ScheduleDraft, response: Response, held: Held, caller: Caller) -> Schedule:
    """A new schedule. Its runs are its author's: they may do what the author may do now."""
    if not caller.may(Permission.RUNS_WRITE) or not caller.may_touch(draft.run.environment):
        raise Forbidden(
            f"{caller.id} may not start runs in environment {draft.run.environment}.",
            remedy=f"It takes {Permission.RUNS_WRITE} there.",
        )
    created = await held.schedules.create(draft, caller)
    response.headers["Location"] = f"/v1/schedules/{created.name}"
    return created


@router.get("/{name}", responses=documented(404))
async def read_schedule(name: SchedulePath, held: Held, caller: Caller) -> Schedule:
    """One schedule: when it is due, and which runs it started last."""
    return await held.schedules.read(caller, name)


@router.delete("/{name}", status_code=204, responses=documented(404))
async def delete_schedule(name: SchedulePath, held: Held, caller: Caller) -> None:
    """End a schedule. Runs that it started go on."""
    await held.schedules.delete(caller, name)


@router.post("/{name}/pause", responses=documented(404, 409, 413, 415))
async def pause_schedule(name: SchedulePath, request: ScheduleNote, held: Held, caller: Caller) -> Schedule:
    """Start nothing by the clock until it is unpaused."""
    return await held.schedules.pause(caller, name, request.note)


@router.post("/{name}/unpause", responses=documented(404, 409, 413, 415))
async def unpause_schedule(name: SchedulePath, request: ScheduleNote, held: Held, caller: Caller) -> Schedule:
    """Go on with what is due from now on."""
    return await held.schedules.unpause(caller, name, request.note)


@router.post("/{name}/trigger", status_code=202, responses=documented(404, 409, 413, 415))
async def trigger_schedule(
    name: SchedulePath, request: TriggerRequest, held: Held, caller: Caller
) -> Schedule:
    """Start a run right now, paused or not. `recent` names it once it has started."""
    return await held.schedules.trigger(caller, name, request.overlap)


@router.post("/{name}/backfill", status_code=202, responses=documented(404, 409, 413, 415))
async def backfill_schedule(
    name: SchedulePath, request: BackfillRequest, held: Held, caller: Caller
) -> Schedule:
    """Start what would have been due in a stretch of time."""
    return await held.schedules.backfill(caller, name, request)
