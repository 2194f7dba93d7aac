"""Heartbeats: without them Temporal can neither cancel a call nor notice that its worker is dead."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass

from temporalio import activity


@dataclass
class Pulse:
    """What the Web UI shows of an activity under way: what it is at."""

    doing: str = ""


@asynccontextmanager
async def heartbeats() -> AsyncIterator[Pulse]:
    """Beats three times within the timeout, for as long as the block runs."""
    timeout, pulse = activity.info().heartbeat_timeout, Pulse()
    if timeout is None:
        yield pulse
        return
    beating = asyncio.create_task(_beat(pulse, timeout.total_seconds() / 3))
    try:
        yield pulse
    finally:
        beating.cancel()
        with suppress(asyncio.CancelledError):
            await beating


async def _beat(pulse: Pulse, every_s: float) -> None:
    """The first beat comes late: a call that is over by then costs the server nothing."""
    while True:
        await asyncio.sleep(every_s)
        activity.heartbeat(*([pulse.doing] if pulse.doing else []))
