"""The one mapping between the tree of errors and Temporal's failures, there and back.

It is a failure converter, so it holds wherever an exception turns into a failure: activities, local activities,
workflows, update validators, payloads that cannot be stored. What an error was caused by stays out of the history:
libraries put addresses, headers and bodies into their messages. The log has it.
"""

from collections.abc import Iterator
from datetime import timedelta
from typing import Any

from pydantic import ValidationError
from temporalio.api.failure.v1 import Failure
from temporalio.converter import DefaultFailureConverter, PayloadConverter
from temporalio.exceptions import (
    ApplicationError,
    CancelledError,
    TemporalError,
    TerminatedError,
    TimeoutType,
)
from temporalio.exceptions import (
    TimeoutError as TemporalTimeout,
)

from holdfast.errors import HoldfastError
from schemas.base import JsonObject, Payload
from schemas.tools import ToolError

RUN_FAILURES: tuple[type[BaseException], ...] = (
    HoldfastError,
    ArithmeticError,
    AssertionError,
    AttributeError,
    LookupError,
    NameError,
    TypeError,
    ValueError,  # pydantic's validation error is one
)
"""What ends a run when its workflow lets it through. Without this list a bug in workflow code leaves the run RUNNING
with a failing task that nobody sees. `Exception` would be too much: it also covers non-determinism, and then a bad
deploy would fail every run under way, where a stuck task waits for the deploy to be undone."""

TOO_LARGE = "PayloadsTooLarge"
"""The type of Temporal's own failure for a result over its limit; retry policies name it, or it is retried for ever."""


class FailureDetails(Payload):
    """What a failure carries beside its message."""

    remedy: str = ""
    ids: JsonObject = {}


def to_temporal(error: HoldfastError) -> ApplicationError:
    details = FailureDetails(
        remedy=error.remedy, ids={name: _plain(value) for name, value in error.ids.items()}
    )
    waits = error.retryable and error.retry_after_s is not None
    return ApplicationError(
        error.message,
        details,
        type=error.code,
        non_retryable=not error.retryable,
        next_retry_delay=timedelta(seconds=error.retry_after_s or 0) if waits else None,
    )


def from_temporal(error: BaseException) -> HoldfastError:
    """The error of our tree that this failure once was, so that a door can answer with its status and its remedy."""
    root = root_of(error)
    if isinstance(root, HoldfastError):
        return root
    cause = cause_of(root)
    kind = _BY_CODE.get(cause.code, HoldfastError)
    wait = (
        root.next_retry_delay.total_seconds()
        if isinstance(root, ApplicationError) and root.next_retry_delay
        else None
    )
    return kind(cause.message, remedy=cause.remedy, retry_after_s=wait, **_details(root).ids)


def cause_of(error: BaseException) -> ToolError:
    """Why this failed, as a run tells it: a stable code, and words for people and models."""
    root = root_of(error)
    if isinstance(root, HoldfastError):
        return ToolError(code=root.code, message=root.message, remedy=root.remedy)
    if isinstance(root, ApplicationError):
        return ToolError(code=root.type or "internal", message=root.message, remedy=_details(root).remedy)
    if isinstance(root, TemporalTimeout):
        return ToolError(code="timed_out", message=_TIMEOUTS[root.type])
    if isinstance(root, CancelledError):
        return ToolError(code="cancelled", message="It was cancelled.")
    if isinstance(root, TerminatedError):
        return ToolError(code="terminated", message="It was terminated.")
    return ToolError(code="internal", message=str(root) or type(root).__name__)


def root_of(error: BaseException) -> BaseException:
    """The failure under Temporal's wrappers (activity failed, child workflow failed, update failed)."""
    while _is_wrapper(error) and error.__cause__ is not None:
        error = error.__cause__
    return error


class HoldfastFailureConverter(DefaultFailureConverter):
    def to_failure(
        self, exception: BaseException, payload_converter: PayloadConverter, failure: Failure
    ) -> None:
        if isinstance(exception, HoldfastError):
            exception = to_temporal(exception).with_traceback(exception.__traceback__)
        super().to_failure(exception, payload_converter, failure)


class EncryptedFailureConverter(HoldfastFailureConverter):
    """Moves messages and stack traces to where the codec encrypts them."""

    def __init__(self) -> None:
        super().__init__(encode_common_attributes=True)


_TIMEOUTS = {
    None: "It took too long.",
    TimeoutType.START_TO_CLOSE: "It was started and took too long.",
    TimeoutType.SCHEDULE_TO_START: "No worker took it in time. Is a worker up for its queue?",
    TimeoutType.SCHEDULE_TO_CLOSE: "It did not end in time, with all its attempts.",
    TimeoutType.HEARTBEAT: "The worker that did it fell silent.",
}


def _is_wrapper(error: BaseException) -> bool:
    plain = (ApplicationError, TemporalTimeout, CancelledError, TerminatedError)
    return isinstance(error, TemporalError) and not isinstance(error, plain)


def _details(error: BaseException) -> FailureDetails:
    if not isinstance(error, ApplicationError) or not error.details:
        return FailureDetails()
    try:
        return FailureDetails.model_validate(error.details[0])
    except ValidationError:  # not one of ours
        return FailureDetails()


def _plain(value: Any) -> Any:
    return value if isinstance(value, (str, int, float, bool, type(None))) else str(value)


def _tree(root: type[HoldfastError]) -> Iterator[type[HoldfastError]]:
    yield root
    for child in root.__subclasses__():
        yield from _tree(child)


_BY_CODE = {kind.code: kind for kind in _tree(HoldfastError)}
