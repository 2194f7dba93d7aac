"""Carries out a plan: whatever may start is started, and what ends opens the way for what stands behind it."""

import asyncio
from contextlib import suppress

from temporalio import workflow

from holdfast.plan.graph import Frontier, passes
from holdfast.plan.progress import Progress
from schemas.events import EventType
from schemas.plans import Plan, Step, StepState
from schemas.runs import StepOutcome
from schemas.tools import ToolError
from workflows import options
from workflows.gate import Gate
from workflows.parking import Parking
from workflows.steps import Steps, history_is_long
from workflows.teller import Teller


class RollOver(Exception):
    """History has grown enough: go on in a new execution, from a compact state."""


class LimitHit(Exception):
    """A limit of the run is reached."""


class Executor:
    def __init__(
        self, *, steps: Steps, progress: Progress, gate: Gate, teller: Teller, parking: Parking
    ) -> None:
        self._steps = steps
        self._parking = parking
        self._progress = progress
        self._gate = gate
        self._teller = teller
        self._running: dict[str, asyncio.Task[StepOutcome]] = {}

    async def carry_out(self, plan: Plan) -> None:
        """Until nothing of the plan can go on. Raises RollOver, with nothing lost, where history is long."""
        frontier = Frontier(plan, self._progress.states())
        known = {step.id: step for step in plan.steps}
        try:
            while await self._start(frontier) or self._running:
                await workflow.wait_condition(self._something_to_do)
                for name in [name for name, task in self._running.items() if task.done()]:
                    await self._ended(known[name], self._running.pop(name).result(), frontier)
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
        await self._gate.passed()
        outcome = await self._steps.do(step)
        self._progress.outcomes[step.id] = outcome
        self._progress.steps_done += 1
        return outcome

    async def _start(self, frontier: Frontier) -> bool:
        await self._gate.passed()
        started = False
        while not history_is_long() and len(self._running) < options.FAN_OUT:
            step = frontier.pop()
            if step is None:
                break
            self._within_limits()
            self._running[step.id] = asyncio.create_task(self._steps.do(step))
            started = True
        if not started and not self._running and history_is_long() and frontier.more():
            raise RollOver
        return started

    def _roll_over_if_due(self) -> None:
        if history_is_long() and self._only_parked():
            raise RollOver

    def _something_to_do(self) -> bool:
        return any(task.done() for task in self._running.values()) or (
            history_is_long() and self._only_parked()
        )

    def _only_parked(self) -> bool:
        return all(name in self._parking and not task.done() for name, task in self._running.items())

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
        limits = self._progress.limits
        if self._progress.steps_done + len(self._running) >= limits.steps:
            raise LimitHit(f"the run may take {limits.steps} steps, and has")
        if limits.tool_s is not None and self._progress.tool_s >= limits.tool_s:
            raise LimitHit(f"the run may use {limits.tool_s:g} s of tool time, and has")
        if limits.spend_usd is not None and self._progress.spend_usd >= limits.spend_usd > 0:
            raise LimitHit(f"the run may spend {limits.spend_usd:g} USD on models, and has")

    async def _stop(self) -> None:
        """Nothing of this plan stays under way; a cancelled tool call has ended when this returns."""
        for task in self._running.values():
            task.cancel()
        for task in self._running.values():
            with suppress(asyncio.CancelledError):
                await task
        self._running.clear()
