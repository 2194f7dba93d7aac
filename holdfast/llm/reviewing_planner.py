"""Plans that stand up to the static checks, that a model has judged, and, where that was asked for, the best of several."""

import asyncio
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Iterable, Sequence

from holdfast.errors import HoldfastError
from holdfast.llm.failures import PlanRefused
from holdfast.llm.plan_judge import PlanJudge, PlanReview, listed
from holdfast.ports import Planner
from schemas.base import Digest
from schemas.canonical import digest_of
from schemas.plans import Finding, Plan
from schemas.stages import Answer, AnswerRequest, NextMove, NextRequest, PlanProposal, PlanRequest

Check = Callable[[Plan, PlanRequest], Sequence[Finding]]
"""What the static checks find fatal in a plan."""

_MOST_UNJUDGED = 64


class ReviewingPlanner:
    """A planner whose plans a judge has read. A rejected plan goes back with the findings, a bounded number of times;
    what is rejected even then is nobody's plan: people are asked.

    The judge never sees a plan that the static checks refuse. Such a plan is handed on as it is: the run tells what is
    wrong with it, and asks again.
    """

    def __init__(
        self, *, planner: Planner, judge: PlanJudge, check: Check, always: bool = True, rounds: int = 2
    ) -> None:
        self._planner = planner
        self._judge = judge
        self._check = check
        self._always = always
        self._rounds = rounds
        self._unjudged: OrderedDict[Digest, PlanProposal] = OrderedDict()

    async def plan(self, request: PlanRequest) -> PlanProposal:
        alternatives = 1 if _is_a_second_try(request) else request.agent.alternatives
        if alternatives > 1:
            proposal, review = await self._best_of(request, alternatives)
        else:
            proposal, review = await self._one(request)
        for turn in range(1, self._rounds + 1):
            if proposal.plan is None or review is None or not review.fatal:
                break
            before, rejected = proposal, review
            proposal, review = await self._one(_sent_back(request, proposal.plan, review, turn))
            proposal = _after(before, rejected, proposal)
        if proposal.plan and review and review.fatal:
            raise _refused(request, review, self._rounds)
        return proposal

    async def next(self, request: NextRequest) -> NextMove:
        return await self._planner.next(request)

    async def answer(self, request: AnswerRequest) -> Answer:
        return await self._planner.answer(request)

    async def _one(self, request: PlanRequest) -> tuple[PlanProposal, PlanReview | None]:
        """A plan whose judge was busy waits for the next attempt: it is paid for already."""
        key = digest_of(request.model_dump(mode="json", exclude={"patient"}))
        proposal = self._unjudged.pop(key, None) or await self._planner.plan(request)
        if proposal.plan is None or not self._always or self._check(proposal.plan, request):
            return proposal, None
        try:
            review = await self._judge.review(request, proposal.plan)
        except HoldfastError:
            self._unjudged[key] = proposal
            while len(self._unjudged) > _MOST_UNJUDGED:
                self._unjudged.popitem(last=False)
            raise
        spent = proposal.spend_usd + review.spend_usd
        note = f"{proposal.note} {review.told}".strip()
        return proposal.model_copy(update={"note": note, "spend_usd": spent}), review

    async def _best_of(
        self, request: PlanRequest, alternatives: int
    ) -> tuple[PlanProposal, PlanReview | None]:
        """Several plans, made side by side and compared by the judge. One that fails leaves the others."""
        proposals = await _all_that_came(self._planner.plan(request) for _ in range(alternatives))
        sound = [
            (proposal, proposal.plan)
            for proposal in proposals
            if proposal.plan and not self._check(proposal.plan, request)
        ]
        spent = sum(proposal.spend_usd for proposal in proposals)
        if not sound:
            return proposals[0].model_copy(update={"spend_usd": spent}), None
        reviews = [await self._judge.review(request, plan) for _, plan in sound]
        best = max(range(len(sound)), key=lambda place: (not reviews[place].fatal, reviews[place].score))
        chosen, review = sound[best][0], reviews[best]
        scores = ", ".join(f"{each.score:.2f}" for each in reviews)
        note = f"Best of {len(sound)} plans, scores {scores}. {chosen.note} {review.told}"
        spent += sum(each.spend_usd for each in reviews)
        return chosen.model_copy(update={"note": note, "spend_usd": spent}), review


async def _all_that_came(making: Iterable[Awaitable[PlanProposal]]) -> list[PlanProposal]:
    results = await asyncio.gather(*making, return_exceptions=True)
    came = [result for result in results if isinstance(result, PlanProposal)]
    failures = [result for result in results if isinstance(result, BaseException)]
    unexpected = [failure for failure in failures if not isinstance(failure, HoldfastError)]
    if unexpected or not came:
        raise (unexpected or failures)[0]
    return came


def _is_a_second_try(request: PlanRequest) -> bool:
    return bool(request.findings or request.failure or request.previous or request.done)


def _sent_back(request: PlanRequest, plan: Plan, review: PlanReview, turn: int) -> PlanRequest:
    return request.model_copy(
        update={"previous": plan, "findings": review.findings, "attempt": request.attempt + turn}
    )


def _after(before: PlanProposal, rejected: PlanReview, proposal: PlanProposal) -> PlanProposal:
    """The later proposal, with what it took to come to it."""
    note = f"{rejected.by} rejected an earlier plan: {listed(rejected.fatal)}. {proposal.note}"
    spent = before.spend_usd + proposal.spend_usd
    return proposal.model_copy(update={"note": note.strip(), "spend_usd": spent})


def _refused(request: PlanRequest, review: PlanReview, rounds: int) -> PlanRefused:
    return PlanRefused(
        f"{review.by} rejects the plan, also after {rounds} corrections: {listed(review.fatal[:5])}",
        remedy="Tell the run more, and resume it; or resume it with a plan of your own.",
        run_id=request.scope.run_id,
    )
