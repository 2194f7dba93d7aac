"""Whether this process lives, and whether it can do its work."""

import asyncio
import time
from collections.abc import Awaitable
from typing import Literal

from fastapi import APIRouter, Response
from pydantic import BaseModel, ConfigDict
from temporalio.api.enums.v1 import TaskQueueType

from api.services import Held
from holdfast.errors import HoldfastError, Unavailable
from holdfast.runtime.settings import Queue

router = APIRouter(tags=["health"])

_PATIENCE_S = 3.0


class PartHealth(BaseModel):
    model_config = ConfigDict(frozen=True)

    ok: bool
    latency_ms: float
    detail: str = ""


class Health(BaseModel):
    model_config = ConfigDict(frozen=True)

    status: Literal["ready", "degraded", "away"]
    parts: dict[str, PartHealth]
    pollers: dict[str, int] = {}
    streams: int = 0


@router.get("/livez")
async def livez() -> dict[Literal["status"], Literal["alive"]]:
    """This process answers."""
    return {"status": "alive"}


@router.get(
    "/readyz", responses={503: {"model": Health, "description": "A part this API stands on is away."}}
)
async def readyz(response: Response, held: Held) -> Health:
    """The parts this API stands on, and how many workers ask each queue for work. `degraded`: it answers, but some
    queue has no worker."""
    pollers: dict[str, int] = {}
    database, schema, temporal, feed = await asyncio.gather(
        _probe(_select(held)),
        _probe(_schema(held)),
        _probe(_pollers(held, pollers)),
        _probe(_listening(held)),
    )
    parts = {"postgres": database, "schema": schema, "temporal": temporal, "events": feed}
    well = all(part.ok for part in parts.values())
    response.status_code = 200 if well else 503
    staffed = all(pollers.get(queue, 0) for queue in Queue)
    status: Literal["ready", "degraded", "away"] = "away" if not well else "ready" if staffed else "degraded"
    return Health(status=status, parts=parts, pollers=pollers, streams=held.feed.followers)


async def _probe(question: Awaitable[str]) -> PartHealth:
    since = time.perf_counter()
    try:
        async with asyncio.timeout(_PATIENCE_S):
            detail, ok = await question, True
    except TimeoutError:
        detail, ok = f"no answer within {_PATIENCE_S:g} s", False
    except HoldfastError as error:
        detail, ok = error.message, False
    return PartHealth(ok=ok, latency_ms=round((time.perf_counter() - since) * 1000, 1), detail=detail)


async def _select(held: Held) -> str:
    async with held.database.statement() as connection:
        await connection.execute("select 1")
    return ""


async def _schema(held: Held) -> str:
    return await held.readings.schema_version()


async def _pollers(held: Held, found: dict[str, int]) -> str:
    workflows = TaskQueueType.TASK_QUEUE_TYPE_WORKFLOW
    activities = TaskQueueType.TASK_QUEUE_TYPE_ACTIVITY
    for queue in Queue:
        kind = workflows if queue is Queue.ORCHESTRATION else activities
        found[queue] = (await held.engine.queue(queue, kind)).pollers
    return ""


async def _listening(held: Held) -> str:
    if not held.feed.listening:
        raise Unavailable("The event feed is not connected.")
    return ""
