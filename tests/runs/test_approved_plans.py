"""People approve a whole plan: on the strictest terms of its steps, and what they approved asks nobody again."""

from collections import Counter
from typing import Any

from tests.runs.house import House, say

ODD = "has(action.arguments.text) && action.arguments.text == 'odd'"


async def asks(house: House, name: str = "ask", *, priority: int = 10, **fields: Any) -> None:
    """A policy that asks people about `say`."""
    await house.policy(name, effect="require_approval", scope={"tools": ["say"]}, priority=priority, **fields)


async def questions(house: House, run: str) -> list[tuple[str, str | None]]:
    told = [event for event in await house.story(run) if event.type.value == "approval.requested"]
    return [(event.data["subject"], event.step_id) for event in told]


async def test_a_plan_is_approved_on_the_strictest_terms_of_its_steps(house: House) -> None:
    await asks(house)
    await asks(house, "ask-two", priority=20, when=ODD, approval={"quorum": 2, "expires_s": 600.0})
    run = await house.start(
        say("a"), say("b", "odd", depends_on=["a"]), say("c", depends_on=["b"]), approve_plan=True
    )
    plan = await house.decide(run)
    assert (plan["subject"], plan["status"]) == ("plan", "pending")
    assert (plan["terms"]["quorum"], plan["terms"]["expires_s"]) == (2, 600.0)
    [said] = plan["summary"]["reasons"]
    assert "2 of operators" in said
    assert said.endswith(": a, b, c")
    assert house.world.said == []
    await house.decide(run, key=await house.api.new_key("admin"))
    assert (await house.end(run))["status"] == "succeeded"
    assert house.world.said == ["a", "odd", "c"]
    assert await questions(house, run) == [("plan", None)]


async def test_who_asked_for_the_run_does_not_approve_a_plan_that_needs_other_eyes(house: House) -> None:
    await asks(house, approval={"four_eyes": True})
    run = await house.start(say("a"), approve_plan=True)
    asked = (await house.event(run, "approval.requested")).data
    own = await house.http.post(
        f"/v1/approvals/{asked['approval_id']}/decision",
        json={"decision": "approve", "digest": asked["digest"]},
    )
    assert own.status_code == 409
    await house.decide(run, key=await house.api.new_key("admin"))
    assert (await house.end(run))["status"] == "succeeded"
    assert await questions(house, run) == [("plan", None)]


async def test_a_step_of_another_group_asks_by_itself_and_the_plan_says_so(house: House) -> None:
    await asks(house, "ask-data", approval={"group": "data"})
    await asks(house, "ask-money", priority=20, when=ODD, approval={"group": "money"})
    run = await house.start(say("a"), say("b"), say("c", "odd"), approve_plan=True)
    plan = (await house.event(run, "approval.requested")).data
    assert plan["terms"]["group"] == "data"
    covered, apart = plan["summary"]["reasons"]
    assert covered.endswith(": a, b")
    assert apart.endswith(": c")


async def test_a_locked_rule_is_not_answered_with_the_plan(house: House) -> None:
    await asks(house)
    await asks(house, "ask-always", priority=20, when=ODD, locked=True)
    run = await house.start(say("a"), say("b", "odd", depends_on=["a"]), approve_plan=True)
    plan = await house.decide(run)
    assert [reason.rpartition(": ")[2] for reason in plan["summary"]["reasons"]] == ["a", "b"]
    await house.decide(run, times=2)
    assert (await house.end(run))["status"] == "succeeded"
    assert await questions(house, run) == [("plan", None), ("action", "b")]


async def test_what_is_known_later_asks_where_it_needs_more_than_the_plan_had(house: House) -> None:
    await asks(house)
    await asks(house, "ask-two", priority=20, when=ODD, approval={"quorum": 2})
    run = await house.start(
        say("a", "odd-ish"),
        say("b", "${steps.a.output.text}"),
        say("c", "odd", depends_on=["b"], when='${steps.a.output.text} == "never"'),
        say("d", "${run.id}"),
        approve_plan=True,
    )
    plan = await house.decide(run)
    assert plan["terms"]["quorum"] == 2
    assert plan["summary"]["reasons"][-1] == "known only when its turn comes: b"
    await house.decide(run, key=await house.api.new_key("admin"))
    assert (await house.end(run))["status"] == "succeeded"
    assert Counter(subject for subject, _ in await questions(house, run)) == {"plan": 1}


async def test_what_would_be_denied_is_told_before_the_plan_is_approved(house: House) -> None:
    await house.policy("never", effect="deny", scope={"tools": ["say"]}, priority=30, when=ODD)
    run = await house.start(say("a"), say("b", "odd"), approve_plan=True)
    plan = await house.decide(run, "reject")
    assert plan["summary"]["reasons"] == ["would be denied: b"]


async def test_what_is_not_in_the_approved_plan_asks_again(house: House) -> None:
    await asks(house)
    run = await house.start(say("a", arguments={"fail": True}), approve_plan=True, on_failure="pause")
    await house.decide(run)
    await house.until(lambda: house.get(f"/v1/runs/{run}"), lambda run: "step_failed" in run["reason"])
    await house.post(f"/v1/runs/{run}/resume", {"step": "a", "arguments": {"text": "other"}})
    asked = await house.decide(run, times=2)
    assert asked["subject"] == "action"
    assert (await house.end(run))["status"] == "succeeded"
    assert house.world.said == ["a", "other"]


async def test_other_inputs_than_those_of_the_approved_plan_ask_again(house: House) -> None:
    await asks(house)
    run = await house.start(
        say("a", "${inputs.word}", arguments={"fail": "${inputs.fail}"}),
        inputs={"word": "old", "fail": True},
        approve_plan=True,
        on_failure="pause",
    )
    await house.decide(run)
    await house.until(lambda: house.get(f"/v1/runs/{run}"), lambda run: "step_failed" in run["reason"])
    await house.post(f"/v1/runs/{run}/resume", {"inputs": {"word": "new", "fail": False}})
    assert (await house.decide(run, times=2))["subject"] == "action"
    assert (await house.end(run))["status"] == "succeeded"
    assert house.world.said == ["old", "new"]


async def test_a_scope_approved_for_the_run_answers_for_what_is_inside_it_only(house: House) -> None:
    await asks(house)
    texts = {"a": "web 1", "b": "web 2", "c": "other", "d": "web 3"}
    behind = dict(zip("bcd", "abc", strict=True))
    steps = [
        say(name, text, depends_on=[behind[name]] if name in behind else []) for name, text in texts.items()
    ]
    run = await house.start(*steps)
    await house.decide(run, scope=[{"arguments": {"text": {"prefix": "web "}}}])
    await house.decide(run, times=2)
    assert (await house.end(run))["status"] == "succeeded"
    assert house.world.said == ["web 1", "web 2", "other", "web 3"]
    assert await questions(house, run) == [("action", "a"), ("action", "c")]
    other = await house.start(say("a", "web 4"))
    await house.decide(other, "reject")
    assert house.world.said[-1] == "web 3"
