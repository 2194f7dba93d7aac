"""Memory: what runs taught and people told; found, corrected, vouched for, and really forgotten."""

# ruff: noqa: FAST003 - the run in the path is looked up by `own_run`

from typing import Annotated

from fastapi import APIRouter, Path, Query, Response

from api.cursors import Cursor, Limit, page_by_key, place
from api.editing import IfMatch, refuse_stale, tag
from api.problems import documented
from api.routes.runs import OwnRun
from api.services import Caller, Held, Services
from api.shelf import refuse_to_reach_further, visible
from holdfast.errors import NotFound
from schemas.access import Principal
from schemas.base import RunId
from schemas.memory import (
    Cues,
    Feedback,
    FeedbackReport,
    MemoryDraft,
    MemoryHit,
    MemoryId,
    MemoryItem,
    MemoryKind,
    MemoryStatus,
    MemoryTrace,
    MemoryVersion,
    SaidOfRun,
)
from schemas.pages import Items, Page
from schemas.shelf import (
    Forgotten,
    MemoryEdit,
    MemoryJudgement,
    MemoryRollback,
    RecallQuery,
    RunFeedback,
)

router = APIRouter(prefix="/v1", tags=["memory"])

ItemPath = Annotated[MemoryId, Path(description="The item's id.")]


@router.get("/memory", responses=documented())
async def list_memory(
    held: Held,
    caller: Caller,
    limit: Limit = 50,
    cursor: Cursor = None,
    kind: Annotated[MemoryKind | None, Query(description="Of one kind.")] = None,
    status: Annotated[MemoryStatus | None, Query(description="Of one standing.")] = None,
    run_id: Annotated[RunId | None, Query(description="What one run taught.")] = None,
) -> Page[MemoryItem]:
    """Items, oldest first; those that a run taught, where one is named."""
    memory = await held.shelf.memory()
    found = await memory.items(
        caller.tenant,
        kind=kind,
        status=status,
        run_id=run_id,
        after=place(cursor, str) or "",
        limit=limit + 1,
    )
    items, following = page_by_key(found, limit, "id")
    shown = [item for item in items if visible(caller, item.content.scope.environment)]
    return Page(items=shown, next=following)


@router.post("/memory", status_code=201, responses=documented(404, 409, 413, 415))
async def add_item(draft: MemoryDraft, response: Response, held: Held, caller: Caller) -> MemoryItem:
    """Tell a fact or a lesson. One that stands already is confirmed, one that it contradicts superseded."""
    refuse_to_reach_further(caller, draft.scope.environment)
    if draft.supersedes:
        await _own(held, caller, draft.supersedes, to_change=True)
    item = await (await held.shelf.memory()).add(caller.tenant, draft, author=caller.id)
    response.headers["Location"] = f"/v1/memory/{item.id}"
    return tag(item, response)


@router.post("/memory/search", responses=documented(413, 415))
async def search_memory(query: RecallQuery, held: Held, caller: Caller) -> Items[MemoryHit]:
    """What a run with this goal would be told, with the parts of each score and why."""
    found = await (await held.shelf.memory()).search(caller.tenant, Cues(**query.model_dump()))
    return Items(items=[hit for hit in found if visible(caller, hit.item.content.scope.environment)])


@router.get("/memory/{memory_id}", responses=documented(404))
async def read_item(memory_id: ItemPath, response: Response, held: Held, caller: Caller) -> MemoryItem:
    """One item: what it says, where it comes from, how it fared."""
    return tag(await _own(held, caller, memory_id), response)


@router.patch("/memory/{memory_id}", responses=documented(404, 409, 412, 413, 415))
async def edit_item(
    memory_id: ItemPath,
    edit: MemoryEdit,
    response: Response,
    held: Held,
    caller: Caller,
    if_match: IfMatch = None,
) -> MemoryItem:
    """A new version with these fields changed; with If-Match only if nobody changed it in the meantime."""
    item = await _own(held, caller, memory_id, to_change=True)
    refuse_stale(item.version, if_match, what=f"Memory {memory_id}")
    if "scope" in edit.model_fields_set:
        refuse_to_reach_further(caller, edit.scope.environment)
    memory = await held.shelf.memory()
    edited = await memory.edit(
        caller.tenant, memory_id, edit.changes, author=caller.id, reason=edit.reason, version=item.version
    )
    return tag(edited, response)


@router.delete("/memory/{memory_id}", responses=documented(404))
async def forget_item(
    memory_id: ItemPath,
    held: Held,
    caller: Caller,
    derived: Annotated[bool, Query(description="Also what was derived from it.")] = True,  # noqa: FBT002 -- a query parameter
) -> Forgotten:
    """Really delete its words, versions and vectors, and those of all that was derived from it."""
    await _own(held, caller, memory_id, to_change=True)
    memory = await held.shelf.memory()
    ids = await memory.forget(caller.tenant, memory_id, author=caller.id, derived=derived)
    return Forgotten(ids=tuple(ids))


@router.get("/memory/{memory_id}/trace", responses=documented(404))
async def trace_item(memory_id: ItemPath, held: Held, caller: Caller) -> MemoryTrace:
    """How far it has reached: what was derived from it, and the runs that were told it."""
    await _own(held, caller, memory_id)
    return await (await held.shelf.memory()).trace(caller.tenant, memory_id)


@router.post("/memory/{memory_id}/confirm", responses=documented(404, 409, 413, 415))
async def confirm_item(
    memory_id: ItemPath, judgement: MemoryJudgement, held: Held, caller: Caller
) -> MemoryItem:
    """Vouch for an item: it becomes active."""
    await _own(held, caller, memory_id, to_change=True)
    memory = await held.shelf.memory()
    return await memory.confirm(caller.tenant, memory_id, author=caller.id, reason=judgement.reason)


@router.post("/memory/{memory_id}/reject", responses=documented(404, 409, 413, 415))
async def reject_item(
    memory_id: ItemPath, judgement: MemoryJudgement, held: Held, caller: Caller
) -> MemoryItem:
    """Retire an item: it is not recalled any more."""
    await _own(held, caller, memory_id, to_change=True)
    memory = await held.shelf.memory()
    return await memory.reject(caller.tenant, memory_id, author=caller.id, reason=judgement.reason)


@router.get("/memory/{memory_id}/versions", responses=documented(404))
async def list_item_versions(memory_id: ItemPath, held: Held, caller: Caller) -> Items[MemoryVersion]:
    """Every version, newest first, with who made it and why."""
    await _own(held, caller, memory_id)
    found = await (await held.shelf.memory()).versions(caller.tenant, memory_id)
    return Items(items=[one for one in found if visible(caller, one.content.scope.environment)])


@router.post("/memory/{memory_id}/rollback", responses=documented(404, 409, 413, 415))
async def roll_item_back(
    memory_id: ItemPath, request: MemoryRollback, held: Held, caller: Caller
) -> MemoryItem:
    """The words of an older version, as a new one."""
    await _own(held, caller, memory_id, to_change=True)
    memory = await held.shelf.memory()
    for old in await memory.versions(caller.tenant, memory_id):
        if old.version == request.version:
            refuse_to_reach_further(caller, old.content.scope.environment)
    return await memory.rollback(caller.tenant, memory_id, request.version, author=caller.id)


@router.post("/runs/{run_id}/feedback", responses=documented(404, 413, 415))
async def give_feedback(run: OwnRun, said: RunFeedback, held: Held, caller: Caller) -> FeedbackReport:
    """Say how a run did: it counts for what the run was told, and a correction becomes a lesson."""
    if said.item:
        await _own(held, caller, said.item, to_change=True)
    elif said.correction:
        refuse_to_reach_further(caller, "")  # the lesson will hold everywhere
    feedback = Feedback(run_id=run.id, **said.model_dump())
    return await (await held.shelf.memory()).feedback(caller.tenant, feedback, author=caller.id)


@router.get("/runs/{run_id}/feedback", responses=documented(404))
async def list_feedback(run: OwnRun, held: Held, caller: Caller) -> Items[SaidOfRun]:
    """What people said of a run, newest first."""
    return Items(items=list(await (await held.shelf.memory()).said_of(caller.tenant, run.id)))


async def _own(held: Services, caller: Principal, memory_id: str, *, to_change: bool = False) -> MemoryItem:
    """The item, if the caller may see it; to change it takes every environment it holds in."""
    item = await (await held.shelf.memory()).read(caller.tenant, memory_id)
    environment = item.content.scope.environment
    if not visible(caller, environment):
        raise NotFound(f"There is no memory {memory_id}.", id=memory_id)
    if to_change:
        refuse_to_reach_further(caller, environment)
    return item
