"""Which run, step, tenant and trace a line belongs to, wherever it is written: route, workflow, activity, library."""

from collections.abc import Sequence
from typing import Any

import structlog
from opentelemetry import trace
from structlog.contextvars import bind_contextvars, bound_contextvars
from structlog.typing import EventDict
from temporalio import activity, workflow
from temporalio.worker import (
    ActivityInboundInterceptor,
    ExecuteActivityInput,
    ExecuteWorkflowInput,
    HandleSignalInput,
    HandleUpdateInput,
    Interceptor,
    WorkflowInboundInterceptor,
    WorkflowInterceptorClassInput,
)
from typing_extensions import override

from schemas.runs import RunInput
from schemas.stages import ActRow, JudgeRow, RunScope


def ids_of(args: Sequence[Any]) -> dict[str, str]:
    """The ids in a stage's request, or in a run's input."""
    found: dict[str, str] = {}
    for arg in args:
        if isinstance(arg, RunInput):
            found |= {"run_id": arg.run_id, "tenant": arg.tenant, "agent": arg.agent.name}
        else:
            found |= _ids_of_stage(_row_of(arg))
    return found


def _row_of(arg: Any) -> Sequence[Any]:
    """The steps that a request speaks of; they are all of one run."""
    match arg:
        case ActRow():
            return arg.calls
        case JudgeRow():
            return arg.requests
        case _:
            return (arg,)


def _ids_of_stage(row: Sequence[Any]) -> dict[str, str]:
    found: dict[str, str] = {}
    if isinstance(scope := getattr(row[0], "scope", None), RunScope):
        found = {"run_id": scope.run_id, "tenant": scope.tenant, "agent": scope.agent}
    if len(row) == 1 and (step_id := getattr(getattr(row[0], "action", row[0]), "step_id", None)):
        found["step_id"] = str(step_id)
    return found


class LogContextInterceptor(Interceptor):
    @override
    def intercept_activity(self, next: ActivityInboundInterceptor) -> ActivityInboundInterceptor:
        return _ActivityContext(next)

    @override
    def workflow_interceptor_class(
        self, input: WorkflowInterceptorClassInput
    ) -> type[WorkflowInboundInterceptor]:
        return _WorkflowContext


class _ActivityContext(ActivityInboundInterceptor):
    @override
    async def execute_activity(self, input: ExecuteActivityInput) -> Any:
        info = activity.info()
        ids = {"run_id": info.workflow_id or "", **ids_of(input.args)}
        with bound_contextvars(activity=info.activity_type, attempt=info.attempt, **ids):
            return await super().execute_activity(input)


class _WorkflowContext(WorkflowInboundInterceptor):
    """Each of these runs in an asyncio task of its own, so nothing is ever unbound: the context ends with the task.
    To unbind would fail where an evicted workflow is taken apart outside of it.
    """

    _ids: dict[str, str] | None = None

    @override
    async def execute_workflow(self, input: ExecuteWorkflowInput) -> Any:
        self._ids = ids_of(input.args)
        self._bind()
        return await super().execute_workflow(input)

    @override
    async def handle_signal(self, input: HandleSignalInput) -> None:
        self._bind(signal=input.signal)
        await super().handle_signal(input)

    @override
    async def handle_update_handler(self, input: HandleUpdateInput) -> Any:
        self._bind(update=input.update)
        return await super().handle_update_handler(input)

    def _bind(self, **more: str) -> None:
        info = workflow.info()
        bind_contextvars(
            **{"run_id": info.workflow_id, "workflow": info.workflow_type, **(self._ids or {}), **more}
        )


def drop_replayed(_logger: Any, _method: str, event: EventDict) -> EventDict:
    """A line of a workflow is written once, though its code runs again on every replay."""
    if workflow.in_workflow() and workflow.unsafe.is_replaying():
        raise structlog.DropEvent
    return event


def add_trace(_logger: Any, _method: str, event: EventDict) -> EventDict:
    context = trace.get_current_span().get_span_context()
    if context.is_valid:
        event["trace_id"] = trace.format_trace_id(context.trace_id)
        event["span_id"] = trace.format_span_id(context.span_id)
    return event
