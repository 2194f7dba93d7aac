"""How each kind of step is done. Every one ends in an outcome; only cancellation leaves by exception."""

import asyncio
from collections.abc import Sequence
from contextlib import suppress
from typing import Any

from temporalio import workflow
from temporalio.exceptions import FailureError, is_cancelled_exception

from holdfast.plan.conditions import ConditionProblem, holds
from holdfast.plan.progress import Progress
from holdfast.plan.references import ReferenceProblem, resolve
from schemas.plans import AgentStep, ApprovalStep, PanelStep, Step, StepState, ToolStep, WaitStep
from schemas.runs import RunInput, StepOutcome
from schemas.tools import ToolError
from workflows.calls import Calls
from workflows.delegation import Delegation
from workflows.desk import Desk
from workflows.gate import stop_if_cancelled
from workflows.panel import Panels
from workflows.teller import Teller, seconds
from workflows.waits import Waits

_MOMENT_S = 0.001


class Steps:
    """Does steps, of every kind."""

    def __init__(
        self,
        *,
        start: RunInput,
        progress: Progress,
        teller: Teller,
        calls: Calls,
        waits: Waits,
        panels: Panels,
        delegation: Delegation,
        desk: Desk,
    ) -> None:
        self._start = start
        self._progress = progress
        self._teller = teller
        self._calls = calls
        self._waits = waits
        self._panels = panels
        self._delegation = delegation
        self._desk = desk
        self.joins = calls.joins

    async def do(self, row: Sequence[Step]) -> list[StepOutcome]:
        """The steps of the row, whole, until one does not succeed; of one at least there is an outcome."""
        first = row[0]
        label = first.title if len(row) == 1 else f"{first.id} … {row[-1].id}"
        with workflow.create_event_group(first.id, label=label or None).scope():
            outcomes = await self._row(row)
        self._teller.done(*(step.id for step in row))
        return outcomes

    async def _row(self, row: Sequence[Step]) -> list[StepOutcome]:
        if len(row) > 1:
            with suppress(
                ReferenceProblem
            ):  # then each alone: the one that is meant says what is wrong with it
                return await self._calls.row(row)
        return [await self._alone(row[0])]

    async def _alone(self, step: Step) -> StepOutcome:
        outcome = await self._in_its_time(step)
        self._progress.clocks_off(step.id)
        return outcome

    async def _in_its_time(self, step: Step) -> StepOutcome:
        """The step: its condition, its kind, its deadline."""
        try:
            if step.when is not None and not holds(step.when, self._scope()):
                skipped = StepOutcome(state=StepState.SKIPPED, summary=f"not: {step.when}")
                return await self._teller.ended(step, skipped)
            if step.timeout_s is None:
                return await self._kind(step)
            return await asyncio.wait_for(self._kind(step), self._time_left(step.id, step.timeout_s))
        except (ReferenceProblem, ConditionProblem) as problem:
            error = ToolError(code="bad_reference", message=str(problem))
        except TimeoutError:
            return await self._out_of_time(step)
        except FailureError as failure:
            if step.timeout_s is None or not is_cancelled_exception(failure):
                raise
            stop_if_cancelled()
            return await self._out_of_time(step)  # in the middle of a local activity, which says so itself
        return await self._failed(step, error)

    async def _out_of_time(self, step: Step) -> StepOutcome:
        if (outcome := await self._teller.end_begun(step)) is not None:
            return outcome
        await self._desk.withdraw(step.id)
        error = ToolError(code="step_timeout", message=f"The step took longer than {step.timeout_s:g} s.")
        return await self._failed(step, error)

    async def _failed(self, step: Step, error: ToolError) -> StepOutcome:
        attempts = self._progress.attempts(step.id) + (step.kind == "agent")
        failed = StepOutcome(state=StepState.FAILED, error=error, attempts=attempts)
        return await self._teller.ended(step, failed)

    def _time_left(self, step: str, timeout_s: float) -> float:
        """Counted from its start, whatever new execution the run goes on in. What is out of time begins all the same, so
        that it ends what it finds under way."""
        until = self._progress.deadlines.setdefault(step, workflow.now() + seconds(timeout_s))
        return max((until - workflow.now()).total_seconds(), _MOMENT_S)

    async def _kind(self, step: Step) -> StepOutcome:
        match step:
            case ToolStep():
                return await self._calls.do(step)
            case AgentStep():
                return await self._agent(step)
            case ApprovalStep():
                return await self._waits.for_people(step)
            case WaitStep():
                return await self._waits.for_time_or_event(step)
            case PanelStep():
                await self._teller.started(step)
                return await self._teller.ended(step, await self._panels.ask(step))

    async def _agent(self, step: AgentStep) -> StepOutcome:
        goal = str(resolve(step.goal, self._scope()))
        self._teller.doing(step.id, f"agent {step.agent}: {goal}")
        inputs = resolve(step.inputs, self._scope())
        await self._teller.started(step, run_id=self._delegation.child_of(step))
        return await self._teller.ended(step, await self._delegation.hand_over(step, goal, inputs))

    def _scope(self) -> dict[str, Any]:
        return self._progress.scope(self._start.run_id)
