"""ScheduledRun: what a schedule starts. It has the run accepted, as the API would, and lasts as long as the run, so that
the schedule's overlap policy speaks of runs."""

from temporalio import workflow
from temporalio.exceptions import WorkflowAlreadyStartedError
from temporalio.workflow import ChildWorkflowCancellationType, ParentClosePolicy

with workflow.unsafe.imports_passed_through():
    from activities.scheduled_run import ScheduledRunActivities
    from schemas.runs import RunInput, RunOutput
    from schemas.schedules import ScheduledRequest
    from workflows import options
    from workflows.agent_run import AgentRun


@workflow.defn
class ScheduledRun:
    @workflow.run
    async def run(self, scheduled: ScheduledRequest) -> None:
        run_input = await workflow.execute_local_activity_method(
            ScheduledRunActivities.accept_scheduled,
            args=[scheduled, workflow.info().first_execution_run_id],
            **options.local("accept"),
        )
        handle = await _started(run_input)
        if handle is not None:
            await handle


async def _started(run_input: RunInput) -> "workflow.ChildWorkflowHandle[AgentRun, RunOutput] | None":
    """The run under way; none where an API that found its row waiting was first. A terminated parent leaves the run
    alone, and a cancelled one cancels it."""
    try:
        return await workflow.start_child_workflow(
            AgentRun.run,
            run_input,
            id=run_input.run_id,
            parent_close_policy=ParentClosePolicy.ABANDON,
            cancellation_type=ChildWorkflowCancellationType.WAIT_CANCELLATION_COMPLETED,
            static_summary=run_input.goal[:200],
            search_attributes=options.search_attributes(run_input),
        )
    except WorkflowAlreadyStartedError:
        return None
