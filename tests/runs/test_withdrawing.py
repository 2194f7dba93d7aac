"""A question that nobody waits for any more is withdrawn, and who takes its step up again asks anew."""

from schemas.commands import CancelCommand
from schemas.plans import ApprovalStep, OnError
from schemas.runs import RunStatus
from tests.runs.conftest import Stage
from tests.runs.house import House
from tests.runs.house import say as say_at_home
from tests.runs.steps import say


async def test_a_run_that_ends_withdraws_what_it_asked(stage: Stage) -> None:
    handle = await stage.start(say("ask", "delicate"))
    await stage.until(handle.id, "approval.requested")
    await handle.execute_update("cancel", CancelCommand())
    assert (await handle.result()).status is RunStatus.CANCELLED
    assert (await stage.types(handle.id))[-2:] == ["approval.withdrawn", "run.ended"]


async def test_a_step_out_of_time_withdraws_what_it_asked_and_the_run_goes_on(stage: Stage) -> None:
    handle = await stage.start(
        ApprovalStep(id="gate", message="go on?", timeout_s=0.5, on_error=OnError.CONTINUE),
        say("slow", "delicate", timeout_s=0.5, on_error=OnError.CONTINUE),
        say("after", "${steps.gate.error.code} ${steps.slow.error.code}", arguments={"wait": "door"}),
    )
    await stage.until(handle.id, "tool.dispatched")
    assert (await stage.types(handle.id)).count("approval.withdrawn") == 2
    assert (await stage.run(handle.id)).status is RunStatus.RUNNING
    stage.world.gates["door"].set()
    assert (await handle.result()).status is RunStatus.SUCCEEDED
    assert stage.world.said == ["step_timeout step_timeout"]


async def test_a_withdrawn_question_is_not_answered_and_the_resumed_run_asks_a_new_one(house: House) -> None:
    await house.policy("ask", effect="require_approval", scope={"tools": ["say"]})
    run = await house.start(say_at_home("a"))
    asked = (await house.event(run, "approval.requested")).data
    await house.post(f"/v1/runs/{run}/cancel")
    await house.end(run)
    assert (await house.get(f"/v1/approvals?run_id={run}&status=pending"))["items"] == []
    late = {"decision": "approve", "digest": asked["digest"]}
    answer = await house.http.post(f"/v1/approvals/{asked['approval_id']}/decision", json=late)
    assert answer.status_code == 409
    assert "withdrawn" in answer.text
    await house.post(f"/v1/runs/{run}/resume")
    await house.decide(run, times=2)
    assert (await house.end(run))["status"] == "succeeded"
    assert house.world.said == ["a"]
