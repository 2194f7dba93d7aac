"""One action on its way: judged, perhaps approved, dispatched, observed. Nothing here decides; everything here waits."""

import asyncio
from collections.abc import Sequence
from itertools import takewhile

from temporalio import workflow
from temporalio.exceptions import ActivityError, is_cancelled_exception

from activities.act import ActActivities
from activities.guard import GuardActivities
from holdfast.plan import tales
from holdfast.plan.progress import Progress
from holdfast.plan.words import describe
from schemas.actions import Action
from schemas.approvals import ApprovalStatus
from schemas.base import Digest, JsonObject
from schemas.runs import StepOutcome
from schemas.stages import (
    ActReport,
    ActRequest,
    ActRow,
    FastReport,
    FastReports,
    JudgeRequest,
    JudgeRow,
    Verdicts,
)
from schemas.tools import ToolError, ToolResult
from schemas.verdicts import Decision, Settler, Verdict
from workflows import options
from workflows.desk import Desk
from workflows.gate import Gate, stop_if_cancelled
from workflows.outcomes import Outcomes
from workflows.parking import Parking
from workflows.people import People
from workflows.second_opinion import ask_for_opinion
from workflows.teller import Teller


class Performer:
    """Takes actions through the choke point, one at a time or many at once."""

    def __init__(
        self, *, teller: Teller, desk: Desk, gate: Gate, progress: Progress, parking: Parking
    ) -> None:
        self._teller = teller
        self._people = People(teller=teller, desk=desk, parking=parking)
        self._outcomes = Outcomes(teller=teller)
        self._gate = gate
        self._progress = progress
        self._parking = parking
        self._foreseen: dict[Digest, FastReport] = {}
        self._held: set[str] = set()

    def foresee(self, report: FastReport) -> None:
        """What came with a model's move, until the action is asked about that it speaks of; no other is served by it."""
        self._foreseen = {report.verdict.action_digest: report}

    async def perform(self, row: Sequence[JudgeRequest]) -> list[StepOutcome]:
        """What became of the first actions of the row, at least of one: each goes out when the one before it has
        succeeded. A denied or failed one is an outcome, not an error; a row ends there, or where people are asked."""
        first = row[0]
        await self._passed(first)
        foreseen = self._foreseen.pop(first.action.digest, None)
        if foreseen is not None:
            return [await self._as_foreseen(first, foreseen)]
        if first.tool.fast:
            reports = await self._fast(row)
            done = [report.result for report in reports if report.result is not None]
            if done:
                return [self._observed(request, result) for request, result in zip(row, done, strict=False)]
            return [await self._after(first, reports[0].verdict)]
        verdicts = await self._judge(row)
        allowed = [*takewhile(lambda pair: pair[1].goes_out, zip(row, verdicts, strict=False))]
        if not allowed:
            return [await self._after(first, verdicts[0])]
        return await self._act([request for request, _ in allowed])

    async def _as_foreseen(self, request: JudgeRequest, report: FastReport) -> StepOutcome:
        if report.result is not None:
            return self._observed(request, report.result)
        return await self._after(request, report.verdict)

    async def _fast(self, row: Sequence[JudgeRequest]) -> Sequence[FastReport]:
        found = await self._teller.alive(lambda: _performed(row))
        return found.reports

    async def _judge(self, row: Sequence[JudgeRequest]) -> Sequence[Verdict]:
        """As far as calls go out. All but the first are judged ahead of their turn: their steps neither start nor end by it."""
        ahead = [request.model_copy(update={"opens": False, "closes": False}) for request in row[1:]]
        given = await self._teller.alive(lambda: _judged((row[0], *ahead)))
        return given.verdicts

    async def _judge_again(self, request: JudgeRequest) -> StepOutcome:
        return await self._after(*await self._judged_anew(request))

    async def _judged_anew(self, request: JudgeRequest) -> tuple[JudgeRequest, Verdict]:
        request = request.model_copy(update={"round": request.round + 1, "opens": False})
        [verdict] = await self._judge([request])
        return request, verdict

    async def _after(self, request: JudgeRequest, verdict: Verdict) -> StepOutcome:
        while verdict.held:
            await self._thawed(request, verdict.why)
            request, verdict = await self._judged_anew(request)
        if verdict.decision is Decision.DENY:
            return await self._outcomes.denied(request, verdict.why)
        if verdict.may_settle and not request.asked:
            return await self._second_opinion(request, verdict.may_settle)
        if verdict.decision is Decision.REQUIRE_APPROVAL:
            return await self._with_approval(request, verdict)
        return (await self._act([request]))[0]

    async def _second_opinion(self, request: JudgeRequest, who: Settler) -> StepOutcome:
        self._teller.doing(request.action.step_id, "unclear: a model is asked")
        self._progress.spend_usd += await ask_for_opinion(request, who)
        return await self._judge_again(request.model_copy(update={"asked": True}))

    async def _with_approval(self, request: JudgeRequest, verdict: Verdict) -> StepOutcome:
        approval = await self._people.may_it(request, verdict)
        if approval.status is not ApprovalStatus.APPROVED:
            return await self._outcomes.refused(request, approval)
        edited = next((d.arguments for d in reversed(approval.decisions) if d.decision == "edit"), None)
        if edited is None:
            return (await self._act([request]))[0]
        return await self._edited(request, edited)

    async def _edited(self, request: JudgeRequest, arguments: JsonObject) -> StepOutcome:
        """What a human rewrote is a new action. It is judged anew; the approval covers exactly it, and no more."""
        request = request.model_copy(
            update={
                "action": request.action.edited(arguments),
                "opens": False,
                "asked": True,
                "round": request.round + 1,
            }
        )
        [verdict] = await self._judge([request])
        if verdict.held:
            return await self._after(request, verdict)
        if verdict.decision is Decision.DENY:
            return await self._outcomes.denied(request, verdict.why)
        return (await self._act([request]))[0]

    async def _act(self, row: Sequence[JudgeRequest]) -> list[StepOutcome]:
        for request in row:
            self._teller.doing(request.action.step_id, describe(request.action))
        first, calls = row[0], [_call_of(request, opens=bool(place)) for place, request in enumerate(row)]
        resumed = False
        while True:
            reports = await self._dispatch(calls, sum(request.tool.timeout_s for request in row))
            if reports[0].state != "done":
                stop_if_cancelled()  # as where another attempt found the call in doubt before it heard of that
            match reports[0].state:
                case "held":
                    await self._tell_held(first.action, reports[0].why)
                    await self._thawed(first, reports[0].why)
                case "paused" if self._progress.paused or not resumed:
                    await self._passed(first)
                    resumed = True
                case "paused" | "over":
                    await self._teller.taken_up_again()
                case "stale":
                    return [await self._judge_again(first)]
                case "done":
                    done = takewhile(lambda report: report.result is not None, reports)
                    return [
                        self._observed(request, report.result)
                        for request, report in zip(row, done, strict=False)
                        if report.result is not None
                    ]
                case "unknown":
                    word = await self._people.did_it(first, reports[0].why)
                    return [await self._outcomes.settled(first, word)]
                case "refused":
                    error = ToolError(code="not_dispatched", message=reports[0].why)
                    return [await self._outcomes.failed(first, error)]

    async def _dispatch(self, calls: Sequence[ActRequest], timeout_s: float) -> Sequence[ActReport]:
        summary = _summary_of(calls)
        try:
            found = await workflow.execute_activity_method(
                ActActivities.act, ActRow(calls=tuple(calls)), **options.act_options(timeout_s, summary)
            )
        except ActivityError as error:
            if is_cancelled_exception(error):
                raise asyncio.CancelledError from error
            stop_if_cancelled()  # as where its worker died meanwhile, and Temporal tries a cancelled one no more
            if (
                len(calls) > 1
            ):  # which of them broke it is found out one by one; the ledger knows what went out
                return await self._dispatch(calls[:1], timeout_s)
            cause = error.cause or error
            return [ActReport(state="refused", why=f"{type(cause).__name__}: {cause}")]
        return found.reports

    def _observed(self, request: JudgeRequest, result: ToolResult) -> StepOutcome:
        self._progress.observed(result)
        return tales.outcome_of(result, request.action)

    async def _tell_held(self, action: Action, why: str) -> None:
        """Frozen since it was judged: the guardian's verdict does not say so, and the story should. Once for each hold."""
        told = tales.held_back(action, why)
        if told.key not in self._held:
            self._held.add(told.key)
            await self._teller.tell(told)

    async def _passed(self, request: JudgeRequest) -> None:
        with self._parking.durable(request.action.step_id, request.action.item):
            await self._gate.passed()

    async def _thawed(self, request: JudgeRequest, why: str) -> None:
        """Frozen from outside: wait, without losing anything, and look again."""
        self._teller.waiting(request.action.step_id, f"held: {why}")
        with self._parking.durable(request.action.step_id, request.action.item):
            await self._gate.thaw_or(options.HELD_WAIT)


async def _judged(row: Sequence[JudgeRequest]) -> Verdicts:
    return await workflow.execute_local_activity_method(
        GuardActivities.judge, JudgeRow(requests=tuple(row)), **options.local(_summary_of(row))
    )


async def _performed(row: Sequence[JudgeRequest]) -> FastReports:
    return await workflow.execute_local_activity_method(
        GuardActivities.perform, JudgeRow(requests=tuple(row)), **options.local(_summary_of(row))
    )


def _call_of(request: JudgeRequest, *, opens: bool) -> ActRequest:
    return ActRequest(
        scope=request.scope,
        action=request.action,
        digest=request.action.digest,
        tool_digest=request.tool.digest,
        step_title=request.step_title,
        opens=opens,
        closes=request.closes,
        final=request.final,
    )


def _summary_of(row: Sequence[JudgeRequest] | Sequence[ActRequest]) -> str:
    """One call in its own words; a row by its steps, since the Web UI has one line for it."""
    first, last = row[0].action, row[-1].action
    if len(row) == 1:
        return describe(first)
    return f"{first.step_id} … {last.step_id}, {len(row)} calls: {describe(first)} …"
