"""The guardian's answer on actions, stored before anything acts on them. Local activities: short, and repeatable."""

import asyncio

from temporalio import activity

from activities.catalogues import Catalogues
from activities.fast_lane import FastLane
from holdfast.guardian.planned import outlook_on
from holdfast.plan import tales
from holdfast.plan.checks import findings_in
from holdfast.plan.progress import Progress
from holdfast.plan.requests import questions_known
from holdfast.ports import Guardian, Ledger, Story, ToolHost
from schemas.events import NewEvent
from schemas.plans import ToolStep
from schemas.stages import (
    CheckReport,
    CheckRequest,
    FastReport,
    FastReports,
    JudgeRequest,
    JudgeRow,
    OutlookRequest,
    PlanOutlook,
    RecordRequest,
    Verdicts,
)
from schemas.tools import ToolResult
from schemas.verdicts import VerdictRecord

_LONGEST_OUTLOOK_S = 8.0
"""What of a very long plan is not judged by then is as open as what is not known yet."""

_LONGEST_ROW_S = 5.0
"""A row of reads ends early rather than to hold up the workflow task that waits for it."""


class GuardActivities:
    def __init__(
        self,
        *,
        guardian: Guardian,
        ledger: Ledger,
        fast_tools: ToolHost,
        story: Story,
        catalogues: Catalogues,
    ) -> None:
        self._story = story
        self._catalogues = catalogues
        self._guardian = guardian
        self._ledger = ledger
        self._fast = FastLane(guardian=guardian, tools=fast_tools)

    @activity.defn
    async def check(self, request: CheckRequest) -> CheckReport:
        """Safe to repeat: the same plan has the same findings, and what came of it is told once."""
        request = await self._catalogues.filled_in(request)
        found = findings_in(
            request.plan,
            catalogue=request.catalogue,
            inputs=request.inputs,
            limits=request.limits,
            done=request.done,
            agents=request.agents,
        )
        report = CheckReport(findings=tuple(found[:50]))
        told = (*request.events, *_outcome(request, report))
        if told:
            await self._story.record(RecordRequest(scope=request.scope, events=told))
        return report

    @activity.defn
    async def outlook(self, request: OutlookRequest) -> PlanOutlook:
        """What people have to know of a plan before they approve it. Safe to repeat: nothing is written, and nothing goes
        out by it."""
        request = await self._catalogues.filled_in(request)
        start = request.run.model_copy(update={"catalogue": request.catalogue})
        progress, ends = Progress(start), asyncio.get_running_loop().time() + _LONGEST_OUTLOOK_S
        judged: dict[str, list[VerdictRecord]] = {}
        for step in request.plan.steps:
            if isinstance(step, ToolStep):
                late = asyncio.get_running_loop().time() > ends
                questions = [] if late else questions_known(step, start, progress)
                judged[step.id] = [await self._guardian.judge(question) for question in questions]
        return outlook_on(judged)

    @activity.defn
    async def judge(self, row: JudgeRow) -> Verdicts:
        """Safe to repeat: the first verdict on a digest stands, and it is what comes back. So what stands behind a call that
        does not go out waits for its turn: by then people may have approved others like it."""
        records: list[VerdictRecord] = []
        for request in row.requests:
            records.append(await self._guardian.judge(request))
            if not records[-1].verdict.goes_out:
                break
        judged = row.requests[: len(records)]
        return Verdicts(verdicts=tuple(await self._ledger.give_verdicts(judged, records)))

    @activity.defn
    async def perform(self, row: JudgeRow) -> FastReports:
        """The fast lane: short, harmless reads are judged, done and recorded at once. Safe to repeat: they read."""
        done: list[tuple[JudgeRequest, VerdictRecord, ToolResult]] = []
        ends = asyncio.get_running_loop().time() + _LONGEST_ROW_S
        for request in row.requests:
            record, result = await self._fast.tried(request)
            if result is None:
                if not done:
                    verdict = await self._ledger.give_verdict(request, record)
                    return FastReports(reports=(FastReport(verdict=verdict),))
                break
            done.append((request, record, result))
            if not result.ok or asyncio.get_running_loop().time() > ends:
                break
        await self._ledger.perform(done)
        return FastReports(
            reports=tuple(FastReport(verdict=record.verdict, result=result) for _, record, result in done)
        )


def _outcome(request: CheckRequest, report: CheckReport) -> list[NewEvent]:
    if report.fatal:
        return [tales.plan_rejected(request.key, report.findings)]
    return [tales.plan_accepted(request.key, request.plan, report.findings)] if request.accepts else []
