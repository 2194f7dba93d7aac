"""Tells what a library's error means. litellm's errors are subclasses of openai's, so one reading serves both."""

import email.utils
import time
from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

import httpx
import openai

from holdfast.adapters.llm.keys import KeyRing
from holdfast.errors import HoldfastError
from holdfast.llm.failures import (
    ContentRefused,
    ContextOverflow,
    ModelKeyRefused,
    ModelRateLimited,
    ModelTimedOut,
    ModelUnknown,
    ModelUnreachable,
    RequestRefused,
)
from schemas.models import Deployment

FROM_THE_LINE = (openai.OpenAIError, httpx.HTTPError, httpx.StreamError, TimeoutError)
"""All that a call through either library may raise."""

_OVERFLOW = ("context_length_exceeded", "maximum context length", "context window", "prompt is too long")
_POLICY = ("content_policy_violation", "content_filter", "safety system", "content management policy")


def tell(error: Exception, deployment: Deployment, keys: KeyRing) -> HoldfastError:
    """The same failure, in our words. The provider's own are kept without keys, and cut."""
    said = keys.scrub(_said(error), deployment)
    name = deployment.name
    match error:
        case TimeoutError() | openai.APITimeoutError() | httpx.TimeoutException():
            return ModelTimedOut(f"Model deployment `{name}` did not answer in time.", deployment=name)
        case openai.RateLimitError() if "insufficient_quota" in _words(error):
            return _key_refused(name, f"The account behind `{name}` has no credit left: {said}")
        case openai.RateLimitError():
            wait = retry_after(_headers(error))
            return ModelRateLimited(f"`{name}` limits our rate: {said}", retry_after_s=wait, deployment=name)
        case openai.AuthenticationError() | openai.PermissionDeniedError():
            return _key_refused(name, f"`{name}` does not accept our key: {said}")
        case openai.NotFoundError():
            return ModelUnknown(
                f"`{name}` knows no model `{deployment.model}`: {said}",
                remedy="Correct the deployment's model, or its base_url.",
                deployment=name,
            )
        case _ if _status(error) == HTTPStatus.PAYMENT_REQUIRED:
            return _key_refused(name, f"The account behind `{name}` has no credit left: {said}")
        case _ if _status(error) == HTTPStatus.REQUEST_ENTITY_TOO_LARGE:
            return _overflow(name, said)
        case openai.BadRequestError() | openai.UnprocessableEntityError() | openai.ConflictError():
            return _bad_request(error, name, said)
        case openai.APIStatusError():
            wait = retry_after(_headers(error))
            return ModelUnreachable(f"`{name}` has trouble: {said}", retry_after_s=wait, deployment=name)
        case _:
            return ModelUnreachable(f"`{name}` cannot be reached: {said}", deployment=name)


def _key_refused(name: str, message: str) -> ModelKeyRefused:
    return ModelKeyRefused(
        message, remedy="Correct the key, or its account, for the llm worker.", deployment=name
    )


def _bad_request(error: Exception, name: str, said: str) -> HoldfastError:
    """Providers have one status for three different things, so their words must be read here, and only here."""
    words = _words(error)
    kind = type(error).__name__
    if kind == "ContextWindowExceededError" or any(sign in words for sign in _OVERFLOW):
        return _overflow(name, said)
    if kind == "ContentPolicyViolationError" or any(sign in words for sign in _POLICY):
        return ContentRefused(f"`{name}` refuses this content: {said}", deployment=name)
    return RequestRefused(f"`{name}` refuses this request: {said}", deployment=name)


def _overflow(name: str, said: str) -> ContextOverflow:
    return ContextOverflow(
        f"The request is longer than `{name}` can read: {said}",
        remedy="Summarise, or route the task to a deployment with a larger context.",
        deployment=name,
    )


def _said(error: Exception) -> str:
    """The provider's own sentence, where the library kept it."""
    body: Any = getattr(error, "body", None)
    message = body.get("message") if isinstance(body, dict) else None
    return message if isinstance(message, str) and message else str(error)


def _status(error: Exception) -> int | None:
    """litellm knows no class for some, and keeps their number only."""
    status = getattr(error, "status_code", None)
    return status if isinstance(status, int) else None


def _words(error: Exception) -> str:
    return f"{getattr(error, 'code', '')} {getattr(error, 'body', '')} {error}".lower()


def _headers(error: Exception) -> Mapping[str, str]:
    response: Any = getattr(error, "response", None)
    own: Any = getattr(error, "litellm_response_headers", None)
    return own or (response.headers if response is not None else {})


def retry_after(headers: Mapping[str, str]) -> float | None:
    """Seconds, from a number or an HTTP date."""
    if milliseconds := headers.get("retry-after-ms"):
        return _number(milliseconds, scale=0.001)
    value = headers.get("retry-after")
    if not value:
        return None
    seconds = _number(value)
    if seconds is not None:
        return seconds
    try:
        return max(0.0, email.utils.parsedate_to_datetime(value).timestamp() - time.time())
    except ValueError:
        return None


def _number(text: str, *, scale: float = 1.0) -> float | None:
    try:
        return max(0.0, float(text) * scale)
    except ValueError:
        return None
