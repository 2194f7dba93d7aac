"""Clocks that run on while a run goes on in new executions: a step's time, the pause before its next attempt, its wait."""

from datetime import timedelta

import pytest
from temporalio.testing import TimeSkipper

from schemas.commands import ResumeCommand
from schemas.events import EventType
from schemas.plans import ApprovalStep, WaitStep
from schemas.runs import RunStatus
from tests.runs.conftest import Stage
from tests.runs.steps import say
from tests.runs.test_rollover import disturb

HOUR = timedelta(hours=1)


@pytest.fixture
async def temporal_address(impatient_temporal: str) -> str:
    return impatient_temporal


@pytest.fixture
async def skipper(stage: Stage) -> TimeSkipper:
    """Of runs that skip time where they are told to."""
    skipper = TimeSkipper(stage.client)
    stage.client = skipper.client
    return skipper


async def test_the_time_of_a_step_does_not_begin_anew_in_a_new_execution(
    stage: Stage, skipper: TimeSkipper
) -> None:
    with skipper.with_time_skipping_disabled():
        handle = await stage.start(
            WaitStep(id="word", event="word", timeout_s=7200),
            ApprovalStep(id="gate", message="go on?", timeout_s=7200),
            say("slow", "delicate", timeout_s=7200),
        )
    await stage.until(handle.id, "approval.requested", times=2)
    await skipper.fast_forward(handle, HOUR)
    await disturb(stage, handle.id)
    latest = stage.client.get_workflow_handle(handle.id)
    await skipper.fast_forward(latest, HOUR + timedelta(minutes=1))
    await stage.until(handle.id, "step.failed", times=3)
    assert (await handle.result()).status is RunStatus.FAILED
    told = [event for event in await stage.story(handle.id) if event.type is EventType.STEP_FAILED]
    assert {event.data["error"]["code"] for event in told} == {"step_timeout"}


async def test_what_waits_for_its_next_attempt_does_so_in_new_executions(
    stage: Stage, skipper: TimeSkipper
) -> None:
    stage.world.failures.update(flaky=2, n1=1)
    again = {"attempts": 3, "wait_s": 3600, "backoff": 1}
    with skipper.with_time_skipping_disabled():
        handle = await stage.start(
            say("flaky", retry=again),
            say("each", "${item}", for_each="${inputs.names}", retry=again),
            inputs={"names": ["n0", "n1"]},
        )
    await stage.until(handle.id, "tool.finished", times=3)
    await stage.until(handle.id, "step.retrying")
    await skipper.fast_forward(handle, HOUR / 2)
    await disturb(stage, handle.id)
    assert sorted(stage.world.said) == ["flaky", "n0", "n1"]
    latest = stage.client.get_workflow_handle(handle.id)
    await skipper.fast_forward(latest, HOUR / 2 + timedelta(minutes=1))
    await stage.until(handle.id, "step.retrying", times=2)
    await skipper.fast_forward(latest, HOUR)
    assert (await handle.result()).status is RunStatus.SUCCEEDED
    assert sorted(stage.world.said) == ["flaky"] * 3 + ["n0", "n1", "n1"]
    assert len(await stage.effects(handle.id)) == 6


async def test_a_wait_that_is_taken_up_again_waits_anew(stage: Stage, skipper: TimeSkipper) -> None:
    with skipper.with_time_skipping_disabled():
        handle = await stage.start(WaitStep(id="word", event="word", seconds=7200), on_failure="pause")
    await stage.until(handle.id, "step.started")
    await skipper.fast_forward(handle, 2 * HOUR)
    await stage.until(handle.id, "run.status")
    await handle.execute_update("resume", ResumeCommand())
    await stage.until(handle.id, "run.status", times=2)
    await handle.signal("post_event", {"id": "e", "name": "word"})
    assert (await handle.result()).status is RunStatus.SUCCEEDED
