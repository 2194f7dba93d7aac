"""The door: no request reaches a route without a rule in the table, known credentials and the rule's permission."""

import asyncio
from collections.abc import Awaitable, Callable
from urllib.parse import unquote_to_bytes

from starlette.datastructures import Headers
from starlette.requests import HTTPConnection
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from api import problems
from api.access.permissions import Rule, Table
from api.audit import Auditor
from api.services import LONGEST_WAIT_S, Services
from holdfast.errors import Forbidden, InvalidInput
from schemas.access import Principal
from schemas.problems import Problem

_BEARER = "holdfast.bearer."
_PATIENCE_S = LONGEST_WAIT_S + 30
"""How long a request may go unanswered: a Postgres that says nothing must not hold its places for ever."""
_UPLOAD_S = 600.0


class Door:
    def __init__(self, app: ASGIApp, *, table: Table) -> None:
        self._app = app
        self._table = table

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] not in ("http", "websocket"):
            await self._app(scope, receive, send)
            return
        method = scope.get("method", "GET")
        _refuse_unreadable(scope)
        rule = self._table.find(method, scope["path"])
        if rule is None:
            await self._no_rule(scope)(scope, receive, send)
            return
        scope["state"]["rule"] = rule
        if rule.route_class == "stream":
            await self._let_in(scope, receive, send, rule)
            return
        async with asyncio.timeout(_UPLOAD_S if rule.upload else _PATIENCE_S) as limit:

            async def send_in_time(message: Message) -> None:
                if not limit.expired():
                    limit.reschedule(None)  # it has begun to answer
                await send(message)

            await self._let_in(scope, receive, send_in_time, rule)

    async def _let_in(self, scope: Scope, receive: Receive, send: Send, rule: Rule) -> None:
        if not rule.open:
            scope["state"]["principal"] = await _admit(scope, rule)
        if scope.get("method") == "HEAD":  # the server leaves the body out, by the scope that it made
            scope = {**scope, "method": "GET"}
        await self._app(scope, receive, send)

    def _no_rule(self, scope: Scope) -> Callable[[Scope, Receive, Send], Awaitable[None]]:
        methods = self._table.methods(scope["path"])
        if not methods:
            return problems.response(
                Problem(
                    title="There is no such path",
                    status=404,
                    code="not_found",
                    instance=scope["path"],
                    remedy="See /openapi.json.",
                    trace_id=scope["state"].get("trace_id"),
                )
            )
        allowed = ", ".join(methods)
        return problems.response(
            Problem(
                title="This path does not know this method",
                status=405,
                code="method_not_allowed",
                instance=scope["path"],
                detail=f"It knows {allowed}.",
                trace_id=scope["state"].get("trace_id"),
            ),
            {"Allow": allowed},
        )


async def _admit(scope: Scope, rule: Rule) -> Principal:
    services: Services = scope["state"]["services"]
    authorization = Headers(scope=scope).get("authorization") or _from_subprotocol(scope)
    principal = await services.credentials.admit(authorization, route_class=rule.route_class)
    if rule.permission is None:
        return principal
    if not principal.may(rule.permission):
        await Auditor(services.audit).refused(HTTPConnection(scope), principal, rule)
        raise Forbidden(
            f"This needs the permission {rule.permission.value}, which {principal.id} does not have.",
            remedy=f"Its roles are {', '.join(principal.roles) or 'none'}; ask an admin.",
        )
    principal = principal.for_what(rule.permission)
    if rule.everywhere and principal.environments is not None:
        await Auditor(services.audit).refused(HTTPConnection(scope), principal, rule)
        raise Forbidden(
            f"This concerns every environment, and {principal.id} may only in {', '.join(principal.environments)}.",
            remedy="Ask somebody whose role is not bound to an environment.",
        )
    return principal


def _from_subprotocol(scope: Scope) -> str:
    """A browser can set no header on a WebSocket; it names its key as a subprotocol, `holdfast.bearer.<key>`."""
    for offered in scope.get("subprotocols", ()):
        if offered.startswith(_BEARER):
            scope["state"]["subprotocol"] = offered
            return f"Bearer {offered.removeprefix(_BEARER)}"
    return ""


def _refuse_unreadable(scope: Scope) -> None:
    """Postgres has no text with NUL in it, so no name or filter of ours can hold one; nor half a character."""
    query = unquote_to_bytes(scope.get("query_string", b"").replace(b"+", b" "))
    if "\0" in scope["path"] or b"\0" in query:
        raise InvalidInput("The address holds a NUL character.")
    try:
        query.decode()
        unquote_to_bytes(scope.get("raw_path") or b"").decode()
    except UnicodeDecodeError:
        raise InvalidInput("The address is not in UTF-8.") from None
