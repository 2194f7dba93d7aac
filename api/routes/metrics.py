"""What Prometheus reads: this process's own counts, and what the tables say of all tenants together."""

import asyncio

from fastapi import APIRouter, Response
from prometheus_client import CollectorRegistry, Gauge, generate_latest
from prometheus_client.exposition import CONTENT_TYPE_LATEST
from temporalio.api.enums.v1 import TaskQueueType

from api.engine import Engine
from api.metrics import REGISTRY
from api.problems import documented
from api.services import Held
from holdfast.adapters.postgres.readings import Measure
from holdfast.errors import HoldfastError
from holdfast.runtime.settings import Queue
from schemas.runs import RunStatus
from schemas.verdicts import Decision

router = APIRouter(tags=["health"])

_PATIENCE_S = 3.0
_WORKFLOWS = TaskQueueType.TASK_QUEUE_TYPE_WORKFLOW
_ACTIVITIES = TaskQueueType.TASK_QUEUE_TYPE_ACTIVITY


@router.get(
    "/metrics",
    response_class=Response,
    responses={200: {"description": "Prometheus text.", "content": {"text/plain": {}}}, **documented()},
)
async def metrics(held: Held) -> Response:
    """Requests, streams, runs, steps, verdicts, approvals, models and cost; what waits in the task queues."""
    counted, waiting = await asyncio.gather(held.readings.measures(), _queues(held.engine))
    body = generate_latest(REGISTRY) + generate_latest(_gauges([*_NOTHING, *counted, *waiting]))
    return Response(body, media_type=CONTENT_TYPE_LATEST)


async def _queues(engine: Engine) -> list[Measure]:
    """Pollers and backlog of each queue. While Temporal is away that is all there is to say."""
    asked = [(queue.value, "activity", _ACTIVITIES) for queue in Queue]
    asked.append((Queue.ORCHESTRATION.value, "workflow", _WORKFLOWS))
    try:
        async with asyncio.timeout(_PATIENCE_S):
            found = await asyncio.gather(*(engine.queue(queue, kind) for queue, _, kind in asked))
    except (HoldfastError, TimeoutError):
        return [("holdfast_temporal_up", (), (), 0)]
    measures: list[Measure] = [("holdfast_temporal_up", (), (), 1)]
    for (queue, kind, _), state in zip(asked, found, strict=True):
        place = (("queue", "kind"), (queue, kind))
        measures.append(("holdfast_queue_pollers", *place, state.pollers))
        measures.append(("holdfast_queue_backlog", *place, state.backlog))
        measures.append(("holdfast_queue_oldest_seconds", *place, state.oldest_s))
    return measures


def _gauges(measures: list[Measure]) -> CollectorRegistry:
    """A registry of gauges for what was counted elsewhere just now."""
    registry, gauges = CollectorRegistry(), {}
    for name, labels, values, amount in measures:
        if name not in gauges:
            gauges[name] = Gauge(name, _HELP.get(name, name), labels, registry=registry)
        gauge = gauges[name]
        (gauge.labels(*values) if labels else gauge).set(amount)
    return registry


_NOTHING: list[Measure] = [
    *(("holdfast_runs", ("status",), (status.value,), 0) for status in RunStatus),
    *(("holdfast_verdicts", ("decision",), (decision.value,), 0) for decision in Decision),
]
"""What there is none of yet: an alert on a series that does not exist never fires."""
_HELP = {
    "holdfast_temporal_up": "Whether Temporal answers this process.",
    "holdfast_queue_pollers": "Workers that ask a task queue for work.",
    "holdfast_queue_backlog": "Tasks that wait in a task queue, roughly.",
    "holdfast_queue_oldest_seconds": "The age of the task that waits longest.",
    "holdfast_runs": "Runs by status.",
    "holdfast_tool_calls": "Tool calls by tool, version and outcome.",
    "holdfast_tool_failures": "Failed tool calls by tool, version and the code of their error.",
    "holdfast_tool_seconds": "How long calls of the last hour took, by tool, version and quantile.",
    "holdfast_verdicts": "Verdicts by decision.",
    "holdfast_approvals_waiting": "Approvals that wait for a person.",
    "holdfast_approvals_oldest_seconds": "The age of the one that waits longest.",
    "holdfast_model_tokens": "Model tokens by model and direction.",
    "holdfast_model_cost_usd": "What models have cost, by model.",
    "holdfast_model_reserved_usd": "Claimed by calls under way, by deployment.",
    "holdfast_model_calls": "Calls of models by deployment, kind of task and outcome.",
    "holdfast_model_breaker": "1 for the state that a deployment's breaker is in.",
    "holdfast_plan_cache": "Kept plans asked for, by what came of it.",
}
