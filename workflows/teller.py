"""What a workflow tells of itself: events, the row of the run, and what the Temporal Web UI shows."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from datetime import timedelta
from typing import Any, TypeVar

from temporalio import workflow
from temporalio.common import SearchAttributeUpdate
from temporalio.exceptions import FailureError

from activities.story import StoryActivities
from holdfast.errors import RunIsOver
from holdfast.plan import tales
from holdfast.plan.board import Doing, board
from holdfast.plan.moves import as_told
from holdfast.plan.progress import Progress
from holdfast.runtime.failures import cause_of
from schemas.base import JsonObject
from schemas.events import EventType, NewEvent
from schemas.plans import Plan, Step, StepState
from schemas.runs import RunInput, RunOutput, RunStatus, StepOutcome
from schemas.stages import BehindTheEnd, RecordRequest, RunPatch, RunScope
from workflows import options

Told = TypeVar("Told")


class Teller:
    """Tells each thing once. Status is told only when it changes."""

    def __init__(self, start: RunInput, progress: Progress) -> None:
        self.scope = RunScope(
            tenant=start.tenant, run_id=start.run_id, agent=start.agent.name, environment=start.environment
        )
        self._moving = start.mode == "react"
        self._progress = progress
        self._active: dict[str, Doing] = {}
        self._waiting: dict[str, str] = {}
        self._ends: dict[str, tuple[NewEvent, StepOutcome]] = {}
        self._to_draw = False
        self._proposed: Plan | None = None
        self._lives = 0
        self._taking_up = asyncio.Lock()
        self.status = start.state.status
        self._why = ""

    def event(self, kind: EventType, data: JsonObject | None = None, *, step: str | None = None) -> NewEvent:
        return tales.of_the_run(self._progress.next_key(kind.value, step), kind, data or {}, step=step)

    async def tell_begin(self, *events: NewEvent, patch: RunPatch) -> None:
        """A run that somebody resumes has told an end before."""
        await _record(RecordRequest(scope=self.scope, events=events, patch=patch, behind_the_end="told"))

    async def tell_end(self, *events: NewEvent, patch: RunPatch) -> None:
        """The first word stands, where the last task of the run was lost and is gone through again; not where somebody set
        the run back."""
        behind: BehindTheEnd = "refused" if self._progress.set_back else "dropped"
        request = RecordRequest(scope=self.scope, events=events, patch=patch, behind_the_end=behind)
        await self.alive(lambda: _record(request))

    async def tell(self, *events: NewEvent, patch: RunPatch | None = None) -> None:
        request = RecordRequest(scope=self.scope, events=events, patch=patch)
        await self.alive(lambda: _record(request))

    async def mention(self, event: NewEvent) -> None:
        """What is no reason to take a run up again that has told its end."""
        await _record(RecordRequest(scope=self.scope, events=(event,), behind_the_end="dropped"))

    async def alive(self, told: Callable[[], Awaitable[Told]]) -> Told:
        """Something that is told. This workflow may have been set back in Temporal to before the end that it told: then the
        run is taken up again before anything new follows that end."""
        life = self._lives
        try:
            return await told()
        except FailureError as error:
            if cause_of(error).code != RunIsOver.code:
                raise
        async with self._taking_up:
            if self._lives == life:  # else another step was first
                await self.taken_up_again()
        return await told()

    async def status_is(self, status: RunStatus, reason: str = "", events: Sequence[NewEvent] = ()) -> None:
        """The run has a new status: row, event, search attribute."""
        await self.alive(lambda: self._status(status, reason, *events))
        self.show()

    async def _status(
        self, status: RunStatus, reason: str, *events: NewEvent, behind: BehindTheEnd = "refused"
    ) -> None:
        self.status, self._why = status, reason
        self.index(options.STATUS.value_set(status.value))
        told = self.event(EventType.RUN_STATUS, {"status": status, "reason": reason})
        patch = RunPatch(status=status, reason=reason)
        await _record(
            RecordRequest(scope=self.scope, events=(*events, told), patch=patch, behind_the_end=behind)
        )

    async def taken_up_again(self) -> None:
        """Somebody has set this workflow back in Temporal, to before what its row says of it. It lives again."""
        self._lives += 1
        self._progress.life = workflow.info().run_id[:8]
        await self._status(RunStatus.RUNNING, "taken up again", behind="told")
        self.show()

    def is_over(self, output: RunOutput) -> None:
        """For the Web UI; the story has it."""
        self.status, self._why = output.status, output.reason
        self.index(options.STATUS.value_set(output.status.value), options.SPEND.value_set(output.spend_usd))
        self.show()

    def index(self, *changes: SearchAttributeUpdate[Any]) -> None:
        """Makes the run found by these; what stands already costs nothing."""
        known = workflow.info().typed_search_attributes
        new = [change for change in changes if known.get(change.key) != change.value]
        if new:
            workflow.upsert_search_attributes(new)

    async def waits_for_people(self, key: str, reason: str) -> None:
        """A step waits for a human: while any does, the run is `input_required`."""
        self._waiting[key] = reason
        if self.status is RunStatus.RUNNING:
            await self.status_is(RunStatus.INPUT_REQUIRED, reason)

    async def undoes(self) -> None:
        """Nobody is waited for any more, until an undoing needs people."""
        self._waiting.clear()
        if self.status is not RunStatus.RUNNING:
            await self.status_is(RunStatus.RUNNING, "undoing")

    async def stands_still(self, key: str, reason: str, *, told: bool) -> None:
        """The run waits for help, and for nothing else: what its steps asked people is asked again behind it."""
        self._waiting = {key: reason}
        if not told and self.status in (RunStatus.RUNNING, RunStatus.INPUT_REQUIRED):
            await self.status_is(RunStatus.INPUT_REQUIRED, reason)

    async def was_answered(self, key: str) -> None:
        self._waiting.pop(key, None)
        if not self._waiting and self.status is RunStatus.INPUT_REQUIRED:
            await self.status_is(RunStatus.RUNNING)

    async def started(self, step: Step, **more: str) -> None:
        """Told once for each attempt, also where continue-as-new takes the step up again."""
        key = f"{step.id}:started:{self._progress.generation}:{self._progress.attempts(step.id)}"
        data: JsonObject = {"title": step.title, "kind": step.kind, **more}
        if self._moving:
            data["move"] = as_told(step)
        await self.tell(NewEvent(key=key, type=EventType.STEP_STARTED, step_id=step.id, data=data))

    async def ended(self, step: Step, outcome: StepOutcome) -> StepOutcome:
        """Steps whose end no tool call tells are told here."""
        kind = {
            StepState.SUCCEEDED: EventType.STEP_SUCCEEDED,
            StepState.SKIPPED: EventType.STEP_SKIPPED,
            StepState.DENIED: EventType.STEP_DENIED,
        }.get(outcome.state, EventType.STEP_FAILED)
        data = {"outcome": outcome.model_dump(mode="json", exclude_defaults=True) | {"state": outcome.state}}
        if outcome.error:
            data["error"] = outcome.error.model_dump(mode="json")
        told = self.event(kind, data, step=step.id)
        self._ends[step.id] = told, outcome
        await self.tell(told)
        del self._ends[step.id]
        return outcome

    async def end_begun(self, step: Step) -> StepOutcome | None:
        """The end of a step that was being told as its time ran out. It stands: a step has one end."""
        if step.id not in self._ends:
            return None
        told, outcome = self._ends.pop(step.id)
        await self.tell(told)
        return outcome

    def proposes(self, plan: Plan) -> None:
        """For the Web UI: the plan that people are asked about. It is the run's only once they have approved it."""
        self._proposed = plan
        self.show()

    def doing(self, step: str, what: str) -> None:
        """For the Web UI: what a step is at, right now."""
        self._active[step] = Doing(what)
        self.show()

    def waiting(self, step: str, what: str) -> None:
        """As `doing`, where nothing goes on until somebody or something comes."""
        self._active[step] = Doing(what, waits=True)
        self.show()

    def done(self, *steps: str) -> None:
        for step in steps:
            self._active.pop(step, None)
        self.show()

    def show(self) -> None:
        """The board is drawn once for all that changes at this moment, because it goes through the whole plan; and in
        replay too, so that it is there after a worker's end, and for runs that are over."""
        if not self._to_draw:
            self._to_draw = True
            asyncio.get_running_loop().call_soon(self._draw)

    def _draw(self) -> None:
        self._to_draw = False
        workflow.set_current_details(
            board(
                self._progress.plan or self._proposed,
                self._progress.outcomes,
                self._active,
                self.status.value,
                self._why,
            )
        )


async def _record(request: RecordRequest) -> None:
    await workflow.execute_local_activity_method(
        StoryActivities.record,
        request,
        **options.local(", ".join(map(_in_short, request.events[:4])) or "record"),
    )


def _in_short(event: NewEvent) -> str:
    return f"{event.type.value} {event.step_id}" if event.step_id else event.type.value


def history_is_long() -> bool:
    return workflow.info().is_continue_as_new_suggested()


def seconds(value: float) -> timedelta:
    return timedelta(seconds=value)


def was_set_back() -> bool:
    """Whether somebody has reset this workflow in Temporal: it goes over what another execution has gone over."""
    info = workflow.info()
    return info.original_execution_run_id != info.run_id
