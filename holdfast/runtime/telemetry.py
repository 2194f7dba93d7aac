"""Traces and the SDK's metrics. One trace goes from the HTTP request through workflow and activities to model and tool.

Temporal keeps the trace's id in the history, so it outlives a pause of weeks and the workers of the first half.
Without an OTLP endpoint nothing is recorded.
"""

import os
import socket
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from importlib.metadata import version
from types import MappingProxyType
from typing import Any

from opentelemetry import trace
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.trace import Span, SpanKind, Status, StatusCode
from temporalio import activity
from temporalio.contrib.opentelemetry import ReplaySafeTracerProvider, create_tracer_provider
from temporalio.worker import ActivityInboundInterceptor, ExecuteActivityInput, Interceptor
from typing_extensions import override

from holdfast.errors import HoldfastError
from holdfast.runtime import semconv
from holdfast.runtime.log_context import ids_of

_TRACES_PATH = "/v1/traces"
_NONE: Mapping[str, Any] = MappingProxyType({})


class Telemetry:
    """What this process traces with; falsy where tracing is off."""

    def __init__(self, provider: ReplaySafeTracerProvider | None = None) -> None:
        self._provider = provider

    def __bool__(self) -> bool:
        return self._provider is not None

    def close(self) -> None:
        """Send what is left. Blocks for as long as the collector takes."""
        if self._provider is not None:
            self._provider.shutdown()


def start_telemetry(*, service: str, endpoint: str | None) -> Telemetry:
    """Call it once, before a client or a worker is made. `OTEL_*` variables say the rest: headers, sampler, resource."""
    if not endpoint:
        return Telemetry()
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter  # noqa: PLC0415 -- 60 ms

    exporter = OTLPSpanExporter(endpoint=endpoint.rstrip("/").removesuffix(_TRACES_PATH) + _TRACES_PATH)
    provider = create_tracer_provider(resource=_resource(service), shutdown_on_exit=False)
    provider.add_span_processor(BatchSpanProcessor(exporter))
    trace.set_tracer_provider(provider)
    return Telemetry(provider)


@contextmanager
def span(
    operation: semconv.Operation, target: str, attributes: Mapping[str, Any] = _NONE, *, client: bool = False
) -> Iterator[Span]:
    """One operation of the GenAI conventions, named as they say: `execute_tool shell.run`.

    Attributes have their names from `semconv`; those that are None are left out.
    """
    kind = SpanKind.CLIENT if client else SpanKind.INTERNAL
    given = {name: value for name, value in attributes.items() if value is not None}
    with _started(f"{operation} {target}", kind, {semconv.OPERATION: operation, **given}) as current:
        yield current


class StageSpans(Interceptor):
    """A span for each activity, named as the stage is, so that a trace reads like the run."""

    @override
    def intercept_activity(self, next: ActivityInboundInterceptor) -> ActivityInboundInterceptor:
        return _StageSpan(next)


class _StageSpan(ActivityInboundInterceptor):
    @override
    async def execute_activity(self, input: ExecuteActivityInput) -> Any:
        info = activity.info()
        ids = {"run_id": info.workflow_id, **ids_of(input.args)}
        attributes = {_SPAN_IDS[name]: value for name, value in ids.items() if value and name in _SPAN_IDS}
        with _started(info.activity_type, SpanKind.CONSUMER, {**attributes, semconv.ATTEMPT: info.attempt}):
            return await super().execute_activity(input)


_SPAN_IDS = {
    "run_id": semconv.RUN_ID,
    "tenant": semconv.TENANT,
    "agent": semconv.AGENT_NAME,
    "step_id": semconv.STEP_ID,
}


@contextmanager
def _started(name: str, kind: SpanKind, attributes: dict[str, Any]) -> Iterator[Span]:
    """Exceptions are told by their type alone: a message may quote a prompt or a key."""
    tracer = trace.get_tracer("holdfast")
    with tracer.start_as_current_span(
        name, kind=kind, attributes=attributes, record_exception=False, set_status_on_exception=False
    ) as current:
        try:
            yield current
        except BaseException as error:
            kind_of_error = error.code if isinstance(error, HoldfastError) else type(error).__name__
            current.set_attribute(semconv.ERROR_TYPE, kind_of_error)
            current.set_status(Status(StatusCode.ERROR))
            raise


def _resource(service: str) -> Resource:
    instance = f"{socket.gethostname()}:{os.getpid()}"
    named = {"service.name": service, "service.version": version("holdfast"), "service.instance.id": instance}
    return Resource.create(named)
