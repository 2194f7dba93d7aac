"""Performing one judged action: the only way from a run to a tool.

The ledger is asked before the call and told after it. What a second attempt may do after a crash in between depends on
the class of the tool, and on nothing else.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import structlog
from temporalio import activity

from activities.fitting import fit
from activities.heartbeat import heartbeats
from holdfast.errors import HoldfastError
from holdfast.ports import Artifacts, Ledger, ToolHost
from schemas.stages import ActReport, ActRequest
from schemas.tools import EffectClass, ToolError, ToolResult, ToolSpec

log = structlog.get_logger()


class ActActivities:
    def __init__(self, *, ledger: Ledger, tools: ToolHost, artifacts: Artifacts, worker: str) -> None:
        self._ledger = ledger
        self._tools = tools
        self._artifacts = artifacts
        self._worker = worker

    @activity.defn
    async def act(self, request: ActRequest) -> ActReport:
        """Safe to repeat: the ledger knows whether this digest went out, and the tool's class what that means."""
        try:
            spec = self._judged_tool(request)
        except HoldfastError as error:
            return ActReport(state="refused", why=str(error))
        answer = await self._ledger.dispatch(request, effect=spec.effect, worker=self._worker)
        match answer.outcome:
            case "go":
                return await self._call(request, spec)
            case "done":
                return ActReport(state="done", result=answer.result)
            case "in_doubt":
                return await self._after_a_crash(request, spec)
            case "held" | "refused" | "unknown":
                log.info(
                    "tool_call_not_dispatched", outcome=answer.outcome, why=answer.why, digest=request.digest
                )
                return ActReport(state=answer.outcome, why=answer.why)

    def _judged_tool(self, request: ActRequest) -> ToolSpec:
        """The tool, if it still is what the run started with, and the action what was judged."""
        if request.action.digest != request.digest:
            raise HoldfastError(f"The action is not the one that was judged ({request.digest}).")
        spec = self._tools.find(request.action.tool, request.action.tool_version)
        if spec.digest != request.tool_digest:
            raise HoldfastError(
                f"The tool {spec.key} has changed since the run started.",
                remedy="Publish the change as a new version of the tool, and resume the run.",
            )
        return spec

    async def _after_a_crash(self, request: ActRequest, spec: ToolSpec) -> ActReport:
        """The call went out before, and nobody saw its end."""
        if spec.effect in (EffectClass.READ_ONLY, EffectClass.IDEMPOTENT):
            return await self._call(request, spec)
        happened = (
            await self._tools.probe(request.action, spec) if spec.effect is EffectClass.PROBED else None
        )
        if happened is None:
            why = "The worker died between the call and its answer."
            await self._ledger.doubt(request, why)
            return ActReport(state="unknown", why=why)
        if not happened:
            return await self._call(request, spec)
        result = ToolResult(ok=True, summary="The probe found that it had happened.", untrusted=False)
        return await self._observed(request, result)

    async def _call(self, request: ActRequest, spec: ToolSpec) -> ActReport:
        async with self._stopped_is_told(request), heartbeats():
            result = await self._tools.call(request.action, spec, idempotency_key=request.digest)
        return await self._observed(request, await fit(result, request.scope, self._artifacts))

    async def _observed(self, request: ActRequest, result: ToolResult) -> ActReport:
        await self._ledger.observe(request, result)
        return ActReport(state="done", result=result)

    @asynccontextmanager
    async def _stopped_is_told(self, request: ActRequest) -> AsyncIterator[None]:
        """A call that was cancelled has ended, and the ledger says so; one that a shutdown cut off stays in doubt."""
        try:
            yield
        except asyncio.CancelledError:
            details = activity.cancellation_details()
            if details and details.cancel_requested:
                error = ToolError(
                    code="cancelled",
                    message="The call was stopped before it ended; a part of its work may be done.",
                )
                await asyncio.shield(self._ledger.observe(request, ToolResult(ok=False, error=error)))
            raise
