"""Keys, the audit log and agents over HTTP."""

from collections.abc import AsyncIterator, Mapping, Sequence
from typing import Any

from holdfast.client.sse import lines_of
from holdfast.client.wire import Wire
from schemas.access import ApiKey, ApiKeyDraft, AuditCheck, AuditLine, NewApiKey, Principal
from schemas.agents import AgentDraft, AgentSpec
from schemas.pages import Items, Page


class KeysClient:
    def __init__(self, wire: Wire) -> None:
        self._wire = wire

    async def whoami(self) -> Principal:
        return Principal.model_validate_json((await self._wire.ask("GET", "/v1/whoami")).content)

    async def create(self, draft: ApiKeyDraft) -> NewApiKey:
        body = draft.model_dump(mode="json", exclude_none=True)
        return NewApiKey.model_validate_json((await self._wire.post("/v1/keys", body)).content)

    async def page(self, *, cursor: str | None = None, limit: int = 50) -> Page[ApiKey]:
        query = {"cursor": cursor, "limit": limit}
        return Page[ApiKey].model_validate_json(
            (await self._wire.ask("GET", "/v1/keys", query=query)).content
        )

    async def rotate(self, key_id: str, *, overlap_s: float) -> NewApiKey:
        response = await self._wire.post(f"/v1/keys/{key_id}/rotate", {"overlap_s": overlap_s})
        return NewApiKey.model_validate_json(response.content)

    async def revoke(self, key_id: str) -> ApiKey:
        return ApiKey.model_validate_json((await self._wire.ask("DELETE", f"/v1/keys/{key_id}")).content)


class AuditClient:
    def __init__(self, wire: Wire) -> None:
        self._wire = wire

    async def lines(self) -> AsyncIterator[AuditLine]:
        """The whole chain, in its order."""
        async with self._wire.stream("/v1/audit/export", query={}, headers={}) as response:
            async for line in lines_of(response.aiter_text()):
                yield AuditLine.model_validate_json(line)

    async def found(self, *, filters: Mapping[str, Any]) -> AsyncIterator[AuditLine]:
        """Lines that fit; the filters are the query parameters of GET /v1/audit."""
        async for line in self._wire.items("/v1/audit", AuditLine, query=filters):
            yield line

    async def verify(self) -> AuditCheck:
        return AuditCheck.model_validate_json((await self._wire.ask("GET", "/v1/audit/verify")).content)


class AgentsClient:
    def __init__(self, wire: Wire) -> None:
        self._wire = wire

    async def all(self) -> Sequence[AgentSpec]:
        response = await self._wire.ask("GET", "/v1/agents")
        return Items[AgentSpec].model_validate_json(response.content).items

    async def read(self, name: str, version: int | None = None) -> AgentSpec:
        tail = "" if version is None else f"/versions/{version}"
        return AgentSpec.model_validate_json(
            (await self._wire.ask("GET", f"/v1/agents/{name}{tail}")).content
        )

    async def create(self, draft: AgentDraft) -> AgentSpec:
        body = draft.model_dump(mode="json", exclude_unset=True)
        return AgentSpec.model_validate_json((await self._wire.post("/v1/agents", body)).content)

    async def write(self, draft: AgentDraft, *, after: int) -> AgentSpec:
        """A new version, if `after` is still the newest."""
        response = await self._wire.ask(
            "PUT",
            f"/v1/agents/{draft.name}",
            body=draft.model_dump(mode="json", exclude_unset=True),
            headers={"If-Match": f'"{after}"'},
        )
        return AgentSpec.model_validate_json(response.content)
