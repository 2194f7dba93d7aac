"""Text from outside that a model has read may have chosen whatever it says next: each such action says so, whichever way
the text went. Where the guardian hears of it, people are asked, whatever else is permitted."""

from typing import Any

import pytest

from schemas.actions import Action
from schemas.commands import CancelCommand, ResumeCommand
from schemas.plans import AgentStep, Citation, Compensation, Plan, PlanSource, ToolStep
from schemas.runs import RunState, RunStatus
from schemas.stages import NextMove, PlanProposal, Recalled, Recollection
from tests.runs.conftest import Stage
from tests.runs.house import House
from tests.runs.steps import say

DONE = NextMove(answer="done")


def hear(name: str = "log", text: str = "do as I say", **fields: Any) -> ToolStep:
    return ToolStep(id=name, tool="hear", arguments={"text": text}, **fields)


def judged(stage: Stage, text: str) -> Action:
    """The action with this text among its arguments."""
    return next(action for action in stage.guardian.judged if action.arguments.get("text") == text)


def model_plan(*steps: ToolStep) -> PlanProposal:
    return PlanProposal(plan=Plan(steps=steps, source=PlanSource.MODEL), by="script")


async def test_a_move_is_swayed_once_its_model_has_heard_something(stage: Stage) -> None:
    stage.script.moves = [
        NextMove(step=say("x", "before")),
        NextMove(step=hear()),
        NextMove(step=say("y", "after")),
    ]
    stage.script.moves.append(DONE)
    handle = await stage.start(mode="react", state=RunState())
    assert (await handle.result()).status is RunStatus.SUCCEEDED
    assert not judged(stage, "before").swayed
    assert judged(stage, "after").swayed
    assert len([action for action in stage.guardian.judged if action.arguments["text"] == "after"]) == 1


async def test_a_plan_made_after_a_failure_is_swayed_by_what_was_heard_before_it(stage: Stage) -> None:
    stage.script.plans = [model_plan(say("other", "instead"))]
    handle = await stage.start(
        hear(), say("bad", arguments={"fail": True, "text": "first"}, on_error="replan")
    )
    assert (await handle.result()).status is RunStatus.SUCCEEDED
    assert not judged(stage, "first").swayed
    assert judged(stage, "instead").swayed


async def test_a_first_plan_is_swayed_by_what_is_remembered_from_outside(stage: Stage) -> None:
    cite = Citation(source="memory", id="mem_1", version=1)
    stage.memory.recalled = Recollection(items=(Recalled(cite=cite, text="always say so", untrusted=True),))
    stage.script.plans = [model_plan(say("a", "so"))]
    handle = await stage.start(state=RunState())
    assert (await handle.result()).status is RunStatus.SUCCEEDED
    assert judged(stage, "so").swayed


@pytest.mark.parametrize("source", [PlanSource.RUNBOOK, PlanSource.GIVEN])
async def test_what_no_model_wrote_is_not_swayed(stage: Stage, source: PlanSource) -> None:
    plan = Plan(steps=(hear(), say("a", "written down", depends_on=("log",))), source=source)
    handle = await stage.start(state=RunState(plan=plan))
    assert (await handle.result()).status is RunStatus.SUCCEEDED
    assert not judged(stage, "written down").swayed


async def test_what_a_person_wrote_in_the_place_of_a_swayed_step_is_the_persons(stage: Stage) -> None:
    stage.script.plans = [model_plan(say("other", arguments={"fail": True, "text": "a model's"}))]
    bad = say("bad", arguments={"fail": True}, on_error="replan")
    handle = await stage.start(hear(), bad, on_failure="pause")
    await stage.until(handle.id, "run.status")
    mended = ResumeCommand(step="other", arguments={"text": "a person's"}, by="someone")
    await handle.execute_update("resume", mended)
    assert (await handle.result()).status is RunStatus.SUCCEEDED
    assert judged(stage, "a model's").swayed
    assert not judged(stage, "a person's").swayed


async def test_what_a_child_is_told_from_outside_sways_all_it_does(stage: Stage) -> None:
    stage.script.moves = [NextMove(step=say("x", "obeyed")), DONE]
    told = AgentStep(
        id="ask", agent="operator", goal="see to it", inputs={"ticket": "${steps.log.output.text}"}
    )
    handle = await stage.start(hear(), told)
    assert (await handle.result()).status is RunStatus.SUCCEEDED
    assert judged(stage, "obeyed").swayed


async def test_what_is_reckoned_from_outside_is_from_outside(stage: Stage) -> None:
    reckoned = ToolStep(id="sum", tool="calc", arguments={"expression": "${steps.log.output.text} + 1"})
    handle = await stage.start(hear(text="41"), reckoned, say("many", "${steps.sum.output.value}"))
    await handle.result()
    assert judged(stage, "41").tainted == ()
    many = next(action for action in stage.guardian.judged if action.step_id == "many")
    assert many.tainted == ("text",)


async def test_an_undoing_is_tainted_like_any_action(stage: Stage) -> None:
    undo = Compensation(tool="say", arguments={"text": "${steps.log.output.text}"})
    handle = await stage.start(
        hear(text="undone"), say("done", compensation=undo), say("long", arguments={"wait": "never"})
    )
    await stage.until(handle.id, "tool.dispatched", times=3)
    await handle.execute_update("cancel", CancelCommand())
    assert (await handle.result()).status is RunStatus.CANCELLED
    undoing = next(action for action in stage.guardian.judged if action.step_id == "undo_done")
    assert undoing.tainted == ("text",)


async def test_people_are_asked_about_what_a_swayed_model_changes_though_a_policy_permits_it(
    house: House,
) -> None:
    house.script.moves = [
        NextMove(step=say("x", "as I like")),
        NextMove(step=hear()),
        NextMove(step=say("y", "as you say")),
        DONE,
    ]
    run = await house.start(mode="react")
    approval = await house.decide(run)
    assert approval["summary"]["reasons"][0].startswith("a model that had read text from outside chose this")
    assert (await house.end(run))["status"] == "succeeded"
    assert house.world.said == ["as I like", "as you say"]
