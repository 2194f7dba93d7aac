"""Weeks and months of a run, on a server that skips the time in which nothing happens."""

from datetime import datetime, timedelta
from typing import Any

import pytest
from temporalio.client import WorkflowHandle
from temporalio.testing import TimeSkipper

from schemas.agents import RunLimits
from schemas.plans import ApprovalStep, OnError, WaitStep
from schemas.runs import RunStatus
from schemas.verdicts import ApprovalTerms
from tests.runs.conftest import Stage, StageMaker
from tests.runs.steps import say

DAY = 86_400.0
WEEK = ApprovalTerms(expires_s=7 * DAY, escalate_to="leads", escalate_after_s=3 * DAY)
PATIENT = RunLimits(wall_s=90 * DAY)


@pytest.fixture
async def skipping(make_stage: StageMaker) -> tuple[Stage, TimeSkipper]:
    """A stage whose runs skip time as long as nothing but time passes."""
    stage = await make_stage()
    skipper = TimeSkipper(stage.client)
    stage.client = skipper.client
    stage.guardian.terms = WEEK
    return stage, skipper


async def lasted(handle: WorkflowHandle[Any, Any]) -> timedelta:
    """How long the run took by its own clock."""
    times: list[datetime] = [event.event_time.ToDatetime() async for event in handle.fetch_history_events()]
    return times[-1] - times[0]


async def test_a_question_nobody_answers_is_escalated_and_expires(
    skipping: tuple[Stage, TimeSkipper],
) -> None:
    stage, _ = skipping
    handle = await stage.start(say("ask", "delicate"), limits=PATIENT)
    output = await handle.result()
    assert (output.status, output.reason) == (RunStatus.FAILED, "step_failed: ask: approval expired")
    assert not stage.world.said
    told = [kind for kind in await stage.types(handle.id) if kind.startswith("approval.")]
    assert told == ["approval.requested", "approval.escalated", "approval.expired"]
    assert timedelta(days=7) <= await lasted(handle) < timedelta(days=7, hours=1)


async def test_an_answer_on_the_sixth_day_is_in_time(skipping: tuple[Stage, TimeSkipper]) -> None:
    stage, skipper = skipping
    with skipper.with_time_skipping_disabled():
        handle = await stage.start(say("ask", "delicate"), limits=PATIENT)
    asked = await stage.until(handle.id, "approval.requested")
    await skipper.fast_forward(handle, timedelta(days=6))
    escalated = await stage.until(handle.id, "approval.escalated")
    assert escalated.data == {"approval_id": asked.data["approval_id"], "to": "leads"}
    assert (await stage.run(handle.id)).status is RunStatus.INPUT_REQUIRED
    await stage.decide(handle.id)
    assert (await handle.result()).status is RunStatus.SUCCEEDED
    assert stage.world.said == ["delicate"]
    assert timedelta(days=6) <= await lasted(handle) < timedelta(days=6, hours=1)


async def test_a_run_waits_for_thirty_days(skipping: tuple[Stage, TimeSkipper]) -> None:
    stage, _ = skipping
    handle = await stage.start(
        say("before"),
        WaitStep(id="month", seconds=30 * DAY, depends_on=("before",)),
        say("after", depends_on=("month",)),
        limits=PATIENT,
    )
    assert (await handle.result()).status is RunStatus.SUCCEEDED
    assert stage.world.said == ["before", "after"]
    assert timedelta(days=30) <= await lasted(handle) < timedelta(days=30, hours=1)


async def test_a_run_may_not_outlast_its_wall_clock(skipping: tuple[Stage, TimeSkipper]) -> None:
    stage, _ = skipping
    handle = await stage.start(
        WaitStep(id="month", seconds=30 * DAY),
        say("after", depends_on=("month",)),
        limits=RunLimits(wall_s=2 * DAY),
    )
    output = await handle.result()
    assert (output.status, output.reason) == (RunStatus.TIMED_OUT, "the run may take 172800 s")
    assert not stage.world.said
    assert timedelta(days=2) <= await lasted(handle) < timedelta(days=2, hours=1)
    assert (await stage.run(handle.id)).status is RunStatus.TIMED_OUT


async def test_a_step_may_not_outlast_its_timeout(skipping: tuple[Stage, TimeSkipper]) -> None:
    stage, _ = skipping
    handle = await stage.start(
        ApprovalStep(id="gate", message="go on?", timeout_s=DAY, on_error=OnError.CONTINUE),
        WaitStep(id="word", event="word", timeout_s=DAY, on_error=OnError.CONTINUE),
        say("after", "${steps.gate.error.code}, ${steps.word.error.code}"),
        limits=PATIENT,
    )
    assert (await handle.result()).status is RunStatus.SUCCEEDED
    assert stage.world.said == ["step_timeout, step_timeout"]
    assert timedelta(days=1) <= await lasted(handle) < timedelta(days=1, hours=1)


async def test_a_tool_that_outlasts_its_step_is_stopped_and_the_ledger_knows(stage: Stage) -> None:
    handle = await stage.start(say("stuck", arguments={"wait": "never"}, timeout_s=0.2))
    output = await handle.result()
    assert (output.status, output.reason) == (
        RunStatus.FAILED,
        "step_failed: stuck: The step took longer than 0.2 s.",
    )
    assert [effect.status.value for effect in await stage.effects(handle.id)] == ["failed"]
    told = [event for event in await stage.story(handle.id) if event.type == "step.failed"]
    assert told[-1].data["error"]["code"] == "step_timeout"


async def test_an_event_that_does_not_come_fails_its_step(skipping: tuple[Stage, TimeSkipper]) -> None:
    stage, _ = skipping
    handle = await stage.start(WaitStep(id="word", event="word", seconds=3 * DAY), limits=PATIENT)
    assert (await handle.result()).reason == "step_failed: word: The event word did not come in time."
    assert timedelta(days=3) <= await lasted(handle) < timedelta(days=3, hours=1)


async def test_a_retry_waits_longer_each_time(skipping: tuple[Stage, TimeSkipper]) -> None:
    stage, _ = skipping
    stage.world.failures["flaky"] = 3
    handle = await stage.start(
        say("flaky", retry={"attempts": 4, "wait_s": 3600, "backoff": 2}), limits=PATIENT
    )
    assert (await handle.result()).status is RunStatus.SUCCEEDED
    assert timedelta(hours=7) <= await lasted(handle) < timedelta(hours=8)
