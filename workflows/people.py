"""What people are asked about an action: whether it may go out, and whether one that is in doubt has happened."""

import json

from holdfast.plan import tales
from holdfast.plan.words import describe
from schemas.actions import Action
from schemas.approvals import Approval, ApprovalSubject, ApprovalSummary
from schemas.stages import AskRequest, JudgeRequest
from schemas.verdicts import Verdict
from workflows.desk import Desk
from workflows.parking import Parking
from workflows.teller import Teller


class People:
    """Asks them, and waits in a way that a new execution can take up."""

    def __init__(self, *, teller: Teller, desk: Desk, parking: Parking) -> None:
        self._teller = teller
        self._desk = desk
        self._parking = parking

    async def may_it(self, request: JudgeRequest, verdict: Verdict) -> Approval:
        action = request.action
        self._teller.waiting(action.step_id, "waits for approval")
        question = self._desk.question(
            ApprovalSubject.ACTION,
            action.digest,
            _summary(request, verdict),
            step_id=action.step_id,
            terms=verdict.terms,
        )
        return await self._decided(request, question.model_copy(update={"action": action}))

    async def did_it(self, request: JudgeRequest, why: str) -> Approval:
        """Only somebody who can look knows."""
        action = request.action
        self._teller.waiting(action.step_id, "outcome unknown: a human must say")
        summary = ApprovalSummary(
            what=f"Did this happen? {describe(action)}",
            where=action.environment,
            why=why,
            detail="approve: it happened · reject: it did not happen",
        )
        question = self._desk.question(
            ApprovalSubject.EFFECT_UNKNOWN, action.digest, summary, step_id=action.step_id
        )
        return await self._decided(request, question, renew=True)

    async def _decided(self, request: JudgeRequest, question: AskRequest, *, renew: bool = False) -> Approval:
        with self._parking.durable(request.action.step_id, request.action.item):
            return await self._desk.decide(question, renew=renew)


def comments_of(approval: Approval) -> str:
    return "; ".join(decision.comment for decision in approval.decisions if decision.comment)


def _summary(request: JudgeRequest, verdict: Verdict) -> ApprovalSummary:
    action: Action = request.action
    return ApprovalSummary(
        what=describe(action),
        where=f"{action.environment}, agent {action.agent}",
        why=request.step_why or request.step_title,
        detail=json.dumps(tales.shortened(action.arguments), indent=2, ensure_ascii=False),
        reasons=tuple(reason.message for reason in verdict.reasons),
        blast_radius=f"{request.tool.effect.value}; risk {request.tool.risk}",
    )
