"""How an activity is stopped: it is told, and ends at a place of its own choosing, with everything said that has to be.

A cancellation that came up as an exception at whatever the activity waits for could come between a statement and its
answer. Here only what is lent to `cuttable` is ever cut.
"""

import asyncio
from collections.abc import Callable, Coroutine
from contextlib import suppress
from typing import Any, TypeVar

from temporalio import activity

Answer = TypeVar("Answer")

_PATIENCE_S = 2.0
"""How long a worker that has to go waits for an activity that was told to stop and does not, as when Postgres hangs."""


class Stop:
    """Whether this activity is to start nothing more."""

    def __init__(self) -> None:
        self._told = False
        self._cuttable: asyncio.Task[Any] | None = None

    @property
    def asked(self) -> bool:
        return self._told or activity.is_worker_shutdown()

    @property
    def leaving(self) -> bool:
        """The worker goes, and waits no longer: what cannot be said now is left to the next attempt."""
        return self._told and activity.is_worker_shutdown()

    @property
    def for_good(self) -> bool:
        """Whoever asked for the activity no longer wants it: no attempt follows that could say how it ended."""
        details = activity.cancellation_details()
        return self._told and details is not None and details.cancel_requested

    def tell(self) -> None:
        self._told = True
        if self._cuttable is not None:
            self._cuttable.cancel()

    async def cuttable(self, work: Coroutine[Any, Any, Answer]) -> Answer:
        """The work, cancelled when the activity is. Where it was told before, the work does not begin."""
        if self._told:
            work.close()
            raise asyncio.CancelledError
        task: asyncio.Task[Answer] = asyncio.create_task(work)
        self._cuttable = task
        try:
            return await task
        finally:
            self._cuttable = None


async def stoppable(work: Callable[[Stop], Coroutine[Any, Any, Answer]]) -> Answer:
    """The work, to its own end, whatever its activity is told meanwhile."""
    stop = Stop()
    task = asyncio.create_task(work(stop))
    try:
        await asyncio.wait({task})
    except asyncio.CancelledError:
        stop.tell()
        await _ended(task)
    return task.result()


async def _ended(task: asyncio.Task[Any]) -> None:
    """Waits for what was told to stop: as long as it takes, unless the worker has to go."""
    leaving = asyncio.create_task(activity.wait_for_worker_shutdown())
    try:
        while not task.done():
            with suppress(asyncio.CancelledError):  # told again: that changes nothing
                await asyncio.wait({task, leaving}, return_when=asyncio.FIRST_COMPLETED)
                if leaving.done() and not task.done():
                    await asyncio.wait({task}, timeout=_PATIENCE_S)
                    task.cancel()
    finally:
        leaving.cancel()
