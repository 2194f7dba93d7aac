"""What Prometheus reads: this process's own counts, and what the tables say of all tenants together."""

from fastapi import APIRouter, Response
from prometheus_client import CollectorRegistry, Gauge, generate_latest
from prometheus_client.exposition import CONTENT_TYPE_LATEST

from api.metrics import REGISTRY
from api.problems import documented
from api.services import Held
from holdfast.adapters.postgres.readings import Measure

router = APIRouter(tags=["health"])


@router.get(
    "/metrics",
    response_class=Response,
    responses={200: {"description": "Prometheus text.", "content": {"text/plain": {}}}, **documented()},
)
async def metrics(held: Held) -> Response:
    """Requests, streams, runs, steps, verdicts, approvals, models and cost."""
    body = generate_latest(REGISTRY) + generate_latest(_stored(await held.readings.measures()))
    return Response(body, media_type=CONTENT_TYPE_LATEST)


def _stored(measures: list[Measure]) -> CollectorRegistry:
    """A registry of gauges for what was counted in Postgres just now."""
    registry, gauges = CollectorRegistry(), {}
    for name, labels, values, amount in measures:
        if name not in gauges:
            gauges[name] = Gauge(name, _HELP.get(name, name), labels, registry=registry)
        gauge = gauges[name]
        (gauge.labels(*values) if labels else gauge).set(amount)
    return registry


_HELP = {
    "holdfast_runs": "Runs by status.",
    "holdfast_tool_calls": "Tool calls by tool and outcome.",
    "holdfast_verdicts": "Verdicts by decision.",
    "holdfast_approvals_waiting": "Approvals that wait for a person.",
    "holdfast_approvals_oldest_seconds": "The age of the one that waits longest.",
    "holdfast_model_tokens": "Model tokens by model and direction.",
    "holdfast_model_cost_usd": "What models have cost, by model.",
}
