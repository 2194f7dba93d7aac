"""The fleet brake: hold matching actions at once, in every run, and let them go again."""

from typing import Annotated

from fastapi import APIRouter, Query

from api.problems import documented
from api.services import Caller, Held, Services
from api.shelf import refuse_to_reach_further
from holdfast.errors import Conflict, Unavailable
from schemas.access import Principal
from schemas.brakes import Freeze, FreezeDraft, FreezeFilter
from schemas.pages import Items

_WOKEN = 200

router = APIRouter(prefix="/v1/freezes", tags=["freezes"])


@router.get("", responses=documented())
async def list_freezes(
    held: Held,
    caller: Caller,
    *,
    thawed: Annotated[bool, Query(description="Also what was held before.")] = False,
) -> Items[Freeze]:
    """What is held now; with `thawed`, also what was held before."""
    return Items(items=await held.brakes.freezes(caller.tenant, thawed=thawed))


@router.post("", name="freeze_actions", status_code=201, responses=documented(413, 415))
async def freeze(draft: FreezeDraft, held: Held, caller: Caller) -> Freeze:
    """Hold matching actions from now on. What has gone out already is not called back."""
    refuse_to_reach_further(caller, draft.environment or "")
    return await held.brakes.freeze(caller.tenant, draft, by=caller.id)


@router.post("/thaw", name="thaw_actions", responses=documented(413, 415))
async def thaw(which: FreezeFilter, held: Held, caller: Caller) -> Items[Freeze]:
    """Release freezes; the actions they held are judged anew. Those that were released come back."""
    if caller.environments is not None:
        refuse_to_reach_further(caller, await _place(held, caller, which))
    released = await held.brakes.thaw(caller.tenant, which, by=caller.id)
    if released:
        await _wake(held, caller.tenant)
    return Items(items=released)


async def _wake(held: Services, tenant: str) -> None:
    """Tell the runs that wait; whoever is not told looks again by itself within seconds."""
    for run_id in await held.brakes.held_runs(tenant, most=_WOKEN):
        try:
            await held.engine.signal(run_id, "thawed")
        except Conflict:
            continue  # it has ended meanwhile
        except Unavailable:
            return


async def _place(held: Services, caller: Principal, which: FreezeFilter) -> str:
    """The environment whose actions would go on."""
    if which.where is not None:
        return which.where.environment or ""
    standing = await held.brakes.freezes(caller.tenant, thawed=False)
    return next((freeze.environment or "" for freeze in standing if freeze.id == which.id), "")
