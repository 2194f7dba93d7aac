"""Plans that a second model has read before anybody else sees them, and the best of several."""

import asyncio

from holdfast.llm.plan_judge import PlanJudge, PlanReview
from holdfast.ports import Planner
from schemas.stages import Answer, AnswerRequest, NextMove, NextRequest, PlanProposal, PlanRequest


class ReviewingPlanner:
    """A planner whose plans a second model has read. Rejected plans go back with the findings, a bounded number of
    times; the last one is handed on with them in its note, because policy and people still stand before every action.
    """

    def __init__(self, *, planner: Planner, judge: PlanJudge, rounds: int = 2) -> None:
        self._planner = planner
        self._judge = judge
        self._rounds = rounds

    async def plan(self, request: PlanRequest) -> PlanProposal:
        spent, turn = 0.0, 0
        while True:
            proposal = await self._planner.plan(request)
            spent += proposal.spend_usd
            if proposal.plan is None:
                return proposal.model_copy(update={"spend_usd": spent})
            review = await self._judge.review(request, proposal.plan)
            spent += review.spend_usd
            if not review.fatal or turn == self._rounds:
                note = _noted(proposal.note, review)
                return proposal.model_copy(update={"note": note, "spend_usd": spent})
            turn += 1
            request = request.model_copy(
                update={
                    "previous": proposal.plan,
                    "findings": review.findings,
                    "attempt": request.attempt + 1,
                }
            )

    async def next(self, request: NextRequest) -> NextMove:
        return await self._planner.next(request)

    async def answer(self, request: AnswerRequest) -> Answer:
        return await self._planner.answer(request)

    async def best_of(self, request: PlanRequest, alternatives: int) -> PlanProposal:
        """Several plans, made side by side and compared by the judge."""
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(self._planner.plan(request)) for _ in range(alternatives)]
        proposals = [task.result() for task in tasks]
        planned = [(proposal, proposal.plan) for proposal in proposals if proposal.plan]
        if not planned:
            return proposals[0]
        reviews = [await self._judge.review(request, plan) for _, plan in planned]
        best = max(range(len(planned)), key=lambda place: (not reviews[place].fatal, reviews[place].score))
        spent = sum(each.spend_usd for each in proposals) + sum(each.spend_usd for each in reviews)
        chosen = planned[best][0]
        compared = (
            f"Best of {len(planned)} plans, scores {', '.join(f'{each.score:.2f}' for each in reviews)}."
        )
        note = f"{compared} {_noted(chosen.note, reviews[best])}"
        return chosen.model_copy(update={"note": note, "spend_usd": spent})


def _noted(note: str, review: PlanReview) -> str:
    listed = "; ".join(f"{each.step or 'plan'}: {each.message}" for each in review.findings)
    verdict = f"Reviewed by {review.by}, score {review.score:.2f}{': ' + listed if listed else ''}."
    return f"{note} {verdict}".strip()
