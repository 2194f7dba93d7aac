"""What holds a run: the fleet's brake, people before an action. Through the front door."""

import asyncio
from collections import Counter

from schemas.runs import RunStatus
from tests.runs.conftest import Stage
from tests.runs.house import House, say
from tests.runs.steps import say as say_step


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


async def test_a_run_looks_at_a_freeze_for_hours_and_breaks_by_none(stage: Stage) -> None:
    """Its own look comes every fifteen seconds; here each comes with a word of a thaw that was not the one it waits for."""
    stage.guardian.held = looks = 520
    handle = await stage.start(say_step("a"))
    async with asyncio.timeout(100):
        while stage.guardian.held:
            if stage.guardian.held < looks:
                looks = stage.guardian.held
                await handle.signal("thawed")
            await asyncio.sleep(0.005)
    await handle.signal("thawed")
    assert (await handle.result()).status is RunStatus.SUCCEEDED
    assert stage.world.said == ["a"]
    assert (await stage.types(handle.id)).count("verdict.held") == 1


async def test_a_freeze_holds_every_item_and_a_cancel_still_ends_the_run(house: House) -> None:
    await house.post("/v1/freezes", {"tool": "say"})
    run = await house.start(say("each", "${item}", for_each="${inputs.names}"), inputs={"names": ["a", "b"]})
    await house.event(run, "verdict.held", times=2)
    await house.post(f"/v1/runs/{run}/cancel", {})
    assert (await house.end(run))["status"] == "cancelled"
    assert house.world.said == []


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
