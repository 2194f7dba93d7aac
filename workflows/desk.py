"""Where a run waits for humans. A signal only wakes it; what was decided is read from the store."""

import asyncio
from datetime import timedelta

from temporalio import workflow

from activities.ask import AskActivities
from schemas.approvals import Approval, ApprovalStatus, ApprovalSubject, ApprovalSummary
from schemas.base import Digest
from schemas.events import EventType
from schemas.stages import AskRequest, DoubtRequest, ReadApprovalRequest
from schemas.verdicts import ApprovalTerms
from workflows import options
from workflows.gate import in_time
from workflows.teller import Teller

_MOST_TIMES = 1000
_MOST_DOUBTS = 100
"""In one execution. Whoever floods a run with signals gets no history out of it that grows with them."""


class Desk:
    """Asks, and waits for days if need be. A rolled-over run asks again and finds its question standing."""

    def __init__(self, teller: Teller, *, requested_by: str) -> None:
        self._teller = teller
        self._requested_by = requested_by
        self._nudges: set[str] = set()
        self._awaited: dict[str, AskRequest] = {}
        self._doubts = 0
        self._closed = False

    async def nudge(self, approval_id: str) -> None:
        """Somebody decided something, or says so. Who waits for it looks; where nobody does, it is looked up here."""
        self._nudges.add(approval_id)
        if approval_id not in self._awaited:
            await self._doubt(approval_id)

    def close(self) -> None:
        """Nothing is told after the end of the run."""
        self._closed = True

    async def _doubt(self, approval_id: str) -> None:
        """The store knows whether there is such a decision; that there is none is told and audited there."""
        if self._closed or self._doubts == _MOST_DOUBTS:
            return
        self._doubts += 1
        request = DoubtRequest(
            scope=self._teller.scope,
            key=self._teller.event(EventType.APPROVAL_UNFOUNDED).key,
            claimed=ascii(approval_id)[1:-1][:60],
        )
        await workflow.execute_local_activity_method(
            AskActivities.doubt, request, **options.local("whether it was decided")
        )

    async def decide(self, request: AskRequest, *, renew: bool = False) -> Approval:
        """The decided approval: approved, rejected or expired; never pending. What was withdrawn before is asked anew and,
        with `renew`, what expired."""
        request = request.model_copy(update={"requested_by": self._requested_by})
        approval = await self._ask(request)
        over = (ApprovalStatus.WITHDRAWN, *([ApprovalStatus.EXPIRED] if renew else []))
        for time in range(2, _MOST_TIMES):
            if approval.status not in over:
                break
            approval = await self._ask(request.model_copy(update={"id": f"{request.id}{time}"}))
        if approval.status is ApprovalStatus.PENDING:
            await self._teller.waits_for_people(request.id, f"approval: {request.summary.what}")
            approval = await self._wait(approval, request)
        await self._teller.was_answered(request.id)  # also of what was answered between two executions
        return approval

    async def _ask(self, request: AskRequest) -> Approval:
        return await self._teller.alive(lambda: _ask(request))

    async def withdraw(self, step_id: str) -> None:
        """The step is over, and nobody waits for what it asked."""
        asked = {key: request for key, request in self._awaited.items() if request.step_id == step_id}
        for approval_id, request in asked.items():
            del self._awaited[approval_id]
            await workflow.execute_local_activity_method(
                AskActivities.withdraw_approval,
                ReadApprovalRequest(scope=self._teller.scope, id=approval_id),
                **options.local("nobody waits for it any more"),
            )
            await self._teller.was_answered(request.id)

    async def _wait(self, approval: Approval, request: AskRequest) -> Approval:
        lookup = ReadApprovalRequest(scope=self._teller.scope, id=approval.id)
        self._awaited[approval.id] = request
        escalation = asyncio.create_task(self._escalate(approval))
        try:
            while approval.status is ApprovalStatus.PENDING:
                if await self._nudged(approval):
                    approval = await workflow.execute_local_activity_method(
                        AskActivities.read_approval, lookup, **options.local("what was answered")
                    )
                    if approval.status is ApprovalStatus.PENDING:
                        await self._doubt(approval.id)
                else:
                    approval = await workflow.execute_local_activity_method(
                        AskActivities.expire_approval, lookup, **options.local("nobody answered")
                    )
        finally:
            escalation.cancel()
        del self._awaited[approval.id]
        return approval

    async def _nudged(self, approval: Approval) -> bool:
        """Whether it was woken before the question expired."""
        left = approval.expires_at - workflow.now()
        if left <= timedelta(0):
            return False
        if not await in_time(lambda: approval.id in self._nudges, left, "the question expires"):
            return False
        self._nudges.discard(approval.id)
        return True

    async def _escalate(self, approval: Approval) -> None:
        terms = approval.terms
        if terms.escalate_to is None or terms.escalate_after_s is None:
            return
        due = approval.created_at + timedelta(seconds=terms.escalate_after_s)
        await workflow.sleep(max(due - workflow.now(), timedelta(0)))
        await self._teller.tell(
            self._teller.event(
                EventType.APPROVAL_ESCALATED,
                {"approval_id": approval.id, "to": terms.escalate_to},
                step=approval.step_id,
            )
        )

    def question(
        self,
        subject: ApprovalSubject,
        digest: Digest,
        summary: ApprovalSummary,
        *,
        step_id: str | None = None,
        terms: ApprovalTerms | None = None,
    ) -> AskRequest:
        """A question whose id follows from what it is about, so that asking again finds it."""
        run = self._teller.scope.run_id.removeprefix("run_")
        return AskRequest(
            scope=self._teller.scope,
            id=f"apr_{run[:14]}{digest.removeprefix('sha256:')[:20]}{subject.value[0]}",
            step_id=step_id,
            subject=subject,
            digest=digest,
            summary=summary,
            terms=terms or ApprovalTerms(),
        )


async def _ask(request: AskRequest) -> Approval:
    return await workflow.execute_local_activity_method(
        AskActivities.ask, request, **options.local(request.summary.what)
    )
