"""A step is another agent's run: whatever becomes of the execution that began it, it is begun once, heard, and stopped with
its parent."""

import asyncio

import pytest
from temporalio.client import WorkflowHandle

from schemas.agents import RunLimits
from schemas.commands import CancelCommand, ResumeCommand
from schemas.plans import AgentStep
from schemas.runs import RunOutput, RunStatus
from schemas.stages import NextMove, NextRequest
from tests.runs.conftest import Stage
from tests.runs.house import House
from tests.runs.steps import say
from tests.runs.test_rollover import disturb
from tests.runs.test_web_ui import set_back
from workflows.agent_run import AgentRun

ASK = AgentStep(id="ask", agent="operator", goal="find it")


@pytest.fixture
async def temporal_address(impatient_temporal: str) -> str:
    return impatient_temporal


def works(stage: Stage, *, wait: str = "") -> None:
    """The agent makes one move, and answers."""
    move = say("x", "at work", arguments={"wait": wait} if wait else {})
    stage.script.moves += [NextMove(step=move), NextMove(answer="42")]


async def at_work(stage: Stage, run_id: str) -> str:
    """The agent's run, once its call is under way."""
    child: str = (await stage.until(run_id, "step.started")).data["run_id"]
    await stage.until(child, "tool.dispatched")
    return child


async def in_another_execution_than(stage: Stage, handle: WorkflowHandle[AgentRun, RunOutput]) -> None:
    latest = stage.client.get_workflow_handle(handle.id)
    async with asyncio.timeout(20):
        while True:
            if (await latest.describe()).run_id != handle.result_run_id:
                return
            await asyncio.sleep(0.05)


async def test_a_run_goes_on_in_new_executions_while_its_agent_works(stage: Stage) -> None:
    works(stage, wait="door")
    handle = await stage.start(ASK, say("use", "${steps.ask.output.answer}"))
    child = await at_work(stage, handle.id)
    await disturb(stage, handle.id)
    stage.world.gates["door"].set()
    async with asyncio.timeout(20):
        output = await handle.result()
    assert output.status is RunStatus.SUCCEEDED
    assert stage.world.said == ["at work", "42"]
    assert (await stage.run(child)).status is RunStatus.SUCCEEDED
    types = await stage.types(handle.id)
    assert (types.count("step.started"), types.count("step.succeeded")) == (2, 2)


async def test_an_agent_that_observes_and_acts_goes_on_while_another_works_for_it(stage: Stage) -> None:
    works(stage, wait="door")
    stage.script.moves.insert(0, NextMove(step=ASK))
    stage.script.moves.append(NextMove(answer="both"))
    handle = await stage.start(mode="react")
    await at_work(stage, handle.id)
    await disturb(stage, handle.id)
    stage.world.gates["door"].set()
    async with asyncio.timeout(20):
        output = await handle.result()
    assert (output.status, output.answer) == (RunStatus.SUCCEEDED, "both")
    assert stage.world.said == ["at work"]


async def test_cancelling_a_run_stops_the_agent_that_an_earlier_execution_began(stage: Stage) -> None:
    works(stage, wait="never")
    handle = await stage.start(ASK)
    child = await at_work(stage, handle.id)
    await disturb(stage, handle.id)
    await handle.execute_update("cancel", CancelCommand(reason="enough"))
    async with asyncio.timeout(20):
        assert (await handle.result()).status is RunStatus.CANCELLED
    ended = await stage.run(child)
    assert ended.status is RunStatus.CANCELLED
    assert ended.ended_at is not None
    parent = await stage.run(handle.id)
    assert parent.ended_at is not None
    assert ended.ended_at <= parent.ended_at


async def test_a_run_out_of_time_stops_its_agent_first(stage: Stage) -> None:
    works(stage, wait="never")
    handle = await stage.start(ASK, limits=RunLimits(wall_s=4))
    child = await at_work(stage, handle.id)
    async with asyncio.timeout(30):
        assert (await handle.result()).status is RunStatus.TIMED_OUT
    stopped = await stage.run(child)  # by its parent, or by the clock they share
    assert stopped.status in {RunStatus.CANCELLED, RunStatus.TIMED_OUT}
    assert stopped.ended_at is not None
    parent = await stage.run(handle.id)
    assert parent.ended_at is not None
    assert stopped.ended_at <= parent.ended_at
    assert [effect.status for effect in await stage.effects(child)] == ["failed"]


async def test_cancelling_a_run_at_once_leaves_no_agent_behind(stage: Stage) -> None:
    works(stage, wait="never")
    handle = await stage.start(ASK)
    child = (await stage.until(handle.id, "step.started")).data["run_id"]
    await handle.cancel()
    async with asyncio.timeout(30):
        assert (await handle.result()).status is RunStatus.CANCELLED
    async with stage.database.tenant("default") as connection:
        cursor = await connection.execute("select status from runs where id = %s", (child,))
        found = await cursor.fetchone()
    assert found is None or found["status"] == "cancelled"


async def test_a_run_that_is_set_back_to_before_its_agent_began_does_not_begin_it_again(stage: Stage) -> None:
    works(stage)
    handle = await stage.start(ASK, say("use", "${steps.ask.output.answer}"))
    await handle.result()
    before = await stage.story(handle.id)
    assert (await set_back(stage, handle.id, tasks=1)).status is RunStatus.SUCCEEDED
    assert stage.world.said == ["at work", "42"]
    assert await stage.story(handle.id) == before


async def test_a_run_that_is_set_back_while_its_agent_works_waits_for_that_one(stage: Stage) -> None:
    works(stage, wait="door")
    handle = await stage.start(ASK, say("use", "${steps.ask.output.answer}"))
    await at_work(stage, handle.id)
    ending = asyncio.create_task(set_back(stage, handle.id, tasks=1))
    await in_another_execution_than(stage, handle)
    stage.world.gates["door"].set()
    async with asyncio.timeout(30):
        assert (await ending).status is RunStatus.SUCCEEDED
    assert stage.world.said == ["at work", "42"]


async def test_an_agent_out_of_time_is_stopped_and_the_next_begins_with_its_moves(stage: Stage) -> None:
    stage.script.moves = [
        NextMove(step=say("x", "one")),
        NextMove(step=say("x", "two", arguments={"wait": "never"})),
        NextMove(answer="42"),
    ]
    handle = await stage.start(ASK.model_copy(update={"timeout_s": 3.0}), on_failure="pause")
    await stage.until(handle.id, "step.failed")
    await stage.until(handle.id, "run.status")
    await handle.execute_update("resume", ResumeCommand())
    assert (await handle.result()).status is RunStatus.SUCCEEDED
    assert stage.world.said == ["one", "two"]
    asked = stage.script.requests[-1]
    assert isinstance(asked, NextRequest)
    assert [step.id for step in asked.steps] == ["move_1", "move_2"]
    assert asked.outcomes["move_2"].error is not None


async def test_who_works_for_a_terminated_run_is_stopped(house: House) -> None:
    work = say("x", "at work", arguments={"wait": "never"})
    house.script.moves = [NextMove(step=work), NextMove(answer="42")]
    run = await house.start(ASK.model_dump(mode="json"))
    child = (await house.event(run, "step.started")).data["run_id"]
    await house.event(child, "tool.dispatched")
    await house.client.get_workflow_handle(run).terminate(reason="by mistake")
    assert (await house.end(run))["status"] == "failed"
    assert (await house.end(child))["status"] == "cancelled"
    await house.post(f"/v1/runs/{run}/resume", {})
    await house.client.get_workflow_handle(run).result()
    assert (await house.end(run))["status"] == "succeeded"
    assert house.world.said == ["at work"]
