"""Carries out a plan: whatever may start is started, and what ends opens the way for what stands behind it."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass

from temporalio import workflow

from holdfast.plan.graph import Frontier, passes
from holdfast.plan.progress import Progress
from schemas.events import EventType
from schemas.plans import Plan, Step, StepState
from schemas.runs import StepOutcome
from schemas.tools import ToolError
from workflows import options
from workflows.gate import Gate, until_cancelled
from workflows.parking import Parking
from workflows.steps import Steps
from workflows.teller import Teller, history_is_long


class RollOver(Exception):
    """History has grown enough: go on in a new execution, from a compact state."""


class LimitHit(Exception):
    """A limit of the run is reached."""


@dataclass(eq=False)
class _Row:
    """Steps under way, one behind the other. The outcomes are those of the first of them, at least of one."""

    steps: Sequence[Step]
    task: asyncio.Task[list[StepOutcome]]

    def parked(self, parking: Parking) -> bool:
        return any(step.id in parking for step in self.steps)


class Executor:
    def __init__(
        self, *, steps: Steps, progress: Progress, gate: Gate, teller: Teller, parking: Parking
    ) -> None:
        self._steps = steps
        self._parking = parking
        self._progress = progress
        self._gate = gate
        self._teller = teller
        self._under_way: list[_Row] = []

    async def carry_out(self, plan: Plan) -> None:
        """Until nothing of the plan can go on. Raises RollOver, with nothing lost, where history is long."""
        frontier = Frontier(plan, self._progress.states())
        try:
            while await self._start(frontier) or self._under_way:
                await workflow.wait_condition(self._something_to_do)
                for row in [row for row in self._under_way if row.task.done()]:
                    self._under_way.remove(row)
                    for step, outcome in zip(row.steps, row.task.result(), strict=False):
                        await self._ended(step, outcome, frontier)
                self._roll_over_if_due()
        except GeneratorExit:
            raise  # the worker forgets this run, to replay it later: there is nobody left to wait
        except BaseException:
            await self._stop()
            raise

    def turn(self) -> None:
        """Before the next move: whether one may be made, and here. Raises LimitHit or RollOver."""
        self._within_limits()
        if history_is_long():
            raise RollOver

    async def take(self, step: Step) -> StepOutcome:
        """One step alone, for the observe-act loop."""
        await self._gate.passed(unless=self._something_to_do)
        if self._progress.paused:
            self._roll_over_if_due()
        row = _Row([step], asyncio.create_task(self._steps.do([step])))
        self._under_way.append(row)
        try:
            await workflow.wait_condition(self._something_to_do)
            self._roll_over_if_due()
            [outcome] = row.task.result()
            self._under_way.remove(row)
        except GeneratorExit:
            raise  # as above
        except BaseException:
            await self._stop()
            raise
        self._progress.outcomes[step.id] = outcome
        self._progress.steps_done += 1
        return outcome

    async def _start(self, frontier: Frontier) -> bool:
        await self._gate.passed(unless=self._something_to_do)
        if self._progress.paused:
            return True  # what has ended meanwhile is heard, and a long pause is cut as any other wait
        started = False
        while not history_is_long() and len(self._under_way) < options.FAN_OUT and frontier.more():
            if self._limit_reached() and not self._only_waits():
                break  # what is under way comes to its own end first
            longest = self._longest_row()
            step = frontier.pop()
            if step is None:
                break
            row = frontier.row(step, longest, self._steps.joins)
            self._under_way.append(_Row(row, asyncio.create_task(self._steps.do(row))))
            started = True
        if not started and not self._under_way and history_is_long() and frontier.more():
            raise RollOver
        return started

    def _longest_row(self) -> int:
        """How many steps may go out behind one another without the run looking at its limits in between."""
        self._within_limits()
        limits = self._progress.limits
        left = limits.steps - self._progress.steps_done - self._steps_under_way()
        return 1 if limits.tool_s is not None else min(left, options.ROW)

    def _steps_under_way(self) -> int:
        return sum(len(row.steps) for row in self._under_way)

    def _roll_over_if_due(self) -> None:
        if history_is_long() and self._only_parked():
            self._parking.leaving = True
            raise RollOver

    def _something_to_do(self) -> bool:
        return any(row.task.done() for row in self._under_way) or (history_is_long() and self._only_parked())

    def _only_parked(self) -> bool:
        return all(row.parked(self._parking) and not row.task.done() for row in self._under_way)

    def _only_waits(self) -> bool:
        """For people, a time or an event, and not for an agent at work: what is cut short is asked and waited for again."""
        return self._only_parked() and not any(
            step.kind == "agent" for row in self._under_way for step in row.steps
        )

    async def _ended(self, step: Step, outcome: StepOutcome, frontier: Frontier) -> None:
        self._progress.outcomes[step.id] = outcome
        self._progress.steps_done += 1
        lost = frontier.end(step.id, outcome.state)
        if not passes(step, outcome.state):
            await self._give_up(lost, step.id)
        self._teller.show()

    async def _give_up(self, names: list[str], because: str) -> None:
        error = ToolError(code="needed_step_failed", message=f"It needs {because}, which did not succeed.")
        events = []
        for name in names:
            outcome = StepOutcome(
                state=StepState.CANCELLED, error=error, attempts=self._progress.attempts(name)
            )
            self._progress.outcomes[name] = outcome
            events.append(
                self._teller.event(
                    EventType.STEP_CANCELLED, {"error": error.model_dump(mode="json")}, step=name
                )
            )
        for start in range(0, len(events), 200):
            await self._teller.tell(*events[start : start + 200])

    def _within_limits(self) -> None:
        if reached := self._limit_reached():
            raise LimitHit(reached)

    def _limit_reached(self) -> str:
        limits = self._progress.limits
        if self._progress.steps_done + self._steps_under_way() >= limits.steps:
            return f"the run may take {limits.steps} steps, and has"
        if limits.tool_s is not None and self._progress.tool_s >= limits.tool_s:
            return f"the run may use {limits.tool_s:g} s of tool time, and has"
        if limits.spend_usd is not None and self._progress.spend_usd >= limits.spend_usd > 0:
            return f"the run may spend {limits.spend_usd:g} USD on models, and has"
        return ""

    async def _stop(self) -> None:
        """Nothing of this plan stays under way; a cancelled tool call has ended when this returns."""
        for row in self._under_way:
            row.task.cancel()
        for row in self._under_way:
            await until_cancelled(row.task)
        self._under_way.clear()
