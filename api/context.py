"""The outermost layer: ids for every request, security headers, and a problem for whatever was not foreseen."""

import re
import secrets
import time
from http import HTTPStatus

import anyio
import structlog
from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import HTTPConnection
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from api import problems
from api.metrics import REQUESTS, SECONDS
from holdfast.errors import HoldfastError, Unavailable

log = structlog.get_logger(__name__)

_REQUEST_ID = re.compile(r"^[A-Za-z0-9._:-]{1,128}\Z")
_TRACEPARENT = re.compile(r"^00-([0-9a-f]{32})-[0-9a-f]{16}-[0-9a-f]{2}\Z")
_SECURITY = {
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Resource-Policy": "same-site",
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
}


class Context:
    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] not in ("http", "websocket"):
            await self._app(scope, receive, send)
            return
        state = scope.setdefault("state", {})
        headers = Headers(scope=scope)
        state["request_id"] = _request_id(headers)
        state["trace_id"] = _trace_id(headers)
        if scope["type"] == "websocket":
            await self._socket(scope, receive, send)
            return
        exchange = Exchange(scope, send)
        with structlog.contextvars.bound_contextvars(
            request_id=state["request_id"], trace_id=state["trace_id"]
        ):
            await self._answer(scope, receive, exchange)
        exchange.measure()

    async def _socket(self, scope: Scope, receive: Receive, send: Send) -> None:
        """A socket that is refused at the door gets the problem that any request gets."""
        try:
            await self._app(scope, receive, send)
        except HoldfastError as error:
            await problems.error_response(error, HTTPConnection(scope))(scope, receive, send)

    async def _answer(self, scope: Scope, receive: Receive, exchange: "Exchange") -> None:
        try:
            await self._app(scope, receive, exchange.send)
        except HoldfastError as error:
            if error.status == HTTPStatus.INTERNAL_SERVER_ERROR:
                log.exception("request_failed", path=scope["path"])
            await exchange.end(problems.error_response(error, HTTPConnection(scope)), receive)
        except TimeoutError:
            late = Unavailable("The request took too long.", remedy="The call is safe to repeat.")
            await exchange.end(problems.error_response(late, HTTPConnection(scope)), receive)
        except Exception as error:  # the edge of the process
            if _reader_left(error):
                return
            # Answered first: what went wrong may well go wrong again when it is written down.
            await exchange.end(problems.response(problems.internal_problem(HTTPConnection(scope))), receive)
            log.exception("request_failed", path=scope["path"])


class Exchange:
    """One request and what has been sent for it so far."""

    def __init__(self, scope: Scope, send: Send) -> None:
        self._scope = scope
        self._send = send
        self._since = time.perf_counter()
        self._status = 0

    async def send(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self._status = message["status"]
            headers = MutableHeaders(scope=message)
            headers["X-Request-Id"] = self._scope["state"]["request_id"]
            headers.setdefault("Cache-Control", "no-store")
            for name, value in _SECURITY.items():
                headers.setdefault(name, value)
        await self._send(message)

    async def end(self, response: ASGIApp, receive: Receive) -> None:
        """Answer, unless the answer has begun: then the connection breaks off, and the caller asks again."""
        if self._status == 0:
            await response(self._scope, receive, self.send)

    def measure(self) -> None:
        rule = self._scope["state"].get("rule")
        route = rule.path if rule else "other"
        elapsed = time.perf_counter() - self._since
        REQUESTS.labels(self._scope["method"] if rule else "other", route, str(self._status)).inc()
        if rule is None or rule.route_class != "stream":
            SECONDS.labels(route).observe(elapsed)
        log.info(
            "request",
            method=self._scope["method"],
            route=route,
            status=self._status,
            ms=round(elapsed * 1000, 1),
        )


def _reader_left(error: BaseException) -> bool:
    """Whether this only says that a stream's reader hung up while an event was on its way."""
    if isinstance(error, BaseExceptionGroup):
        return all(_reader_left(one) for one in error.exceptions)
    return isinstance(error, anyio.BrokenResourceError | anyio.ClosedResourceError)


def _request_id(headers: Headers) -> str:
    given = headers.get("x-request-id", "")
    return given if _REQUEST_ID.match(given) else secrets.token_hex(8)


def _trace_id(headers: Headers) -> str:
    found = _TRACEPARENT.match(headers.get("traceparent", ""))
    return found.group(1) if found else secrets.token_hex(16)
