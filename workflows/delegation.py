"""Handing a step to another agent: a child run with its own row, story, tools and share of the limits."""

from temporalio import workflow
from temporalio.exceptions import ChildWorkflowError
from temporalio.workflow import ChildWorkflowCancellationType

from holdfast.plan.ids import child_run_id
from holdfast.plan.progress import Progress
from schemas.agents import RunLimits
from schemas.base import JsonObject
from schemas.plans import AgentStep, StepState
from schemas.runs import RunInput, RunOutput, RunState, RunStatus, StepOutcome
from schemas.tools import ToolError
from workflows import options

_DEEPEST = 5


class Delegation:
    def __init__(self, *, start: RunInput, progress: Progress) -> None:
        self._start = start
        self._progress = progress

    async def hand_over(self, step: AgentStep, goal: str, inputs: JsonObject) -> StepOutcome:
        """Cancelling this run cancels the child, and waits until it is."""
        if self._start.depth >= _DEEPEST:
            return _failed(f"agents hand steps to each other at most {_DEEPEST} deep")
        child = self._child(step, goal, inputs)
        try:
            output: RunOutput = await workflow.execute_child_workflow(
                "AgentRun",
                child,
                id=child.run_id,
                result_type=RunOutput,
                static_summary=goal[:200],
                search_attributes=options.search_attributes(child),
                cancellation_type=ChildWorkflowCancellationType.WAIT_CANCELLATION_COMPLETED,
            )
        except ChildWorkflowError as error:
            return _failed(f"{error.cause or error}")
        self._progress.spend_usd += output.spend_usd
        if output.status is not RunStatus.SUCCEEDED:
            return _failed(f"{output.status.value}: {output.reason}")
        return StepOutcome(
            state=StepState.SUCCEEDED,
            output={"answer": output.answer, "run_id": output.run_id, "outputs": output.outputs},
            summary=output.answer[:500],
            untrusted=True,
        )

    def _child(self, step: AgentStep, goal: str, inputs: JsonObject) -> RunInput:
        agent = self._start.delegates.get(step.agent, self._start.agent)
        return self._start.model_copy(
            update={
                "run_id": child_run_id(self._start.run_id, step.id, self._progress.generation),
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
                "state": RunState(),
            }
        )

    def _share(self, step: AgentStep) -> RunLimits:
        limits = self._progress.limits
        steps = max(1, int((limits.steps - self._progress.steps_done) * step.budget_share))
        if limits.spend_usd is None:
            return limits.model_copy(update={"steps": steps})
        left = max(0.0, limits.spend_usd - self._progress.spend_usd)
        return limits.model_copy(update={"steps": steps, "spend_usd": left * step.budget_share})


def _failed(why: str) -> StepOutcome:
    error = ToolError(code="agent_failed", message=f"The agent did not succeed: {why}")
    return StepOutcome(state=StepState.FAILED, error=error)
