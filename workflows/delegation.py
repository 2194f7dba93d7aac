"""Handing a step to another agent: a child run with its own row, story, tools and share of the limits.

Temporal tells only the execution that started a child of its end. A run outlives its executions, so a child is not bound to
one: it is abandoned by each, known by its id, asked to speak up at its end, and its end is read from the store.
"""

import asyncio
from contextlib import suppress
from datetime import timedelta
from typing import Any

from temporalio import workflow
from temporalio.common import WorkflowIDReusePolicy
from temporalio.exceptions import ChildWorkflowError, FailureError, WorkflowAlreadyStartedError
from temporalio.workflow import ChildWorkflowCancellationType, ChildWorkflowHandle, ParentClosePolicy

from activities.story import StoryActivities
from holdfast.plan.ids import child_run_id, child_run_ids_before
from holdfast.plan.progress import Progress
from schemas.agents import RunLimits
from schemas.base import JsonObject, RunId
from schemas.plans import AgentStep, StepState
from schemas.runs import RunInput, RunOutput, RunState, RunStatus, StepOutcome
from schemas.stages import PastRequest, RunLookUp
from schemas.tools import ToolError
from workflows import options
from workflows.gate import cancellation_kept, in_time
from workflows.parking import Parking
from workflows.teller import Teller

_DEEPEST = 5
_FIRST_LOOK = timedelta(seconds=10)
_LAST_LOOK = timedelta(minutes=10)
"""How long an agent is waited for before the run looks whether it has ended unheard; the wait doubles."""

_LEAST_S = 1e-6

Handle = ChildWorkflowHandle[Any, RunOutput]


class Delegation:
    def __init__(self, *, start: RunInput, progress: Progress, teller: Teller, parking: Parking) -> None:
        self._start = start
        self._progress = progress
        self._teller = teller
        self._parking = parking
        self._ended: set[RunId] = set()
        self._handles: dict[RunId, Handle] = {}

    def heard(self, child: RunId) -> None:
        """A child says that it has ended."""
        self._ended.add(child)

    def child_of(self, step: AgentStep) -> RunId:
        attempt = self._progress.attempts(step.id) + 1
        return child_run_id(self._start.run_id, step.id, self._progress.generation, attempt)

    async def hand_over(self, step: AgentStep, goal: str, inputs: JsonObject) -> StepOutcome:
        """Cancelling the step cancels the child, and waits until it is. Continue-as-new lets it go on."""
        attempt = self._progress.attempts(step.id) + 1
        if self._start.depth >= _DEEPEST:
            return _failed(f"agents hand steps to each other at most {_DEEPEST} deep", attempt)
        past = None
        if step.id not in self._progress.children:
            past = await self._past(step, goal)
            self._progress.children[step.id] = self.child_of(step)
        try:
            if past is not None:
                await self._begin(self._child(step, goal, inputs, past))
            with self._parking.durable(step.id):
                output = await self._end_of(self._progress.children[step.id])
        except asyncio.CancelledError:
            if not self._parking.leaving:
                await self._stopped(step.id)
            raise
        del self._progress.children[step.id]
        self._progress.used_by_another(output)
        return _outcome(output, attempt)

    async def stop_all(self) -> None:
        """Before a run ends: none of its children goes on without it."""
        for step_id in list(self._progress.children):
            await self._stopped(step_id)

    async def _begin(self, child: RunInput) -> None:
        """Not where it had begun before: this workflow was set back in Temporal, and finds it by its id."""
        with suppress(WorkflowAlreadyStartedError):
            self._handles[child.run_id] = await workflow.start_child_workflow(
                "AgentRun",
                child,
                id=child.run_id,
                result_type=RunOutput,
                static_summary=child.goal[:200],
                search_attributes=options.search_attributes(child),
                cancellation_type=ChildWorkflowCancellationType.ABANDON,
                parent_close_policy=ParentClosePolicy.ABANDON,
                id_reuse_policy=WorkflowIDReusePolicy.REJECT_DUPLICATE,
            )

    async def _stopped(self, step_id: str) -> None:
        """Its end is waited for as it would be without this, so that what it spent is known, and told."""
        child, gone = self._progress.children[step_id], False
        try:
            await workflow.get_external_workflow_handle(child).cancel()
        except FailureError:
            gone = True  # it has ended by itself, or was never there
        output = await self._end_of(child, gone=gone)
        self._progress.children.pop(step_id, None)
        self._progress.used_by_another(output)

    async def _end_of(self, child: RunId, *, gone: bool = False) -> RunOutput:
        """Told by Temporal, where this execution has begun it; by the child itself, where it is asked to; or looked up."""
        handle, patience = self._handles.get(child), _LAST_LOOK
        if handle is None:
            asking = workflow.get_external_workflow_handle(child).signal("tell_end_to", self._start.run_id)
            with cancellation_kept(), suppress(FailureError):  # it has ended by now
                # Apart, as Temporal takes back the cancellation of the task that waits.
                await asyncio.create_task(asking)
            self._ended.add(child)
            patience = _FIRST_LOOK
        while True:
            await in_time(
                lambda: child in self._ended or (handle is not None and handle.done()),
                patience,
                "looks after the agent",
            )
            self._ended.discard(child)
            if handle is not None and handle.done():
                return _result(child, handle)
            output = await self._look(child)
            if output.status.ended or (gone and output.status is RunStatus.QUEUED):
                return output
            patience = min(patience * 2, _LAST_LOOK)

    async def _look(self, child: RunId) -> RunOutput:
        return await workflow.execute_local_activity_method(
            StoryActivities.look_at_run,
            RunLookUp(scope=self._teller.scope, run_id=child),
            **options.local("how the agent ended"),
        )

    async def _past(self, step: AgentStep, goal: str) -> RunState:
        """What an agent did that worked on this step before, if one did: whoever goes on begins with its moves."""
        before = child_run_ids_before(
            self._start.run_id, step.id, self._progress.generation, self._progress.attempts(step.id) + 1
        )
        if not before:
            return RunState()
        request = PastRequest(scope=self._teller.scope, runs=before, goal=goal, agent=step.agent)
        past = await workflow.execute_local_activity_method(
            StoryActivities.past, request, **options.local("what was done before")
        )
        if past.under_way is not None:
            with suppress(FailureError):
                await workflow.get_external_workflow_handle(past.under_way).cancel()
            await self._end_of(past.under_way)
            return await self._past(step, goal)
        return past.state

    def _child(self, step: AgentStep, goal: str, inputs: JsonObject, past: RunState) -> RunInput:
        agent = self._start.delegates.get(step.agent, self._start.agent)
        return self._start.model_copy(
            update={
                "run_id": self.child_of(step),
                "goal": goal,
                "agent": agent,
                "catalogue": self._start.catalogue.allowed(agent.tools),
                "inputs": inputs,
                "mode": "react",
                "runbook": None,
                "limits": self._share(step),
                "approve_plan": False,
                "on_failure": "fail",
                "parent": self._start.run_id,
                "depth": self._start.depth + 1,
                "from_outside": self._progress.chosen_outside(step.id, step.goal, step.inputs),
                "state": past,
            }
        )

    def _share(self, step: AgentStep) -> RunLimits:
        """Of what is left; of the clock, all that is left, as it runs for both."""
        limits, progress, share = self._progress.limits, self._progress, step.budget_share
        parts: JsonObject = {"steps": max(1, int((limits.steps - progress.steps_done) * share))}
        if limits.spend_usd is not None:
            parts["spend_usd"] = max(0.0, limits.spend_usd - progress.spend_usd) * share
        if limits.tool_s is not None:
            parts["tool_s"] = max(_LEAST_S, (limits.tool_s - progress.tool_s) * share)
        if progress.deadline is not None:
            parts["wall_s"] = max(_LEAST_S, (progress.deadline - workflow.now()).total_seconds())
        return limits.model_copy(update=parts)


def _result(child: RunId, handle: Handle) -> RunOutput:
    try:
        return handle.result()
    except ChildWorkflowError as error:
        return RunOutput(run_id=child, status=RunStatus.FAILED, reason=str(error.cause or error))


def _outcome(output: RunOutput, attempt: int) -> StepOutcome:
    if output.status is not RunStatus.SUCCEEDED:
        return _failed(f"{output.status.value}: {output.reason}", attempt)
    return StepOutcome(
        state=StepState.SUCCEEDED,
        output={"answer": output.answer, "run_id": output.run_id, "outputs": output.outputs},
        summary=output.answer[:500],
        untrusted=True,
        attempts=attempt,
    )


def _failed(why: str, attempt: int) -> StepOutcome:
    error = ToolError(code="agent_failed", message=f"The agent did not succeed: {why}")
    return StepOutcome(state=StepState.FAILED, error=error, attempts=attempt)
