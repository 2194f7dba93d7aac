"""The one tree of errors. Each says what happened, to what, and what to do about it.

    HoldfastError
    ├── InvalidInput        the caller's words are wrong          400
    │   └── Unprocessable   well formed, and still impossible     422
    ├── Unauthenticated     nobody we know                        401
    ├── Forbidden           known, and not allowed                403
    ├── NotFound            no such thing, or not yours           404
    │   └── CatalogueUnknown the tools of a run, by their digest  404
    ├── Conflict            the thing is not in that state        409
    │   └── RunIsOver       it has told its end                   409
    ├── PreconditionFailed  edited by somebody else meanwhile     412
    ├── TooLarge            over a size limit                     413
    ├── LimitReached        over a rate, quota or budget          429
    ├── ActionRefused       judged, and not to be done            409
    ├── ToolFailed          the tool did not do its work          502
    ├── SandboxUnavailable  a layer of the sandbox is missing     503
    ├── ModelRefused        the model will not answer this        502
    ├── Misconfigured       a setting is missing or wrong         500
    └── Unavailable         a part we stand on is away            503
        ├── NotBegun        away before anything was asked of it  503
        ├── BrokeOff        went away before it answered          503
        └── RolledBack      given up so that others could go on   503

`retryable` says whether the same call may succeed later without anybody changing anything. The mapping to Temporal
failures stands in `holdfast.runtime.failures`, the one to problem+json in `api.problems`.
"""

from typing import Any, ClassVar


class HoldfastError(Exception):
    """Something in Holdfast went wrong."""

    code: ClassVar[str] = "internal"
    status: ClassVar[int] = 500
    retryable: ClassVar[bool] = False

    def __init__(
        self, message: str | None = None, *, remedy: str = "", retry_after_s: float | None = None, **ids: Any
    ) -> None:
        self.message = message or (type(self).__doc__ or "").strip()
        self.remedy = remedy
        self.retry_after_s = retry_after_s
        self.ids = ids
        super().__init__(self.message)

    def __str__(self) -> str:
        """Two sentences, also where the first was some library's."""
        ends = not self.message or self.message.endswith((".", "!", "?", ":"))
        return f"{self.message}{'' if ends or not self.remedy else '.'} {self.remedy}".strip()


class InvalidInput(HoldfastError):
    """The request cannot be read."""

    code = "invalid_input"
    status = 400


class Unprocessable(InvalidInput):
    """The request can be read, and cannot be done."""

    code = "unprocessable"
    status = 422


class Unauthenticated(HoldfastError):
    """Credentials are missing, unknown or expired."""

    code = "unauthenticated"
    status = 401


class Forbidden(HoldfastError):
    """These credentials do not permit this."""

    code = "forbidden"
    status = 403


class NotFound(HoldfastError):
    """There is no such thing here."""

    code = "not_found"
    status = 404


class CatalogueUnknown(NotFound):
    """The input of this run has other tools than these."""

    code = "catalogue_unknown"


class Conflict(HoldfastError):
    """The thing is not in a state that permits this."""

    code = "conflict"
    status = 409


class RunIsOver(Conflict):
    """The run has told its end, and nothing is told behind it."""

    code = "run_is_over"


class PreconditionFailed(HoldfastError):
    """It was changed by somebody else in the meantime."""

    code = "precondition_failed"
    status = 412


class TooLarge(HoldfastError):
    """This is over a size limit."""

    code = "too_large"
    status = 413


class LimitReached(HoldfastError):
    """A rate limit, quota or budget is used up."""

    code = "limit_reached"
    status = 429
    retryable = True


class BudgetExhausted(LimitReached):
    """The budget does not cover this call."""

    code = "budget_exhausted"
    retryable = False


class ActionRefused(HoldfastError):
    """The action has no verdict that permits it."""

    code = "action_refused"
    status = 409


class ToolFailed(HoldfastError):
    """The tool could not do its work."""

    code = "tool_failed"
    status = 502


class SandboxUnavailable(HoldfastError):
    """A layer of the sandbox is missing on this machine."""

    code = "sandbox_unavailable"
    status = 503
    retryable = True


class ModelRefused(HoldfastError):
    """The model will not answer this request, now or later."""

    code = "model_refused"
    status = 502


class Misconfigured(HoldfastError):
    """A setting is missing or wrong."""

    code = "misconfigured"
    status = 500


class Unavailable(HoldfastError):
    """A part that Holdfast stands on cannot be reached."""

    code = "unavailable"
    status = 503
    retryable = True


class NotBegun(Unavailable):
    """A part that the call needs is away, and nothing was asked of it."""


class BrokeOff(Unavailable):
    """What was called went away before it answered; it may have done its work."""


class RolledBack(Unavailable):
    """Postgres gave the transaction up: others stood in its way, and it in theirs. Nothing of it was written."""
