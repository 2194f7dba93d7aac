"""What is cancelled starts nothing more, also where the call under way ends by itself in that very moment."""

import asyncio
from collections import Counter

import pytest

from schemas.commands import CancelCommand, ResumeCommand
from schemas.plans import ApprovalStep, StepRetry
from schemas.runs import RunOutput, RunStatus
from schemas.stages import NextMove
from tests.runs.conftest import Stage
from tests.runs.steps import say

AGAIN = StepRetry(attempts=3, wait_s=0.01)


async def cancelled_during_a_call(stage: Stage, run_id: str) -> RunOutput:
    handle = stage.client.get_workflow_handle(run_id, result_type=RunOutput)
    await stage.until(run_id, "tool.dispatched")
    await handle.execute_update("cancel", CancelCommand(reason="enough"))
    async with asyncio.timeout(30):
        output: RunOutput = await handle.result()
    return output


async def test_a_cancelled_call_is_not_tried_again(stage: Stage) -> None:
    handle = await stage.start(say("long", arguments={"wait": "never"}, retry=AGAIN))
    assert (await cancelled_during_a_call(stage, handle.id)).status is RunStatus.CANCELLED
    assert stage.world.said == ["long"]
    types = await stage.types(handle.id)
    assert "step.cancelled" in types
    assert "step.retrying" not in types


async def test_a_call_that_fails_while_its_run_is_cancelled_is_not_tried_again(stage: Stage) -> None:
    handle = await stage.start(say("long", arguments={"wait": "door", "fail": True}, retry=AGAIN))
    await stage.until(handle.id, "tool.dispatched")
    await handle.execute_update("cancel", CancelCommand())
    stage.world.gates["door"].set()
    assert (await handle.result()).status is RunStatus.CANCELLED
    assert stage.world.said == ["long"]


async def test_a_cancelled_agent_makes_no_further_move(stage: Stage) -> None:
    moves = [
        NextMove(step=say("any", arguments={"wait": "never"}), by="test"),
        NextMove(step=say("more"), by="test"),
    ]
    stage.script.moves = [*moves, NextMove(answer="done", by="test")]
    handle = await stage.start(mode="react")
    assert (await cancelled_during_a_call(stage, handle.id)).status is RunStatus.CANCELLED
    assert stage.world.said == ["any"]


async def test_an_agent_whose_call_ends_well_while_it_is_cancelled_makes_no_further_move(
    stage: Stage,
) -> None:
    stage.script.moves = [
        NextMove(step=say("any", arguments={"wait": "door"}), by="test"),
        NextMove(step=say("more"), by="test"),
        NextMove(answer="done", by="test"),
    ]
    handle = await stage.start(mode="react")
    await stage.until(handle.id, "tool.dispatched")
    await handle.execute_update("cancel", CancelCommand())
    stage.world.gates["door"].set()
    assert (await handle.result()).status is RunStatus.CANCELLED
    assert stage.world.said == ["any"]


async def test_a_run_cancelled_in_temporal_during_a_call_still_undoes_what_was_done(stage: Stage) -> None:
    handle = await stage.start(
        say("one", compensation={"tool": "say", "arguments": {"text": "undo one"}}),
        say("long", arguments={"wait": "never"}, depends_on=("one",), retry=AGAIN),
    )
    await stage.until(handle.id, "tool.dispatched", times=2)
    await handle.cancel()
    assert (await handle.result()).status is RunStatus.CANCELLED
    assert stage.world.said == ["one", "long", "undo one"]


@pytest.mark.parametrize("mode", ["plan", "react"])
@pytest.mark.parametrize("how", ["command", "temporal"])
async def test_a_run_that_is_cancelled_while_a_model_thinks_waits_for_nobody(
    stage: Stage, mode: str, how: str
) -> None:
    stage.script.wait = asyncio.Event()
    handle = await stage.start(mode=mode, on_failure="pause")
    async with asyncio.timeout(60):
        await stage.script.asked.wait()
        if how == "command":
            await handle.execute_update("cancel", CancelCommand())
        else:
            await handle.cancel()
        assert (await handle.result()).status is RunStatus.CANCELLED
    assert "run.status" not in await stage.types(handle.id)


async def test_a_run_that_undoes_waits_for_whom_its_undoing_asks_and_for_nobody_else(stage: Stage) -> None:
    handle = await stage.start(
        say("one", compensation={"tool": "say", "arguments": {"text": "delicate"}}),
        ApprovalStep(id="gate", message="go on?", depends_on=("one",)),
    )
    await stage.until(handle.id, "approval.requested")
    await handle.execute_update("cancel", CancelCommand())
    undoing = await stage.until(handle.id, "approval.requested", times=2)
    reasons = [(await stage.until(handle.id, "run.status", times=n)).data["reason"] for n in (1, 2, 3)]
    assert reasons == ["approval: go on?", "undoing", "approval: say delicate"]
    await stage.answer(undoing, approve=True)
    assert (await handle.result()).status is RunStatus.CANCELLED
    assert stage.world.said == ["one", "delicate"]


async def test_a_step_out_of_time_is_not_tried_again(stage: Stage) -> None:
    handle = await stage.start(say("stuck", arguments={"wait": "never"}, retry=AGAIN, timeout_s=0.3))
    assert (await handle.result()).reason == "step_failed: stuck: The step took longer than 0.3 s."
    assert stage.world.said == ["stuck"]


async def test_a_step_that_was_out_of_time_is_called_again_when_somebody_resumes_it(stage: Stage) -> None:
    stuck = say("stuck", arguments={"wait": "door"}, timeout_s=1.0)
    each = say("each", "${item}", for_each="${inputs.names}", arguments={"wait": "door"}, timeout_s=1.0)
    handle = await stage.start(stuck, each, on_failure="pause", inputs={"names": ["m", "n"]})
    await stage.until(handle.id, "run.status")
    stage.world.gates["door"].set()
    await handle.execute_update("resume", ResumeCommand())
    async with asyncio.timeout(20):
        assert (await handle.result()).status is RunStatus.SUCCEEDED
    assert sorted(stage.world.said) == ["m", "m", "n", "n", "stuck", "stuck"]
    effects = [(effect.step_id, effect.status.value) for effect in await stage.effects(handle.id)]
    assert Counter(effects) == {
        ("stuck", "failed"): 1,
        ("stuck", "succeeded"): 1,
        ("each", "failed"): 2,
        ("each", "succeeded"): 2,
    }
