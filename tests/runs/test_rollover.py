"""A run outlives its history: it goes on in a new execution from a compact state, and nobody notices."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from holdfast.runtime.embedded.temporal import TUNED, EmbeddedTemporal
from schemas.commands import PostedEvent
from schemas.plans import Step, ToolStep, WaitStep
from schemas.runs import RunStatus
from tests.runs.conftest import Stage
from tests.runs.test_plans import say


@pytest.fixture(scope="module")
async def impatient_temporal(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[str]:
    """A server that asks for a new execution after 150 events instead of 4,096."""
    log = tmp_path_factory.mktemp("impatient") / "temporal.log"
    server = EmbeddedTemporal(log=log, dynamic={**TUNED, "limit.historyCount.suggestContinueAsNew": "150"})
    await server.start()
    yield server.address
    await server.stop()


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


async def test_a_long_plan_goes_on_in_new_executions(stage: Stage) -> None:
    handle = await stage.start(
        *chain(200), say("last", "n=${steps.c199.output.value}"), limits={"steps": 1000}
    )
    output = await handle.result()
    assert (output.status, output.steps_done) == (RunStatus.SUCCEEDED, 201)
    assert stage.world.said == ["n=200"]
    story = await stage.story(handle.id)
    assert [event.seq for event in story] == list(range(1, len(story) + 1))
    assert len(await stage.effects(handle.id)) == 201
    assert await more_than_one_execution(stage, handle.id)


async def test_a_question_stays_open_across_executions(stage: Stage) -> None:
    handle = await stage.start(say("ask", "delicate"), *chain(200))
    await stage.until(handle.id, "step.succeeded", times=200)
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


async def test_many_events_from_outside_all_arrive(stage: Stage) -> None:
    handle = await stage.start(*[WaitStep(id=f"w{n}", event=f"e{n}") for n in range(200)])
    for n in range(200):
        await handle.signal("post_event", PostedEvent(id=f"e{n}", name=f"e{n}", data={"n": n}))
    async with asyncio.timeout(60):
        output = await handle.result()
    assert (output.status, output.steps_done) == (RunStatus.SUCCEEDED, 200)


async def test_a_failed_step_is_mended_in_a_later_execution(stage: Stage) -> None:
    handle = await stage.start(say("bad", arguments={"fail": True}), *chain(200), on_failure="pause")
    await stage.until(handle.id, "step.succeeded", times=200)
    await stage.until(handle.id, "run.status")
    await handle.execute_update("resume", {"step": "bad", "arguments": {"text": "good"}})
    assert (await handle.result()).status is RunStatus.SUCCEEDED
    assert stage.world.said == ["bad", "good"]
