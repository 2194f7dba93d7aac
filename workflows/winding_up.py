"""The end of a run: whoever works for it is stopped, what was done is undone, it learns, and says its last word."""

import asyncio
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, replace

from temporalio import workflow
from temporalio.exceptions import FailureError

from holdfast.plan import tales
from holdfast.plan.progress import Progress
from holdfast.runtime.failures import RUN_FAILURES, cause_of
from schemas.events import EventType, NewEvent
from schemas.runs import RunInput, RunOutput, RunStatus
from schemas.stages import RunPatch
from workflows.delegation import Delegation
from workflows.desk import Desk
from workflows.gate import until_cancelled
from workflows.performer import Performer
from workflows.stages import Stages
from workflows.stopping import compensate
from workflows.teller import Teller

BROKEN: tuple[type[BaseException], ...] = (*RUN_FAILURES, FailureError, ExceptionGroup)
"""What a defect of ours raises. The run ends as failed and says so, instead of standing there as running."""


@dataclass(frozen=True)
class Ending:
    status: RunStatus
    answer: str = ""
    reason: str = ""


class WindingUp:
    def __init__(
        self,
        *,
        start: RunInput,
        progress: Progress,
        teller: Teller,
        desk: Desk,
        performer: Performer,
        delegation: Delegation,
        stages: Stages,
        forced: Callable[[], bool],
    ) -> None:
        self._start = start
        self._progress = progress
        self._teller = teller
        self._desk = desk
        self._performer = performer
        self._delegation = delegation
        self._stages = stages
        self._forced = forced

    async def of(self, ending: Ending) -> RunOutput:
        """What is owed once nothing is under way any more. Nothing cuts it short but a forced cancel, and that only the
        undoing. What was accepted before is told before: no pause may be the last word on a run that has ended."""
        await all_is_heard()
        await self._delegation.stop_all()
        if ending.status is RunStatus.CANCELLED:
            ending = replace(ending, reason="; ".join(filter(None, [ending.reason, await self._undo()])))
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
        except BROKEN as error:
            workflow.logger.exception("undoing_broke")
            return f"the undoing broke: {cause_of(error).message}"
        return f"not undone: {', '.join(left)}" if left else ""

    async def _close(self, ending: Ending, learned: list[NewEvent]) -> RunOutput:
        """The last word: told, searchable, and the workflow's result."""
        self._desk.close()
        await all_is_heard()
        output = self._output(ending)
        patch = RunPatch(
            status=output.status,
            reason=output.reason,
            answer=output.answer,
            cites=output.cites,
            spend_usd=output.spend_usd,
        )
        await self._teller.tell_end(*learned, *self._last_words(output), patch=patch)
        self._teller.is_over(output)
        await self._tell_whoever_asked()
        await all_is_heard()
        return output

    def _output(self, ending: Ending) -> RunOutput:
        return RunOutput(
            run_id=self._start.run_id,
            status=ending.status,
            answer=ending.answer,
            reason=ending.reason,
            cites=self._progress.plan.cites if self._progress.plan else (),
            steps_done=self._progress.steps_done,
            tool_s=self._progress.tool_s,
            spend_usd=round(self._progress.spend_usd, 6),
        )

    def _last_words(self, output: RunOutput) -> list[NewEvent]:
        words = []
        if self._start.mode == "react" and self._progress.plan is not None:
            words.append(tales.plan_accepted(self._progress.next_key("plan"), self._progress.plan))
        if output.answer:
            words.append(self._teller.event(EventType.RUN_ANSWER, {"answer": output.answer}))
        data = {"status": output.status, "reason": output.reason, "steps": output.steps_done}
        return [*words, self._teller.event(EventType.RUN_ENDED, data)]

    async def _tell_whoever_asked(self) -> None:
        """The row has it already: this only wakes a run whose own execution did not begin this one."""
        if self._progress.tell_end_to is not None:
            parent = workflow.get_external_workflow_handle(self._progress.tell_end_to)
            with suppress(FailureError):  # it has ended, or looks by itself
                await parent.signal("agent_ended", self._start.run_id)


async def all_is_heard() -> None:
    """No command is half way through its handler."""
    await workflow.wait_condition(workflow.all_handlers_finished)
