"""What a workflow tells of itself: events, the row of the run, and what the Temporal Web UI shows."""

import asyncio
from collections.abc import Sequence
from datetime import timedelta
from typing import Any

from temporalio import workflow
from temporalio.common import SearchAttributeUpdate

from activities.story import StoryActivities
from holdfast.plan import tales
from holdfast.plan.board import board
from holdfast.plan.moves import as_told
from holdfast.plan.progress import Progress
from schemas.base import JsonObject
from schemas.events import EventType, NewEvent
from schemas.plans import Step, StepState
from schemas.runs import RunInput, RunStatus, StepOutcome
from schemas.stages import RecordRequest, RunPatch, RunScope
from workflows import options


class Teller:
    """Tells each thing once. Status is told only when it changes."""

    def __init__(self, start: RunInput, progress: Progress) -> None:
        self.scope = RunScope(
            tenant=start.tenant, run_id=start.run_id, agent=start.agent.name, environment=start.environment
        )
        self._moving = start.mode == "react"
        self._progress = progress
        self._active: dict[str, str] = {}
        self._waiting: dict[str, str] = {}
        self._to_draw = False
        self.status = start.state.status

    def event(self, kind: EventType, data: JsonObject | None = None, *, step: str | None = None) -> NewEvent:
        return tales.of_the_run(self._progress.next_key(kind.value, step), kind, data or {}, step=step)

    async def tell(self, *events: NewEvent, patch: RunPatch | None = None) -> None:
        await workflow.execute_local_activity_method(
            StoryActivities.record,
            RecordRequest(scope=self.scope, events=tuple(events), patch=patch),
            **options.local(", ".join(event.type.value for event in events[:4]) or "record"),
        )

    async def status_is(self, status: RunStatus, reason: str = "", events: Sequence[NewEvent] = ()) -> None:
        """The run has a new status: row, event, search attribute."""
        self.status = status
        self.index(options.STATUS.value_set(status.value))
        told = self.event(EventType.RUN_STATUS, {"status": status, "reason": reason})
        await self.tell(*events, told, patch=RunPatch(status=status, reason=reason))
        self.show()

    async def taken_up_again(self) -> None:
        """Somebody has set this workflow back in Temporal, to before what its row says of it. It lives again."""
        self._progress.life = workflow.info().run_id[:8]
        await self.status_is(RunStatus.RUNNING, "taken up again")

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
        await self.tell(self.event(kind, data, step=step.id))
        return outcome

    def doing(self, step: str, what: str) -> None:
        """For the Web UI: what a step is at, right now."""
        self._active[step] = what
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
            board(self._progress.plan, self._progress.outcomes, self._active, self.status.value)
        )


def history_is_long() -> bool:
    return workflow.info().is_continue_as_new_suggested()


def seconds(value: float) -> timedelta:
    return timedelta(seconds=value)


def was_set_back() -> bool:
    """Whether somebody has reset this workflow in Temporal: it goes over what another execution has gone over."""
    info = workflow.info()
    return info.original_execution_run_id != info.run_id
