"""Runs whose workflow is rebuilt from its history at every turn, as after each crash: what is not deterministic, or is
kept outside of the state, shows here."""

import pytest

from schemas.commands import CancelCommand, PauseCommand, PostedEvent, ResumeCommand
from schemas.plans import ApprovalStep, Step, WaitStep
from schemas.runs import RunStatus
from schemas.stages import NextMove
from tests.runs.conftest import Stage, StageMaker
from tests.runs.deciding import decide
from tests.runs.steps import say


@pytest.fixture
async def forgetful_stage(make_stage: StageMaker) -> Stage:
    return await make_stage(cached_runs=0)


def errands() -> list[Step]:
    """Something of everything: side by side, one for each item, again after a failure, waiting, asking."""
    return [
        say("list"),
        say("flaky", retry={"attempts": 2, "wait_s": 0.01}),
        say("each", "${item}", for_each="${steps.list.output.items}", concurrency=2),
        say("delicate", depends_on=("each", "flaky")),
        WaitStep(id="door", event="door", depends_on=("list",)),
        say("through", "${steps.door.output.who}"),
        ApprovalStep(id="gate", message="Go on?", depends_on=("delicate", "through")),
        say("last", depends_on=("gate",)),
    ]


async def test_a_run_of_many_turns_ends_as_with_a_cache(forgetful_stage: Stage) -> None:
    stage = forgetful_stage
    stage.world.failures["flaky"] = 1
    handle = await stage.start(*errands())
    await handle.execute_update("pause", PauseCommand())
    await handle.execute_update("resume", ResumeCommand())
    await handle.signal("post_event", PostedEvent(id="e1", name="door", data={"who": "ada"}))
    for number in (1, 2):
        asked = (await stage.until(handle.id, "approval.requested", times=number)).data
        await decide(
            stage.database, stage.client, handle.id, asked["approval_id"], asked["digest"], approve=True
        )
    assert (await handle.result()).status is RunStatus.SUCCEEDED
    assert sorted(stage.world.said) == sorted(
        ["list", "flaky", "flaky", "list", "list", "list", "delicate", "ada", "last"]
    )
    story = await stage.story(handle.id)
    assert [event.seq for event in story] == list(range(1, len(story) + 1))


async def test_moves_and_a_cancel_that_undoes(forgetful_stage: Stage) -> None:
    stage = forgetful_stage
    stage.script.moves = [
        NextMove(step=say("one"), by="test"),
        NextMove(step=say("two"), by="test"),
        NextMove(answer="done", by="test"),
    ]
    acting = await stage.start(mode="react")
    assert (await acting.result()).answer == "done"
    undoing = await stage.start(
        say("three", compensation={"tool": "say", "arguments": {"text": "undo three"}}),
        WaitStep(id="wait", event="never", depends_on=("three",)),
    )
    await stage.until(undoing.id, "step.started", times=2)
    await undoing.execute_update("cancel", CancelCommand())
    assert (await undoing.result()).status is RunStatus.CANCELLED
    assert stage.world.said == ["one", "two", "three", "undo three"]
