"""A limit reached in the middle of something: nothing is called twice, no call is left untold, and higher limits go on."""

import asyncio
from collections.abc import Sequence
from typing import Any

import pytest
from temporalio.api.enums.v1 import EventType as HistoryEvent
from temporalio.client import WorkflowHandle

from schemas.agents import RunLimits
from schemas.commands import PostedEvent, ResumeCommand
from schemas.plans import AgentStep, OnError, ToolStep, WaitStep
from schemas.runs import RunOutput, RunStatus
from schemas.stages import NextMove
from tests.databases import as_owner
from tests.patience import pauses
from tests.runs.conftest import Stage
from tests.runs.steps import say
from tests.store.waiting import until_waiting
from workflows.agent_run import AgentRun

HOLD_FAILURES = """
    create function holdfast.hold() returns trigger language plpgsql as
    $$ begin perform pg_advisory_xact_lock(4711); return new; end $$;
    create trigger hold before insert on holdfast.run_events for each row
    when (new.type = 'step.failed') execute function holdfast.hold();
"""
"""That a step has failed is told only once the test lets it."""

MORE = ResumeCommand(limits=RunLimits(steps=50))


def row(*names: str) -> Sequence[ToolStep]:
    return [
        say(name, depends_on=(before,) if before else ())
        for name, before in zip(names, ("", *names), strict=False)
    ]


async def settled(stage: Stage, run_id: str) -> bool:
    return not {effect.status.value for effect in await stage.effects(run_id)} & {"intended", "dispatched"}


async def test_a_plan_longer_than_the_run_may_be_is_not_begun(stage: Stage) -> None:
    handle = await stage.start(*row(*"abcde"), limits=RunLimits(steps=3))
    assert (await handle.result()).status is RunStatus.REJECTED
    assert stage.world.said == []


async def test_tool_time_runs_out_in_the_middle_of_a_chain(stage: Stage) -> None:
    handle = await stage.start(*row(*"abc"), limits=RunLimits(tool_s=1e-9), on_failure="pause")
    assert "tool time" in (await stage.until(handle.id, "run.status")).data["reason"]
    assert stage.world.said == ["a"]
    await handle.execute_update("resume", MORE)
    assert (await handle.result()).status is RunStatus.SUCCEEDED
    assert stage.world.said == [*"abc"]


async def test_what_is_under_way_as_a_limit_is_reached_comes_to_its_end_and_is_not_made_again(
    stage: Stage,
) -> None:
    long = say("long", arguments={"wait": "door"})
    handle = await stage.start(long, *row("a", "b"), limits=RunLimits(tool_s=1e-9), on_failure="pause")
    await stage.until(handle.id, "step.succeeded")
    stage.world.gates.setdefault("door", asyncio.Event()).set()
    assert "tool time" in (await stage.until(handle.id, "run.status")).data["reason"]
    ended = [event.step_id for event in await stage.story(handle.id) if event.type.value == "step.succeeded"]
    assert ended == ["a", "long"]
    await handle.execute_update("resume", MORE)
    assert (await handle.result()).status is RunStatus.SUCCEEDED
    assert sorted(stage.world.said) == ["a", "b", "long"]


async def test_a_step_whose_time_runs_out_as_its_end_is_told_has_that_one_end(stage: Stage) -> None:
    handle = await stage.start(WaitStep(id="w", event="go", timeout_s=1))
    await stage.until(handle.id, "step.started")
    async with stage.database.tenant("default") as holder:
        await holder.execute("select from run_heads where run_id = %s for update", (handle.id,))
        await handle.signal("post_event", PostedEvent(id="1", name="go"))
        await until_waiting(stage.database, holder)
        await fired(handle)
    assert (await handle.result()).status is RunStatus.SUCCEEDED
    told = [event.type.value for event in await stage.story(handle.id) if event.step_id == "w"]
    assert told == ["step.started", "step.succeeded"]


async def test_a_call_without_what_was_expected_has_one_end_though_time_runs_out_as_it_is_told(
    stage: Stage,
) -> None:
    async with as_owner(stage.database) as owner:
        await owner.execute(HOLD_FAILURES)
    async with as_owner(stage.database) as holder:
        await holder.execute("select pg_advisory_xact_lock(4711)")
        handle = await stage.start(say("a", expect='${output.text} == "b"', timeout_s=2))
        await stage.until(handle.id, "tool.finished")
        await until_waiting(stage.database, holder)
        await fired(handle)
    assert "this does not hold" in (await handle.result()).reason
    told = [event.type.value for event in await stage.story(handle.id) if event.step_id == "a"]
    assert [each for each in told if each.startswith("step.")] == ["step.started", "step.failed"]
    assert stage.world.said == ["a"]


async def fired(handle: WorkflowHandle[AgentRun, RunOutput]) -> None:
    """As soon as a timer of the run has fired."""
    looks = pauses()
    async with asyncio.timeout(30):
        while True:
            events = (await handle.fetch_history()).events
            if any(event.event_type == HistoryEvent.EVENT_TYPE_TIMER_FIRED for event in events):
                return
            await asyncio.sleep(next(looks))


async def test_tool_time_runs_out_while_people_are_asked(stage: Stage) -> None:
    """The question stands meanwhile, and its answer counts once the run may go on."""
    steps = (say("ask", "delicate"), *row(*"abc"))
    handle = await stage.start(*steps, limits=RunLimits(tool_s=1e-9), on_failure="pause")
    await stage.until(handle.id, "step.succeeded")
    assert "approval" in (await stage.until(handle.id, "run.status")).data["reason"]
    assert "tool time" in (await stage.until(handle.id, "run.status", times=2)).data["reason"]
    assert "tool time" in (await stage.run(handle.id)).reason
    await handle.execute_update("resume", MORE)
    await stage.decide(handle.id)
    assert (await handle.result()).status is RunStatus.SUCCEEDED
    assert sorted(stage.world.said) == ["a", "b", "c", "delicate"]
    assert (await stage.types(handle.id)).count("approval.requested") == 1


async def test_money_runs_out_between_two_moves(stage: Stage) -> None:
    stage.script.moves = [NextMove(step=say("x", "one"), spend_usd=1.0), NextMove(answer="two")]
    handle = await stage.start(mode="react", limits=RunLimits(spend_usd=0.5), on_failure="pause")
    assert "USD" in (await stage.until(handle.id, "run.status")).data["reason"]
    assert stage.world.said == ["one"]
    await handle.execute_update("resume", MORE)
    assert (await handle.result()).answer == "two"


@pytest.mark.parametrize("where", ["row", "question"])
async def test_time_runs_out_in_the_middle(stage: Stage, where: str) -> None:
    """A row ends in a call that is stopped and told; a question ends with the run, and whoever answers it moves nothing."""
    middle = say("b", arguments={"wait": "never"}, depends_on=("a",))
    if where == "question":
        middle = say("b", "delicate", depends_on=("a",))
    handle = await stage.start(say("a"), middle, say("c", depends_on=("b",)), limits=RunLimits(wall_s=4))
    assert (await handle.result()).status is RunStatus.TIMED_OUT
    assert stage.world.said == (["a", "b"] if where == "row" else ["a"])
    assert await settled(stage, handle.id)
    story = await stage.story(handle.id)
    assert [event.seq for event in story] == list(range(1, len(story) + 1))
    assert story[-1].type.value == "run.ended"


ASK = AgentStep(id="ask", agent="operator", goal="find it", budget_share=0.5, on_error=OnError.CONTINUE)
BUT = say("after", "${steps.ask.state}", depends_on=("ask",))


def moves(count: int, *, spend_usd: float = 0, **fields: Any) -> list[NextMove]:
    made = [NextMove(step=say("x", f"m{n}", **fields), spend_usd=spend_usd) for n in range(count)]
    return [*made, NextMove(answer="found", spend_usd=spend_usd)]


@pytest.mark.parametrize(
    ("limits", "why"),
    [
        (RunLimits(steps=5), "may take 2 steps"),
        (RunLimits(spend_usd=4.0), "may spend 2 USD"),
        (RunLimits(tool_s=2e-6), "s of tool time"),
    ],
    ids=["steps", "spend", "tool time"],
)
async def test_an_agent_that_a_step_is_handed_to_has_its_share_and_no_more(
    stage: Stage, limits: RunLimits, why: str
) -> None:
    stage.script.moves = moves(3, spend_usd=1.0)
    handle = await stage.start(ASK, BUT, limits=limits, on_failure="pause")
    child = (await stage.until(handle.id, "step.started")).data["run_id"]
    ended = await stage.until(child, "run.ended")
    assert ended.data["status"] == "failed"
    assert why in ended.data["reason"]
    assert stage.world.said[:1] == ["m0"]
    failed = await stage.until(handle.id, "step.failed")
    assert why in failed.data["error"]["message"]


async def test_what_an_agent_used_is_gone_for_the_run_it_worked_for(stage: Stage) -> None:
    stage.script.moves = [*moves(2, spend_usd=1.0), *moves(2, spend_usd=1.0)]
    again = ASK.model_copy(update={"id": "again", "goal": "find more", "depends_on": ("ask",)})
    handle = await stage.start(ASK, again, limits=RunLimits(steps=6, spend_usd=100.0), on_failure="fail")
    output = await handle.result()
    assert stage.world.said == ["m0", "m1", "m0"]  # three of six, and then one of three
    assert (output.steps_done, output.spend_usd) == (5, 4.0)
    assert output.tool_s > 0


async def test_an_agent_has_no_more_time_than_the_run_it_works_for(stage: Stage) -> None:
    stage.script.moves = moves(1, arguments={"wait": "never"})
    handle = await stage.start(ASK, limits=RunLimits(wall_s=4))
    child = (await stage.until(handle.id, "step.started")).data["run_id"]
    assert (await handle.result()).status is RunStatus.TIMED_OUT
    begun = await stage.runs.start_input("default", child)
    assert begun.limits.wall_s < 4
    assert (await stage.run(child)).status in (RunStatus.TIMED_OUT, RunStatus.CANCELLED)
    assert await settled(stage, child)
