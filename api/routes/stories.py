"""What a run planned, did, was allowed and cost: read from the ledger and the story."""

from typing import Annotated

from fastapi import APIRouter, Header, Path, Query, Response

from api.cursors import Cursor, Limit, page_by_key, page_by_time, place, position
from api.problems import documented
from api.resuming import story_of
from api.routes.runs import OwnRun
from api.services import Held
from holdfast.errors import Conflict, HoldfastError, NotFound
from schemas.effects import Effect
from schemas.events import RunEvent
from schemas.pages import Items, Page
from schemas.plans import Plan
from schemas.reports import RunCost, VerdictView
from schemas.runs import StepView

router = APIRouter(prefix="/v1/runs/{run_id}", tags=["runs"], responses=documented(404))


class RangeNotSatisfiable(HoldfastError):
    """There are no such bytes."""

    code = "range_not_satisfiable"
    status = 416


DigestPath = Annotated[str, Path(pattern=r"^sha256:[0-9a-f]{64}$", description="The digest of the artifact.")]


@router.delete("", status_code=204, responses=documented(409))
async def delete_run(run: OwnRun, held: Held) -> None:
    """Forget an ended run: its events, effects, verdicts, approvals and artifacts. The audit log keeps that it was."""
    if not run.status.ended:
        raise Conflict(f"Run {run.id} is under way.", remedy="Cancel it first.", run_id=run.id)
    await held.readings.forget_run(run.tenant, run.id)


@router.get("/plan")
async def read_plan(run: OwnRun, held: Held) -> Plan:
    """The plan that was accepted last."""
    plan = (await story_of(held, run)).plan
    if plan is None:
        raise NotFound(f"Run {run.id} has no plan yet.", run_id=run.id)
    return plan


@router.get("/steps")
async def read_steps(run: OwnRun, held: Held) -> Items[StepView]:
    """The steps of the plan, each with the last word on it."""
    return Items(items=(await story_of(held, run)).steps())


@router.get("/story")
async def read_story(
    run: OwnRun,
    held: Held,
    limit: Limit = 50,
    cursor: Cursor = None,
    after: Annotated[
        int, Query(ge=0, le=2**53, description="For the first page: the last number known.")
    ] = 0,
) -> Page[RunEvent]:
    """The events told so far, a page at a time; `/events` follows them."""
    known = place(cursor, int) or after
    found = await held.runs.events(run.tenant, run.id, after=known, limit=limit + 1)
    items, following = page_by_key(found, limit, "seq")
    return Page(items=items, next=following)


@router.get("/effects")
async def read_effects(run: OwnRun, held: Held, limit: Limit = 50, cursor: Cursor = None) -> Page[Effect]:
    """What the run did to the world, in the order of its dispatch."""
    found = await held.ledger.effects(run.tenant, run.id, after=position(cursor), limit=limit + 1)
    items, following = page_by_time(found, limit, lambda effect: (effect.dispatched_at, effect.action_digest))
    return Page(items=items, next=following)


@router.get("/verdicts")
async def read_verdicts(
    run: OwnRun, held: Held, limit: Limit = 50, cursor: Cursor = None
) -> Page[VerdictView]:
    """What the guardian said to each action, and why, in the order of its word."""
    found = await held.readings.verdicts(run.tenant, run.id, after=position(cursor), limit=limit + 1)
    items, following = page_by_time(found, limit, lambda said: (said.created_at, said.verdict.action_digest))
    return Page(items=items, next=following)


@router.get("/cost")
async def read_cost(run: OwnRun, held: Held) -> RunCost:
    """What the run has cost."""
    return await held.readings.cost(run.tenant, run.id)


@router.get(
    "/artifacts/{digest}",
    response_class=Response,
    responses={
        200: {"description": "The bytes.", "content": {"application/octet-stream": {}}},
        206: {"description": "The range that was asked for."},
        **documented(416),
    },
)
async def read_artifact(
    run: OwnRun,
    digest: DigestPath,
    held: Held,
    wanted: Annotated[
        str | None, Header(alias="Range", max_length=100, description="One range of bytes.")
    ] = None,
) -> Response:
    """An output that was too large for the story; whole, or a range of it."""
    found = await held.readings.artifact(run.tenant, run.id, digest)
    headers = {
        "ETag": f'"{digest}"',
        "Accept-Ranges": "bytes",
        "Content-Disposition": "attachment",
        "Cache-Control": "private, max-age=31536000, immutable",
    }
    span = byte_range(wanted, len(found.data))
    if span is None:
        return Response(found.data, headers=headers, media_type=found.content_type)
    first, last = span
    headers["Content-Range"] = f"bytes {first}-{last}/{len(found.data)}"
    return Response(
        found.data[first : last + 1], status_code=206, headers=headers, media_type=found.content_type
    )


def byte_range(header: str | None, size: int) -> tuple[int, int] | None:
    """The one range a header asks for; None where it asks for none that we serve, and the whole is the answer."""
    unit, _, spec = (header or "").partition("=")
    if unit.strip() != "bytes" or "," in spec:
        return None
    first, separator, last = spec.strip().partition("-")
    if not separator or not (first + last).isdigit():
        return None
    if not first:
        start, end = max(0, size - int(last)), size - 1
    else:
        start, end = int(first), min(int(last), size - 1) if last else size - 1
    if start >= size or end < start:
        raise RangeNotSatisfiable(f"The artifact has {size} bytes.")
    return start, end
