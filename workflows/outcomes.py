"""What an action came to, where no call tells it: denied, refused by people, failed, in doubt, or as a person said."""

from temporalio import workflow

from activities.ask import AskActivities
from holdfast.plan import tales
from schemas.approvals import Approval, ApprovalStatus
from schemas.base import JsonObject
from schemas.events import EventType
from schemas.plans import StepState
from schemas.runs import StepOutcome
from schemas.stages import JudgeRequest, ResolveRequest
from schemas.tools import ToolError
from workflows import options
from workflows.people import comments_of
from workflows.teller import Teller


class Outcomes:
    """Tells them, where the step ends with the action; the items of a list have an event of their own."""

    def __init__(self, *, teller: Teller) -> None:
        self._teller = teller

    async def refused(self, request: JudgeRequest, approval: Approval) -> StepOutcome:
        comments = comments_of(approval)
        why = f"approval {approval.status.value}" + (f": {comments}" if comments else "")
        await self._tell(request, EventType.STEP_DENIED, {"why": why, "attempt": request.action.attempt})
        return await self.denied(request, why)

    async def denied(self, request: JudgeRequest, why: str) -> StepOutcome:
        await self._item_ended(request, StepState.DENIED, why)
        error = ToolError(
            code="denied", message=why, remedy="Choose another way, or ask for a change of policy."
        )
        return StepOutcome(state=StepState.DENIED, error=error, attempts=request.action.attempt)

    async def failed(self, request: JudgeRequest, error: ToolError) -> StepOutcome:
        attempt = request.action.attempt
        kind = EventType.STEP_FAILED if request.final else EventType.STEP_RETRYING
        await self._tell(request, kind, {"error": error.model_dump(mode="json"), "attempt": attempt})
        await self._item_ended(request, StepState.FAILED, error.message)
        return StepOutcome(state=StepState.FAILED, error=error, attempts=attempt)

    async def settled(self, request: JudgeRequest, approval: Approval) -> StepOutcome:
        """A person's word on a call that may have happened."""
        if approval.status is ApprovalStatus.EXPIRED:
            return await self._still_in_doubt(request)
        word = _word(request, approval)
        await workflow.execute_local_activity_method(
            AskActivities.resolve, word, **options.local("what a person said happened")
        )
        outcome = tales.outcome_of(tales.resolved(word), request.action)
        if outcome.error is not None:
            return await self.failed(request, outcome.error)
        await self._tell(request, EventType.STEP_SUCCEEDED, {"outcome": outcome.model_dump(mode="json")})
        return outcome

    async def _still_in_doubt(self, request: JudgeRequest) -> StepOutcome:
        """The attempt does not count as made: who takes the step up again is asked about this one first."""
        error = ToolError(
            code=tales.IN_DOUBT,
            message="Nobody said whether it happened.",
            remedy="Look, and resume the run: it asks again.",
        )
        await self._tell(request, EventType.STEP_FAILED, {"error": error.model_dump(mode="json")})
        return StepOutcome(state=StepState.FAILED, error=error, attempts=request.action.attempt - 1)

    async def _tell(self, request: JudgeRequest, kind: EventType, data: JsonObject) -> None:
        if request.closes:
            await self._teller.tell(self._teller.event(kind, data, step=request.action.step_id))

    async def _item_ended(self, request: JudgeRequest, state: StepState, why: str) -> None:
        if request.action.item is not None:
            await self._teller.tell(tales.item_ended(request.action, state, why))


def _word(request: JudgeRequest, approval: Approval) -> ResolveRequest:
    return ResolveRequest(
        scope=request.scope,
        step_id=request.action.step_id,
        digest=request.action.digest,
        happened=approval.status is ApprovalStatus.APPROVED,
        by=approval.decisions[-1].approver if approval.decisions else "",
        comment=approval.decisions[-1].comment if approval.decisions else "",
    )
