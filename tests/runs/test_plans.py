"""Plans, carried out on real servers: order, failure, people, time."""

import asyncio
from typing import Any

import pytest
from temporalio.client import WorkflowUpdateFailedError

from holdfast.errors import Misconfigured
from schemas.actions import Action
from schemas.agents import RunLimits
from schemas.commands import CancelCommand, PauseCommand, PostedEvent, ResumeCommand
from schemas.plans import AgentStep, ApprovalStep, Plan, PlanSource, Step, StepRetry, ToolStep, WaitStep
from schemas.runs import RunState, RunStatus
from schemas.stages import NextMove, PlanProposal
from tests.runs.conftest import Stage


def say(
    name: str, text: str = "", *, tool: str = "say", arguments: dict[str, Any] | None = None, **fields: Any
) -> ToolStep:
    return ToolStep(id=name, tool=tool, arguments={"text": text or name, **(arguments or {})}, **fields)


async def test_a_plan_is_carried_out_and_told(stage: Stage) -> None:
    handle = await stage.start(say("first"), say("second", "${steps.first.output.text}!"))
    output = await handle.result()
    assert output.status is RunStatus.SUCCEEDED
    assert output.answer == "done: first, second"
    assert stage.world.said == ["first", "first!"]
    story = await stage.story(handle.id)
    assert [event.seq for event in story] == list(range(1, len(story) + 1))
    run = await stage.run(handle.id)
    assert (run.status, run.answer) == ("succeeded", "done: first, second")


async def test_a_sandbox_step_costs_at_most_seven_history_events(stage: Stage) -> None:
    one = await stage.start(
        *[say(f"s{n}", "${steps.s" + str(n - 1) + ".output.text}" if n else "") for n in range(3)]
    )
    await one.result()
    more = await stage.start(
        *[say(f"s{n}", "${steps.s" + str(n - 1) + ".output.text}" if n else "") for n in range(13)]
    )
    await more.result()
    lengths = [len((await handle.fetch_history()).events) for handle in (one, more)]
    assert (lengths[1] - lengths[0]) / 10 <= 7


async def test_a_fast_step_costs_at_most_two_history_events(stage: Stage) -> None:
    def chain(length: int) -> list[Step]:
        return [
            ToolStep(
                id=f"c{n}",
                tool="calc",
                arguments={"expression": f"${{steps.c{n - 1}.output.value}} + 1" if n else "1"},
            )
            for n in range(length)
        ]

    one = await stage.start(*chain(3))
    await one.result()
    more = await stage.start(*chain(13))
    await more.result()
    lengths = [len((await handle.fetch_history()).events) for handle in (one, more)]
    assert (lengths[1] - lengths[0]) / 10 <= 2
    assert len(await stage.effects(more.id)) == 13


async def test_a_failure_gives_up_what_needs_it_and_nothing_else(stage: Stage) -> None:
    handle = await stage.start(
        say("bad", arguments={"fail": True}),
        say("behind", depends_on=("bad",)),
        say("further", depends_on=("behind",)),
        say("aside"),
    )
    output = await handle.result()
    assert output.status is RunStatus.FAILED
    assert "bad: say failed" in output.reason
    assert sorted(stage.world.said) == ["aside", "bad"]
    assert (await stage.types(handle.id)).count("step.cancelled") == 2


async def test_a_step_that_may_fail_does_not_stop_those_behind_it(stage: Stage) -> None:
    handle = await stage.start(
        say("bad", arguments={"fail": True}, on_error="continue"),
        say("behind", "${steps.bad.state}"),
    )
    assert (await handle.result()).status is RunStatus.SUCCEEDED
    assert stage.world.said == ["bad", "failed"]


async def test_each_attempt_is_an_effect_of_its_own(stage: Stage) -> None:
    stage.world.failures["flaky"] = 2
    handle = await stage.start(say("flaky", retry=StepRetry(attempts=3, wait_s=0.01)))
    assert (await handle.result()).status is RunStatus.SUCCEEDED
    assert [effect.status.value for effect in await stage.effects(handle.id)] == [
        "failed",
        "failed",
        "succeeded",
    ]
    assert (await stage.types(handle.id)).count("step.retrying") == 2


async def test_a_call_that_does_not_bring_what_was_expected_has_failed_its_step(stage: Stage) -> None:
    wanted = '${output.text} == "yes" and ${output.items} contains ${inputs.word ?? "yes"}'
    handle = await stage.start(say("good", "yes", expect=wanted), say("bad", "no", expect=wanted))
    output = await handle.result()
    assert output.status is RunStatus.FAILED
    assert "bad: The call ended well, but this does not hold" in output.reason
    story = await stage.story(handle.id)
    ends = {event.step_id: event.type.value for event in story if event.type.value.startswith("step.")}
    assert ends == {"good": "step.succeeded", "bad": "step.failed"}
    assert [effect.status.value for effect in await stage.effects(handle.id)] == ["succeeded", "succeeded"]


async def test_a_step_is_tried_again_until_it_brings_what_was_expected(stage: Stage) -> None:
    again = StepRetry(attempts=2, wait_s=0.01)
    handle = await stage.start(say("bad", expect='${output.text} == "good"', retry=again))
    assert (await handle.result()).status is RunStatus.FAILED
    assert stage.world.said == ["bad", "bad"]
    types = await stage.types(handle.id)
    assert (types.count("step.retrying"), types.count("step.failed")) == (1, 1)


async def test_a_false_condition_skips_the_step_and_not_those_behind(stage: Stage) -> None:
    handle = await stage.start(
        say("look"),
        say("never", when='${steps.look.output.text} == "other"'),
        say("behind", depends_on=("never",)),
    )
    assert (await handle.result()).status is RunStatus.SUCCEEDED
    assert stage.world.said == ["look", "behind"]


async def test_one_call_is_made_for_each_item(stage: Stage) -> None:
    handle = await stage.start(
        say("list"),
        say("each", "${item}", for_each="${steps.list.output.items}", concurrency=2),
        say("count", "n=${steps.each.output.count}"),
    )
    assert (await handle.result()).status is RunStatus.SUCCEEDED
    assert stage.world.said == ["list", "list", "list", "list", "n=3"]


async def test_a_denied_action_is_never_done(stage: Stage) -> None:
    handle = await stage.start(say("bad", "forbidden"), say("behind", depends_on=("bad",)))
    assert (await handle.result()).status is RunStatus.FAILED
    assert stage.world.said == []
    assert await stage.effects(handle.id) == []
    assert "step.denied" in await stage.types(handle.id)


async def test_an_approved_action_is_done_once(stage: Stage) -> None:
    handle = await stage.start(say("ask", "delicate"))
    await stage.decide(handle.id)
    assert (await handle.result()).status is RunStatus.SUCCEEDED
    assert stage.world.said == ["delicate"]
    assert "run.status" in await stage.types(handle.id)


async def test_a_rejected_action_is_not_done(stage: Stage) -> None:
    handle = await stage.start(say("ask", "delicate"))
    await stage.decide(handle.id, approve=False, comment="not today")
    output = await handle.result()
    assert output.status is RunStatus.FAILED
    assert "not today" in output.reason
    assert stage.world.said == []


async def test_what_a_human_rewrote_is_what_runs(stage: Stage) -> None:
    handle = await stage.start(say("ask", "delicate"))
    asked = await stage.until(handle.id, "approval.requested")
    arguments = {"text": "delicate but mended"}
    async with stage.database.tenant("default") as connection:
        cursor = await connection.execute(
            "select action from approvals where id = %s", (asked.data["approval_id"],)
        )
        row = await cursor.fetchone()
    assert row
    edited = Action.model_validate(row["action"]).edited(arguments)
    await stage.decide(handle.id, arguments=arguments, effective=edited.digest)
    assert (await handle.result()).status is RunStatus.SUCCEEDED
    assert stage.world.said == ["delicate but mended"]


async def test_a_raw_signal_approves_nothing(stage: Stage) -> None:
    handle = await stage.start(say("ask", "delicate"))
    asked = await stage.until(handle.id, "approval.requested")
    await handle.signal("approval_decided", asked.data["approval_id"])
    await handle.signal("approval_decided", "apr_" + "0" * 24)
    await handle.execute_update("pause", PauseCommand())
    assert stage.world.said == []
    assert (await stage.run(handle.id)).status is RunStatus.PAUSED
    await handle.execute_update("cancel", CancelCommand(mode="force"))
    assert (await handle.result()).status is RunStatus.CANCELLED


async def test_a_failed_step_waits_for_help_and_goes_on_with_it(stage: Stage) -> None:
    handle = await stage.start(
        say("bad", arguments={"fail": True}), say("behind", depends_on=("bad",)), on_failure="pause"
    )
    await stage.until(handle.id, "run.status")
    with pytest.raises(WorkflowUpdateFailedError):
        await handle.execute_update("resume", ResumeCommand(step="nowhere"))
    await handle.execute_update("resume", ResumeCommand(step="bad", arguments={"text": "good"}))
    assert (await handle.result()).status is RunStatus.SUCCEEDED
    assert stage.world.said == ["bad", "good", "behind"]


async def test_a_paused_run_starts_nothing_until_it_is_resumed(stage: Stage) -> None:
    handle = await stage.start(say("first", arguments={"wait": "gate"}), say("second", depends_on=("first",)))
    await stage.until(handle.id, "tool.dispatched")
    await handle.execute_update("pause", PauseCommand())
    stage.world.gates.setdefault("gate", asyncio.Event()).set()
    await stage.until(handle.id, "step.succeeded")
    assert stage.world.said == ["first"]
    await handle.execute_update("resume", ResumeCommand())
    await handle.result()
    assert stage.world.said == ["first", "second"]


async def test_a_cancelled_run_ends_when_its_call_has_ended(stage: Stage) -> None:
    handle = await stage.start(say("long", arguments={"wait": "never"}))
    await stage.until(handle.id, "tool.dispatched")
    await handle.execute_update("cancel", CancelCommand(reason="enough"))
    output = await handle.result()
    assert (output.status, output.reason) == (RunStatus.CANCELLED, "enough")
    (effect,) = await stage.effects(handle.id)
    assert effect.status == "failed"
    assert effect.result
    assert effect.result.error
    assert effect.result.error.code == "cancelled"


async def test_cancelling_in_temporal_ends_the_run_the_same_way(stage: Stage) -> None:
    handle = await stage.start(WaitStep(id="wait", event="never"))
    await stage.until(handle.id, "step.started")
    await handle.cancel()
    assert (await handle.result()).status is RunStatus.CANCELLED


async def test_graceful_cancel_undoes_what_was_done_last_first(stage: Stage) -> None:
    undo = [{"tool": "say", "arguments": {"text": f"undo {n}"}} for n in (1, 2)]
    handle = await stage.start(
        say("one", compensation=undo[0]),
        say("two", compensation=undo[1], depends_on=("one",)),
        WaitStep(id="wait", event="never", depends_on=("two",)),
    )
    await stage.until(handle.id, "step.succeeded", times=2)
    await stage.until(handle.id, "step.started", times=3)
    await handle.execute_update("cancel", CancelCommand())
    assert (await handle.result()).status is RunStatus.CANCELLED
    assert stage.world.said == ["one", "two", "undo 2", "undo 1"]


async def test_a_step_waits_for_an_event_from_outside(stage: Stage) -> None:
    handle = await stage.start(WaitStep(id="wait", event="door"), say("go", "${steps.wait.output.who}"))
    await stage.until(handle.id, "step.started")
    await handle.signal("post_event", PostedEvent(id="e1", name="door", data={"who": "ada"}))
    assert (await handle.result()).status is RunStatus.SUCCEEDED
    assert stage.world.said == ["ada"]


async def test_an_approval_step_opens_the_way(stage: Stage) -> None:
    handle = await stage.start(ApprovalStep(id="gate", message="Go on?"), say("go", depends_on=("gate",)))
    await stage.decide(handle.id, comment="fine")
    assert (await handle.result()).status is RunStatus.SUCCEEDED
    assert stage.world.said == ["go"]


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
    asked = [(request.tools, request.error) for request in stage.memory.asked]
    assert asked == [(("say",), "tool_crashed")]


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


async def test_a_large_output_is_kept_aside(stage: Stage) -> None:
    handle = await stage.start(
        say("big", arguments={"size": 3_000_000}), say("after", "${steps.big.output.text}")
    )
    assert (await handle.result()).status is RunStatus.SUCCEEDED
    history = await handle.fetch_history()
    assert max(event.ByteSize() for event in history.events) < 100_000
    finished = await stage.until(handle.id, "tool.finished")
    assert finished.data["outcome"]["artifact"]["size"] > 3_000_000


async def test_a_delegated_goal_is_a_run_of_its_own(stage: Stage) -> None:
    stage.script.moves = [NextMove(step=say("x", "child at work")), NextMove(answer="42")]
    handle = await stage.start(
        AgentStep(id="ask", agent="operator", goal="find it"), say("use", "${steps.ask.output.answer}")
    )
    assert (await handle.result()).status is RunStatus.SUCCEEDED
    assert stage.world.said == ["child at work", "42"]
    story = await stage.story(handle.id)
    child = next(
        event.data["outcome"]["output"]["run_id"]
        for event in story
        if event.step_id == "ask" and "outcome" in event.data
    )
    assert (await stage.run(child)).parent == handle.id


async def test_a_limit_of_moves_waits_for_a_higher_one(stage: Stage) -> None:
    stage.script.moves = [NextMove(step=say("x", text)) for text in ("one", "two")]
    stage.script.moves.append(NextMove(answer="enough"))
    handle = await stage.start(mode="react", state=RunState(), on_failure="pause", limits=RunLimits(steps=1))
    waiting = await stage.until(handle.id, "run.status")
    assert "may take 1 steps" in waiting.data["reason"]
    await handle.execute_update("resume", ResumeCommand(limits=RunLimits(steps=5)))
    assert (await handle.result()).answer == "enough"
    assert stage.world.said == ["one", "two"]


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


async def test_a_run_that_waits_for_an_approval_waits_for_no_resume(stage: Stage) -> None:
    handle = await stage.start(say("ask", "delicate"))
    await stage.until(handle.id, "approval.requested")
    with pytest.raises(WorkflowUpdateFailedError):
        await handle.execute_update("resume", ResumeCommand())
    await stage.decide(handle.id)
    assert (await handle.result()).status is RunStatus.SUCCEEDED


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
