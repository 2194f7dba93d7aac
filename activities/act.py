"""Performing judged actions: the only way from a run to a tool.

The ledger is asked before each call and told after it. What a second attempt may do after a crash in between depends on
the class of the tool, and on nothing else. A row of calls goes out in one activity because the ledger, and not Temporal,
is what keeps any of them from going out twice.
"""

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeVar

import structlog
from temporalio import activity

from activities.fitting import fit
from activities.heartbeat import Pulse, heartbeats
from activities.stopping import Stop, stoppable
from holdfast.errors import BrokeOff, HoldfastError, NotBegun, Unavailable
from holdfast.plan.tales import CANCELLED
from holdfast.ports import Artifacts, Dispatch, Ledger, ToolHost
from schemas.stages import ActReport, ActReports, ActRequest, ActRow
from schemas.tools import EffectClass, ToolError, ToolResult, ToolSpec

log = structlog.get_logger()

_LONGEST_PAUSE_S = 2.0
_MOST_TRIES = 8
_HARMLESS_TWICE = (EffectClass.READ_ONLY, EffectClass.IDEMPOTENT)
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
        async with heartbeats() as pulse:
            return await stoppable(lambda stop: self._row(row, stop, pulse))

    async def _row(self, row: ActRow, stop: Stop, pulse: Pulse) -> ActReports:
        """What was written as dispatched is called, or told as stopped: the row ends only where nothing is."""
        reports: list[ActReport] = []
        answer: Dispatch | None = None
        for place, (call, following) in enumerate(zip(row.calls, (*row.calls[1:], None), strict=True)):
            pulse.doing = f"{call.action.step_id}: call {place + 1} of {len(row.calls)}"
            report, answer = await self._one(call, answer, following, stop)
            reports.append(report)
            if answer is None and (report.result is None or not report.result.ok or stop.asked):
                break
        return ActReports(reports=tuple(reports))

    async def _one(
        self, call: ActRequest, answer: Dispatch | None, following: ActRequest | None, stop: Stop
    ) -> tuple[ActReport, Dispatch | None]:
        """What became of the call; and what the ledger says of the following one, where it was asked already."""
        try:
            spec = self._judged_tool(call)
        except HoldfastError as error:
            if isinstance(error, NotBegun) and activity.info().attempt < _MOST_TRIES:
                raise  # a worker that was started just now is still told of its tools
            return await self._without_its_tool(call, str(error)), None
        if answer is None:
            answer = await self._ledger.dispatch(call, effect=spec.effect, worker=self._worker)
        match answer.outcome:
            case "go":
                return await self._call(call, spec, following, stop)
            case "done":
                return ActReport(state="done", result=answer.result), None
            case "in_doubt":
                return await self._after_a_crash(call, spec, stop), None
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

    async def _without_its_tool(self, call: ActRequest, why: str) -> ActReport:
        """Nothing goes out; but the call may have, before its worker died and the tool was changed."""
        scope = call.scope
        for effect in await self._ledger.effects(scope.tenant, scope.run_id):
            if effect.action_digest == call.digest:
                if effect.result is not None:
                    return ActReport(state="done", result=effect.result)
                await self._ledger.doubt(call, why)
                return ActReport(state="unknown", why=why)
        return ActReport(state="refused", why=why)

    async def _after_a_crash(self, call: ActRequest, spec: ToolSpec, stop: Stop) -> ActReport:
        """The call went out before, and nobody saw its end."""
        if spec.effect in _HARMLESS_TWICE:
            return (await self._call(call, spec, None, stop))[0]
        happened = await self._probed(call, spec, stop) if spec.effect is EffectClass.PROBED else None
        if happened is None:
            why = "Nobody saw the call end: its worker died, or what it called broke off."
            await self._ledger.doubt(call, why)
            return ActReport(state="unknown", why=why)
        if not happened:
            return (await self._call(call, spec, None, stop))[0]
        result = ToolResult(ok=True, summary="The probe found that it had happened.", untrusted=False)
        return ActReport(state="done", result=await self._told(call, result, stop))

    async def _probed(self, call: ActRequest, spec: ToolSpec, stop: Stop) -> bool | None:
        return await stop.cuttable(self._tools.probe(call.action, spec))

    async def _call(
        self, call: ActRequest, spec: ToolSpec, following: ActRequest | None, stop: Stop
    ) -> tuple[ActReport, Dispatch | None]:
        try:
            result = await stop.cuttable(self._tools.call(call.action, spec, idempotency_key=call.digest))
        except (NotBegun, BrokeOff) as error:
            if not _ends_here(error, spec):
                raise
            result = _away(error)
        except asyncio.CancelledError:
            if stop.for_good:  # else it stays in doubt, as after a crash: another attempt finds out
                await self._told(call, _STOPPED, stop)
            raise
        return await self._observed(call, result, following, stop)

    async def _observed(
        self, call: ActRequest, result: ToolResult, following: ActRequest | None, stop: Stop
    ) -> tuple[ActReport, Dispatch | None]:
        """The end of this call and, where there is one and nothing speaks against it, the start of the next."""
        effect = self._effect_of(following) if result.ok and not stop.asked else None
        if following is not None and effect is not None:
            try:
                result = await fit(result, call.scope, self._artifacts)
                answer = await self._ledger.observe_and_dispatch(
                    call, result, following, effect=effect, worker=self._worker
                )
            except (HoldfastError, ValueError) as error:
                log.warning("ledger_refused_a_pair", digest=call.digest, error=str(error))
            else:
                return ActReport(state="done", result=result), answer
        return ActReport(state="done", result=await self._told(call, result, stop)), None

    def _effect_of(self, following: ActRequest | None) -> EffectClass | None:
        try:
            return self._judged_tool(following).effect if following else None
        except HoldfastError:
            return None

    async def _told(self, call: ActRequest, result: ToolResult, stop: Stop) -> ToolResult:
        """The result as the ledger has it. Only this process knows how the call ended, so it is told without what
        cannot be written down, rather than not at all."""

        async def tell(result: ToolResult) -> ToolResult:
            fitting = await fit(result, call.scope, self._artifacts)
            await self._ledger.observe(call, fitting)
            return fitting

        try:
            return await _patiently(lambda: tell(result), stop)
        except (HoldfastError, ValueError) as error:
            log.warning("tool_output_cannot_be_kept", digest=call.digest, error=str(error))
            bare = ToolResult(
                ok=result.ok,
                error=result.error,
                summary=f"The output cannot be kept: {error}"[:500],
                duration_ms=result.duration_ms,
                isolation=result.isolation,
                untrusted=result.untrusted,
            )
            return await _patiently(lambda: tell(bare), stop)


async def _patiently(ask: Callable[[], Awaitable[Answer]], stop: Stop) -> Answer:
    """Again and again while Postgres is away, for as long as this worker stays."""
    pause = 0.1
    while True:
        try:
            return await ask()
        except Unavailable as error:
            if stop.leaving:
                raise asyncio.CancelledError from error
            log.warning("ledger_is_away", error=str(error))
        await asyncio.sleep(pause)
        pause = min(pause * 2, _LONGEST_PAUSE_S)


def _ends_here(error: Unavailable, spec: ToolSpec) -> bool:
    """What a tool calls is no part that we stand on: a harmless call is tried again for half a minute, and no longer. Of any
    other, another attempt could not tell a call that never began from one that went out."""
    if spec.effect in _HARMLESS_TWICE:
        return activity.info().attempt >= _MOST_TRIES
    return isinstance(error, NotBegun)


def _away(error: Unavailable) -> ToolResult:
    told = ToolError(code=error.code, message=error.message, remedy=error.remedy)
    return ToolResult(ok=False, error=told, untrusted=False)


_STOPPED = ToolResult(
    ok=False,
    error=ToolError(
        code=CANCELLED, message="The call was stopped before it ended; a part of its work may be done."
    ),
)
