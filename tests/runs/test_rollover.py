"""A run outlives its history: it goes on in a new execution from a compact state, and nobody notices."""

import asyncio
from itertools import count

import pytest

from schemas.agents import RunLimits
from schemas.commands import CancelCommand, PauseCommand, PostedEvent, ResumeCommand
from schemas.plans import Step, ToolStep, WaitStep
from schemas.runs import RunStatus
from schemas.stages import NextMove
from tests.runs.conftest import Stage
from tests.runs.steps import say
from tests.runs.test_web_ui import set_back


@pytest.fixture
async def temporal_address(impatient_temporal: str) -> str:
    return impatient_temporal


def chain(length: int) -> list[Step]:
    return [
        ToolStep(
            id=f"c{n}",
            tool="calc",
            arguments={"expression": f"${{steps.c{n - 1}.output.value}} + 1" if n else "1"},
        )
        for n in range(length)
    ]


async def more_than_one_execution(stage: Stage, run_id: str) -> bool:
    first = (
        await stage.client.get_workflow_handle(run_id).describe()
    ).raw_description.workflow_execution_info
    return first.first_run_id != first.execution.run_id


async def disturb(stage: Stage, run_id: str) -> None:
    """Events from outside, until the run has gone on in a new execution."""
    handle, number = stage.client.get_workflow_handle(run_id), count()
    async with asyncio.timeout(60):
        while not await more_than_one_execution(stage, run_id):
            for n in (next(number) for _ in range(20)):
                await handle.signal("post_event", PostedEvent(id=f"e{n}", name="tick", data={"n": n}))


async def test_a_long_plan_goes_on_in_new_executions(stage: Stage) -> None:
    handle = await stage.start(*chain(80), say("last", "n=${steps.c79.output.value}"), limits={"steps": 1000})
    output = await handle.result()
    assert (output.status, output.steps_done) == (RunStatus.SUCCEEDED, 81)
    assert stage.world.said == ["n=80"]
    story = await stage.story(handle.id)
    assert [event.seq for event in story] == list(range(1, len(story) + 1))
    assert len(await stage.effects(handle.id)) == 81
    assert await more_than_one_execution(stage, handle.id)


async def test_a_question_stays_open_across_executions(stage: Stage) -> None:
    handle = await stage.start(say("ask", "delicate"), *chain(80))
    await stage.until(handle.id, "step.succeeded", times=80)
    assert stage.world.said == []
    await stage.decide(handle.id)
    assert (await handle.result()).status is RunStatus.SUCCEEDED
    assert stage.world.said == ["delicate"]
    assert (await stage.types(handle.id)).count("approval.requested") == 1
    assert await more_than_one_execution(stage, handle.id)


async def test_items_that_are_done_stay_done_across_executions(stage: Stage) -> None:
    handle = await stage.start(
        say("list"),
        say("each", "${item}", for_each="${inputs.names}", concurrency=8),
        say("after", depends_on=("each",)),
        inputs={"names": [f"n{n}" for n in range(80)]},
    )
    assert (await handle.result()).status is RunStatus.SUCCEEDED
    assert sorted(stage.world.said) == sorted(["list", "after", *[f"n{n}" for n in range(80)]])
    assert await more_than_one_execution(stage, handle.id)


async def test_many_events_from_outside_all_arrive(stage: Stage) -> None:
    handle = await stage.start(*[WaitStep(id=f"w{n}", event=f"e{n}") for n in range(200)])
    for n in range(200):
        await handle.signal("post_event", PostedEvent(id=f"e{n}", name=f"e{n}", data={"n": n}))
    async with asyncio.timeout(60):
        output = await handle.result()
    assert (output.status, output.steps_done) == (RunStatus.SUCCEEDED, 200)


async def test_a_failed_step_is_mended_in_a_later_execution(stage: Stage) -> None:
    handle = await stage.start(say("bad", arguments={"fail": True}), *chain(80), on_failure="pause")
    await stage.until(handle.id, "step.succeeded", times=80)
    await stage.until(handle.id, "run.status")
    await handle.execute_update("resume", {"step": "bad", "arguments": {"text": "good"}})
    assert (await handle.result()).status is RunStatus.SUCCEEDED
    assert stage.world.said == ["bad", "good"]
    assert await more_than_one_execution(stage, handle.id)


async def test_a_run_waits_for_help_in_new_executions(stage: Stage) -> None:
    handle = await stage.start(say("bad", arguments={"fail": True}), on_failure="pause")
    await stage.until(handle.id, "run.status")
    await disturb(stage, handle.id)
    await handle.execute_update("resume", ResumeCommand(step="bad", arguments={"text": "good"}))
    assert (await handle.result()).status is RunStatus.SUCCEEDED
    assert stage.world.said == ["bad", "good"]
    assert (await stage.types(handle.id)).count("run.status") == 2


async def test_an_agent_that_waits_for_its_limit_does_so_in_new_executions(stage: Stage) -> None:
    stage.script.moves = [NextMove(step=say("x", "one")), NextMove(answer="two")]
    handle = await stage.start(mode="react", limits=RunLimits(steps=1), on_failure="pause")
    await stage.until(handle.id, "run.status")
    await disturb(stage, handle.id)
    await handle.execute_update("resume", ResumeCommand(limits=RunLimits(steps=5)))
    output = await handle.result()
    assert (output.status, output.answer) == (RunStatus.SUCCEEDED, "two")


async def test_a_run_is_paused_across_executions(stage: Stage) -> None:
    handle = await stage.start(say("a", arguments={"wait": "door"}), say("b", depends_on=("a",)), *chain(3))
    await stage.until(handle.id, "tool.dispatched")
    await handle.execute_update("pause", PauseCommand())
    stage.world.gates["door"].set()
    await disturb(stage, handle.id)
    assert stage.world.said == ["a"]
    assert (await stage.run(handle.id)).status is RunStatus.PAUSED
    await handle.execute_update("resume", ResumeCommand())
    assert (await handle.result()).status is RunStatus.SUCCEEDED
    assert stage.world.said == ["a", "b"]


async def test_a_cancel_that_meets_a_new_execution_is_heard(stage: Stage) -> None:
    """Sent at any moment around the change, it ends the run; none is lost between the executions."""
    for steps in range(7, 14):
        wait = WaitStep(id="wait", event="never", depends_on=("last",))
        row = [
            say(f"s{n}", depends_on=(f"s{n - 1}",) if n else (), expect="true == true") for n in range(steps)
        ]
        handle = await stage.start(*row, say("last", depends_on=(f"s{steps - 1}",)), wait)
        await stage.until(handle.id, "step.succeeded", times=steps - 3)
        await handle.execute_update("cancel", CancelCommand(reason="enough"))
        async with asyncio.timeout(30):
            output = await handle.result()
        assert (output.status, output.reason) == (RunStatus.CANCELLED, "enough")
        assert (await stage.types(handle.id)).count("run.ended") == 1
        effects = [effect.status for effect in await stage.effects(handle.id)]
        assert set(effects) <= {"succeeded", "failed"}
        said = stage.world.said
        assert len(set(said)) == len(said)
        said.clear()


async def test_a_run_in_a_later_execution_is_set_back_and_repeats_nothing(stage: Stage) -> None:
    handle = await stage.start(say("a"), *chain(80), say("b", "n=${steps.c79.output.value}"))
    assert (await handle.result()).status is RunStatus.SUCCEEDED
    assert await more_than_one_execution(stage, handle.id)
    before = await stage.story(handle.id)
    for tasks in (1, 2):
        assert (await set_back(stage, handle.id, tasks=tasks)).status is RunStatus.SUCCEEDED
    assert sorted(stage.world.said) == ["a", "n=80"]
    assert await stage.story(handle.id) == before


async def test_an_agent_in_a_later_execution_is_set_back_and_makes_no_move_again(stage: Stage) -> None:
    """What it did in the executions behind the one that was set back is its story as well."""
    texts = [f"t{n}" for n in range(20)]
    stage.script.moves = [*(NextMove(step=say("x", text)) for text in texts), NextMove(answer="done")]
    handle = await stage.start(mode="react")
    assert (await handle.result()).status is RunStatus.SUCCEEDED
    first = (await handle.describe()).raw_description.workflow_execution_info.first_run_id
    stage.script.moves = [NextMove(answer="as before")]
    output = await set_back(stage, handle.id, tasks=1, execution=first)
    assert (output.status, output.steps_done) == (RunStatus.SUCCEEDED, 20)
    assert stage.world.said == texts
