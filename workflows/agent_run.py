"""AgentRun: a goal becomes a plan, the plan becomes judged and recorded actions, and the actions become an answer.

This file is the story. What each part does stands beside it: `commands` (what may be said to the run), `planning` and
`accepting` (the plan), `moves` (without one), `executor` (its graph), `steps` (each kind of step: `calls`, `waits`, `panel`,
`delegation`), `performer` (actions through the choke point), `desk` (humans), `stages` (recall, answer, learn),
`winding_up` (the end), `teller` (the story told).
"""

import asyncio
import sys
from contextlib import suppress
from datetime import timedelta
from typing import Any, TypeVar

from temporalio import workflow

with workflow.unsafe.imports_passed_through():
    from activities.story import StoryActivities
    from holdfast.plan import tales
    from holdfast.runtime.failures import cause_of
    from schemas.commands import CancelCommand
    from schemas.events import EventType, NewEvent
    from schemas.plans import StepState
    from schemas.runs import RunInput, RunOutput, RunStatus, StepOutcome
    from schemas.stages import Recollection, RunPatch
    from workflows import options
    from workflows.commands import Commands
    from workflows.crew import Crew
    from workflows.executor import LimitHit, RollOver
    from workflows.gate import until_cancelled
    from workflows.stopping import RunStopped
    from workflows.teller import history_is_long, was_set_back
    from workflows.winding_up import BROKEN, Ending, WindingUp, all_is_heard


_OPEN = StepOutcome(state=StepState.PENDING)

Last = TypeVar("Last")


@workflow.defn
class AgentRun(Commands):
    @workflow.init
    def __init__(self, start: RunInput) -> None:
        crew = Crew(start, needs_help=self._needs_help)
        super().__init__(
            start=start,
            progress=crew.progress,
            teller=crew.teller,
            gate=crew.gate,
            desk=crew.desk,
            delegation=crew.delegation,
        )
        crew.progress.set_back |= was_set_back()
        self._start = start
        self._executor = crew.executor
        self._planning = crew.planning
        self._accepting = crew.accepting
        self._moves = crew.moves
        self._stages = crew.stages
        self._winding_up = WindingUp(
            start=start,
            progress=crew.progress,
            teller=crew.teller,
            desk=crew.desk,
            performer=crew.performer,
            delegation=crew.delegation,
            stages=crew.stages,
            forced=self._forced,
        )
        self._recalled = Recollection()

    @workflow.run
    async def run(self, start: RunInput) -> RunOutput:
        try:
            if start.parent is not None and workflow.info().continued_run_id is None:
                await self._open()
            ending = await self._lived(asyncio.create_task(self._live()))
        except RollOver:
            await _whatever_comes(asyncio.create_task(all_is_heard()))
            if self._cancel is None:
                workflow.continue_as_new(start.model_copy(update=self._carried()))
            ending = Ending(RunStatus.CANCELLED, reason=self._cancel.reason)
        self._ending = True
        return await _whatever_comes(asyncio.create_task(self._winding_up.of(ending)))

    async def _live(self) -> Ending:
        """The story of a run that nobody stops."""
        await self._begin()
        self._recalled = await self._stages.recall()
        if self._start.mode == "react":
            return Ending(RunStatus.SUCCEEDED, await self._observe_and_act())
        if self._progress.plan is None or not self._progress.accepted:
            await self._planning.settle(self._recalled)
        await self._carry_out()
        return Ending(RunStatus.SUCCEEDED, await self._stages.answer())

    async def _observe_and_act(self) -> str:
        while True:
            try:
                return await self._moves.until_answered(self._recalled)
            except LimitHit as limit:
                await self._needs_help("limit_reached", str(limit))

    async def _carry_out(self) -> None:
        """Until the plan is done, or what failed is mended, replaced or given up."""
        while True:
            try:
                if self._progress.plan is not None:
                    await self._executor.carry_out(self._progress.plan)
            except LimitHit as limit:
                await self._needs_help("limit_reached", str(limit))
                continue
            failed = self._progress.failures()
            if not failed:
                return
            if await self._planning.replanned(failed, self._recalled):
                continue
            await self._needs_help("step_failed", self._why(failed))

    async def _needs_help(self, reason: str, why: str) -> None:
        """The run cannot go on alone: it waits for a `resume`, or ends, as it was asked to."""
        if self._start.on_failure == "fail":
            raise RunStopped(RunStatus.FAILED, f"{reason}: {why}")
        known, self._helpless = self._helpless, True
        await self._teller.stands_still(reason, f"{reason}: {why}", told=known)
        await workflow.wait_condition(lambda: self._resume is not None or history_is_long())
        command, self._resume = self._resume, None
        if command is None:
            raise RollOver  # helpless still: whoever resumes it meanwhile is heard on the other side
        self._helpless = False
        await self._accepting.mend(command)
        await self._teller.was_answered(reason)

    def _why(self, failed: list[str]) -> str:
        outcomes = [(name, self._progress.outcomes[name]) for name in failed[:5]]
        return "; ".join(
            f"{name}: {outcome.error.message if outcome.error else ''}" for name, outcome in outcomes
        )

    # from its beginning to its end ------------------------------------------------------------------------------------

    async def _open(self) -> None:
        """The row of a run that another one began. It comes before anything that is told of it, also of its being stopped."""
        opening = asyncio.create_task(
            workflow.execute_local_activity_method(
                StoryActivities.open_child, self._start, **options.local("a run of its own")
            )
        )
        try:
            await asyncio.shield(opening)
        except asyncio.CancelledError:
            _heard()
            self._cancel = CancelCommand(reason="cancelled in Temporal")
            await _whatever_comes(opening)

    async def _begin(self) -> None:
        self._teller.index(
            *(pair.key.value_set(pair.value) for pair in options.search_attributes(self._start))
        )
        if workflow.info().continued_run_id is None:
            if self._progress.deadline is None:
                self._progress.deadline = workflow.now() + timedelta(seconds=self._start.limits.wall_s)
            started = self._teller.event(EventType.RUN_STARTED, {"generation": self._progress.generation})
            patch = RunPatch(status=RunStatus.RUNNING, reason="")
            await self._teller.tell_begin(started, *self._changed(), patch=patch)
        self._begun = True

    def _changed(self) -> list[NewEvent]:
        """What whoever resumed it changed before it began, so that a fork, or the next resumption, knows it too."""
        changed, plan = self._start.state.changed, self._progress.plan
        if not changed or plan is None or not self._progress.accepted:
            return []
        skipped = [n for n in changed if self._progress.outcomes.get(n, _OPEN).state is StepState.SKIPPED]
        return [
            tales.plan_accepted(self._progress.next_key("plan"), plan),
            *(self._teller.event(EventType.STEP_SKIPPED, {}, step=name) for name in skipped),
        ]

    async def _lived(self, life: asyncio.Task[Ending]) -> Ending:
        """How it ended: by itself, by its clock, or by somebody's word."""
        try:
            while not life.done() and self._cancel is None:
                if self._time_left() <= timedelta(0):
                    await self._stopped(life)
                    why = f"the run may take {self._progress.limits.wall_s:g} s"
                    return Ending(RunStatus.TIMED_OUT, reason=why)
                await self._until_over(life)
        except asyncio.CancelledError:
            _heard()
            await _as_late_as_in_3_11()
            self._cancel = CancelCommand(reason="cancelled in Temporal")
        if self._cancel is not None and not life.done():
            await self._stopped(life)
            return Ending(RunStatus.CANCELLED, reason=self._cancel.reason)
        try:
            return life.result()
        except RunStopped as stop:
            return Ending(stop.status, reason=stop.reason)
        except BROKEN as error:
            workflow.logger.exception("run_broke")
            cause = cause_of(error)
            return Ending(RunStatus.FAILED, reason=f"{cause.code}: {cause.message}")

    async def _until_over(self, life: asyncio.Task[Ending]) -> None:
        """Or its time is up, as it was granted until now."""
        with suppress(TimeoutError):
            await workflow.wait_condition(
                lambda: life.done() or self._cancel is not None,
                timeout=self._time_left(),
                timeout_summary="the run's wall-clock limit",
            )

    async def _stopped(self, life: asyncio.Task[Ending]) -> None:
        """Not before it has begun: no story ends without its beginning."""
        await workflow.wait_condition(lambda: self._begun or life.done())
        life.cancel()
        with suppress(RunStopped, RollOver):
            await until_cancelled(life)

    def _time_left(self) -> timedelta:
        if self._progress.deadline is None:
            return timedelta(seconds=self._start.limits.wall_s)
        return self._progress.deadline - workflow.now()

    def _carried(self) -> dict[str, Any]:
        state = {"status": self._teller.status, "helpless": self._helpless, "resume": self._resume}
        return {
            "state": self._progress.freeze().model_copy(update=state),
            "inputs": self._progress.inputs,
            "limits": self._progress.limits,
        }


async def _whatever_comes(task: asyncio.Task[Last]) -> Last:
    """The task, to its end: a cancellation that comes when the run is ending anyway must not leave it untold."""
    while True:
        try:
            return await asyncio.shield(task)
        except asyncio.CancelledError:
            if task.done():
                raise
            _heard()


async def _as_late_as_in_3_11() -> None:
    """There `wait_for` tells of a cancellation two turns later. A run whose last result came along with it is over by then:
    one history has one course, whichever Python replays it."""
    if sys.version_info >= (3, 12):
        for _ in range(2):
            await asyncio.sleep(0)  # noqa: TID251 - a turn of the loop, no time


def _heard() -> None:
    """The run itself is not over: it has to undo, to learn and to tell its end."""
    task = asyncio.current_task()
    if task is not None:
        task.uncancel()
