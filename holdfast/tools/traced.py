"""Each call of a tool as a span, and its step on every line that is logged during it: several calls of a run may share
one activity."""

from structlog.contextvars import bound_contextvars

from holdfast.ports import ToolHost
from holdfast.runtime import semconv
from holdfast.runtime.telemetry import span
from schemas.actions import Action
from schemas.tools import Catalogue, ToolResult, ToolSpec


class TracedTools:
    """Around any host. Arguments and outputs stay out of it: they are in the story, under the tenant's rights."""

    def __init__(self, host: ToolHost) -> None:
        self._host = host

    def catalogue(self) -> Catalogue:
        return self._host.catalogue()

    def find(self, name: str, version: str) -> ToolSpec:
        return self._host.find(name, version)

    async def call(self, action: Action, spec: ToolSpec, *, idempotency_key: str) -> ToolResult:
        told = {
            semconv.TOOL_NAME: spec.name,
            semconv.TOOL_CALL_ID: action.digest,
            semconv.AGENT_NAME: action.agent,
            semconv.RUN_ID: action.run_id,
            semconv.STEP_ID: action.step_id,
            semconv.TENANT: action.tenant,
        }
        with bound_contextvars(step_id=action.step_id), span("execute_tool", spec.name, told) as current:
            result = await self._host.call(action, spec, idempotency_key=idempotency_key)
            if result.error is not None:
                current.set_attribute(semconv.ERROR_TYPE, result.error.code)
        return result

    async def probe(self, action: Action, spec: ToolSpec) -> bool | None:
        return await self._host.probe(action, spec)
