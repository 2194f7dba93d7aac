"""Signals and updates from Temporal's own tools, which check nothing: one that does not fit its handler must not end a run.

What cannot be read at all, Temporal's SDK drops (a signal) or rejects (an update); here it is seen to that the arguments
are the handler's, in their number and as its annotations have them.
"""

import inspect
from collections.abc import Sequence
from functools import cache
from typing import Any

from pydantic import TypeAdapter, ValidationError
from temporalio import workflow
from temporalio.exceptions import ApplicationError
from temporalio.worker import (
    HandleSignalInput,
    HandleUpdateInput,
    Interceptor,
    WorkflowInboundInterceptor,
    WorkflowInterceptorClassInput,
)
from typing_extensions import override


class RawMessageInterceptor(Interceptor):
    @override
    def workflow_interceptor_class(
        self, input: WorkflowInterceptorClassInput
    ) -> type[WorkflowInboundInterceptor]:
        return _Fitting


class _Fitting(WorkflowInboundInterceptor):
    @override
    async def handle_signal(self, input: HandleSignalInput) -> None:
        fitted = _fitted(input.signal, input.args)
        if fitted is None:
            workflow.logger.warning("signal_dropped", extra={"signal": input.signal})
            return
        input.args = fitted
        await super().handle_signal(input)

    @override
    def handle_update_validator(self, input: HandleUpdateInput) -> None:
        input.args = _accepted(input)
        super().handle_update_validator(input)

    @override
    async def handle_update_handler(self, input: HandleUpdateInput) -> Any:
        input.args = _accepted(input)
        return await super().handle_update_handler(input)


def _accepted(message: HandleUpdateInput) -> Sequence[Any]:
    fitted = _fitted(message.update, message.args)
    if fitted is None:
        raise ApplicationError(
            f"The update {message.update} does not take these arguments.", non_retryable=True
        )
    return fitted


def _fitted(name: str, args: Sequence[Any]) -> Sequence[Any] | None:
    """The handler's arguments; None where they are not to be had from these. What is beyond them nobody reads."""
    handler = getattr(workflow.instance(), name, None)  # Temporal's own way to it hides the signature
    if handler is None:
        return args
    taken = list(inspect.signature(handler).parameters.values())
    if len(args) < sum(each.default is inspect.Parameter.empty for each in taken):
        return None
    try:
        return [_reader(each.annotation).validate_python(arg) for each, arg in zip(taken, args, strict=False)]
    except ValidationError:
        return None


@cache
def _reader(annotation: Any) -> TypeAdapter[Any]:
    """Temporal goes by the types only where their number is right, and by no constraint on a string."""
    return TypeAdapter(annotation)
