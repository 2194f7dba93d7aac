"""Writes down who changed what, before the answer is sent: nothing that was done goes unrecorded."""

from datetime import UTC, datetime

from starlette.datastructures import Headers
from starlette.requests import HTTPConnection
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from api.access.permissions import Rule
from holdfast.adapters.postgres.audit import PostgresAudit
from schemas.access import AuditEntry, Principal

_QUIET = {"GET", "HEAD"}


class Audited:
    """Every request that is not a read."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        principal = scope.get("state", {}).get("principal")
        if scope["type"] != "http" or scope["method"] in _QUIET or principal is None:
            await self._app(scope, receive, send)
            return

        async def send_recorded(message: Message) -> None:
            if message["type"] == "http.response.start":
                auditor = Auditor(scope["state"]["services"].audit)
                made = Headers(raw=message["headers"]).get("location")
                await auditor.record(
                    HTTPConnection(scope),
                    principal,
                    scope["state"]["rule"],
                    status=message["status"],
                    made=made,
                )
            await send(message)

        await self._app(scope, receive, send_recorded)


class Auditor:
    def __init__(self, audit: PostgresAudit) -> None:
        self._audit = audit

    async def refused(self, connection: HTTPConnection, principal: Principal, rule: Rule) -> None:
        await self.record(connection, principal, rule, status=403)

    async def record(
        self,
        connection: HTTPConnection,
        principal: Principal,
        rule: Rule,
        *,
        status: int,
        made: str | None = None,
    ) -> None:
        """One line. The object is what was made, where something was made, and else what was asked for."""
        state = connection.scope["state"]
        entry = AuditEntry(
            at=datetime.now(UTC),
            actor=principal.id,
            action=f"{rule.method} {rule.path}",
            object=made or connection.url.path,
            status=status,
            origin=connection.client.host if connection.client else "",
            request_id=state.get("request_id", ""),
        )
        await self._audit.append(principal.tenant, entry)
