"""Steps that wait: for people to agree, for a time, for an event from outside. Days are nothing to them."""

from datetime import datetime, timedelta
from typing import Any

from temporalio import workflow

from holdfast.plan.progress import Progress
from holdfast.plan.references import ReferenceProblem, resolve
from schemas.approvals import ApprovalStatus, ApprovalSubject, ApprovalSummary
from schemas.canonical import digest_of
from schemas.plans import ApprovalStep, StepState, WaitStep
from schemas.runs import RunInput, StepOutcome
from schemas.tools import ToolError
from schemas.verdicts import ApprovalTerms
from workflows.desk import Desk
from workflows.gate import in_time
from workflows.parking import Parking
from workflows.teller import Teller, seconds


class Waits:
    def __init__(
        self, *, start: RunInput, progress: Progress, teller: Teller, desk: Desk, parking: Parking
    ) -> None:
        self._start = start
        self._progress = progress
        self._teller = teller
        self._desk = desk
        self._parking = parking

    async def for_people(self, step: ApprovalStep) -> StepOutcome:
        message = str(resolve(step.message, self._scope()))
        attempt = self._progress.attempts(step.id) + 1
        await self._teller.started(step)
        question = self._desk.question(
            ApprovalSubject.STEP,
            digest_of([self._start.run_id, step.id, message, self._progress.generation, attempt]),
            ApprovalSummary(
                what=step.title or message[:140], where=self._start.environment, why=step.why, detail=message
            ),
            step_id=step.id,
            terms=ApprovalTerms(group=step.group, quorum=step.quorum, expires_s=step.expires_s),
        )
        self._teller.waiting(step.id, "waits for approval")
        with self._parking.durable(step.id):
            approval = await self._desk.decide(question)
        comment = "; ".join(decision.comment for decision in approval.decisions if decision.comment)
        if approval.status is ApprovalStatus.APPROVED:
            by = [decision.approver for decision in approval.decisions]
            output = {"approvers": by, "comment": comment}
            return await self._teller.ended(step, StepOutcome(state=StepState.SUCCEEDED, output=output))
        why = f"approval {approval.status.value}" + (f": {comment}" if comment else "")
        error = ToolError(code="denied", message=why)
        denied = StepOutcome(state=StepState.DENIED, error=error, attempts=attempt)
        return await self._teller.ended(step, denied)

    async def for_time_or_event(self, step: WaitStep) -> StepOutcome:
        await self._teller.started(step)
        self._teller.waiting(step.id, f"waits for {step.event or 'time'}")
        if step.event is None:
            with self._parking.durable(step.id):
                await workflow.sleep(
                    max(self._wake(step) - workflow.now(), timedelta(0)), summary=f"{step.id}: waits"
                )
            return await self._teller.ended(
                step, StepOutcome(state=StepState.SUCCEEDED, summary="the time has come")
            )
        return await self._teller.ended(step, await self._event(step, step.event))

    async def _event(self, step: WaitStep, event: str) -> StepOutcome:
        data = None
        while (
            data is None
        ):  # two steps that wait for one event are woken together, and one of them goes on waiting
            with self._parking.durable(step.id):
                came = await in_time(
                    lambda: event in self._progress.posted,
                    self._patience(step),
                    f"{step.id}: waits for {event}",
                )
            if not came:
                error = ToolError(code="event_missing", message=f"The event {event} did not come in time.")
                return StepOutcome(state=StepState.FAILED, error=error)
            data = self._progress.take(event)
        return StepOutcome(state=StepState.SUCCEEDED, output=data, untrusted=True)

    def _patience(self, step: WaitStep) -> timedelta | None:
        if step.seconds is None and step.until is None:
            return None
        return max(self._wake(step) - workflow.now(), timedelta(0))

    def _wake(self, step: WaitStep) -> datetime:
        """When it wakes; fixed at its start, so that a roll-over does not make it wait anew."""
        known = self._progress.wakes.get(step.id)
        if known is None:
            known = workflow.now() + seconds(step.seconds or 0)
            if step.until is not None:
                known = _time(str(resolve(step.until, self._scope())))
            self._progress.wakes[step.id] = known
        return known

    def _scope(self) -> dict[str, Any]:
        return self._progress.scope(self._start.run_id)


def _time(text: str) -> datetime:
    try:
        time = datetime.fromisoformat(text)
    except ValueError as error:
        raise ReferenceProblem(f"{text!r} is not an ISO 8601 time") from error
    if time.tzinfo is None:
        raise ReferenceProblem(f"{text!r} needs an offset, such as Z or +02:00")
    return time
