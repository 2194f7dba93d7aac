"""The guardian's answer on an action, stored before anything acts on it. Local activities: short, and repeatable."""

from temporalio import activity

from holdfast.plan.checks import findings_in
from holdfast.ports import Guardian, Ledger, ToolHost
from schemas.stages import CheckReport, CheckRequest, FastReport, JudgeRequest
from schemas.tools import EffectClass, Lane
from schemas.verdicts import Decision, Verdict


class GuardActivities:
    def __init__(self, *, guardian: Guardian, ledger: Ledger, fast_tools: ToolHost) -> None:
        self._guardian = guardian
        self._ledger = ledger
        self._fast_tools = fast_tools

    @activity.defn
    async def check(self, request: CheckRequest) -> CheckReport:
        """Pure; an activity only because a large plan takes longer to check than a workflow task may."""
        found = findings_in(
            request.plan,
            catalogue=request.catalogue,
            inputs=request.inputs,
            limits=request.limits,
            done=request.done,
            agents=request.agents,
        )
        return CheckReport(findings=tuple(found[:50]))

    @activity.defn
    async def judge(self, request: JudgeRequest) -> Verdict:
        """Safe to repeat: the first verdict on a digest stands, and it is what comes back."""
        record = await self._guardian.judge(request)
        return await self._ledger.give_verdict(request, record)

    @activity.defn
    async def perform(self, request: JudgeRequest) -> FastReport:
        """The fast lane: a short, harmless read is judged, done and recorded at once. Safe to repeat: it reads."""
        spec = self._fast_tools.find(request.action.tool, request.action.tool_version)
        record = await self._guardian.judge(request)
        harmless = (
            spec.lane is Lane.FAST
            and spec.effect is EffectClass.READ_ONLY
            and spec.digest == request.tool.digest
        )
        if not harmless or record.verdict.held or record.verdict.decision is not Decision.ALLOW:
            return FastReport(verdict=await self._ledger.give_verdict(request, record))
        result = await self._fast_tools.call(request.action, spec, idempotency_key=request.action.digest)
        return FastReport(verdict=await self._ledger.perform(request, record, result), result=result)
