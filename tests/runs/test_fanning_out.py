"""One call for each item of a list, where not all of them go well."""

import asyncio

from schemas.commands import CancelCommand, ResumeCommand
from schemas.plans import Plan, StepRetry
from schemas.runs import RunStatus
from tests.runs.conftest import Stage
from tests.runs.deciding import decide
from tests.runs.steps import say

NAMES = {"names": ["a", "b", "c", "d"]}


async def test_an_item_that_cannot_be_read_fails_alone(stage: Stage) -> None:
    handle = await stage.start(
        say("each", "${item.name}", for_each="${inputs.people}", on_error="continue"),
        say("after", "${steps.each.state}: ${steps.each.output.failed}"),
        inputs={"people": [{"name": "ada"}, {}, {"name": "bob"}]},
    )
    async with asyncio.timeout(30):
        assert (await handle.result()).status is RunStatus.SUCCEEDED
    assert sorted(stage.world.said) == ["ada", "bob", "failed: [1]"]


async def test_what_failed_is_done_again_and_what_succeeded_is_not(stage: Stage) -> None:
    stage.world.failures.update(b=1, d=2)
    handle = await stage.start(
        say("each", "${item}", for_each="${inputs.names}", concurrency=1), inputs=NAMES, on_failure="pause"
    )
    await stage.until(handle.id, "run.status")
    await handle.execute_update("resume", ResumeCommand())
    await stage.until(handle.id, "run.status", times=3)
    assert stage.world.said == ["a", "b", "c", "d", "b", "d"]
    await handle.execute_update("resume", ResumeCommand())
    assert (await handle.result()).status is RunStatus.SUCCEEDED
    assert stage.world.said == ["a", "b", "c", "d", "b", "d", "d"]


async def test_what_failed_is_done_as_another_plan_says_and_what_succeeded_is_not(stage: Stage) -> None:
    stage.world.failures.update(b=1)
    each = say("each", "${item}", for_each="${inputs.names}", concurrency=1)
    handle = await stage.start(each, inputs=NAMES, on_failure="pause")
    await stage.until(handle.id, "run.status")
    better = each.model_copy(update={"arguments": {"text": "${item}!"}})
    await handle.execute_update("resume", ResumeCommand(plan=Plan(steps=(better,))))
    assert (await handle.result()).status is RunStatus.SUCCEEDED
    assert stage.world.said == ["a", "b", "c", "d", "b!"]


async def test_each_item_is_tried_again_by_itself(stage: Stage) -> None:
    stage.world.failures.update(b=1, c=2)
    again = StepRetry(attempts=3, wait_s=0.01)
    handle = await stage.start(say("each", "${item}", for_each="${inputs.names}", retry=again), inputs=NAMES)
    assert (await handle.result()).status is RunStatus.SUCCEEDED
    assert sorted(stage.world.said) == ["a", "b", "b", "c", "c", "c", "d"]


async def test_a_run_is_cancelled_while_its_items_are_judged(stage: Stage) -> None:
    stage.guardian.wait = asyncio.Event()
    handle = await stage.start(
        say("each", "${item}", for_each="${inputs.names}", concurrency=4), inputs=NAMES
    )
    async with asyncio.timeout(30):
        await stage.guardian.asked.wait()
        await handle.execute_update("cancel", CancelCommand())
        assert (await handle.result()).status is RunStatus.CANCELLED
    assert stage.world.said == []


async def test_a_run_is_cancelled_while_its_items_are_called(stage: Stage) -> None:
    handle = await stage.start(
        say("each", "${item}", for_each="${inputs.names}", concurrency=2, arguments={"wait": "never"}),
        inputs=NAMES,
    )
    await stage.until(handle.id, "tool.dispatched", times=2)
    await handle.execute_update("cancel", CancelCommand())
    async with asyncio.timeout(30):
        assert (await handle.result()).status is RunStatus.CANCELLED
    assert sorted(stage.world.said) == ["a", "b"]
    assert [effect.status.value for effect in await stage.effects(handle.id)] == ["failed", "failed"]


async def test_people_are_asked_about_one_item_and_the_others_go_on(stage: Stage) -> None:
    handle = await stage.start(
        say("each", "${item}", for_each="${inputs.names}", concurrency=4),
        inputs={"names": ["a", "delicate", "c"]},
    )
    asked = await stage.until(handle.id, "approval.requested")
    await stage.until(handle.id, "tool.finished", times=2)
    assert sorted(stage.world.said) == ["a", "c"]
    data = asked.data
    await decide(stage.database, stage.client, handle.id, data["approval_id"], data["digest"], approve=False)
    output = await handle.result()
    assert output.status is RunStatus.FAILED
    assert "1 of 3 calls failed; item 1: approval rejected" in output.reason
