"""Approvals over HTTP."""

from collections.abc import Sequence
from typing import Literal

from holdfast.client.wire import Wire
from schemas.approvals import Approval
from schemas.base import JsonObject
from schemas.brakes import ScopeEntry
from schemas.pages import Page


class ApprovalsClient:
    def __init__(self, wire: Wire) -> None:
        self._wire = wire

    async def page(
        self,
        *,
        status: str | None = None,
        run_id: str | None = None,
        cursor: str | None = None,
        limit: int = 50,
    ) -> Page[Approval]:
        query = {"status": status, "run_id": run_id, "cursor": cursor, "limit": limit}
        return Page[Approval].model_validate_json(
            (await self._wire.ask("GET", "/v1/approvals", query=query)).content
        )

    async def read(self, approval_id: str) -> Approval:
        response = await self._wire.ask("GET", f"/v1/approvals/{approval_id}")
        return Approval.model_validate_json(response.content)

    async def decide(
        self,
        approval: Approval,
        decision: Literal["approve", "edit", "reject"],
        *,
        comment: str = "",
        arguments: JsonObject | None = None,
        scope: Sequence[ScopeEntry] = (),
    ) -> Approval:
        """Decide what was read: the digest of this approval goes along."""
        body: JsonObject = {"decision": decision, "digest": approval.digest, "comment": comment}
        if arguments is not None:
            body["arguments"] = arguments
        if scope:
            body["scope"] = [entry.model_dump(mode="json", exclude_unset=True) for entry in scope]
        response = await self._wire.post(f"/v1/approvals/{approval.id}/decision", body)
        return Approval.model_validate_json(response.content)

    async def delegate(self, approval_id: str, to: str, *, comment: str = "") -> Approval:
        """Let a group, or one person, decide as well."""
        body: JsonObject = {"to": to, "comment": comment}
        response = await self._wire.post(f"/v1/approvals/{approval_id}/delegations", body)
        return Approval.model_validate_json(response.content)
