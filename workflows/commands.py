"""The door of a run: what may be said to it while it is under way, by update where an answer is owed, else by signal."""

from pydantic import JsonValue
from temporalio import workflow

from holdfast.plan.progress import Progress
from schemas.base import RunId
from schemas.commands import (
    CancelCommand,
    CommandReport,
    Instruction,
    PauseCommand,
    PostedEvent,
    ResumeCommand,
    Unread,
)
from schemas.runs import RunInput, RunStatus
from workflows import options
from workflows.delegation import Delegation
from workflows.desk import Desk
from workflows.gate import Gate
from workflows.teller import Teller


class Commands:
    """Handlers that a workflow inherits. They note what was said, and tell of it; the story acts on it."""

    def __init__(
        self,
        *,
        start: RunInput,
        progress: Progress,
        teller: Teller,
        gate: Gate,
        desk: Desk,
        delegation: Delegation,
    ) -> None:
        self._progress = progress
        self._teller = teller
        self._gate = gate
        self._desk = desk
        self._delegation = delegation
        self._cancel: CancelCommand | None = None
        self._resume = start.state.resume
        self._helpless = start.state.helpless
        self._begun = False
        self._ending = False

    @workflow.update
    async def pause(self, command: PauseCommand) -> CommandReport:
        await self._kept()
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
        await self._kept()
        if self._progress.paused:
            await self._teller.status_is(RunStatus.RUNNING)
            self._progress.paused = False  # only now: the ledger holds back what a paused run sends
        elif self._helpless:
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
        await self._kept()
        if self._cancel is None or command.mode == "force":
            self._cancel = command
        return CommandReport(status=self._teller.status, note="The run ends when its sandboxes are dead.")

    async def _kept(self) -> None:
        """Temporal keeps an update only with the end of the task that heard it. Behind a timer is another task: nothing is
        told of a command, or follows from it, that this workflow might not know of any more. Nor before the run has begun."""
        await workflow.sleep(options.MOMENT, summary="the command is kept")
        await workflow.wait_condition(lambda: self._begun)

    @workflow.signal
    def post_event(self, event: PostedEvent) -> None:
        if not self._progress.heard(event.id):
            self._progress.post(event.name, event.data)

    @workflow.signal
    def instruct(self, instruction: Instruction) -> None:
        if not self._progress.heard(instruction.id):
            self._progress.instructions.append(instruction.text)

    @workflow.signal
    async def approval_decided(self, approval_id: JsonValue | Unread = None) -> None:
        """Only a nudge: what was decided is read from the store. By hand anything may come, and must not end the run."""
        await self._desk.nudge(str(approval_id))

    @workflow.signal
    def thawed(self) -> None:
        self._gate.thaw()

    @workflow.signal
    def tell_end_to(self, parent: RunId) -> None:
        self._progress.tell_end_to = parent

    @workflow.signal
    def agent_ended(self, child: RunId) -> None:
        """Only a nudge, as above."""
        self._delegation.heard(child)

    def _forced(self) -> bool:
        return self._cancel is not None and self._cancel.mode == "force"
