"""What a run waits for comes in the same moment as the change to a new execution: it is heard, and told, once."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from schemas.commands import PostedEvent
from schemas.plans import AgentStep, WaitStep
from schemas.runs import RunStatus
from schemas.stages import NextMove
from tests.runs.conftest import Stage
from tests.runs.steps import say
from tests.runs.test_rollover import disturb, more_than_one_execution
from tests.store.waiting import until_waiting

SIGNALS = 70
"""The server asks for a new execution after 60 events."""

FIRST = WaitStep(id="first", event="first")


@pytest.fixture
async def temporal_address(impatient_temporal: str) -> str:
    return impatient_temporal


@asynccontextmanager
async def in_one_task(stage: Stage, run_id: str) -> AsyncIterator[None]:
    """What comes meanwhile, and many signals with it, is all in the run's next workflow task: this one cannot end, as it
    waits to tell something."""
    handle = stage.client.get_workflow_handle(run_id)
    async with stage.database.tenant("default") as connection:
        await connection.execute("select from run_heads where run_id = %s for update", (run_id,))
        await handle.signal("post_event", PostedEvent(id="first", name="first", data={}))
        await until_waiting(stage.database, connection)
        yield
        for n in range(SIGNALS):
            await handle.signal("post_event", PostedEvent(id=f"e{n}", name="tick", data={"n": n}))


async def test_an_agent_that_ends_as_its_run_leaves_for_a_new_execution_ends_once(stage: Stage) -> None:
    stage.script.moves += [
        NextMove(step=say("x", "at work", arguments={"wait": "door"}), spend_usd=0.25),
        NextMove(answer="42", spend_usd=0.25),
    ]
    ask = AgentStep(id="ask", agent="operator", goal="find it")
    handle = await stage.start(FIRST, ask, say("use", "${steps.ask.output.answer}"))
    started = [await stage.until(handle.id, "step.started", times=n) for n in (1, 2)]
    [child] = [event.data["run_id"] for event in started if event.step_id == "ask"]
    await stage.until(child, "tool.dispatched")
    await disturb(stage, handle.id)  # whose later execution hears of the agent's end by a signal
    async with in_one_task(stage, handle.id):
        stage.world.gates["door"].set()
        await stage.client.get_workflow_handle(child).result()
    output = await handle.result()
    assert (output.status, output.spend_usd, output.steps_done) == (RunStatus.SUCCEEDED, 0.5, 4)
    assert await more_than_one_execution(stage, handle.id)
    ended = [event for event in await stage.story(handle.id) if event.type.value == "step.succeeded"]
    assert [event.step_id for event in ended] == ["first", "ask", "use"]


async def test_an_event_that_comes_as_a_run_leaves_for_a_new_execution_is_not_lost(stage: Stage) -> None:
    wait = WaitStep(id="wait", event="go", seconds=3600)
    handle = await stage.start(FIRST, wait, say("use", "n=${steps.wait.output.n}"))
    await stage.until(handle.id, "step.started", times=2)
    async with in_one_task(stage, handle.id):
        await handle.signal("post_event", PostedEvent(id="go", name="go", data={"n": 7}))
    assert (await handle.result()).status is RunStatus.SUCCEEDED
    assert await more_than_one_execution(stage, handle.id)
    assert stage.world.said == ["n=7"]
