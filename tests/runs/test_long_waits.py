"""Runs that wait long, for whatever it is, while much is said to them: each goes on in new executions, none of them long."""

import asyncio
from itertools import count

import pytest

from schemas.commands import PostedEvent
from tests.runs.house import House, say

ODD = "action.arguments.text.endsWith('odd')"
LONGEST = 1_000
"""The server asks for a new execution after 60 events; more signals arrive while the workflow task is on its way."""


@pytest.fixture
async def temporal_address(impatient_temporal: str) -> str:
    return impatient_temporal


async def executions(house: House, run: str) -> list[int]:
    """The lengths of the histories of a run, the latest first."""
    lengths, execution = [], None
    while execution != "":
        events = (await house.client.get_workflow_handle(run, run_id=execution).fetch_history()).events
        lengths.append(len(events))
        execution = events[0].workflow_execution_started_event_attributes.continued_execution_run_id
    return lengths


async def disturbed(house: House, run: str, *, until: int = 4) -> None:
    """Steady signals, eight at a time and without a pause, until the run has gone through so many executions."""
    handle, number = house.client.get_workflow_handle(run), count()

    async def speak() -> None:
        while len(lengths) < until:
            event = PostedEvent(id=f"e{next(number)}", name="tick", data={})
            await handle.signal("post_event", event)

    lengths: list[int] = []
    speakers = [asyncio.create_task(speak()) for _ in range(8)]
    async with asyncio.timeout(90):
        while len(lengths) < until:
            lengths = await executions(house, run)
            await asyncio.sleep(0.05)
    await asyncio.gather(*speakers)
    assert max(lengths) < LONGEST


async def test_a_run_that_a_freeze_holds_goes_on_in_new_executions(house: House) -> None:
    await house.post("/v1/freezes", {"environment": "dev", "reason": "an incident"})
    run = await house.start(say("a"), say("b", depends_on=["a"]))
    await house.event(run, "verdict.held")
    await disturbed(house, run)
    await house.post("/v1/freezes/thaw", {"where": {"environment": "dev"}})
    assert (await house.end(run))["status"] == "succeeded"
    assert house.world.said == ["a", "b"]
    held = [event.step_id for event in await house.story(run) if event.type.value == "verdict.held"]
    assert held in (["a"], ["a", "b"])  # each once, however often it was looked at


async def test_a_run_that_waits_for_an_event_goes_on_in_new_executions(house: House) -> None:
    run = await house.start({"id": "w", "kind": "wait", "event": "go"}, say("b", depends_on=["w"]))
    await house.event(run, "step.started")
    await disturbed(house, run)
    await house.post(f"/v1/runs/{run}/events", {"name": "go"})
    assert (await house.end(run))["status"] == "succeeded"


async def test_a_run_that_is_paused_goes_on_in_new_executions(house: House) -> None:
    run = await house.start(say("a", arguments={"wait": "door"}), say("b", depends_on=["a"]))
    await house.event(run, "tool.dispatched")
    await house.post(f"/v1/runs/{run}/pause")
    house.world.gates["door"].set()
    await disturbed(house, run)
    await house.post(f"/v1/runs/{run}/resume")
    assert (await house.end(run))["status"] == "succeeded"
    assert house.world.said == ["a", "b"]


async def test_a_run_that_asks_people_goes_on_in_new_executions(house: House) -> None:
    await house.policy("ask", effect="require_approval", scope={"tools": ["say"]}, priority=10)
    run = await house.start(say("a"))
    await house.event(run, "approval.requested")
    await disturbed(house, run)
    await house.decide(run)
    assert (await house.end(run))["status"] == "succeeded"
    assert house.world.said == ["a"]


async def test_a_plan_that_waits_for_approval_goes_on_in_new_executions(house: House) -> None:
    run = await house.start(say("a"), approve_plan=True)
    await house.event(run, "approval.requested")
    await disturbed(house, run)
    await house.decide(run)
    assert (await house.end(run))["status"] == "succeeded"
    assert house.world.said == ["a"]
    assert [event.type.value for event in await house.story(run)].count("approval.requested") == 1


async def test_an_answer_that_came_between_two_executions_ends_the_asking(house: House) -> None:
    """Nobody wakes the run: the execution that asks again finds the answer, and the run is under way once more."""
    await house.policy("ask", effect="require_approval", scope={"tools": ["say"]}, priority=10, when=ODD)
    run = await house.start(
        say("a", "odd"), {"id": "w", "kind": "wait", "event": "go", "depends_on": ["a"]}, goal="ask"
    )
    asked = (await house.event(run, "approval.requested")).data
    await house.until(lambda: house.get(f"/v1/runs/{run}"), lambda found: found["status"] == "input_required")
    async with house.api.services.database.statement() as connection:
        await connection.execute(
            "select * from decide_approval('default', %s, 'user:somebody', 'approve', %s, %s, '', null)",
            (asked["approval_id"], asked["digest"], asked["digest"]),
        )
    await disturbed(house, run)
    await house.event(run, "step.succeeded")
    assert (await house.get(f"/v1/runs/{run}"))["status"] == "running"
    await house.post(f"/v1/runs/{run}/events", {"name": "go"})
    assert (await house.end(run))["status"] == "succeeded"
