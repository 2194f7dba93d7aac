"""The one mapping from errors to problem+json (RFC 9457). Whatever goes wrong on the way of a request ends here."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from http import HTTPStatus
from typing import Any

import structlog
from fastapi import FastAPI
from fastapi.exceptions import (
    RequestValidationError,
    ResponseValidationError,
    WebSocketRequestValidationError,
)
from fastapi.responses import Response
from starlette.exceptions import HTTPException
from starlette.requests import HTTPConnection, Request
from starlette.websockets import WebSocket

from api.streams import StreamOver
from holdfast.errors import (
    Conflict,
    Forbidden,
    HoldfastError,
    InvalidInput,
    LimitReached,
    NotFound,
    PreconditionFailed,
    TooLarge,
    Unauthenticated,
    Unavailable,
    Unprocessable,
)
from schemas.problems import MEDIA_TYPE, FieldProblem, Problem

log = structlog.get_logger(__name__)

Handler = Callable[[Any, Exception], Awaitable[Response]]

_ALWAYS = (400, 401, 403, 422, 429, 500, 503)
LAYERS = (408, 413, 415)
"""What the reading of a body may come to."""
_BODY_LEFT_UNREAD = (408, 413)
"""After these the connection ends, or the server would have to read what it has refused."""
_SCHEMA = {"$ref": "#/components/schemas/Problem"}
_KINDS = (
    InvalidInput,
    Unauthenticated,
    Forbidden,
    NotFound,
    Conflict,
    PreconditionFailed,
    TooLarge,
    Unprocessable,
    LimitReached,
    Unavailable,
)
_CODES = {
    400: "invalid_input",
    404: "not_found",
    405: "method_not_allowed",
    406: "not_acceptable",
    408: "request_timeout",
    413: "too_large",
    415: "unsupported_media_type",
    416: "range_not_satisfiable",
    422: "unprocessable",
}


def problem_of(error: HoldfastError, connection: HTTPConnection | None = None) -> Problem:
    """What a caller is told about one of our errors. Nothing is told of an inner failure."""
    if error.status == HTTPStatus.INTERNAL_SERVER_ERROR:
        return internal_problem(connection)
    return Problem(
        title=_title(error),
        status=error.status,
        detail=error.message,
        code=error.code,
        remedy=error.remedy,
        retryable=error.retryable,
        **{**_place(connection), **_named(error)},
    )


def internal_problem(connection: HTTPConnection | None = None) -> Problem:
    return Problem(
        title="Something inside went wrong",
        status=500,
        code="internal",
        detail="The request was not at fault.",
        remedy="Report the trace id; the log has the rest.",
        **_place(connection),
    )


def response(problem: Problem, headers: Mapping[str, str] | None = None) -> Response:
    body = problem.model_dump_json(exclude_none=True)
    return Response(body, status_code=problem.status, headers=headers, media_type=MEDIA_TYPE)


def error_response(error: HoldfastError, connection: HTTPConnection | None = None) -> Response:
    return response(problem_of(error, connection), _headers(error))


def install(app: FastAPI) -> None:
    """Every error of a route, of FastAPI's own or of Starlette's, in the one shape."""
    app.add_exception_handler(HoldfastError, _either(_ours))
    app.add_exception_handler(RequestValidationError, _invalid)
    app.add_exception_handler(WebSocketRequestValidationError, _either(_invalid))
    app.add_exception_handler(ResponseValidationError, _inner)
    app.add_exception_handler(HTTPException, _http)
    app.add_exception_handler(StreamOver, _over)


def _either(handler: Handler) -> Handler:
    """The handler, for sockets too: one that is refused before it opens is answered over HTTP."""

    async def answer(connection: Any, error: Exception) -> Response:
        refusal = await handler(connection, error)
        if isinstance(connection, WebSocket):
            await connection.send_denial_response(refusal)
        return refusal

    return answer


def documented(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """What a route may answer beside its success, for the OpenAPI document."""
    return {
        status: {"description": HTTPStatus(status).phrase, "content": {MEDIA_TYPE: {"schema": _SCHEMA}}}
        for status in sorted({*_ALWAYS, *statuses})
    }


def example(status: int) -> Problem:
    """What an error of this status looks like."""
    kind = next((kind for kind in _KINDS if kind.status == status), None)
    found = (
        problem_of(kind())
        if kind
        else Problem(title=HTTPStatus(status).phrase, status=status, code=_CODES.get(status, "internal"))
    )
    return found.model_copy(update={"instance": "/v1/runs", "trace_id": "4bf92f3577b34da6a3ce929d0e0e4736"})


async def _ours(request: HTTPConnection, error: Exception) -> Response:
    assert isinstance(error, HoldfastError)  # noqa: S101 - what the handler is registered for
    if error.status >= HTTPStatus.INTERNAL_SERVER_ERROR:
        log.error("request_failed", code=error.code, error=str(error), path=request.url.path, **error.ids)
    return error_response(error, request)


async def _invalid(request: HTTPConnection, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError | WebSocketRequestValidationError)  # noqa: S101 - what the handler is registered for
    found = field_problems(error.errors())
    malformed = any(one["type"] == "json_invalid" for one in error.errors())
    status = HTTPStatus.BAD_REQUEST if malformed else HTTPStatus.UNPROCESSABLE_ENTITY
    return response(
        Problem(
            title="The body is no JSON" if malformed else "The request does not fit its schema",
            status=status,
            code=_CODES[status],
            detail="; ".join(_misfit(one) for one in error.errors()[:3]),
            remedy="See /openapi.json for what is expected.",
            errors=found,
            **_place(request),
        )
    )


async def _inner(request: Request, error: Exception) -> Response:
    log.error("response_invalid", path=request.url.path, error=str(error))
    return response(internal_problem(request))


async def _over(_request: Request, _error: Exception) -> Response:
    """204 tells an EventSource to stay away."""
    return Response(status_code=204)


async def _http(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)  # noqa: S101 - what the handler is registered for
    status = error.status_code
    problem = Problem(
        title=HTTPStatus(status).phrase,
        status=status,
        detail=str(error.detail),
        code=_CODES.get(status, "http_error"),
        **_place(request),
    )
    return response(problem, error.headers)


def _misfit(error: Any) -> str:
    """What does not fit, as a person would say it of a part of the address."""
    where, *inner = error["loc"]
    if where == "path" and inner:
        return f"{str(error['input'])[:80]!r} is no {str(inner[0]).replace('_', ' ')}"
    return f"{'/'.join(('', *map(str, error['loc'])))}: {error['msg']}"


def field_problems(errors: Sequence[Any]) -> tuple[FieldProblem, ...]:
    return tuple(
        FieldProblem(pointer="/".join(("", *map(str, one["loc"]))), message=one["msg"]) for one in errors[:50]
    )


def _title(error: HoldfastError) -> str:
    return (type(error).__doc__ or "").strip().splitlines()[0].rstrip(".")


def _named(error: HoldfastError) -> dict[str, Any]:
    return {"run_id": error.ids["run_id"]} if "run_id" in error.ids else {}


def _headers(error: HoldfastError) -> dict[str, str]:
    headers: dict[str, str] = {}
    if isinstance(error, Unauthenticated):
        headers["WWW-Authenticate"] = 'Bearer realm="holdfast"'
    if error.status in _BODY_LEFT_UNREAD:
        headers["Connection"] = "close"
    if isinstance(error, LimitReached | Unavailable):
        headers["Retry-After"] = str(max(1, round(error.retry_after_s or 1)))
    return headers


def _place(connection: HTTPConnection | None) -> dict[str, Any]:
    if connection is None:
        return {}
    return {
        "instance": connection.url.path,
        "trace_id": connection.scope.get("state", {}).get("trace_id"),
        "run_id": connection.path_params.get("run_id") if "path_params" in connection.scope else None,
    }
