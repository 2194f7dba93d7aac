"""The audit log: read, exported, and checked."""

from collections.abc import AsyncIterator
from typing import Annotated

from fastapi import APIRouter, Query
from fastapi.responses import StreamingResponse

from api.cursors import Cursor, Limit, Since, Until, page_by_key, place
from api.problems import documented
from api.services import Caller, Held
from holdfast.adapters.postgres.audit import AuditFilter
from holdfast.audit import check_chain
from schemas.access import AuditCheck, AuditLine
from schemas.pages import Page

router = APIRouter(prefix="/v1/audit", tags=["access"], responses=documented())


@router.get("", name="list_audit_lines")
async def list_lines(
    held: Held,
    caller: Caller,
    limit: Limit = 50,
    cursor: Cursor = None,
    actor: Annotated[
        str | None, Query(max_length=200, description="Who, as `key:0123456789ab` or `user:alice`.")
    ] = None,
    action: Annotated[
        str | None, Query(max_length=200, description="What, as `POST /v1/runs/{run_id}/cancel`.")
    ] = None,
    about: Annotated[
        str | None,
        Query(alias="object", max_length=300, description="How its object begins: `/v1/runs/run_…`."),
    ] = None,
    created_after: Since = None,
    created_before: Until = None,
) -> Page[AuditLine]:
    """Lines in the order of the chain."""
    wanted = AuditFilter(actor=actor, action=action, object=about, since=created_after, until=created_before)
    lines = await held.audit.found(caller.tenant, wanted, after=place(cursor, int) or 0, limit=limit + 1)
    items, following = page_by_key(lines, limit, "seq")
    return Page(items=items, next=following)


@router.get("/verify", name="verify_audit")
async def verify(held: Held, caller: Caller) -> AuditCheck:
    """Whether any line was changed, removed, moved or cut off."""
    head = await held.audit.head(caller.tenant)
    return await check_chain(held.audit.all_lines(caller.tenant, until=head[0]), head=head)


@router.get(
    "/export",
    name="export_audit",
    response_class=StreamingResponse,
    responses={200: {"description": "One line of JSON for each.", "content": {"application/x-ndjson": {}}}},
)
async def export(held: Held, caller: Caller) -> StreamingResponse:
    """The whole chain as JSON lines, which `holdfast audit verify --file` checks anywhere."""

    async def lines() -> AsyncIterator[str]:
        async for line in held.audit.all_lines(caller.tenant):
            yield line.model_dump_json() + "\n"

    return StreamingResponse(lines(), media_type="application/x-ndjson")
