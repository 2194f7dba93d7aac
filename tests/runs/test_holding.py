"""What holds a run: the fleet's brake, people before a plan and before an action. Through the front door."""

import asyncio
from collections import Counter

from tests.runs.house import House, say


async def test_a_freeze_holds_the_rest_of_a_run_and_a_thaw_lets_it_end(house: House) -> None:
    run = await house.start(
        say("a", arguments={"wait": "door"}), say("b", depends_on=["a"]), say("c", "${steps.b.output.text}!")
    )
    await house.event(run, "tool.dispatched")
    await house.post("/v1/freezes", {"environment": "dev", "reason": "an incident"})
    house.world.gates["door"].set()
    await house.event(run, "step.succeeded")
    held = await house.event(run, "verdict.held")
    assert "an incident" in held.data["reasons"][0]["message"]
    assert house.world.said == ["a"]
    assert (await house.get(f"/v1/runs/{run}"))["status"] == "running"
    await house.post("/v1/freezes/thaw", {"where": {"environment": "dev"}})
    assert (await house.end(run))["status"] == "succeeded"
    assert house.world.said == ["a", "b", "b!"]
    assert Counter(event.type.value for event in await house.story(run))["verdict.held"] == 1


async def test_a_freeze_holds_every_item_and_a_cancel_still_ends_the_run(house: House) -> None:
    await house.post("/v1/freezes", {"tool": "say"})
    run = await house.start(say("each", "${item}", for_each="${inputs.names}"), inputs={"names": ["a", "b"]})
    await house.event(run, "verdict.held", times=2)
    await house.post(f"/v1/runs/{run}/cancel", {})
    assert (await house.end(run))["status"] == "cancelled"
    assert house.world.said == []


async def test_who_approved_the_plan_is_not_asked_again_but_where_two_are_needed(house: House) -> None:
    await house.policy("ask", effect="require_approval", scope={"tools": ["say"]}, priority=10)
    await house.policy(
        "ask-two",
        effect="require_approval",
        scope={"tools": ["say"]},
        priority=20,
        when="has(action.arguments.text) && action.arguments.text == 'odd'",
        approval={"quorum": 2},
    )
    run = await house.start(
        say("a"), say("b", "odd", depends_on=["a"]), say("c", depends_on=["b"]), approve_plan=True
    )
    plan = await house.decide(run)
    assert plan["subject"] == "plan"
    strict = await house.decide(run, times=2)
    assert (strict["subject"], strict["status"], strict["step_id"]) == ("action", "pending", "b")
    second = await house.api.new_key("admin")
    assert (await house.decide(run, times=2, key=second))["status"] == "approved"
    assert (await house.end(run))["status"] == "succeeded"
    assert house.world.said == ["a", "odd", "c"]
    assert Counter(event.type.value for event in await house.story(run))["approval.requested"] == 2


async def test_what_is_not_in_the_approved_plan_asks_again(house: House) -> None:
    await house.policy("ask", effect="require_approval", scope={"tools": ["say"]}, priority=10)
    run = await house.start(say("a", arguments={"fail": True}), approve_plan=True, on_failure="pause")
    await house.decide(run)
    await house.until(lambda: house.get(f"/v1/runs/{run}"), lambda run: "step_failed" in run["reason"])
    await house.post(f"/v1/runs/{run}/resume", {"step": "a", "arguments": {"text": "other"}})
    asked = await house.decide(run, times=2)
    assert asked["subject"] == "action"
    assert (await house.end(run))["status"] == "succeeded"
    assert house.world.said == ["a", "other"]


async def test_an_answer_and_the_end_of_its_time_at_once_leave_one_of_both(house: House) -> None:
    """Whoever comes first is believed, by the store and by the run alike."""
    await house.policy(
        "ask", effect="require_approval", scope={"tools": ["say"]}, priority=10, approval={"expires_s": 1.0}
    )
    runs = [await house.start(say("a", f"n{number}")) for number in range(6)]
    asked = [(await house.event(run, "approval.requested")).data for run in runs]

    async def late(question: dict[str, str], after_s: float) -> int:
        await asyncio.sleep(after_s)  # the race is between two clocks
        body = {"decision": "approve", "digest": question["digest"]}
        path = f"/v1/approvals/{question['approval_id']}/decision"
        return (await house.http.post(path, json=body)).status_code

    waits = [0.0, 0.7, 0.85, 0.95, 1.05, 1.2]
    answers = await asyncio.gather(*(late(*pair) for pair in zip(asked, waits, strict=True)))
    for number, (run, answer) in enumerate(zip(runs, answers, strict=True)):
        ended = await house.end(run)
        assert (ended["status"], f"n{number}" in house.world.said) == (
            ("succeeded", True) if answer == 200 else ("failed", False)
        )


async def test_pausing_again_and_again_neither_loses_nor_repeats_a_call(house: House) -> None:
    names = [f"n{number}" for number in range(24)]
    steps = [
        say(name, depends_on=[before] if before else [])
        for name, before in zip(names, [None, *names], strict=False)
    ]
    run = await house.start(*steps)
    for _ in range(6):
        paused = await house.http.post(f"/v1/runs/{run}/pause", json={})
        resumed = await house.http.post(f"/v1/runs/{run}/resume", json={})
        if (paused.status_code, resumed.status_code) != (200, 200):
            break  # it was faster
    assert (await house.end(run))["status"] == "succeeded"
    assert house.world.said == names
