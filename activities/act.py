"""Performing judged actions: the only way from a run to a tool.

The ledger is asked before each call and told after it. What a second attempt may do after a crash in between depends on
the class of the tool, and on nothing else. A row of calls goes out in one activity because the ledger, and not Temporal,
is what keeps any of them from going out twice.
"""

import asyncio
from collections.abc import AsyncIterator, Coroutine
from contextlib import asynccontextmanager
from typing import Any, TypeVar

import structlog
from temporalio import activity

from activities.fitting import fit
from activities.heartbeat import heartbeats
from holdfast.errors import HoldfastError, Unavailable
from holdfast.plan.tales import CANCELLED
from holdfast.ports import Artifacts, Dispatch, Ledger, ToolHost
from schemas.stages import ActReport, ActReports, ActRequest, ActRow
from schemas.tools import EffectClass, ToolError, ToolResult, ToolSpec

log = structlog.get_logger()

_LONGEST_PAUSE_S = 2.0
Answer = TypeVar("Answer")


class ActActivities:
    def __init__(self, *, ledger: Ledger, tools: ToolHost, artifacts: Artifacts, worker: str) -> None:
        self._ledger = ledger
        self._tools = tools
        self._artifacts = artifacts
        self._worker = worker

    @activity.defn
    async def act(self, row: ActRow) -> ActReports:
        """Safe to repeat: the ledger knows whether a digest went out, and the tool's class what that means."""
        reports: list[ActReport] = []
        answer: Dispatch | None = None
        async with heartbeats():
            for call, following in zip(row.calls, (*row.calls[1:], None), strict=True):
                report, answer = await self._one(call, answer, following)
                reports.append(report)
                if report.result is None or not report.result.ok or _stopping():
                    break
        return ActReports(reports=tuple(reports))

    async def _one(
        self, call: ActRequest, answer: Dispatch | None, following: ActRequest | None
    ) -> tuple[ActReport, Dispatch | None]:
        """What became of the call; and what the ledger says of the following one, where it was asked already."""
        try:
            spec = self._judged_tool(call)
        except HoldfastError as error:
            return ActReport(state="refused", why=str(error)), None
        if answer is None:
            answer = await _uncut(self._ledger.dispatch(call, effect=spec.effect, worker=self._worker))
        match answer.outcome:
            case "go":
                return await self._call(call, spec, following)
            case "done":
                return ActReport(state="done", result=answer.result), None
            case "in_doubt":
                return await self._after_a_crash(call, spec), None
            case "held" | "refused" | "unknown" | "paused" | "stale" | "over":
                log.info(
                    "tool_call_not_dispatched", outcome=answer.outcome, why=answer.why, digest=call.digest
                )
                return ActReport(state=answer.outcome, why=answer.why), None

    def _judged_tool(self, call: ActRequest) -> ToolSpec:
        """The tool, if it still is what the run started with, and the action what was judged."""
        if call.action.digest != call.digest:
            raise HoldfastError(f"The action is not the one that was judged ({call.digest}).")
        spec = self._tools.find(call.action.tool, call.action.tool_version)
        if spec.digest != call.tool_digest:
            raise HoldfastError(
                f"The tool {spec.key} has changed since the run started.",
                remedy="Publish the change as a new version of the tool, and resume the run.",
            )
        return spec

    async def _after_a_crash(self, call: ActRequest, spec: ToolSpec) -> ActReport:
        """The call went out before, and nobody saw its end."""
        if spec.effect in (EffectClass.READ_ONLY, EffectClass.IDEMPOTENT):
            return (await self._call(call, spec, None))[0]
        happened = await self._tools.probe(call.action, spec) if spec.effect is EffectClass.PROBED else None
        if happened is None:
            why = "The worker died between the call and its answer."
            await self._ledger.doubt(call, why)
            return ActReport(state="unknown", why=why)
        if not happened:
            return (await self._call(call, spec, None))[0]
        result = ToolResult(ok=True, summary="The probe found that it had happened.", untrusted=False)
        await _uncut(self._observe(call, result))
        return ActReport(state="done", result=result)

    async def _call(
        self, call: ActRequest, spec: ToolSpec, following: ActRequest | None
    ) -> tuple[ActReport, Dispatch | None]:
        async with self._stopped_is_told(call):
            await asyncio.sleep(0)  # who was cancelled while the ledger answered, calls nothing more
            result = await self._tools.call(call.action, spec, idempotency_key=call.digest)
        result = await fit(result, call.scope, self._artifacts)
        answer = await self._observed(call, result, following)
        return ActReport(state="done", result=result), answer

    async def _observed(
        self, call: ActRequest, result: ToolResult, following: ActRequest | None
    ) -> Dispatch | None:
        """The end of this call and, where there is one and nothing speaks against it, the start of the next."""
        effect = self._effect_of(following) if result.ok and not _stopping() else None
        if following is not None and effect is not None:
            try:
                return await _uncut(
                    self._ledger.observe_and_dispatch(
                        call, result, following, effect=effect, worker=self._worker
                    )
                )
            except HoldfastError as error:
                log.warning("ledger_refused_a_pair", digest=call.digest, error=str(error))
        await _uncut(self._observe(call, result))
        return None

    def _effect_of(self, following: ActRequest | None) -> EffectClass | None:
        try:
            return self._judged_tool(following).effect if following else None
        except HoldfastError:
            return None

    async def _observe(self, call: ActRequest, result: ToolResult) -> None:
        """Only this process knows how the call ended: it does not give up while Postgres is away."""
        pause = 0.1
        while True:
            try:
                return await self._ledger.observe(call, result)
            except Unavailable as error:
                log.warning("ledger_is_away", digest=call.digest, error=str(error))
            await asyncio.sleep(pause)
            pause = min(pause * 2, _LONGEST_PAUSE_S)

    @asynccontextmanager
    async def _stopped_is_told(self, call: ActRequest) -> AsyncIterator[None]:
        """A call that was cancelled has ended, and the ledger says so; one that a shutdown cut off stays in doubt."""
        try:
            yield
        except asyncio.CancelledError:
            details = activity.cancellation_details()
            if details and details.cancel_requested:
                error = ToolError(
                    code=CANCELLED,
                    message="The call was stopped before it ended; a part of its work may be done.",
                )
                await asyncio.shield(self._observe(call, ToolResult(ok=False, error=error)))
            raise


def _stopping() -> bool:
    """Whether this row should start nothing more: it is cancelled, or its worker is to go."""
    task = asyncio.current_task()
    return activity.is_worker_shutdown() or (task is not None and task.cancelling() > 0)


async def _uncut(question: Coroutine[Any, Any, Answer]) -> Answer:
    """The answer, also for who is cancelled meanwhile; the cancellation comes up at the next wait, whatever the answer.
    What the ledger was asked to write as dispatched must be called, or told as stopped; what has ended must be told."""
    asked = asyncio.create_task(question)
    try:
        return await asyncio.shield(asked)
    except asyncio.CancelledError:
        details = activity.cancellation_details()
        patience = None if details and details.cancel_requested else _LONGEST_PAUSE_S
        try:
            return await asyncio.wait_for(asked, patience)
        except TimeoutError:  # the worker has to go, and Postgres is away: the effect stays in doubt
            raise asyncio.CancelledError from None
        finally:
            if task := asyncio.current_task():
                task.cancel()
