"""Plans, carried out on real servers: order, conditions, failure, attempts."""

from schemas.commands import PostedEvent
from schemas.plans import AgentStep, Step, StepRetry, ToolStep, WaitStep
from schemas.runs import RunStatus
from schemas.stages import NextMove
from tests.runs.conftest import Stage
from tests.runs.steps import say


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


async def test_a_step_waits_for_an_event_from_outside(stage: Stage) -> None:
    handle = await stage.start(WaitStep(id="wait", event="door"), say("go", "${steps.wait.output.who}"))
    await stage.until(handle.id, "step.started")
    await handle.signal("post_event", PostedEvent(id="e1", name="door", data={"who": "ada"}))
    assert (await handle.result()).status is RunStatus.SUCCEEDED
    assert stage.world.said == ["ada"]


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
