"""From a goal to a plan that stands: checked, sent back, replaced; or from move to move."""

from holdfast.errors import Misconfigured
from schemas.commands import ResumeCommand
from schemas.plans import Plan, PlanSource, ToolStep
from schemas.runs import RunState, RunStatus
from schemas.stages import NextMove, PlanProposal
from tests.runs.conftest import Stage
from tests.runs.steps import say


async def test_a_plan_with_errors_is_rejected_with_all_of_them(stage: Stage) -> None:
    handle = await stage.start(
        ToolStep(id="a", tool="nothing"),
        say("b", "${steps.zzz.output}"),
        say("c", depends_on=("d",)),
        say("d", depends_on=("c",)),
    )
    output = await handle.result()
    assert output.status is RunStatus.REJECTED
    for word in ("no tool nothing", "zzz", "wait for each other"):
        assert word in output.reason
    assert stage.world.said == []


async def test_a_failed_plan_is_replaced_and_what_is_done_stays_done(stage: Stage) -> None:
    better = Plan(steps=(say("other", "${steps.good.output.text} again"),))
    stage.script.plans = [PlanProposal(plan=better, by="script")]
    handle = await stage.start(say("good"), say("bad", arguments={"fail": True}, on_error="replan"))
    assert (await handle.result()).status is RunStatus.SUCCEEDED
    assert sorted(stage.world.said[:2]) == ["bad", "good"]
    assert stage.world.said[2:] == ["good again"]
    asked = [(request.tools, request.error, request.calls) for request in stage.memory.asked]
    assert asked == [(("say",), "tool_crashed", ({"text": "bad", "fail": True},))]


async def test_a_bad_draft_is_sent_back_with_its_findings(stage: Stage) -> None:
    stage.script.plans = [
        PlanProposal(
            plan=Plan(steps=(ToolStep(id="a", tool="nothing"),), source=PlanSource.MODEL), by="script"
        ),
        PlanProposal(plan=Plan(steps=(say("a"),), source=PlanSource.MODEL), by="script"),
    ]
    handle = await stage.start(state=RunState())
    assert (await handle.result()).status is RunStatus.SUCCEEDED
    assert "plan.rejected" in await stage.types(handle.id)
    assert [finding.code for finding in getattr(stage.script.requests[1], "findings", ())] == ["unknown_tool"]


async def test_moves_follow_observations_until_there_is_an_answer(stage: Stage) -> None:
    stage.script.moves = [
        NextMove(step=say("x", "one")),
        NextMove(step=say("y", "two")),
        NextMove(answer="that is it"),
    ]
    handle = await stage.start(mode="react", state=RunState())
    output = await handle.result()
    assert (output.status, output.answer) == (RunStatus.SUCCEEDED, "that is it")
    assert stage.world.said == ["one", "two"]


async def test_an_agent_that_repeats_itself_is_stopped(stage: Stage) -> None:
    stage.script.moves = [NextMove(step=say("x", "again")) for _ in range(10)]
    handle = await stage.start(mode="react", state=RunState())
    output = await handle.result()
    assert output.status is RunStatus.FAILED
    assert "repeats itself" in output.reason
    assert len(stage.world.said) == 3


async def test_a_dead_planner_waits_for_help_and_is_asked_again(stage: Stage) -> None:
    stage.script.failures = [Misconfigured("the key is wrong", remedy="Set the right one.")]
    stage.script.plans = [PlanProposal(plan=Plan(steps=(say("a"),), source=PlanSource.MODEL), by="script")]
    handle = await stage.start(state=RunState(), on_failure="pause")
    waiting = await stage.until(handle.id, "run.status")
    assert "the key is wrong Set the right one." in waiting.data["reason"]
    await handle.execute_update("resume", ResumeCommand())
    assert (await handle.result()).status is RunStatus.SUCCEEDED


async def test_missing_inputs_are_asked_for(stage: Stage) -> None:
    stage.script.plans = [
        PlanProposal(by="script", missing=("host",), note="Which host?"),
        PlanProposal(plan=Plan(steps=(say("a", "${inputs.host}"),), source=PlanSource.MODEL), by="script"),
    ]
    handle = await stage.start(state=RunState(), on_failure="pause")
    waiting = await stage.until(handle.id, "run.status")
    assert "host. Which host?" in waiting.data["reason"]
    await handle.execute_update("resume", ResumeCommand(inputs={"host": "db-1"}))
    assert (await handle.result()).status is RunStatus.SUCCEEDED
    assert stage.world.said == ["db-1"]


async def test_an_answer_that_breaks_fails_the_run_and_its_row(stage: Stage) -> None:
    stage.script.broken_answer = True
    handle = await stage.start(say("a"))
    output = await handle.result()
    assert output.status is RunStatus.FAILED
    assert (await stage.run(handle.id)).status is RunStatus.FAILED


async def test_a_new_plan_takes_the_place_of_what_failed_if_it_is_sound(stage: Stage) -> None:
    handle = await stage.start(say("good"), say("bad", arguments={"fail": True}), on_failure="pause")
    await stage.until(handle.id, "run.status")
    broken = Plan(steps=(ToolStep(id="a", tool="nothing"),))
    await handle.execute_update("resume", ResumeCommand(plan=broken))
    await stage.until(handle.id, "plan.rejected")
    await stage.until(handle.id, "run.status", times=3)
    await handle.execute_update("resume", ResumeCommand(plan=Plan(steps=(say("other"),))))
    assert (await handle.result()).status is RunStatus.SUCCEEDED
    assert [text for text in stage.world.said if text != "bad"] == ["good", "other"]
