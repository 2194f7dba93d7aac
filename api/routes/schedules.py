"""Schedules: runs that start by the clock, as their author."""

from typing import Annotated

from fastapi import APIRouter, Path, Response

from api.editing import IfMatch, etag, refuse_stale
from api.problems import documented
from api.schedules import revision
from api.services import Caller, Held
from holdfast.errors import Forbidden, InvalidInput
from schemas.access import Permission, Principal
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
    _refuse_to_start(caller, draft)
    created = await held.schedules.create(draft, caller)
    response.headers["Location"] = f"/v1/schedules/{created.name}"
    return _tagged(created, response)


@router.get("/{name}", responses=documented(404))
async def read_schedule(name: SchedulePath, response: Response, held: Held, caller: Caller) -> Schedule:
    """One schedule: when it is due, and which runs it started last."""
    return _tagged(await held.schedules.read(caller, name), response)


@router.put("/{name}", responses=documented(404, 409, 412, 413, 415))
async def change_schedule(
    name: SchedulePath,
    draft: ScheduleDraft,
    response: Response,
    held: Held,
    caller: Caller,
    if_match: IfMatch = None,
) -> Schedule:
    """Say all of a schedule anew; with If-Match only if nobody changed it in the meantime. From now on its runs are
    those of whoever changed it."""
    if draft.name != name:
        raise InvalidInput(f"The address names {name}, and the body {draft.name}.")
    _refuse_to_start(caller, draft)

    def check(standing: Schedule) -> None:
        refuse_stale(revision(standing), if_match, what=f"Schedule {name}")

    return _tagged(await held.schedules.change(draft, caller, check=check), response)


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


def _refuse_to_start(caller: Principal, draft: ScheduleDraft) -> None:
    environment = draft.run.environment
    if not caller.may_touch(environment) or not caller.may(Permission.RUNS_WRITE, environment):
        raise Forbidden(
            f"{caller.id} may not start runs in environment {environment}.",
            remedy=f"It takes {Permission.RUNS_WRITE} there.",
        )


def _tagged(schedule: Schedule, response: Response) -> Schedule:
    response.headers["ETag"] = etag(revision(schedule))
    return schedule
