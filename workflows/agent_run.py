"""AgentRun: a goal becomes a plan, the plan becomes judged and recorded actions, and the actions become an answer.

This file is the story and the door for commands. What each part does stands beside it: `planning` (the plan),
`executor` (its graph), `steps` (each kind of step: `calls`, `waits`, `panel`, `delegation`), `performer` (actions through
the choke point), `desk` (humans), `stages` (recall, answer, learn), `teller` (the story told).
"""

import asyncio
from contextlib import suppress
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, TypeVar

from temporalio import workflow
from temporalio.exceptions import FailureError

with workflow.unsafe.imports_passed_through():
    from pydantic import JsonValue

    from activities.story import StoryActivities
    from holdfast.plan import tales
    from holdfast.plan.progress import Progress
    from holdfast.runtime.failures import RUN_FAILURES, cause_of
    from schemas.commands import (
        CancelCommand,
        CommandReport,
        Instruction,
        PauseCommand,
        PostedEvent,
        ResumeCommand,
    )
    from schemas.events import EventType, NewEvent
    from schemas.runs import RunInput, RunOutput, RunStatus
    from schemas.stages import (
        Recollection,
        RunPatch,
    )
    from workflows import options
    from workflows.calls import Calls
    from workflows.delegation import Delegation
    from workflows.desk import Desk
    from workflows.executor import Executor, LimitHit, RollOver
    from workflows.gate import Gate, until_cancelled
    from workflows.panel import Panels
    from workflows.parking import Parking
    from workflows.performer import Performer
    from workflows.plan_approval import PlanApproval
    from workflows.planning import Planning
    from workflows.stages import Stages
    from workflows.steps import Steps
    from workflows.stopping import RunStopped, compensate
    from workflows.teller import Teller, history_is_long
    from workflows.waits import Waits


_BROKEN: tuple[type[BaseException], ...] = (*RUN_FAILURES, FailureError, ExceptionGroup)
"""What a defect of ours raises. The run ends as failed and says so, instead of standing there as running."""


Last = TypeVar("Last")


@dataclass
class Ending:
    status: RunStatus
    answer: str = ""
    reason: str = ""


@workflow.defn
class AgentRun:
    @workflow.init
    def __init__(self, start: RunInput) -> None:
        self._start = start
        self._progress = Progress(start)
        self._teller = Teller(start, self._progress)
        self._gate = Gate(self._progress)
        self._desk = Desk(self._teller, requested_by=start.requested_by)
        parking = Parking()
        self._performer = Performer(
            teller=self._teller, desk=self._desk, gate=self._gate, progress=self._progress, parking=parking
        )
        self._delegation = Delegation(
            start=start, progress=self._progress, teller=self._teller, parking=parking
        )
        progress, teller, desk = self._progress, self._teller, self._desk
        self._steps = Steps(
            start=start,
            progress=progress,
            teller=teller,
            calls=Calls(
                start=start, progress=progress, teller=teller, performer=self._performer, parking=parking
            ),
            waits=Waits(start=start, progress=progress, teller=teller, desk=desk, parking=parking),
            panels=Panels(start=start, progress=progress, teller=teller, desk=desk, parking=parking),
            delegation=self._delegation,
        )
        self._executor = Executor(
            steps=self._steps, progress=self._progress, gate=self._gate, teller=self._teller, parking=parking
        )
        self._stages = Stages(start=start, progress=self._progress, teller=self._teller)
        self._planning = Planning(
            start=start,
            progress=self._progress,
            teller=self._teller,
            executor=self._executor,
            needs_help=self._needs_help,
            recall_after=self._stages.recall_after,
            foresee=self._performer.foresee,
            approve=PlanApproval(start=start, progress=progress, teller=teller, desk=desk).given,
        )
        self._recalled = Recollection()
        self._cancel: CancelCommand | None = None
        self._helpless = start.state.helpless
        self._ending = False
        self._resume: ResumeCommand | None = None

    @workflow.run
    async def run(self, start: RunInput) -> RunOutput:
        try:
            if start.parent is not None and workflow.info().continued_run_id is None:
                await self._open()
            ending = await self._lived(asyncio.create_task(self._live()))
        except RollOver:
            await _whatever_comes(asyncio.create_task(self._quiet()))
            if self._cancel is None:
                workflow.continue_as_new(start.model_copy(update=self._carried()))
            ending = Ending(RunStatus.CANCELLED, reason=self._cancel.reason)
        return await _whatever_comes(asyncio.create_task(self._wind_up(ending)))

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
                return await self._planning.observe_and_act(self._recalled)
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
        await self._planning.mend(command)
        await self._teller.was_answered(reason)

    def _why(self, failed: list[str]) -> str:
        outcomes = [(name, self._progress.outcomes[name]) for name in failed[:5]]
        return "; ".join(
            f"{name}: {outcome.error.message if outcome.error else ''}" for name, outcome in outcomes
        )

    # stages ----------------------------------------------------------------------------------------------------------

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
        if workflow.info().continued_run_id is not None:
            return
        if self._progress.deadline is None:
            self._progress.deadline = workflow.now() + timedelta(seconds=self._start.limits.wall_s)
        started = self._teller.event(EventType.RUN_STARTED, {"generation": self._progress.generation})
        await self._teller.tell(started, patch=RunPatch(status=RunStatus.RUNNING, reason=""))

    async def _quiet(self) -> None:
        await workflow.wait_condition(workflow.all_handlers_finished)

    # ending ----------------------------------------------------------------------------------------------------------

    async def _lived(self, life: asyncio.Task[Ending]) -> Ending:
        """How it ended: by itself, by its clock, or by somebody's word."""
        try:
            await workflow.wait_condition(
                lambda: life.done() or self._cancel is not None,
                timeout=self._time_left(),
                timeout_summary="the run's wall-clock limit",
            )
        except TimeoutError:
            await _stopped(life)
            return Ending(RunStatus.TIMED_OUT, reason=f"the run may take {self._progress.limits.wall_s:g} s")
        except asyncio.CancelledError:
            _heard()
            self._cancel = CancelCommand(reason="cancelled in Temporal")
        if self._cancel is not None and not life.done():
            await _stopped(life)
            return Ending(RunStatus.CANCELLED, reason=self._cancel.reason)
        try:
            return life.result()
        except RunStopped as stop:
            return Ending(stop.status, reason=stop.reason)
        except _BROKEN as error:
            workflow.logger.exception("run_broke")
            cause = cause_of(error)
            return Ending(RunStatus.FAILED, reason=f"{cause.code}: {cause.message}")

    def _time_left(self) -> timedelta:
        if self._progress.deadline is None:
            return timedelta(seconds=self._start.limits.wall_s)
        return max(self._progress.deadline - workflow.now(), timedelta(seconds=1))

    async def _wind_up(self, ending: Ending) -> RunOutput:
        """What is owed once nothing is under way any more. Nothing cuts it short but a forced cancel, and that only the
        undoing. What was accepted before is told before: no pause may be the last word on a run that has ended."""
        self._ending = True
        await self._quiet()
        await self._delegation.stop_all()
        if ending.status is RunStatus.CANCELLED:
            ending.reason = "; ".join(filter(None, [ending.reason, await self._undo()]))
        learned = await self._stages.learn(ending.status, ending.answer)
        return await self._close(ending, learned)

    async def _undo(self) -> str:
        """What could not be undone."""
        if self._forced():
            return ""
        undoing = asyncio.create_task(compensate(self._progress, self._start, self._performer, self._teller))
        await workflow.wait_condition(lambda: undoing.done() or self._forced())
        if not undoing.done():
            undoing.cancel()
            await until_cancelled(undoing)
            return "the undoing was stopped"
        try:
            left = undoing.result()
        except _BROKEN as error:
            workflow.logger.exception("undoing_broke")
            return f"the undoing broke: {cause_of(error).message}"
        return f"not undone: {', '.join(left)}" if left else ""

    def _forced(self) -> bool:
        return self._cancel is not None and self._cancel.mode == "force"

    async def _close(self, ending: Ending, events: list[NewEvent]) -> RunOutput:
        """The last word: told, searchable, and the workflow's result."""
        self._desk.close()
        await self._quiet()
        cites = self._progress.plan.cites if self._progress.plan else ()
        spend = round(self._progress.spend_usd, 6)
        if self._start.mode == "react" and self._progress.plan is not None:
            events.append(tales.plan_accepted(self._progress.next_key("plan"), self._progress.plan))
        if ending.answer:
            events.append(self._teller.event(EventType.RUN_ANSWER, {"answer": ending.answer}))
        events.append(
            self._teller.event(
                EventType.RUN_ENDED,
                {"status": ending.status, "reason": ending.reason, "steps": self._progress.steps_done},
            )
        )
        patch = RunPatch(
            status=ending.status, reason=ending.reason, answer=ending.answer, cites=cites, spend_usd=spend
        )
        await self._teller.tell(*events, patch=patch)
        self._teller.status = ending.status
        self._teller.index(options.STATUS.value_set(ending.status.value), options.SPEND.value_set(spend))
        self._teller.show()
        await self._tell_whoever_asked()
        await workflow.wait_condition(workflow.all_handlers_finished)
        return RunOutput(
            run_id=self._start.run_id,
            status=ending.status,
            answer=ending.answer,
            reason=ending.reason,
            cites=cites,
            steps_done=self._progress.steps_done,
            spend_usd=spend,
        )

    async def _tell_whoever_asked(self) -> None:
        """The row has it already: this only wakes a run whose own execution did not begin this one."""
        if self._progress.tell_end_to is not None:
            parent = workflow.get_external_workflow_handle(self._progress.tell_end_to)
            with suppress(FailureError):  # it has ended, or looks by itself
                await parent.signal("agent_ended", self._start.run_id)

    def _carried(self) -> dict[str, Any]:
        return {
            "state": self._progress.freeze().model_copy(
                update={"status": self._teller.status, "helpless": self._helpless}
            ),
            "inputs": self._progress.inputs,
            "limits": self._progress.limits,
        }

    # commands --------------------------------------------------------------------------------------------------------

    @workflow.update
    async def pause(self, command: PauseCommand) -> CommandReport:
        if not self._progress.paused:
            self._progress.paused = True
            await self._teller.status_is(RunStatus.PAUSED, command.reason)
        return CommandReport(status=self._teller.status)

    @pause.validator
    def _pausable(self, command: PauseCommand) -> None:  # noqa: ARG002 - Temporal wants it named so
        if self._ending:
            raise ValueError("The run is ending.")

    @workflow.update
    async def resume(self, command: ResumeCommand) -> CommandReport:
        if self._progress.paused:
            await self._teller.status_is(RunStatus.RUNNING)
            self._progress.paused = False  # only now: the ledger holds back what a paused run sends
        else:
            self._resume = command
        return CommandReport(status=self._teller.status)

    @resume.validator
    def _resumable(self, command: ResumeCommand) -> None:
        if self._ending or (not self._progress.paused and not self._helpless):
            raise ValueError(f"The run is {self._teller.status.value}, and waits for no resume.")
        if (
            command.step
            and self._progress.plan
            and not any(s.id == command.step for s in self._progress.plan.steps)
        ):
            raise ValueError(f"The plan has no step {command.step}.")

    @workflow.update
    async def cancel(self, command: CancelCommand) -> CommandReport:
        if self._cancel is None or command.mode == "force":
            self._cancel = command
        return CommandReport(status=self._teller.status, note="The run ends when its sandboxes are dead.")

    @workflow.signal
    def post_event(self, event: PostedEvent) -> None:
        if not self._progress.heard(event.id):
            self._progress.post(event.name, event.data)

    @workflow.signal
    def instruct(self, instruction: Instruction) -> None:
        if not self._progress.heard(instruction.id):
            self._progress.instructions.append(instruction.text)

    @workflow.signal
    async def approval_decided(self, approval_id: JsonValue = None) -> None:
        """Only a nudge: what was decided is read from the store. By hand anything may come, and must not end the run."""
        await self._desk.nudge(str(approval_id))

    @workflow.signal
    def thawed(self) -> None:
        self._gate.thaw()

    @workflow.signal
    def tell_end_to(self, parent: str) -> None:
        self._progress.tell_end_to = parent

    @workflow.signal
    def agent_ended(self, child: str) -> None:
        """Only a nudge, as above."""
        self._delegation.heard(child)


async def _whatever_comes(task: asyncio.Task[Last]) -> Last:
    """The task, to its end: a cancellation that comes when the run is ending anyway must not leave it untold."""
    while True:
        try:
            return await asyncio.shield(task)
        except asyncio.CancelledError:
            if task.done():
                raise
            _heard()


def _heard() -> None:
    """The run itself is not over: it has to undo, to learn and to tell its end."""
    task = asyncio.current_task()
    if task is not None:
        task.uncancel()


async def _stopped(life: asyncio.Task[Ending]) -> None:
    life.cancel()
    with suppress(RunStopped, RollOver):
        await until_cancelled(life)
