"""What people tell a run under way: help, pause, resume, cancel."""

import asyncio

import pytest
from temporalio.client import WorkflowUpdateFailedError

from schemas.agents import RunLimits
from schemas.commands import CancelCommand, PauseCommand, ResumeCommand
from schemas.plans import WaitStep
from schemas.runs import RunState, RunStatus
from schemas.stages import NextMove
from tests.runs.conftest import Stage
from tests.runs.steps import say


async def test_a_failed_step_waits_for_help_and_goes_on_with_it(stage: Stage) -> None:
    handle = await stage.start(
        say("bad", arguments={"fail": True}), say("behind", depends_on=("bad",)), on_failure="pause"
    )
    await stage.until(handle.id, "run.status")
    with pytest.raises(WorkflowUpdateFailedError):
        await handle.execute_update("resume", ResumeCommand(step="nowhere"))
    await handle.execute_update("resume", ResumeCommand(step="bad", arguments={"text": "good"}))
    assert (await handle.result()).status is RunStatus.SUCCEEDED
    assert stage.world.said == ["bad", "good", "behind"]


async def test_a_paused_run_starts_nothing_until_it_is_resumed(stage: Stage) -> None:
    handle = await stage.start(say("first", arguments={"wait": "gate"}), say("second", depends_on=("first",)))
    await stage.until(handle.id, "tool.dispatched")
    await handle.execute_update("pause", PauseCommand())
    stage.world.gates.setdefault("gate", asyncio.Event()).set()
    await stage.until(handle.id, "step.succeeded")
    assert stage.world.said == ["first"]
    await handle.execute_update("resume", ResumeCommand())
    await handle.result()
    assert stage.world.said == ["first", "second"]


async def test_a_cancelled_run_ends_when_its_call_has_ended(stage: Stage) -> None:
    handle = await stage.start(say("long", arguments={"wait": "never"}))
    await stage.until(handle.id, "tool.dispatched")
    await handle.execute_update("cancel", CancelCommand(reason="enough"))
    output = await handle.result()
    assert (output.status, output.reason) == (RunStatus.CANCELLED, "enough")
    (effect,) = await stage.effects(handle.id)
    assert effect.status == "failed"
    assert effect.result
    assert effect.result.error
    assert effect.result.error.code == "cancelled"


async def test_cancelling_in_temporal_ends_the_run_the_same_way(stage: Stage) -> None:
    handle = await stage.start(WaitStep(id="wait", event="never"))
    await stage.until(handle.id, "step.started")
    await handle.cancel()
    assert (await handle.result()).status is RunStatus.CANCELLED


async def test_graceful_cancel_undoes_what_was_done_last_first(stage: Stage) -> None:
    undo = [{"tool": "say", "arguments": {"text": f"undo {n}"}} for n in (1, 2)]
    handle = await stage.start(
        say("one", compensation=undo[0]),
        say("two", compensation=undo[1], depends_on=("one",)),
        WaitStep(id="wait", event="never", depends_on=("two",)),
    )
    await stage.until(handle.id, "step.succeeded", times=2)
    await stage.until(handle.id, "step.started", times=3)
    await handle.execute_update("cancel", CancelCommand())
    assert (await handle.result()).status is RunStatus.CANCELLED
    assert stage.world.said == ["one", "two", "undo 2", "undo 1"]


async def test_a_limit_of_moves_waits_for_a_higher_one(stage: Stage) -> None:
    stage.script.moves = [NextMove(step=say("x", text)) for text in ("one", "two")]
    stage.script.moves.append(NextMove(answer="enough"))
    handle = await stage.start(mode="react", state=RunState(), on_failure="pause", limits=RunLimits(steps=1))
    waiting = await stage.until(handle.id, "run.status")
    assert "may take 1 steps" in waiting.data["reason"]
    await handle.execute_update("resume", ResumeCommand(limits=RunLimits(steps=5)))
    assert (await handle.result()).answer == "enough"
    assert stage.world.said == ["one", "two"]
