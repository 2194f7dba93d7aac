"""A worker that was started just now does not know every tool yet: what a run has pinned waits for it, and not for ever."""

import asyncio

from holdfast.tools.declare import Tool, ToolContext, declared
from schemas.base import JsonObject
from schemas.plans import ToolStep
from schemas.tools import EffectClass
from tests.patience import pauses
from tests.runs.conftest import Say, Stage


def late() -> Tool:
    @declared("mcp.late.read", effect=EffectClass.READ_ONLY)
    async def read(arguments: Say, context: ToolContext) -> JsonObject:
        """Reads what it is given."""
        return {"text": arguments.text}

    return read


async def begun_before_the_tool_went(stage: Stage) -> str:
    """A run that has pinned the tool, with a first step under way."""
    stage.host.offer("mcp", [late()])
    first = ToolStep(id="a", tool="say", arguments={"text": "a", "wait": "gate"})
    then = ToolStep(id="b", tool="mcp.late.read", arguments={"text": "b"}, depends_on=("a",))
    handle = await stage.start(first, then)
    await said(stage, "a")
    stage.host.offer("mcp", [])
    return handle.id


async def said(stage: Stage, text: str) -> None:
    waits = pauses()
    async with asyncio.timeout(40):
        while text not in stage.world.said:  # noqa: ASYNC110 - the world outside sets no event of ours
            await asyncio.sleep(next(waits))


async def attempted(stage: Stage, run_id: str, times: int) -> None:
    handle, waits = stage.client.get_workflow_handle(run_id), pauses()
    async with asyncio.timeout(40):
        while True:
            pending = (await handle.describe()).raw_description.pending_activities
            if any(activity.attempt > times for activity in pending):
                return
            await asyncio.sleep(next(waits))


async def test_a_call_waits_for_a_tool_that_may_still_come(stage: Stage) -> None:
    run_id = await begun_before_the_tool_went(stage)
    stage.host.expect(["mcp.late."])
    stage.world.gates["gate"].set()
    await attempted(stage, run_id, 1)
    stage.host.offer("mcp", [late()])
    ended = await stage.until(run_id, "run.ended")
    assert ended.data["status"] == "succeeded"
    assert stage.world.said == ["a"]


async def test_a_call_of_a_tool_that_is_not_to_come_is_refused(stage: Stage) -> None:
    run_id = await begun_before_the_tool_went(stage)
    stage.world.gates["gate"].set()
    ended = await stage.until(run_id, "run.ended")
    assert (ended.data["status"], "has no tool mcp.late.read" in str(ended.data)) == ("failed", True)
