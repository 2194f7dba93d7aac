"""How much a worker process does at once, and how it stops: settings in, arguments of Temporal's `Worker` out."""

import logging
from datetime import timedelta
from importlib.metadata import version
from typing import TypedDict

from temporalio.common import VersioningBehavior, WorkerDeploymentVersion
from temporalio.runtime import (
    LogForwardingConfig,
    LoggingConfig,
    PrometheusConfig,
    Runtime,
    TelemetryConfig,
    TelemetryFilter,
)
from temporalio.worker import WorkerDeploymentConfig

from holdfast.errors import Misconfigured
from holdfast.runtime.premises import build_of
from holdfast.runtime.settings import Queue, TemporalSettings, WorkerSettings

_HEARTBEAT_AT_MOST = timedelta(seconds=2)
"""A cancel travels back on a heartbeat, and Temporal holds heartbeats back for up to a minute unless told otherwise."""

_STICKY_AT_MOST = timedelta(seconds=3)
"""How long a run waits for the worker that has it in memory before any other may take it. Ten seconds, unless told
otherwise: the pause of every run whose worker was killed."""

_MOST_POLLS = 32
"""How many a process waits for at once. With the SDK's five, half of the tasks of a busy worker find nobody waiting, and each
of those is written to the server's database and read from it again."""


class WorkerOptions(TypedDict, total=False):
    """`Worker(client, activities=..., workflows=..., **worker_options(...))`."""

    task_queue: str
    max_concurrent_activities: int
    max_concurrent_activity_task_polls: int
    max_concurrent_local_activities: int
    max_concurrent_workflow_tasks: int
    max_concurrent_workflow_task_polls: int
    max_cached_workflows: int
    graceful_shutdown_timeout: timedelta
    max_heartbeat_throttle_interval: timedelta
    sticky_queue_schedule_to_start_timeout: timedelta
    deployment_config: WorkerDeploymentConfig
    build_id: str


def worker_options(queue: Queue, *, workers: WorkerSettings, temporal: TemporalSettings) -> WorkerOptions:
    slots = _slots(queue, workers)
    options = WorkerOptions(
        task_queue=queue.value,
        max_concurrent_activities=slots,
        max_concurrent_activity_task_polls=min(slots, _MOST_POLLS),
        graceful_shutdown_timeout=timedelta(seconds=workers.drain_s),
        max_heartbeat_throttle_interval=_HEARTBEAT_AT_MOST,
    )
    if queue is Queue.ORCHESTRATION:
        options["max_concurrent_workflow_tasks"] = slots
        options["max_concurrent_workflow_task_polls"] = max(2, min(slots, _MOST_POLLS))  # one is for new runs
        options["max_concurrent_local_activities"] = slots
        options["max_cached_workflows"] = workers.cached_runs
        options["sticky_queue_schedule_to_start_timeout"] = _STICKY_AT_MOST
    if temporal.deployment:
        options["deployment_config"] = _deployment(temporal.deployment, build_of(temporal))
    else:  # unless told, the SDK reads and hashes every module at each start of a worker
        options["build_id"] = temporal.build_id or f"holdfast {version('holdfast')}"
    return options


def temporal_runtime(*, metrics_host: str = "127.0.0.1", metrics_port: int | None = None) -> Runtime:
    """The one runtime of a process, with the SDK's metrics for Prometheus where a port is given."""
    address = f"{metrics_host}:{metrics_port}"
    metrics = PrometheusConfig(
        bind_address=address, counters_total_suffix=True, unit_suffix=True, durations_as_seconds=True
    )
    logs = LoggingConfig(
        filter=TelemetryFilter(core_level="WARN", other_level="ERROR"),
        forwarding=LogForwardingConfig(
            logger=logging.getLogger("temporalio.core"), append_log_fields_to_message=False
        ),
    )
    try:
        return Runtime(telemetry=TelemetryConfig(logging=logs, metrics=metrics if metrics_port else None))
    except (RuntimeError, ValueError) as error:
        raise Misconfigured(
            f"Metrics cannot be served at {address}: {error}",
            remedy="Set HOLDFAST_WORKERS__METRICS_PORT to a free port; each worker process needs its own.",
        ) from error


def _slots(queue: Queue, workers: WorkerSettings) -> int:
    return {
        Queue.ORCHESTRATION: workers.orchestration_slots,
        Queue.LLM: workers.llm_slots,
        Queue.TOOLS: workers.tools_slots,
        Queue.KNOWLEDGE: workers.knowledge_slots,
    }[queue]


def _deployment(name: str, build_id: str) -> WorkerDeploymentConfig:
    """A run stays on the version it began with, unless its workflow says otherwise."""
    return WorkerDeploymentConfig(
        version=WorkerDeploymentVersion(deployment_name=name, build_id=build_id),
        use_worker_versioning=True,
        default_versioning_behavior=VersioningBehavior.PINNED,
    )
