"""How a worker process ends for certain: also one whose event loop, or whose poll for work, ended from inside."""

import asyncio
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import structlog

log = structlog.get_logger()

_MARGIN_S = 10.0
_UNASKED_S = 5.0
_FAILED = 1


@contextmanager
def ending(stop: asyncio.Event, *, drain_s: float) -> Iterator[None]:
    """Around what waits for the stop. A drain of pollers that are dead waits for ever, with a loop that still turns: such a
    process looks alive and serves nothing, so it is ended, and whoever keeps it up starts it again."""
    try:
        yield
    finally:
        asked = stop.is_set()
        (log.info if asked else log.error)("worker_stopping" if asked else "worker_ended_from_inside")
        last = threading.Timer(drain_s + _MARGIN_S if asked else _UNASKED_S, os._exit, (_FAILED,))
        last.daemon = True
        last.start()
