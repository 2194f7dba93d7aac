"""The verdict on a model's move, given where the model is asked: a move then costs no turn of its run in between.

Nothing goes out by it: the run compares the action with its own, and acts on the verdict or asks again.
"""

import structlog

from activities.fast_lane import FastLane
from holdfast.errors import HoldfastError
from holdfast.plan.progress import Progress
from holdfast.plan.references import ReferenceProblem
from holdfast.plan.repetition import repeats
from holdfast.plan.requests import first_question_of, is_one_call
from holdfast.ports import Guardian, Ledger, ToolHost
from schemas.plans import Step, ToolStep
from schemas.runs import RunInput, RunState
from schemas.stages import FastReport, JudgeRequest, NextMove, NextRequest

log = structlog.get_logger()


class Moves:
    """Judges moves. What is not plainly one call is left to the run, and so is everything while rules or ledger are away:
    the model's answer is paid for."""

    def __init__(self, *, guardian: Guardian, ledger: Ledger, fast_tools: ToolHost) -> None:
        self._guardian = guardian
        self._ledger = ledger
        self._fast = FastLane(guardian=guardian, tools=fast_tools)

    async def judged(self, move: NextMove, request: NextRequest) -> NextMove:
        """Safe to repeat: the first verdict on a digest stands, and another attempt's other move has another digest."""
        if move.swayed is not None:
            request = request.model_copy(update={"swayed": move.swayed})
        question = _question(move.step, request)
        if question is None:
            return move
        try:
            report = await self._report(question)
        except HoldfastError as error:
            log.warning("move_not_judged", error=str(error), step=request.name)
            return move
        return move.model_copy(update={"judged": report})

    async def _report(self, question: JudgeRequest) -> FastReport | None:
        if not question.tool.fast:
            record, result = await self._guardian.judge(question), None
        else:
            record, result = await self._fast.tried(question)
        if result is None:
            verdict = await self._ledger.give_verdict_under_way(question, record)
            return FastReport(verdict=verdict) if verdict else None
        told = await self._ledger.perform_under_way(question, record, result)
        return FastReport(verdict=record.verdict, result=result) if told else None


def _question(step: Step | None, request: NextRequest) -> JudgeRequest | None:
    if not isinstance(step, ToolStep) or not is_one_call(step) or repeats(step, request.steps):
        return None
    start = _start_of(request)
    try:
        return first_question_of(step.model_copy(update={"id": request.name}), start, Progress(start))
    except ReferenceProblem:
        return None


def _start_of(request: NextRequest) -> RunInput:
    """The run, as far as its actions depend on it."""
    scope = request.scope
    return RunInput(
        run_id=scope.run_id,
        tenant=scope.tenant,
        goal=request.goal,
        agent=request.agent,
        environment=scope.environment,
        mode="react",
        inputs=request.inputs,
        runbook=request.runbook,
        labels=request.labels,
        bundle=request.bundle,
        catalogue=request.catalogue,
        state=RunState(outcomes=request.outcomes, swayed=(request.name,) if request.swayed else ()),
    )
