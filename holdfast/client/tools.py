"""Tools over HTTP."""

from collections.abc import Mapping, Sequence
from typing import Any

from holdfast.client.wire import Wire
from schemas.base import JsonObject
from schemas.pages import Items
from schemas.runs import Run
from schemas.tools import ToolProblem, ToolSpec, ToolState, ToolUse


class ToolsClient:
    def __init__(self, wire: Wire) -> None:
        self._wire = wire

    async def offered(self, *, environment: str = "dev", text: str | None = None) -> Sequence[ToolSpec]:
        """The newest version of each tool that runs can use there."""
        content = await self._read("/v1/tools", {"environment": environment, "text": text})
        return Items[ToolSpec].model_validate_json(content).items

    async def states(self, name: str | None = None) -> Sequence[ToolState]:
        return Items[ToolState].model_validate_json(await self._read("/v1/tool-states", {"name": name})).items

    async def uses(self, *, tool: str | None = None, days: float = 7) -> Sequence[ToolUse]:
        content = await self._read("/v1/tool-uses", {"tool": tool, "days": days})
        return Items[ToolUse].model_validate_json(content).items

    async def problems(self) -> Sequence[ToolProblem]:
        return Items[ToolProblem].model_validate_json(await self._read("/v1/tool-problems")).items

    async def switch(self, name: str, *, enabled: bool, environment: str = "*") -> Sequence[ToolState]:
        body = {"enabled": enabled, "environment": environment}
        response = await self._wire.ask("PUT", f"/v1/tools/{name}/switch", body=body)
        return Items[ToolState].model_validate_json(response.content).items

    async def call(self, name: str, arguments: JsonObject, *, environment: str = "dev") -> Run:
        """Call it as a run of one step; follow that run for what came of it."""
        body = {"arguments": arguments, "environment": environment}
        return Run.model_validate_json((await self._wire.post(f"/v1/tools/{name}/calls", body)).content)

    async def _read(self, path: str, query: Mapping[str, Any] | None = None) -> bytes:
        return (await self._wire.ask("GET", path, query=query)).content
