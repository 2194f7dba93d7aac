"""The observe-act loop: without a plan, from one move to the next, until there is an answer."""

from collections.abc import Awaitable, Callable

from temporalio import workflow
from temporalio.exceptions import ActivityError

from activities.think import ThinkActivities
from holdfast.plan.progress import Progress
from holdfast.plan.repetition import repeats
from holdfast.runtime.failures import cause_of
from schemas.plans import Plan, PlanSource, Step
from schemas.runs import RunInput, RunStatus
from schemas.stages import FastReport, NextMove, NextRequest, Recollection
from workflows import options
from workflows.accepting import said
from workflows.asking import asked
from workflows.executor import Executor, LimitHit
from workflows.gate import stop_if_cancelled
from workflows.stopping import RunStopped
from workflows.teller import Teller


class Moves:
    def __init__(
        self,
        *,
        start: RunInput,
        progress: Progress,
        teller: Teller,
        executor: Executor,
        needs_help: Callable[[str, str], Awaitable[None]],
        foresee: Callable[[FastReport], None],
    ) -> None:
        self._start = start
        self._progress = progress
        self._teller = teller
        self._executor = executor
        self._needs_help = needs_help
        self._foresee = foresee

    async def until_answered(self, recalled: Recollection) -> str:
        """The next move after each observation. Bounded by the run's limits."""
        plan = self._progress.plan or Plan(steps=(), source=PlanSource.REACT)
        for step in plan.steps:
            if not self._has_ended(step):  # an execution before this one was stopped in the middle of it
                await self._executor.take(step)
        while True:
            self._executor.turn()
            request = self._request(plan, recalled)
            move = await self._next(request)
            if move.answer is not None:
                return move.answer
            step = self._step_of(move, request, plan)
            plan = plan.model_copy(update={"steps": (*plan.steps, step)})
            self._progress.plan = plan
            await self._executor.take(step)

    def _step_of(self, move: NextMove, request: NextRequest, plan: Plan) -> Step:
        if move.step is None:
            raise RunStopped(RunStatus.FAILED, f"{move.by} gave neither a step nor an answer")
        step = move.step.model_copy(update={"id": request.name})
        if request.swayed if move.swayed is None else move.swayed:
            self._progress.swayed[step.id] = None
        if repeats(step, plan.steps):
            raise LimitHit(f"the agent repeats itself: {step.title or step.kind}")
        if move.judged is not None:
            self._foresee(move.judged)
        return step

    def _request(self, plan: Plan, recalled: Recollection) -> NextRequest:
        return NextRequest(
            scope=self._teller.scope,
            goal=self._start.goal,
            inputs=self._progress.inputs,
            agent=self._start.agent,
            catalogue_digest=self._start.catalogue.digest,
            recalled=recalled,
            steps=plan.steps,
            outcomes=self._progress.outcomes,
            instructions=tuple(self._progress.instructions),
            turn=len(plan.steps),
            runbook=self._start.runbook,
            labels=self._start.labels,
            bundle=self._start.bundle,
            swayed=self._progress.hears_outside(recalled),
            again=self._progress.set_back,
        )

    async def _next(self, request: NextRequest) -> NextMove:
        while True:
            try:
                move = await asked(_next_move, request, self._start.catalogue)
            except ActivityError as error:
                stop_if_cancelled()
                cause = cause_of(error)
                await self._needs_help(
                    cause.code, f"no next move could be made: {cause.message} {cause.remedy}".strip()
                )
                request = request.model_copy(update=said(self._progress))
            else:
                self._progress.spend_usd += move.spend_usd
                return move

    def _has_ended(self, step: Step) -> bool:
        outcome = self._progress.outcomes.get(step.id)
        return outcome is not None and outcome.state.ended


async def _next_move(request: NextRequest) -> NextMove:
    return await workflow.execute_activity_method(
        ThinkActivities.next_move, request, **options.think(f"move {request.turn + 1}")
    )
