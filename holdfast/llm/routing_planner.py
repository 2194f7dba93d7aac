"""Chooses who plans: a model where one is configured and up; otherwise the runbooks. It never hides which."""

from typing import Literal

from holdfast.errors import HoldfastError
from holdfast.llm.failures import ModelTimedOut, ModelUnreachable, NoModelAnswers
from holdfast.ports import Planner
from schemas.stages import Answer, AnswerRequest, NextMove, NextRequest, PlanProposal, PlanRequest


class RoutingPlanner:
    """A Planner over two others. `model` is None where no model is configured."""

    def __init__(
        self, *, model: Planner | None, runbook: Planner, when_away: Literal["runbook", "pause"] = "runbook"
    ) -> None:
        self._model = model
        self._runbook = runbook
        self._when_away = when_away

    async def plan(self, request: PlanRequest) -> PlanProposal:
        if self._model is None or request.mode == "runbook":
            return await self._runbook.plan(request)
        try:
            return await self._model.plan(request)
        except (NoModelAnswers, ModelUnreachable, ModelTimedOut) as away:
            may_be_back = request.patient and not isinstance(away, NoModelAnswers)
            if may_be_back or self._when_away == "pause":
                raise
            return _instead(await self._runbook.plan(request), away)

    async def next(self, request: NextRequest) -> NextMove:
        """A runbook cannot observe and decide. With no model at all its planner says so; with one that is away, the
        run waits."""
        if self._model is None:
            return await self._runbook.next(request)
        return await self._model.next(request)

    async def answer(self, request: AnswerRequest) -> Answer:
        """What was done is done: an answer from the template is better than a run that fails at its last sentence,
        for want of money or of a model. Only what passes by itself is waited for, and not for ever."""
        if self._model is None or request.plan.answer is not None:
            return await self._runbook.answer(request)
        try:
            return await self._model.answer(request)
        except HoldfastError as error:
            if request.patient and error.retryable and not isinstance(error, NoModelAnswers):
                raise
            return await self._runbook.answer(request)


def _instead(proposal: PlanProposal, away: HoldfastError) -> PlanProposal:
    """A goal that no runbook serves is not refused for an outage: the run waits for a model."""
    if proposal.plan is None and not proposal.missing:
        raise NoModelAnswers(
            f"{away.message} No runbook serves this goal either.",
            remedy="Resume the run when a model is back: `holdfast models ls` tells. Or write a runbook.",
        )
    note = f"{away.message} This plan comes from a runbook. {proposal.note}"
    return proposal.model_copy(update={"note": note.strip()})
