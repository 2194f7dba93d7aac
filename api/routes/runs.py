"""Runs: asked for, listed, read, and followed while they happen."""

# ruff: noqa: FAST003 - the run in the path is looked up by `own_run`

from collections.abc import AsyncIterator
from contextlib import aclosing
from typing import Annotated, Literal

from fastapi import APIRouter, Depends, Header, Path, Query, Response
from fastapi.sse import EventSourceResponse, ServerSentEvent

from api.cursors import Cursor, Limit, Since, Until
from api.problems import documented
from api.run_places import page_in, place_in
from api.services import LONGEST_WAIT_S, Caller, Held, Operation
from api.start import start_run, wait_for_end
from api.streams import StreamOver
from holdfast.adapters.postgres.feed import Delta
from holdfast.adapters.postgres.readings import RunFilter
from holdfast.adapters.postgres.run_order import RunOrder, RunSort
from holdfast.errors import InvalidInput, NotFound
from schemas.base import Name
from schemas.events import ModelDelta, RunEvent
from schemas.pages import Page
from schemas.runs import Run, RunRequest, RunStatus

router = APIRouter(prefix="/v1/runs", tags=["runs"])

ENDED_IN_TIME = {"model": Run, "description": "It ended while it was waited for."}
RunIdPath = Annotated[str, Path(pattern=r"^run_[0-9a-z]{20,40}$", description="The id of the run.")]


async def own_run(run_id: RunIdPath, held: Held, caller: Caller) -> Run:
    """The run, if the caller may see it; a run of another tenant or environment does not exist for them."""
    run = await held.runs.read(caller.tenant, run_id)
    if not caller.may_touch(run.environment):
        raise NotFound(f"There is no run {run_id}.", run_id=run_id)
    return run


OwnRun = Annotated[Run, Depends(own_run)]


@router.post("", name="start_run", status_code=202, responses={200: ENDED_IN_TIME, **documented()})
async def start(
    request: RunRequest,
    response: Response,
    held: Held,
    caller: Caller,
    operation: Operation,
    wait: Annotated[float, Query(ge=0, le=LONGEST_WAIT_S, description="Seconds to wait for the end.")] = 0,
) -> Run:
    """Start a run. Once this is answered, the run survives everything; `wait` answers with its result if it ends in
    time, and with 202 otherwise."""
    run = await start_run(held, request, caller, operation=operation)
    response.headers["Location"] = f"/v1/runs/{run.id}"
    if wait:
        run = await wait_for_end(held, run, seconds=wait)
    response.status_code = 200 if run.status.ended else 202
    return run


@router.get("", responses=documented())
async def list_runs(
    held: Held,
    caller: Caller,
    limit: Limit = 50,
    cursor: Cursor = None,
    status: Annotated[list[RunStatus] | None, Query(description="Any of these.")] = None,
    agent: Annotated[Name | None, Query(description="The agent that works on it.")] = None,
    environment: Annotated[list[Name] | None, Query(description="Any of these.")] = None,
    thread: Annotated[str | None, Query(max_length=120, description="Runs of one thread.")] = None,
    parent: Annotated[str | None, Query(max_length=50, description="Runs that this run delegated.")] = None,
    label: Annotated[
        list[str] | None,
        Query(max_length=20, description="`name=value`; all of them.", examples=[["team=db"]]),
    ] = None,
    text: Annotated[str | None, Query(max_length=200, description="Part of the goal or the answer.")] = None,
    created_after: Since = None,
    created_before: Until = None,
    sort: Annotated[RunSort, Query(description="By what; of equals, by id.")] = "created_at",
    order: Annotated[
        Literal["newest", "oldest"],
        Query(description="What comes first; of what is no time, `newest` is the last or the most."),
    ] = "newest",
) -> Page[Run]:
    """Runs of the tenant, newest first. What has not ended counts as the newest by `ended_at`."""
    wanted = RunFilter(
        statuses=status or (),
        agent=agent,
        environments=visible(environment, caller.environments),
        thread=thread,
        parent=parent,
        labels=_labels(label or []),
        text=text,
        created_after=created_after,
        created_before=created_before,
    )
    sorted_by = RunOrder(sort, descending=order == "newest")
    after = place_in(sorted_by, cursor)
    found = await held.readings.runs(caller.tenant, wanted, after=after, limit=limit + 1, order=sorted_by)
    items, following = page_in(sorted_by, found, limit)
    return Page(items=items, next=following)


@router.get("/{run_id}", responses=documented(404))
async def read_run(run: OwnRun) -> Run:
    """One run."""
    return run


def first_event(
    last_event_id: Annotated[
        int | None, Header(ge=0, le=2**53, description="The last number seen; what follows is sent.")
    ] = None,
    after: Annotated[
        int | None, Query(ge=0, le=2**53, description="The same, for a first connection.")
    ] = None,
) -> int:
    """Where a stream begins. The header wins: a reconnecting browser repeats the first address and adds it."""
    return last_event_id if last_event_id is not None else after or 0


async def stream_slot(
    run: OwnRun, after: Annotated[int, Depends(first_event)], held: Held
) -> AsyncIterator[None]:
    if run.status.ended and after >= run.last_seq:
        raise StreamOver
    with held.streams.slot(run.tenant):
        yield


@router.get(
    "/{run_id}/events",
    response_class=EventSourceResponse,
    dependencies=[Depends(stream_slot)],
    responses={204: {"description": "The run has ended, and nothing follows."}, **documented(404)},
)
async def stream_events(
    run: OwnRun,
    after: Annotated[int, Depends(first_event)],
    held: Held,
    *,
    follow: Annotated[bool, Query(description="Whether to wait for what is not told yet.")] = True,
) -> AsyncIterator[ServerSentEvent]:
    """The story of the run as server-sent events, from its beginning or from where the client was. The id of each is
    its number; the type `run.ended` comes last."""
    async with aclosing(held.streams.run(run.tenant, run.id, after=after, follow=follow)) as events:
        async for event in events:
            yield _sent(event)


def _sent(event: RunEvent | Delta | None) -> ServerSentEvent:
    if event is None:
        return ServerSentEvent(comment="here")
    if isinstance(event, Delta):
        delta = ModelDelta.of(event.run_id, event.data)
        return ServerSentEvent(raw_data=delta.model_dump_json(), event=delta.type)
    return ServerSentEvent(raw_data=event.model_dump_json(), event=event.type, id=str(event.seq))


def visible(asked: list[str] | None, allowed: tuple[str, ...] | None) -> list[str] | None:
    """The environments a list may show: what was asked for, of what the caller may see."""
    if allowed is None:
        return asked
    return [name for name in allowed if asked is None or name in asked]


def _labels(pairs: list[str]) -> dict[str, str]:
    labels = {}
    for pair in pairs:
        name, separator, value = pair.partition("=")
        if not separator or not name:
            raise InvalidInput(f"A label filter reads `name=value`, not {pair!r}.")
        labels[name] = value
    return labels
