"""Memory as a whole: moments it can be brought back to, carried elsewhere and back, and what one run taught forgotten."""

# ruff: noqa: FAST003 - the run in the path is looked up by `own_run`

from collections.abc import AsyncIterator
from typing import Annotated

from fastapi import APIRouter, Path
from fastapi.responses import StreamingResponse

from api.problems import documented
from api.routes.runs import OwnRun
from api.services import Caller, Held
from schemas.base import Name
from schemas.memory import Snapshot
from schemas.pages import Items
from schemas.shelf import Changed, Forgotten, Imported, MemoryImport, MemoryRestore, SnapshotRequest

router = APIRouter(prefix="/v1", tags=["memory"])

SnapshotPath = Annotated[Name, Path(description="The snapshot's name.")]


@router.get("/memory-snapshots", responses=documented())
async def list_snapshots(held: Held, caller: Caller) -> Items[Snapshot]:
    """The moments that were named."""
    return Items(items=list(await (await held.shelf.memory()).snapshots(caller.tenant)))


@router.post("/memory-snapshots", status_code=201, responses=documented(409, 413, 415))
async def take_snapshot(request: SnapshotRequest, held: Held, caller: Caller) -> Snapshot:
    """Name this moment, so that memory can be brought back to it."""
    return await (await held.shelf.memory()).snapshot(caller.tenant, request.name, note=request.note)


@router.post("/memory-snapshots/{name}/restore", responses=documented(404, 413, 415))
async def restore_snapshot(name: SnapshotPath, held: Held, caller: Caller) -> Changed:
    """Bring all memory back to that moment. Itself a change that can be undone."""
    return Changed(changed=await (await held.shelf.memory()).restore(caller.tenant, name, author=caller.id))


@router.post("/memory-restore", responses=documented(413, 415))
async def restore_moment(request: MemoryRestore, held: Held, caller: Caller) -> Changed:
    """Bring all memory back to a point in time. Itself a change that can be undone."""
    memory = await held.shelf.memory()
    return Changed(changed=await memory.restore(caller.tenant, request.at, author=caller.id))


@router.get(
    "/memory-export",
    response_class=StreamingResponse,
    responses={
        200: {"description": "One line of JSON for each item.", "content": {"application/x-ndjson": {}}},
        **documented(),
    },
)
async def export_memory(held: Held, caller: Caller) -> StreamingResponse:
    """Every item as a line of JSON, which `POST /v1/memory-import` takes back."""
    found = await (await held.shelf.memory()).export(caller.tenant)

    async def lines() -> AsyncIterator[str]:
        for item in found:
            yield item.model_dump_json() + "\n"

    return StreamingResponse(lines(), media_type="application/x-ndjson")


@router.post("/memory-import", responses=documented(413, 415))
async def import_memory(request: MemoryImport, held: Held, caller: Caller) -> Imported:
    """Take items in as an export has them. What stands already is not doubled."""
    memory = await held.shelf.memory()
    return Imported(read=await memory.import_items(caller.tenant, request.items, author=caller.id))


@router.delete("/runs/{run_id}/memory", responses=documented(404))
async def forget_run_memory(run: OwnRun, held: Held, caller: Caller) -> Forgotten:
    """Really delete what a run taught, and all that was derived from it."""
    memory = await held.shelf.memory()
    return Forgotten(ids=tuple(await memory.forget_run(caller.tenant, run.id, author=caller.id)))
