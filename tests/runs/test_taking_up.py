"""A run that has ended is taken up again, or forked: what it did is not done again. Through the front door."""

from schemas.plans import ToolStep
from schemas.stages import NextMove
from tests.runs.house import House, say


async def test_a_failed_run_goes_on_with_other_arguments(house: House) -> None:
    run = await house.start(
        say("a"), say("b", depends_on=["a"], arguments={"fail": True}), say("c", "${steps.b.output.text}!")
    )
    assert (await house.end(run))["status"] == "failed"
    await house.post(f"/v1/runs/{run}/resume", {"step": "b", "arguments": {"text": "mended"}})
    assert (await resumed(house, run))["status"] == "succeeded"
    assert house.world.said == ["a", "b", "mended", "mended!"]
    states = ("succeeded", "failed", "succeeded", "succeeded")
    assert await house.effects(run) == [*zip("abbc", states, strict=True)]


async def test_a_cancelled_run_goes_on_with_another_plan(house: House) -> None:
    wait = {"id": "wait", "kind": "wait", "event": "never", "depends_on": ["a"]}
    run = await house.start(say("a"), wait)
    await house.event(run, "step.started", times=2)
    await house.post(f"/v1/runs/{run}/cancel", {"reason": "enough"})
    assert (await house.end(run))["status"] == "cancelled"
    other = {"steps": [say("a"), say("b", "${steps.a.output.text} and b")]}
    await house.post(f"/v1/runs/{run}/resume", {"plan": other})
    assert (await resumed(house, run))["status"] == "succeeded"
    assert house.world.said == ["a", "a and b"]
    story = await house.story(run)
    assert [event.seq for event in story] == list(range(1, len(story) + 1))


async def test_what_a_cancelled_run_has_undone_is_done_again_when_it_goes_on(house: House) -> None:
    undo = {"tool": "say", "arguments": {"text": "undo"}}
    wait = {"id": "wait", "kind": "wait", "event": "go", "depends_on": ["a"]}
    run = await house.start(say("a", compensation=undo), say("b"), wait)
    await house.event(run, "step.succeeded", times=2)
    await house.event(run, "step.started", times=3)
    await house.post(f"/v1/runs/{run}/cancel", {})
    assert (await house.end(run))["status"] == "cancelled"
    await house.post(f"/v1/runs/{run}/resume", {})
    await house.post(f"/v1/runs/{run}/events", {"name": "go"})
    assert (await resumed(house, run))["status"] == "succeeded"
    assert sorted(house.world.said) == ["a", "a", "b", "undo"]


async def test_a_failed_run_goes_on_under_another_version_of_its_agent(house: House) -> None:
    await house.post("/v1/agents", {"name": "narrow", "tools": ["calc"]})
    await house.http.put("/v1/agents/narrow", json={"name": "narrow", "tools": ["calc", "say"]})
    add = {"id": "sum", "kind": "tool", "tool": "calc", "arguments": {"expression": "1 + 1"}}
    plan = (add, say("tell", "n=${steps.sum.output.value}"))
    run = await house.start(*plan, agent="narrow", agent_version=1)
    assert "no tool say" in (await house.end(run))["reason"]
    await house.post(f"/v1/runs/{run}/resume", {"agent_version": 2})
    ended = await resumed(house, run)
    assert ended["status"] == "succeeded", ended["reason"]
    assert house.world.said == ["n=2"]


async def test_a_finished_run_is_forked_from_a_step(house: House) -> None:
    run = await house.start(
        say("a"),
        say("b", "${inputs.word}", depends_on=["a"]),
        say("c", "${steps.b.output.text}!"),
        inputs={"word": "old"},
    )
    assert (await house.end(run))["status"] == "succeeded"
    fork = await house.post(f"/v1/runs/{run}/fork", {"from_step": "b", "inputs": {"word": "new"}})
    assert (await house.end(fork["id"]))["status"] == "succeeded"
    assert house.world.said == ["a", "old", "old!", "new", "new!"]
    assert fork["forked_from"] == run
    assert await house.effects(fork["id"]) == [("b", "succeeded"), ("c", "succeeded")]


async def test_an_agent_that_is_resumed_knows_what_it_did(house: House) -> None:
    move = ToolStep(id="x", tool="say", arguments={"text": "one"})
    house.script.moves = [
        NextMove(step=move, spend_usd=0.25),
        NextMove(
            step=move.model_copy(update={"arguments": {"text": "two", "wait": "never"}}), spend_usd=0.25
        ),
        NextMove(answer="both", spend_usd=0.5),
    ]
    run = await house.start(mode="react")
    await house.event(run, "tool.dispatched", times=2)
    await house.post(f"/v1/runs/{run}/cancel", {"mode": "force"})
    assert (await house.end(run))["spend_usd"] == 0.5
    await house.post(f"/v1/runs/{run}/resume", {})
    ended = await resumed(house, run)
    assert (ended["status"], ended["answer"], ended["spend_usd"]) == ("succeeded", "both", 1.0)
    assert house.world.said == ["one", "two"]
    asked = house.script.requests[-1]
    assert [step.id for step in getattr(asked, "steps", ())] == ["move_1", "move_2"]


async def test_a_terminated_agent_goes_on_behind_its_moves(house: House) -> None:
    move = ToolStep(id="x", tool="say", arguments={"text": "one"})
    second = move.model_copy(
        update={"arguments": {"text": "${steps.move_1.output.text} two", "wait": "never"}}
    )
    house.script.moves = [NextMove(step=move), NextMove(step=second), NextMove(answer="both")]
    run = await house.start(mode="react")
    await house.event(run, "tool.dispatched", times=2)
    assert [step["id"] for step in (await house.get(f"/v1/runs/{run}/steps"))["items"]] == [
        "move_1",
        "move_2",
    ]
    await house.client.get_workflow_handle(run).terminate(reason="by mistake")
    assert (await house.end(run))["status"] == "failed"
    await house.post(f"/v1/runs/{run}/resume", {})
    assert (await house.decide(run))["subject"] == "effect_unknown"
    ended = await resumed(house, run)
    assert (ended["status"], ended["answer"]) == ("succeeded", "both")
    assert house.world.said == ["one", "one two"]
    assert [step.id for step in getattr(house.script.requests[-1], "steps", ())] == ["move_1", "move_2"]


async def test_a_fork_that_failed_is_resumed_with_the_past_it_was_begun_with(house: House) -> None:
    steps = [
        say("a"),
        say("b", "${inputs.word}", depends_on=["a"]),
        say("c", "${steps.b.output.text}!", arguments={"fail": "${inputs.fail ?? false}"}),
    ]
    run = await house.start(*steps, inputs={"word": "old"})
    assert (await house.end(run))["status"] == "succeeded"
    fork = (await house.post(f"/v1/runs/{run}/fork", {"from_step": "c", "inputs": {"fail": True}}))["id"]
    assert (await house.end(fork))["status"] == "failed"
    states = [step["state"] for step in (await house.get(f"/v1/runs/{fork}/steps"))["items"]]
    assert states == ["succeeded", "succeeded", "failed"]
    await house.post(f"/v1/runs/{fork}/resume", {"step": "c", "skip": True})
    assert (await resumed(house, fork))["status"] == "succeeded"
    assert house.world.said == ["a", "old", "old!", "old!"]


async def test_a_given_plan_is_still_there_when_nobody_had_accepted_it(house: House) -> None:
    run = await house.start(say("a"), approve_plan=True)
    await house.decide(run, "reject")
    assert (await house.end(run))["status"] == "rejected"
    await house.post(f"/v1/runs/{run}/resume", {})
    await house.decide(run, times=2)
    assert (await resumed(house, run))["status"] == "succeeded"
    assert house.world.said == ["a"]


async def test_what_people_refused_is_asked_anew_when_the_run_is_resumed(house: House) -> None:
    await house.policy("ask", effect="require_approval", scope={"tools": ["say"]}, priority=10)
    gate = {"id": "gate", "kind": "approval", "message": "On?", "depends_on": ["a"]}
    run = await house.start(say("a"), gate)
    for times, decision in enumerate(["reject", "approve", "reject"], start=1):
        await house.decide(run, decision, times=times)
        if decision == "reject":
            assert (await resumed(house, run))["status"] == "failed"
            await house.post(f"/v1/runs/{run}/resume", {})
    await house.decide(run, times=4)
    assert (await resumed(house, run))["status"] == "succeeded"
    assert house.world.said == ["a"]


async def test_an_item_that_people_refused_is_asked_about_anew_and_the_others_are_not(house: House) -> None:
    await house.policy(
        "ask",
        effect="require_approval",
        scope={"tools": ["say"]},
        priority=10,
        when="action.arguments.text == 'odd'",
    )
    names = ["m", "odd"]
    run = await house.start(say("each", "${item}", for_each="${inputs.names}"), inputs={"names": names})
    await house.decide(run, "reject")
    assert (await house.end(run))["status"] == "failed"
    await house.post(f"/v1/runs/{run}/resume", {})
    await house.decide(run, times=2)
    assert (await resumed(house, run))["status"] == "succeeded"
    assert sorted(house.world.said) == ["m", "odd"]


async def test_a_run_that_was_terminated_in_the_middle_of_a_call_says_so_and_asks_before_it_goes_on(
    house: House,
) -> None:
    run = await house.start(say("a", arguments={"wait": "never"}), say("b", depends_on=["a"]))
    await house.event(run, "tool.dispatched")
    await house.client.get_workflow_handle(run).terminate(reason="by mistake")
    ended = await house.end(run)
    assert (ended["status"], ended["reason"]) == ("failed", "terminated in Temporal: by mistake")
    assert await house.effects(run) == [("a", "unknown")]
    kinds = [event.type.value for event in await house.story(run)]
    assert kinds[-2:] == ["effect.unknown", "run.ended"]
    await house.post(f"/v1/runs/{run}/resume", {})
    approval = await house.decide(run)
    assert approval["subject"] == "effect_unknown"
    assert (await resumed(house, run))["status"] == "succeeded"
    assert house.world.said == ["a", "b"]
    assert await house.effects(run) == [("a", "succeeded"), ("b", "succeeded")]


async def resumed(house: House, run: str) -> dict[str, object]:
    """The run at the end of its last execution."""
    handle = house.client.get_workflow_handle(run)
    await handle.result()
    return await house.end(run)


async def test_what_a_resumption_changed_is_known_to_a_fork_and_to_the_next_one(house: House) -> None:
    fails = {"fail": True}
    run = await house.start(
        say("a", arguments=fails),
        say("b", depends_on=["a"], arguments=fails),
        say("c", depends_on=["b"]),
    )
    await house.end(run)
    await house.post(f"/v1/runs/{run}/resume", {"step": "a", "skip": True})
    await resumed(house, run)
    await house.post(f"/v1/runs/{run}/resume", {"step": "b", "arguments": {"text": "mended"}})
    assert (await resumed(house, run))["status"] == "succeeded"
    steps = (await house.get(f"/v1/runs/{run}/steps"))["items"]
    assert [step["state"] for step in steps] == ["skipped", "succeeded", "succeeded"]
    fork = await house.post(f"/v1/runs/{run}/fork", {"from_step": "b"})
    assert (await house.end(fork["id"]))["status"] == "succeeded"
    assert house.world.said == ["a", "b", "mended", "c", "mended", "c"]
