"""What is posted to a run reaches a step once, however many wait, come early, or are sent twice."""

import asyncio

from schemas.commands import Instruction, PostedEvent
from schemas.plans import WaitStep
from schemas.runs import RunStatus
from tests.runs.conftest import Stage
from tests.runs.steps import say


def tick(number: int) -> PostedEvent:
    return PostedEvent(id=f"evt{number}", name="tick", data={"n": number})


async def test_two_steps_wait_for_one_event_and_each_takes_one(stage: Stage) -> None:
    handle = await stage.start(
        WaitStep(id="one", event="tick"),
        WaitStep(id="two", event="tick"),
        say("go", depends_on=("one", "two")),
    )
    await stage.until(handle.id, "step.started", times=2)
    await handle.signal("post_event", tick(1))
    await stage.until(handle.id, "step.succeeded")
    assert stage.world.said == []
    await handle.signal("post_event", tick(2))
    async with asyncio.timeout(30):
        assert (await handle.result()).status is RunStatus.SUCCEEDED


async def test_events_that_come_before_their_steps_are_taken_in_their_order(stage: Stage) -> None:
    handle = await stage.start(
        say("first", arguments={"wait": "door"}),
        WaitStep(id="one", event="tick", depends_on=("first",)),
        WaitStep(id="two", event="tick", depends_on=("one",)),
        say("told", "${steps.one.output.n} ${steps.two.output.n}"),
    )
    await stage.until(handle.id, "tool.dispatched")
    for number in (1, 2):
        await handle.signal("post_event", tick(number))
    stage.world.gates["door"].set()
    async with asyncio.timeout(30):
        assert (await handle.result()).status is RunStatus.SUCCEEDED
    assert stage.world.said == ["first", "1 2"]


async def test_an_event_that_is_sent_twice_is_heard_once(stage: Stage) -> None:
    handle = await stage.start(
        WaitStep(id="one", event="tick"), WaitStep(id="two", event="tick", depends_on=("one",), seconds=0.3)
    )
    for _ in range(2):
        await handle.signal("post_event", tick(1))
        await handle.signal("instruct", Instruction(id="ins1", text="hurry"))
    output = await handle.result()
    assert output.reason == "step_failed: two: The event tick did not come in time."


async def test_a_wait_in_the_past_is_over_at_once(stage: Stage) -> None:
    handle = await stage.start(WaitStep(id="w", until="2001-01-01T00:00:00Z"), say("a", depends_on=("w",)))
    assert (await handle.result()).status is RunStatus.SUCCEEDED
