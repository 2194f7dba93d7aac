"""Heartbeats: without them Temporal can neither cancel a call nor notice that its worker is dead."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

from temporalio import activity


@asynccontextmanager
async def heartbeats() -> AsyncIterator[None]:
    """Beats three times within the timeout, for as long as the block runs."""
    timeout = activity.info().heartbeat_timeout
    if timeout is None:
        yield
        return
    beating = asyncio.create_task(_beat(timeout.total_seconds() / 3))
    try:
        yield
    finally:
        beating.cancel()
        with suppress(asyncio.CancelledError):
            await beating


async def _beat(every_s: float) -> None:
    """The first beat comes late: a call that is over by then costs the server nothing."""
    while True:
        await asyncio.sleep(every_s)
        activity.heartbeat()
