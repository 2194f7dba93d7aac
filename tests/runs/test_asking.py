"""What runs ask people, and what their answers do."""

import pytest
from temporalio.client import WorkflowUpdateFailedError

from schemas.actions import Action
from schemas.commands import CancelCommand, PauseCommand, ResumeCommand
from schemas.plans import ApprovalStep
from schemas.runs import RunStatus
from tests.runs.conftest import Stage
from tests.runs.steps import say


async def test_a_denied_action_is_never_done(stage: Stage) -> None:
    handle = await stage.start(say("bad", "forbidden"), say("behind", depends_on=("bad",)))
    assert (await handle.result()).status is RunStatus.FAILED
    assert stage.world.said == []
    assert await stage.effects(handle.id) == []
    assert "step.denied" in await stage.types(handle.id)


async def test_an_approved_action_is_done_once(stage: Stage) -> None:
    handle = await stage.start(say("ask", "delicate"))
    await stage.decide(handle.id)
    assert (await handle.result()).status is RunStatus.SUCCEEDED
    assert stage.world.said == ["delicate"]
    assert "run.status" in await stage.types(handle.id)


async def test_a_rejected_action_is_not_done(stage: Stage) -> None:
    handle = await stage.start(say("ask", "delicate"))
    await stage.decide(handle.id, approve=False, comment="not today")
    output = await handle.result()
    assert output.status is RunStatus.FAILED
    assert "not today" in output.reason
    assert stage.world.said == []


async def test_what_a_human_rewrote_is_what_runs(stage: Stage) -> None:
    handle = await stage.start(say("ask", "delicate"))
    asked = await stage.until(handle.id, "approval.requested")
    arguments = {"text": "delicate but mended"}
    async with stage.database.tenant("default") as connection:
        cursor = await connection.execute(
            "select action from approvals where id = %s", (asked.data["approval_id"],)
        )
        row = await cursor.fetchone()
    assert row
    edited = Action.model_validate(row["action"]).edited(arguments)
    await stage.decide(handle.id, arguments=arguments, effective=edited.digest)
    assert (await handle.result()).status is RunStatus.SUCCEEDED
    assert stage.world.said == ["delicate but mended"]


async def test_a_raw_signal_approves_nothing(stage: Stage) -> None:
    handle = await stage.start(say("ask", "delicate"))
    asked = await stage.until(handle.id, "approval.requested")
    await handle.signal("approval_decided", asked.data["approval_id"])
    await handle.signal("approval_decided", "apr_" + "0" * 24)
    await handle.execute_update("pause", PauseCommand())
    assert stage.world.said == []
    assert (await stage.run(handle.id)).status is RunStatus.PAUSED
    await stage.until(handle.id, "approval.unfounded", times=2)
    await handle.execute_update("cancel", CancelCommand(mode="force"))
    assert (await handle.result()).status is RunStatus.CANCELLED


async def test_an_approval_step_opens_the_way(stage: Stage) -> None:
    handle = await stage.start(ApprovalStep(id="gate", message="Go on?"), say("go", depends_on=("gate",)))
    await stage.decide(handle.id, comment="fine")
    assert (await handle.result()).status is RunStatus.SUCCEEDED
    assert stage.world.said == ["go"]


async def test_a_run_that_waits_for_an_approval_waits_for_no_resume(stage: Stage) -> None:
    handle = await stage.start(say("ask", "delicate"))
    await stage.until(handle.id, "approval.requested")
    with pytest.raises(WorkflowUpdateFailedError):
        await handle.execute_update("resume", ResumeCommand())
    await stage.decide(handle.id)
    assert (await handle.result()).status is RunStatus.SUCCEEDED
