"""The other ways to follow: a run over WebSocket, and everything that happens in a tenant."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import aclosing, suppress
from typing import Annotated

from fastapi import APIRouter, Depends, Header, Query, WebSocket, WebSocketDisconnect
from fastapi.sse import EventSourceResponse, ServerSentEvent

from api.problems import documented
from api.routes.runs import RunIdPath, first_event, own_run
from api.services import Caller, Held, Services
from api.tenant_stream import TenantStream, place
from schemas.events import ModelDelta, RunEvent
from schemas.runs import Run

router = APIRouter(tags=["streams"])

LATEST = 10**16
_OVER, _GOING_AWAY = 1000, 1001


@router.websocket("/v1/runs/{run_id}/ws")
async def run_over_websocket(
    socket: WebSocket,
    run_id: RunIdPath,
    held: Held,
    caller: Caller,
    after: Annotated[int, Depends(first_event)],
) -> None:
    """The story of a run, one message an event, and pieces of what its models write. Closed with 1000 after the last
    event, with 1001 when it may be resumed with `?after=`."""
    run = await own_run(run_id, held, caller)
    with held.streams.slot(run.tenant):
        await socket.accept(subprotocol=socket.scope["state"].get("subprotocol"))
        await _send_until_gone(socket, held, run, after)


async def _send_until_gone(socket: WebSocket, held: Services, run: Run, after: int) -> None:
    """Sending and listening at once: only listening notices that the other side has left."""
    sending = asyncio.create_task(_send(socket, held, run, after))
    gone = asyncio.create_task(_wait_until_gone(socket))
    await asyncio.wait({sending, gone}, return_when=asyncio.FIRST_COMPLETED)
    for task in (sending, gone):
        task.cancel()
    over, _ = await asyncio.gather(sending, gone, return_exceptions=True)
    with suppress(RuntimeError, WebSocketDisconnect):  # it has left
        await socket.close(_OVER if over is True else _GOING_AWAY)


async def _send(socket: WebSocket, held: Services, run: Run, after: int) -> bool:
    """Tell the story; whether all of it was told."""
    if run.status.ended and after >= run.last_seq:
        return True
    seen = after
    async with aclosing(held.streams.run(run.tenant, run.id, after=after)) as events:
        async for event in events:
            if isinstance(event, RunEvent):
                await socket.send_text(event.model_dump_json())
                seen = event.seq
            elif event is not None:
                await socket.send_text(ModelDelta.of(event.run_id, event.data).model_dump_json())
    return (await held.runs.read(run.tenant, run.id)).last_seq <= seen


async def _wait_until_gone(socket: WebSocket) -> None:
    try:
        while True:
            await socket.receive()
    except (WebSocketDisconnect, RuntimeError):  # Starlette's words for: it has left, and: it had left before
        return


async def tenant_slot(held: Held, caller: Caller) -> AsyncIterator[None]:
    with held.streams.slot(caller.tenant):
        yield


@router.get(
    "/v1/events",
    response_class=EventSourceResponse,
    dependencies=[Depends(tenant_slot)],
    responses=documented(),
)
async def stream_tenant(
    held: Held,
    caller: Caller,
    last_event_id: Annotated[
        int | None, Header(ge=0, le=LATEST, description="The last id seen; what follows is sent.")
    ] = None,
    after: Annotated[
        int | None, Query(ge=0, le=LATEST, description="The same, for a first connection.")
    ] = None,
    *,
    follow: Annotated[bool, Query(description="Whether to wait for what is not told yet.")] = True,
) -> AsyncIterator[ServerSentEvent]:
    """Everything that happens in the tenant, from now on or from the last id seen. Events of one run stay in their
    order. After a reconnection those of the last half minute come again: `run_id` and `seq` tell which you know."""
    stream = TenantStream(
        readings=held.readings, caller=caller, after_us=after if last_event_id is None else last_event_id
    )
    heartbeat_s = held.settings.api.heartbeat_s
    async with aclosing(stream.events(held.feed, heartbeat_s=heartbeat_s, follow=follow)) as events:
        async for event in events:
            if event is None:
                yield ServerSentEvent(comment="here")
            else:
                yield ServerSentEvent(raw_data=event.model_dump_json(), event=event.type, id=place(event))
