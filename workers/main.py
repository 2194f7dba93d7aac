"""A worker process: settings in, workers for some task queues until SIGTERM, then a drain."""

import asyncio
import signal
from collections.abc import Sequence
from contextlib import AsyncExitStack
from datetime import timedelta
from importlib import import_module
from types import ModuleType

import structlog

from holdfast.adapters.postgres.database import Role
from holdfast.runtime.logging import set_up_logging
from holdfast.runtime.readiness import tell_ready
from holdfast.runtime.settings import Queue, Settings
from holdfast.runtime.telemetry import start_telemetry
from workers.ending import ending
from workers.housekeeping import doing
from workers.parts import Parts, parts
from workers.pools import Pool

log = structlog.get_logger()

_CHORES_EVERY = timedelta(hours=1)


async def run(settings: Settings, *, queues: Sequence[Queue]) -> None:
    """Serve these queues until SIGTERM or SIGINT; then take nothing new and let what is under way end."""
    set_up_logging(
        service="worker",
        level=settings.telemetry.log_level.upper(),
        pretty={"auto": None, "json": False, "pretty": True}[settings.telemetry.log_format],
    )
    telemetry = start_telemetry(service="worker", endpoint=settings.telemetry.otlp_endpoint)
    stop = asyncio.Event()
    for name in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(name, stop.set)
    try:
        async with parts(settings) as held:
            await _serve(held, queues, stop)
    finally:
        telemetry.close()


async def _serve(held: Parts, queues: Sequence[Queue], stop: asyncio.Event) -> None:
    settings = held.settings
    client = await held.client(role=_role(queues))
    async with AsyncExitStack() as stack:
        for queue in queues:
            module = _module(queue)
            pool: Pool = await module.pool(held)
            worker = pool.worker(client, workers=settings.workers, temporal=settings.temporal)
            await stack.enter_async_context(worker)
            if hasattr(module, "chores"):
                every: timedelta = getattr(module, "CHORES_EVERY", _CHORES_EVERY)
                await stack.enter_async_context(doing(await module.chores(held), every=every))
        tell_ready()
        log.info("worker_ready", queues=[queue.value for queue in queues], identity=held.identity)
        with ending(stop, drain_s=settings.workers.drain_s):
            await stop.wait()


def _module(queue: Queue) -> ModuleType:
    """A process pays for the imports of the queues it serves, and of no other."""
    return import_module(f"workers.queues.{queue.value}")


def _role(queues: Sequence[Queue]) -> Role:
    """A process that only calls tools has the rights of one that only calls tools."""
    return "holdfast_tools" if set(queues) == {Queue.TOOLS} else "holdfast_app"
