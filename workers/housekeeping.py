"""What worker processes do beside their queues: forget what nobody needs any more. Every chore may be done twice, by
several processes at once, or not today; none of them is needed for a run to go on.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from datetime import timedelta

import structlog

from holdfast.adapters.postgres.idempotency import PostgresIdempotency
from holdfast.adapters.postgres.retention import PostgresRetention
from holdfast.errors import HoldfastError
from holdfast.runtime.settings import RetentionSettings
from holdfast.sandbox.port import Sandbox

log = structlog.get_logger()

Chore = Callable[[], Awaitable[int]]

_RESUMABLE = timedelta(hours=24)
_REMEMBERED = timedelta(days=7)
_SOON = timedelta(minutes=1)
"""After a start: a process that is never up for long looks after things as well."""


@asynccontextmanager
async def doing(chores: Mapping[str, Chore], *, every: timedelta) -> AsyncIterator[None]:
    """The chores, one after another, again and again, until the block ends."""
    keeping = asyncio.create_task(_keep(chores, every))
    try:
        yield
    finally:
        keeping.cancel()
        await asyncio.gather(keeping, return_exceptions=True)


async def _keep(chores: Mapping[str, Chore], every: timedelta) -> None:
    pause = min(_SOON, every)
    while True:
        await asyncio.sleep(pause.total_seconds())
        pause = every
        for name, chore in chores.items():
            try:
                done = await chore()
            except HoldfastError as error:
                log.warning("chore_failed", chore=name, error=str(error))
            else:
                if done:
                    log.info("chore_done", chore=name, count=done)


def retention_chores(retention: PostgresRetention, settings: RetentionSettings) -> Mapping[str, Chore]:
    return {
        "purge_events": lambda: retention.purge_events(timedelta(days=settings.events_days)),
        "purge_artifacts": lambda: retention.purge_artifacts(timedelta(days=settings.artifacts_days)),
        "purge_model_calls": lambda: retention.purge_model_calls(timedelta(days=settings.model_calls_days)),
        "purge_plans": lambda: retention.purge_plans(timedelta(days=settings.plans_days)),
        "purge_summaries": lambda: retention.purge_summaries(timedelta(days=settings.summaries_days)),
    }


def request_chores(keys: PostgresIdempotency, settings: RetentionSettings) -> Mapping[str, Chore]:
    """Answers are kept for those who ask again, and nobody asks again after a day."""
    seconds = timedelta(hours=settings.idempotency_hours).total_seconds()
    return {"prune_idempotency_keys": lambda: keys.prune(older_than_s=seconds)}


def workspace_chores(retention: PostgresRetention, sandbox: Sandbox) -> Mapping[str, Chore]:
    """Workspaces outlive their run by a day: until then it may be resumed where it was."""

    async def forget() -> int:
        ended = await retention.ended_runs(since=_REMEMBERED, until=_RESUMABLE)
        for tenant, run_id in ended:
            await sandbox.forget(f"{tenant}.{run_id}")
        return 0

    return {"forget_workspaces": forget}
