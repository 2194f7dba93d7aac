"""The end of a run is told, and told truly, whatever comes in its last moments."""

import asyncio

from schemas.commands import CancelCommand
from schemas.plans import Plan, StepRetry, WaitStep
from schemas.runs import RunStatus
from schemas.stages import PlanProposal
from tests.runs.conftest import Stage
from tests.runs.steps import say


def undone_by(text: str, **arguments: object) -> dict[str, object]:
    return {"tool": "say", "arguments": {"text": text, **arguments}}


async def test_a_second_cancellation_does_not_cut_the_undoing_short(stage: Stage) -> None:
    handle = await stage.start(
        say("one", compensation=undone_by("undo", wait="door")),
        WaitStep(id="wait", event="x", depends_on=("one",)),
    )
    await stage.until(handle.id, "step.started", times=2)
    await handle.execute_update("cancel", CancelCommand(reason="enough"))
    await stage.until(handle.id, "tool.dispatched", times=2)
    await handle.cancel()
    stage.world.gates.setdefault("door", asyncio.Event()).set()
    async with asyncio.timeout(30):
        output = await handle.result()
    assert (output.status, output.reason) == (RunStatus.CANCELLED, "enough")
    assert (await stage.run(handle.id)).status is RunStatus.CANCELLED
    assert [effect.status.value for effect in await stage.effects(handle.id)] == ["succeeded", "succeeded"]


async def test_a_forced_cancel_stops_an_undoing_that_waits_for_people(stage: Stage) -> None:
    handle = await stage.start(
        say("one", compensation=undone_by("delicate")), WaitStep(id="wait", event="x", depends_on=("one",))
    )
    await stage.until(handle.id, "step.started", times=2)
    await handle.execute_update("cancel", CancelCommand())
    await stage.until(handle.id, "approval.requested")
    await handle.execute_update("cancel", CancelCommand(mode="force", reason="now"))
    async with asyncio.timeout(30):
        output = await handle.result()
    assert (output.status, output.reason) == (RunStatus.CANCELLED, "the undoing was stopped")
    assert stage.world.said == ["one"]


async def test_a_run_says_what_it_could_not_undo(stage: Stage) -> None:
    handle = await stage.start(
        say("one", compensation=undone_by("undo 1")),
        say("two", depends_on=("one",), compensation=undone_by("undo 2", fail=True)),
        say("three", depends_on=("two",), compensation=undone_by("forbidden")),
        WaitStep(id="wait", event="x", depends_on=("three",)),
    )
    await stage.until(handle.id, "step.started", times=4)
    await handle.execute_update("cancel", CancelCommand(reason="enough"))
    async with asyncio.timeout(30):
        output = await handle.result()
    assert output.reason == "enough; not undone: three, two"
    assert stage.world.said == ["one", "two", "three", "undo 2", "undo 1"]


async def test_an_undoing_that_fails_is_tried_as_often_as_its_step(stage: Stage) -> None:
    stage.world.failures["undo"] = 2
    again = StepRetry(attempts=3, wait_s=0.01)
    handle = await stage.start(
        say("one", compensation=undone_by("undo"), retry=again),
        WaitStep(id="wait", event="x", depends_on=("one",)),
    )
    await stage.until(handle.id, "step.started", times=2)
    await handle.execute_update("cancel", CancelCommand(reason="enough"))
    async with asyncio.timeout(30):
        assert (await handle.result()).reason == "enough"
    assert stage.world.said == ["one", "undo", "undo", "undo"]


async def test_each_item_that_was_done_is_undone_though_others_were_not(stage: Stage) -> None:
    handle = await stage.start(
        say(
            "each",
            "${item}",
            for_each="${inputs.names}",
            concurrency=1,
            compensation=undone_by("undo ${item}"),
        ),
        inputs={"names": ["a", "b", "delicate"]},
    )
    await stage.until(handle.id, "approval.requested")
    await handle.execute_update("cancel", CancelCommand())
    async with asyncio.timeout(30):
        assert (await handle.result()).reason == ""
    assert stage.world.said == ["a", "b", "undo b", "undo a"]


async def test_a_run_that_is_cancelled_in_temporal_while_it_learns_still_tells_its_end(stage: Stage) -> None:
    stage.memory.wait = asyncio.Event()
    handle = await stage.start(say("one"))
    async with asyncio.timeout(30):
        await stage.memory.learning.wait()
        await handle.cancel()
        stage.memory.wait.set()
        output = await handle.result()
    assert output.status is RunStatus.SUCCEEDED
    assert (await stage.run(handle.id)).status is RunStatus.SUCCEEDED
    assert (await stage.types(handle.id))[-1] == "run.ended"


async def test_a_run_whose_memory_is_away_says_so_and_does_its_work(stage: Stage) -> None:
    stage.memory.is_away = True
    stage.script.plans.append(PlanProposal(plan=Plan(steps=(say("one"),)), by="script"))
    handle = await stage.start()
    async with asyncio.timeout(60):
        output = await handle.result()
    assert output.status is RunStatus.SUCCEEDED
    recalled = await stage.until(handle.id, "memory.recalled")
    assert "The memory is away." in str(recalled.data["note"])
    assert stage.world.said == ["one"]


async def test_a_call_whose_end_nobody_saw_is_unknown_when_its_run_is_over(stage: Stage) -> None:
    handle = await stage.start(say("one"))
    await handle.result()
    async with stage.database.tenant("default") as connection:
        await connection.execute("update effects set status = 'dispatched' where run_id = %s", (handle.id,))
        await connection.execute("update runs set status = 'running' where id = %s", (handle.id,))
    async with stage.database.statement() as connection:
        await connection.execute(
            "select record_run('default', %s, '{\"status\": \"cancelled\"}', '[]')", (handle.id,)
        )
    assert [effect.status.value for effect in await stage.effects(handle.id)] == ["unknown"]
    told = await stage.until(handle.id, "effect.unknown")
    assert (told.step_id, told.data["tool"]) == ("one", "say")
