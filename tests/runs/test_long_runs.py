"""The longest runs we promise: on a server as it is, with its own idea of a long history."""

import asyncio
from collections import Counter

import pytest

from schemas.agents import RunLimits
from schemas.commands import PostedEvent, ResumeCommand
from schemas.plans import WaitStep
from schemas.runs import RunStatus
from tests.runs.conftest import Stage
from tests.runs.steps import say
from tests.runs.test_rollover import chain, more_than_one_execution

pytestmark = [pytest.mark.long, pytest.mark.timeout(1200)]


async def test_a_run_of_five_thousand_steps_ends(stage: Stage) -> None:
    steps = [*chain(4_999), say("last", "n=${steps.c4998.output.value}")]
    handle = await stage.start(*steps, limits=RunLimits(steps=10_000))
    async with asyncio.timeout(1100):
        output = await handle.result()
    assert (output.status, output.steps_done) == (RunStatus.SUCCEEDED, 5_000)
    assert stage.world.said == ["n=4999"]
    story = await stage.story(handle.id)
    assert [event.seq for event in story] == list(range(1, len(story) + 1))
    assert len(await stage.effects(handle.id)) == 5_000
    assert await more_than_one_execution(stage, handle.id)


async def test_a_run_takes_two_thousand_events_from_outside(stage: Stage) -> None:
    """All of one name, most of them before their step waits for them: none is lost, and each is taken in its order."""
    waits = [WaitStep(id=f"w{n}", event="tick", depends_on=(f"w{n - 1}",) if n else ()) for n in range(2_000)]
    handle = await stage.start(*waits, limits=RunLimits(steps=5_000))
    for n in range(2_000):
        await handle.signal("post_event", PostedEvent(id=f"e{n}", name="tick", data={"n": n}))
    async with asyncio.timeout(1100):
        output = await handle.result()
    assert (output.status, output.steps_done) == (RunStatus.SUCCEEDED, 2_000)
    story = await stage.story(handle.id)
    taken = [e.data["outcome"]["output"]["n"] for e in story if e.type == "step.succeeded"]
    assert taken == list(range(2_000))


@pytest.mark.parametrize("on_error", ["continue", "fail"])
async def test_of_a_thousand_items_those_that_failed_are_called_again_and_no_other(
    stage: Stage, on_error: str
) -> None:
    items = [{"name": f"n{n}", "bad": n % 100 == 0} for n in range(1_000)]
    each = say(
        "each",
        "${item.name}",
        for_each="${inputs.items}",
        concurrency=16,
        on_error=on_error,
        arguments={"fail": "${item.bad}"},
    )
    after = say("after", "failed: ${steps.each.output.failed[9] ?? null}", depends_on=("each",))
    handle = await stage.start(each, after, inputs={"items": items}, on_failure="pause")
    if on_error == "fail":
        await stage.until(handle.id, "run.status")
        assert len(stage.world.said) == 1_000
        mended = [{**item, "bad": False} for item in items]
        await handle.execute_update("resume", ResumeCommand(inputs={"items": mended}))
    output = await handle.result()
    assert output.status is RunStatus.SUCCEEDED
    said = Counter(stage.world.said)
    again = {f"n{n}" for n in range(0, 1_000, 100)} if on_error == "fail" else set()
    assert {name for name, times in said.items() if times == 2} == again
    assert max(said.values()) <= 2
