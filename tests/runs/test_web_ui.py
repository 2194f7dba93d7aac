"""What people do to a run with Temporal's own means: the ledger keeps its promise, and the story stays whole."""

import asyncio
from collections.abc import Sequence

import pytest
from temporalio.api.common.v1 import WorkflowExecution
from temporalio.api.enums.v1 import EventType, PendingActivityState, ResetReapplyExcludeType
from temporalio.api.sdk.v1 import WorkflowMetadata
from temporalio.api.workflowservice.v1 import (
    PauseActivityRequest,
    ResetWorkflowExecutionRequest,
    UnpauseActivityRequest,
)

from holdfast.ids import new_id
from schemas.commands import CancelCommand, ResumeCommand
from schemas.plans import ApprovalStep, Citation, Plan, PlanSource
from schemas.runs import RunOutput, RunStatus
from schemas.stages import NextMove, PlanProposal, Recalled, Recollection
from tests.runs.conftest import Stage
from tests.runs.steps import say
from tests.runs.test_rows import row
from workflows.agent_run import AgentRun

FROM_OUTSIDE = Recollection(
    items=(
        Recalled(
            cite=Citation(source="memory", id="mem_1", version=1), text="what ran before", untrusted=True
        ),
    )
)


async def set_back(
    stage: Stage,
    run_id: str,
    *,
    tasks: int,
    execution: str | None = None,
    without: Sequence[ResetReapplyExcludeType.ValueType] = (),
) -> RunOutput:
    """Reset to the end of the workflow task of that number, and wait for the end. Without an execution, of the latest."""
    handle = stage.client.get_workflow_handle(run_id, run_id=execution)
    completed = [
        event.event_id
        for event in (await handle.fetch_history()).events
        if event.event_type == EventType.EVENT_TYPE_WORKFLOW_TASK_COMPLETED
    ]
    await stage.client.workflow_service.reset_workflow_execution(
        ResetWorkflowExecutionRequest(
            namespace=stage.client.namespace,
            workflow_execution=WorkflowExecution(workflow_id=run_id, run_id=execution or ""),
            reason="test",
            workflow_task_finish_event_id=completed[tasks - 1],
            request_id=new_id("run"),
            reset_reapply_exclude_types=without,
        )
    )
    latest = stage.client.get_workflow_handle(run_id, result_type=RunOutput)
    output: RunOutput = await latest.result()
    return output


async def test_a_run_that_is_set_back_does_nothing_twice_and_tells_nothing_twice(stage: Stage) -> None:
    handle = await stage.start(*row("a", "b"), say("c", "${steps.b.output.text}"))
    await handle.result()
    before = await stage.story(handle.id)
    assert (await set_back(stage, handle.id, tasks=1)).status is RunStatus.SUCCEEDED
    assert stage.world.said == ["a", "b", "b"]
    assert await stage.story(handle.id) == before


async def test_an_agent_that_is_set_back_to_any_point_makes_none_of_its_moves_again(stage: Stage) -> None:
    """Though the model would think of others now: the moves that were made are its story."""
    stage.script.moves = [
        NextMove(step=say("x", "one")),
        NextMove(step=say("x", "${steps.move_1.output.text} two")),
        NextMove(answer="both"),
    ]
    handle = await stage.start(mode="react")
    await handle.result()
    for tasks in (1, 2, 3, 4):
        stage.script.moves = [NextMove(answer="as before")]
        output = await set_back(stage, handle.id, tasks=tasks)
        assert output.status is RunStatus.SUCCEEDED
        assert stage.world.said == ["one", "one two"]
        assert output.steps_done == 2


async def test_a_plan_is_not_thought_of_again_when_its_run_is_set_back(stage: Stage) -> None:
    stage.script.plans = [
        PlanProposal(plan=Plan(steps=(say(text, text),), source=PlanSource.MODEL), by="test")
        for text in ("one", "other")
    ]
    handle = await stage.start()
    await handle.result()
    assert (await set_back(stage, handle.id, tasks=1)).status is RunStatus.SUCCEEDED
    assert stage.world.said == ["one"]


async def test_a_run_that_had_ended_goes_on_when_it_is_set_back(stage: Stage) -> None:
    handle = await stage.start(say("a"), say("b", "${steps.a.output.text}!"))
    await handle.result()
    async with stage.database.tenant("default") as connection:
        await connection.execute("delete from effects where run_id = %s and step_id = 'b'", (handle.id,))
    output = await set_back(stage, handle.id, tasks=2)
    assert output.status is RunStatus.SUCCEEDED
    assert stage.world.said == ["a", "a!", "a!"]
    assert (await stage.run(handle.id)).status is RunStatus.SUCCEEDED


async def test_nothing_follows_the_end_of_a_run_that_is_set_back_and_does_nothing_new(stage: Stage) -> None:
    """Also where more is remembered by now, as of an ended run itself."""
    stage.script.plans = [PlanProposal(plan=Plan(steps=(say("one"),), source=PlanSource.MODEL), by="test")]
    handle = await stage.start()
    await handle.result()
    before = await stage.story(handle.id)
    stage.memory.recalled = FROM_OUTSIDE
    assert (await set_back(stage, handle.id, tasks=1)).status is RunStatus.SUCCEEDED
    assert await stage.story(handle.id) == before


@pytest.mark.parametrize("tasks", [1, 2])
async def test_a_run_that_is_set_back_to_before_its_end_is_taken_up_before_anything_new_is_told(
    stage: Stage, tasks: int
) -> None:
    gate = ApprovalStep(id="gate", message="ok?", depends_on=("a",))
    handle = await stage.start(say("a"), gate, say("b", depends_on=("gate",)))
    await stage.until(handle.id, "approval.requested")
    await handle.execute_update(AgentRun.cancel, CancelCommand(reason="enough"))
    await handle.result()
    before = await stage.story(handle.id)
    going_on = asyncio.create_task(
        set_back(
            stage, handle.id, tasks=tasks, without=[ResetReapplyExcludeType.RESET_REAPPLY_EXCLUDE_TYPE_UPDATE]
        )
    )
    asked_again = await stage.until(handle.id, "approval.requested", times=2)
    assert (await stage.run(handle.id)).status in (RunStatus.RUNNING, RunStatus.INPUT_REQUIRED)
    await stage.answer(asked_again, approve=True)
    assert (await going_on).status is RunStatus.SUCCEEDED
    story = await stage.story(handle.id)
    told = [event.type.value for event in story[len(before) :]]
    assert story[: len(before)] == before
    assert told[:2] == ["run.status", "approval.requested"]
    assert told[-1] == "run.ended"
    assert told.count("run.ended") == 1
    assert (await stage.run(handle.id)).status is RunStatus.SUCCEEDED
    assert stage.world.said == ["a", "b"]


async def test_a_resumed_run_that_is_set_back_to_before_waits_again_and_says_so(stage: Stage) -> None:
    stage.world.failures["a"] = 1
    handle = await stage.start(say("a"), on_failure="pause")
    await stage.until(handle.id, "run.status")
    await handle.execute_update(AgentRun.resume, ResumeCommand())
    assert (await handle.result()).status is RunStatus.SUCCEEDED
    before = await stage.story(handle.id)
    going_on = asyncio.create_task(set_back(stage, handle.id, tasks=1))
    statuses = [event.type.value for event in before].count("run.status")
    await stage.until(handle.id, "run.status", times=statuses + 2)
    latest = stage.client.get_workflow_handle_for(AgentRun.run, handle.id)
    await latest.execute_update(AgentRun.resume, ResumeCommand())
    assert (await going_on).status is RunStatus.SUCCEEDED
    story = await stage.story(handle.id)
    told = [event.data.get("reason") for event in story[len(before) :] if event.type.value == "run.status"]
    assert told[0] == "taken up again"
    assert str(told[1]).startswith("step_failed")
    assert stage.world.said == ["a", "a"]


async def test_a_call_that_was_paused_in_temporal_is_not_made_again_unasked(stage: Stage) -> None:
    handle = await stage.start(say("a", arguments={"wait": "never"}))
    await lose_sight_of_the_call(stage, handle.id)
    await stage.decide(handle.id)
    assert (await handle.result()).status is RunStatus.SUCCEEDED
    assert stage.world.said == ["a"]


async def lose_sight_of_the_call(stage: Stage, run_id: str) -> None:
    """Paused and tried again in Temporal, a call under way has an end that nobody saw."""
    await stage.until(run_id, "tool.dispatched")
    service, namespace = stage.client.workflow_service, stage.client.namespace
    execution = WorkflowExecution(workflow_id=run_id)
    await service.pause_activity(PauseActivityRequest(namespace=namespace, execution=execution, type="act"))
    await until_paused(stage, run_id)
    await service.unpause_activity(
        UnpauseActivityRequest(namespace=namespace, execution=execution, type="act")
    )


async def until_paused(stage: Stage, run_id: str) -> None:
    handle = stage.client.get_workflow_handle(run_id)
    async with asyncio.timeout(20):
        while True:
            pending = (await handle.describe()).raw_description.pending_activities
            if [activity.state for activity in pending] == [
                PendingActivityState.PENDING_ACTIVITY_STATE_PAUSED
            ]:
                return
            await asyncio.sleep(0.05)


async def test_what_is_remembered_since_does_not_make_other_actions_of_what_was_done(stage: Stage) -> None:
    """As an ended run remembers itself: the moves that were told are the same actions, and not swayed now."""
    stage.script.moves = [NextMove(step=say("x", "one")), NextMove(answer="done")]
    handle = await stage.start(mode="react")
    await handle.result()
    stage.memory.recalled = FROM_OUTSIDE
    stage.script.moves = [NextMove(answer="as before")]
    assert (await set_back(stage, handle.id, tasks=1)).status is RunStatus.SUCCEEDED
    assert stage.world.said == ["one"]


@pytest.mark.parametrize("before", [Recollection(), FROM_OUTSIDE])
async def test_a_plan_that_is_set_back_is_as_swayed_as_it_was(stage: Stage, before: Recollection) -> None:
    stage.memory.recalled = before
    plan = Plan(steps=(say("a", "one"),), source=PlanSource.MODEL)
    stage.script.plans = [PlanProposal(plan=plan, by="test")]
    handle = await stage.start()
    await handle.result()
    stage.memory.recalled = Recollection() if before.items else FROM_OUTSIDE
    assert (await set_back(stage, handle.id, tasks=1)).status is RunStatus.SUCCEEDED
    assert stage.world.said == ["one"]


async def test_the_board_shows_the_plan_while_the_whole_of_it_waits_for_approval(stage: Stage) -> None:
    handle = await stage.start(say("a"), say("b"), approve_plan=True)
    asked = await stage.until(handle.id, "run.status")
    board = (await handle.query("__temporal_workflow_metadata", result_type=WorkflowMetadata)).current_details
    assert board.startswith("**input_required** · 0 of 2 steps done")
    assert asked.data["reason"] in board
    assert all(f"| {step}" in board for step in "ab")
    await stage.decide(handle.id)
    assert (await handle.result()).status is RunStatus.SUCCEEDED
