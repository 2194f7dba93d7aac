"""Steps that go one behind another are judged together and go out together; what holds for one alone holds for each."""

import asyncio
from collections import Counter

from schemas.commands import CancelCommand, PauseCommand, ResumeCommand
from schemas.plans import Step, StepRetry, ToolStep
from schemas.runs import RunOutput, RunStatus
from tests.runs.conftest import Stage
from tests.runs.steps import say


def row(*names: str, **changed: Step) -> list[Step]:
    """Steps of which each waits for the one before it, and reads nothing of it."""
    steps: list[Step] = []
    for name in names:
        before = (steps[-1].id,) if steps else ()
        steps.append(changed.get(name, say(name)).model_copy(update={"depends_on": before}))
    return steps


async def activities(stage: Stage, run_id: str) -> Counter[str]:
    history = await stage.client.get_workflow_handle(run_id).fetch_history()
    return Counter(
        event.activity_task_scheduled_event_attributes.activity_type.name
        for event in history.events
        if event.HasField("activity_task_scheduled_event_attributes")
    )


async def told(stage: Stage, run_id: str) -> list[str]:
    """The story of the steps, in short."""
    return [
        f"{event.step_id} {event.type.value.split('.')[1]}"
        for event in await stage.story(run_id)
        if event.step_id and event.type.value.split(".")[0] in ("step", "tool")
    ]


async def test_a_row_goes_out_in_one_activity_and_each_step_is_told_in_its_turn(stage: Stage) -> None:
    handle = await stage.start(*row("a", "b", "c"))
    assert (await handle.result()).status is RunStatus.SUCCEEDED
    assert stage.world.said == ["a", "b", "c"]
    assert (await activities(stage, handle.id))["act"] == 1
    assert len(await stage.effects(handle.id)) == 3
    assert (await stage.types(handle.id)).count("verdict.given") == 3
    assert await told(stage, handle.id) == [
        f"{name} {what}" for name in "abc" for what in ("started", "dispatched", "finished", "succeeded")
    ]


async def test_harmless_reads_of_a_row_are_done_in_one_local_activity(stage: Stage) -> None:
    steps = [
        ToolStep(
            id=f"c{n}",
            tool="calc",
            arguments={"expression": f"{n} + 1"},
            depends_on=(f"c{n - 1}",) if n else (),
        )
        for n in range(10)
    ]
    handle = await stage.start(*steps)
    assert (await handle.result()).status is RunStatus.SUCCEEDED
    assert [effect.status.value for effect in await stage.effects(handle.id)] == ["succeeded"] * 10
    history = await handle.fetch_history()
    assert sum(event.HasField("marker_recorded_event_attributes") for event in history.events) < 10


async def test_a_row_ends_where_people_are_asked_and_goes_on_behind(stage: Stage) -> None:
    handle = await stage.start(*row("a", "b", "c", "d", c=say("c", "delicate")))
    await stage.decide(handle.id)
    assert (await handle.result()).status is RunStatus.SUCCEEDED
    assert stage.world.said == ["a", "b", "delicate", "d"]
    assert (await activities(stage, handle.id))["act"] == 3


async def test_a_step_denied_ahead_of_its_turn_ends_in_its_turn(stage: Stage) -> None:
    handle = await stage.start(*row("a", "b", "c", b=say("b", "forbidden")))
    assert (await handle.result()).status is RunStatus.FAILED
    assert stage.world.said == ["a"]
    assert [line for line in await told(stage, handle.id) if line[0] != "a"] == [
        "b started",
        "b denied",
        "c cancelled",
    ]


async def test_what_fails_in_a_row_stops_it(stage: Stage) -> None:
    handle = await stage.start(*row("a", "b", "c", b=say("b", arguments={"fail": True})))
    assert (await handle.result()).status is RunStatus.FAILED
    assert stage.world.said == ["a", "b"]
    assert [effect.status.value for effect in await stage.effects(handle.id)] == ["succeeded", "failed"]


async def test_what_fails_in_a_row_is_tried_again_and_the_rest_goes_on(stage: Stage) -> None:
    stage.world.failures.update(a=1, c=2)
    again = StepRetry(attempts=3, wait_s=0.01)
    changed = {name: say(name, retry=again) for name in "abc"}
    handle = await stage.start(*row("a", "b", "c", "d", **changed))
    assert (await handle.result()).status is RunStatus.SUCCEEDED
    assert stage.world.said == ["a", "a", "b", "c", "c", "c", "d"]
    assert (await stage.types(handle.id)).count("step.retrying") == 3


async def test_a_failure_that_does_not_matter_lets_the_rest_of_the_row_go_on(stage: Stage) -> None:
    bad = say("b", arguments={"fail": True}, on_error="continue")
    handle = await stage.start(*row("a", "b", "c", b=bad))
    assert (await handle.result()).status is RunStatus.SUCCEEDED
    assert stage.world.said == ["a", "b", "c"]


async def test_a_pause_holds_back_the_rest_of_a_row_that_is_under_way(stage: Stage) -> None:
    handle = await stage.start(*row("a", "b", "c", a=say("a", arguments={"wait": "door"})))
    await stage.until(handle.id, "tool.dispatched")
    await handle.execute_update("pause", PauseCommand())
    stage.world.gates["door"].set()
    await stage.until(handle.id, "step.succeeded")
    assert stage.world.said == ["a"]
    await handle.execute_update("resume", ResumeCommand())
    assert (await handle.result()).status is RunStatus.SUCCEEDED
    assert stage.world.said == ["a", "b", "c"]


async def test_rules_that_come_into_force_meanwhile_are_asked_about_the_rest_of_a_row(stage: Stage) -> None:
    handle = await stage.start(*row("a", "b", "c", a=say("a", arguments={"wait": "door"}), b=say("b", "odd")))
    await stage.until(handle.id, "tool.dispatched")
    stage.guardian.forbidden = "odd"
    await activate(stage)
    stage.world.gates["door"].set()
    assert (await handle.result()).status is RunStatus.FAILED
    assert stage.world.said == ["a"]
    assert "b denied" in await told(stage, handle.id)


async def test_a_row_that_is_cancelled_leaves_nothing_dispatched(stage: Stage) -> None:
    handle = await stage.start(*row("a", "b", "c", b=say("b", arguments={"wait": "never"})))
    await stage.until(handle.id, "tool.dispatched", times=2)
    await handle.execute_update("cancel", CancelCommand())
    async with asyncio.timeout(30):
        output: RunOutput = await handle.result()
    assert output.status is RunStatus.CANCELLED
    assert stage.world.said == ["a", "b"]
    assert [effect.status.value for effect in await stage.effects(handle.id)] == ["succeeded", "failed"]


async def activate(stage: Stage) -> None:
    """Other rules come into force: here only that they do matters; what they say is the guardian's word."""
    digest = "sha256:" + "1" * 64
    async with stage.database.tenant("default") as connection:
        await connection.execute(
            "insert into bundles (tenant, digest, settings, shipped) values ('default', %s, '{}', '{}')",
            (digest,),
        )
        await connection.execute(
            """insert into activations (tenant, number, digest, by_whom, at)
               values ('default', 1, %s, 'test', clock_timestamp())""",
            (digest,),
        )
