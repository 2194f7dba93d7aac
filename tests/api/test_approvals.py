"""Approvals: a person's word on exactly what they read. Anything else is refused, and changes nothing."""

import asyncio
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import pytest

from api.deciding import asked_groups, pass_on_unheard
from holdfast.errors import Unavailable
from schemas.access import AuditEntry
from schemas.actions import Action
from schemas.approvals import ApprovalSubject, ApprovalSummary
from schemas.base import JsonObject
from schemas.canonical import digest_of
from schemas.events import EventType, RunEvent
from schemas.runs import RunRequest
from schemas.stages import AskRequest, RunScope
from schemas.verdicts import ApprovalTerms
from tests.api.conftest import RunningApi, end_run, tell


@dataclass
class Question:
    id: str
    run_id: str
    action: Action
    digest: str


_numbers = iter(range(10**6))


async def ask(api: RunningApi, *, by: str = "key:somebody", **terms: object) -> Question:
    """A run that waits for a decision on one action, as its worker would have asked."""
    run = await api.client().runs.start(RunRequest(goal="remove the old files"))
    action = Action(
        tenant="default",
        run_id=run.id,
        step_id="clean",
        tool="shell",
        tool_version="1.0.0",
        arguments={"program": "rm /tmp/old"},
        environment="dev",
        agent="operator",
    )
    request = AskRequest(
        scope=RunScope(tenant="default", run_id=run.id, agent="operator", environment="dev"),
        id=f"apr_{next(_numbers):026d}",
        step_id="clean",
        subject=ApprovalSubject.ACTION,
        digest=action.digest,
        summary=ApprovalSummary(what="rm /tmp/old"),
        terms=ApprovalTerms.model_validate(terms),
        requested_by=by,
        action=action,
    )
    await api.services.approvals.ask(request)
    return Question(request.id, run.id, action, action.digest)


async def say(
    api: RunningApi, question: Question, decision: str, *, key: str, **more: object
) -> tuple[int, JsonObject]:
    body = {"decision": decision, "digest": question.digest, **more}
    async with api.http(key) as http:
        answer = await http.post(f"/v1/approvals/{question.id}/decision", json=body)
    return answer.status_code, answer.json()


async def test_an_approval_names_who_gave_it_and_is_told_in_the_runs_story(api: RunningApi) -> None:
    question, key = await ask(api), await api.new_key("approver")
    status, decided = await say(api, question, "approve", key=key, comment="go on")
    assert (status, decided["status"]) == (200, "approved")
    assert decided["decisions"][0]["approver"] == f"key:{key.split('_')[1]}"
    events = [event async for event in api.client().runs.follow(question.run_id, follow=False)]
    assert events[-1].type == "approval.decided"
    assert events[-1].data["status"] == "approved"


async def test_a_decided_approval_takes_no_second_decision(api: RunningApi) -> None:
    question = await ask(api)
    await say(api, question, "reject", key=await api.new_key("approver"))
    status, problem = await say(api, question, "approve", key=await api.new_key("approver"))
    assert (status, problem["code"]) == (409, "conflict")
    async with api.http() as http:
        assert (await http.get(f"/v1/approvals/{question.id}")).json()["status"] == "rejected"


async def test_of_many_decisions_at_once_one_counts(api: RunningApi) -> None:
    question = await ask(api)
    keys = [await api.new_key("approver") for _ in range(8)]
    answers = await asyncio.gather(
        *(say(api, question, "approve" if n % 2 else "reject", key=key) for n, key in enumerate(keys))
    )
    assert sorted(status for status, _ in answers) == [200] + [409] * 7


async def test_a_decision_on_another_digest_is_refused(api: RunningApi) -> None:
    question = await ask(api)
    question.digest = digest_of("something else")
    status, problem = await say(api, question, "approve", key=api.key)
    assert status == 409
    assert "digest" in problem["detail"]


async def test_a_late_decision_is_refused(api: RunningApi) -> None:
    question = await ask(api, expires_s=0.001)
    status, problem = await say(api, question, "approve", key=api.key)
    assert (status, problem["detail"]) == (409, "It has expired.")


async def test_with_four_eyes_who_asked_may_not_approve(api: RunningApi) -> None:
    key = await api.new_key("admin")
    question = await ask(api, by=f"key:{key.split('_')[1]}", four_eyes=True)
    status, problem = await say(api, question, "approve", key=key)
    assert status == 409
    assert "asked for" in problem["detail"]
    assert (await say(api, question, "approve", key=await api.new_key("approver")))[0] == 200


async def test_a_rotated_key_is_still_the_same_person(api: RunningApi) -> None:
    async with api.http() as http:
        old = (await http.post("/v1/keys", json={"name": "x", "roles": ["admin"]})).json()
        new = (await http.post(f"/v1/keys/{old['id']}/rotate", json={})).json()
    question = await ask(api, by=f"key:{old['id']}", four_eyes=True)
    assert (await say(api, question, "approve", key=new["token"]))[0] == 409


async def test_a_quorum_wants_several_people(api: RunningApi) -> None:
    question, first = await ask(api, quorum=2), await api.new_key("approver")
    assert (await say(api, question, "approve", key=first))[1]["status"] == "pending"
    assert (await say(api, question, "approve", key=first))[0] == 409
    assert (await say(api, question, "approve", key=await api.new_key("approver")))[1]["status"] == "approved"


async def test_one_rejection_ends_a_quorum(api: RunningApi) -> None:
    question = await ask(api, quorum=3)
    await say(api, question, "approve", key=await api.new_key("approver"))
    assert (await say(api, question, "reject", key=await api.new_key("approver")))[1]["status"] == "rejected"


async def test_a_question_for_a_group_is_for_its_members_only(api: RunningApi) -> None:
    question = await ask(api, group="dba")
    async with api.http() as http:
        await http.put("/v1/roles/dba", json={"permissions": ["approvals:decide", "approvals:read"]})
    assert (await say(api, question, "approve", key=await api.new_key("approver")))[0] == 403
    assert (await say(api, question, "approve", key=await api.new_key("dba")))[0] == 200


async def pass_on(api: RunningApi, question: Question, to: str, *, key: str) -> tuple[int, JsonObject]:
    async with api.http(key) as http:
        answer = await http.post(f"/v1/approvals/{question.id}/delegations", json={"to": to})
    return answer.status_code, answer.json()


async def test_who_may_decide_lets_one_person_decide_as_well(api: RunningApi) -> None:
    question = await ask(api, group="keepers")
    async with api.http() as http:
        await http.put("/v1/roles/keepers", json={"permissions": ["approvals:decide", "approvals:read"]})
    keeper, stand_in = await api.new_key("keepers"), await api.new_key("approver")
    assert (await pass_on(api, question, "approver", key=stand_in))[0] == 403
    person = f"key:{stand_in.split('_')[1]}"
    status, told = await pass_on(api, question, person, key=keeper)
    assert (status, [each["to"] for each in told["delegations"]]) == (200, [person])
    assert (await say(api, question, "approve", key=await api.new_key("approver")))[0] == 403
    assert (await say(api, question, "approve", key=stand_in))[1]["status"] == "approved"
    events = [event async for event in api.client().runs.follow(question.run_id, follow=False)]
    assert "approval.delegated" in [event.type for event in events]
    assert (await pass_on(api, question, "approver", key=keeper))[0] == 409


async def test_passing_on_loosens_neither_four_eyes_nor_the_quorum(api: RunningApi) -> None:
    asker, first, second = (
        await api.new_key("admin"),
        await api.new_key("approver"),
        await api.new_key("approver"),
    )
    person = f"key:{asker.split('_')[1]}"
    question = await ask(api, by=person, four_eyes=True, quorum=2)
    assert (await pass_on(api, question, person, key=first))[0] == 200
    assert (await say(api, question, "approve", key=asker))[0] == 409
    assert (await say(api, question, "approve", key=first))[1]["status"] == "pending"
    assert (await say(api, question, "approve", key=second))[1]["status"] == "approved"


async def test_what_is_refused_is_written_down(api: RunningApi) -> None:
    question = await ask(api)
    question.digest = digest_of("something else")
    await say(api, question, "approve", key=api.key)
    async with api.http() as http:
        about = {"object": f"/v1/approvals/{question.id}"}
        lines = (await http.get("/v1/audit", params=about)).json()["items"]
    entries = [AuditEntry.model_validate_json(line["entry"]) for line in lines]
    assert [(entry.status, entry.actor) for entry in entries] == [(409, f"key:{api.key.split('_')[1]}")]


def test_after_a_while_the_group_it_escalates_to_may_decide_as_well() -> None:
    since = datetime(2026, 1, 1, tzinfo=UTC)
    terms = ApprovalTerms(group="dba", escalate_to="leads", escalate_after_s=60)
    assert asked_groups(terms, since, now=since + timedelta(seconds=59)) == {"dba"}
    assert asked_groups(terms, since, now=since + timedelta(seconds=60)) == {"dba", "leads"}


async def test_an_edit_approves_the_edited_action_and_no_other(api: RunningApi) -> None:
    question, edited = await ask(api), {"program": "rm /tmp/older"}
    status, decided = await say(api, question, "edit", key=api.key, arguments=edited)
    assert (status, decided["status"]) == (200, "approved")
    async with api.services.database.tenant("default") as connection:
        cursor = await connection.execute(
            "select approved_digest from approvals where id = %s", (question.id,)
        )
        row = await cursor.fetchone()
    assert row == {"approved_digest": question.action.edited(edited).digest}


@pytest.mark.parametrize(
    "more",
    [{"decision": "edit"}, {"decision": "approve", "arguments": {}}, {"decision": "maybe"}],
)
async def test_a_decision_that_makes_no_sense_is_refused(api: RunningApi, more: JsonObject) -> None:
    question = await ask(api)
    async with api.http() as http:
        answer = await http.post(
            f"/v1/approvals/{question.id}/decision", json={"digest": question.digest, **more}
        )
    assert answer.status_code in (400, 422)


async def test_a_decision_stands_while_temporal_is_away_and_is_passed_on_later(
    api: RunningApi, monkeypatch: pytest.MonkeyPatch
) -> None:
    question = await ask(api)

    async def away(*_: object) -> None:
        raise Unavailable

    with monkeypatch.context() as patch:
        patch.setattr(api.services.engine, "signal", away)
        assert (await say(api, question, "approve", key=api.key))[0] == 200
    assert question.id in [unheard[2] for unheard in await api.services.decisions.unheard()]
    await pass_on_unheard(api.services)
    assert question.id not in [unheard[2] for unheard in await api.services.decisions.unheard()]
    client = await api.services.engine.client()
    history = await client.get_workflow_handle(question.run_id).fetch_history()
    signals = [
        event for event in history.events if event.HasField("workflow_execution_signaled_event_attributes")
    ]
    assert len(signals) == 1


async def test_waiting_approvals_are_listed_and_decided_ones_are_not(api: RunningApi) -> None:
    waiting, decided = await ask(api), await ask(api)
    await say(api, decided, "approve", key=api.key)
    async with api.http() as http:
        listed = (await http.get("/v1/approvals", params={"status": "pending"})).json()["items"]
        of_run = (await http.get("/v1/approvals", params={"run_id": decided.run_id})).json()["items"]
    ids = [item["id"] for item in listed]
    assert waiting.id in ids
    assert decided.id not in ids
    assert [item["id"] for item in of_run] == [decided.id]


async def test_a_question_that_nobody_answers_is_told_once_and_queued_for_webhooks(api: RunningApi) -> None:
    idle, expired, decided, ended = (
        await ask(api),
        await ask(api, expires_s=0.001),
        await ask(api),
        await ask(api),
    )
    await say(api, decided, "approve", key=api.key)
    await end_run(api, ended.run_id)
    async with api.http() as http:
        hook = {"url": "https://hooks.example.com/x", "events": ["approval.idle"]}
        made = (await http.post("/v1/webhooks", json=hook)).json()
        await api.services.decisions.tell_idle(timedelta(hours=1))
        assert await told_idle(api, idle) == []
        await api.services.decisions.tell_idle(timedelta(0))
        await api.services.decisions.tell_idle(timedelta(0))
        events = await told_idle(api, idle)
        assert [event["approval_id"] for event in events] == [idle.id]
        assert [await told_idle(api, other) for other in (expired, decided, ended)] == [[], [], []]
        queued = (await http.get(f"/v1/webhooks/{made['id']}/deliveries")).json()["items"]
        assert [item["run_id"] for item in queued].count(idle.run_id) == 1
        await http.delete(f"/v1/webhooks/{made['id']}")


async def told_idle(api: RunningApi, question: Question) -> list[JsonObject]:
    events = api.services.streams.run("default", question.run_id, after=0, follow=False)
    told = [event async for event in events if isinstance(event, RunEvent)]
    return [event.data for event in told if event.type is EventType.APPROVAL_IDLE]


async def test_a_deleted_run_leaves_nothing_but_its_line_in_the_audit_log(api: RunningApi) -> None:
    question = await ask(api)
    async with api.http() as http:
        under_way = await http.delete(f"/v1/runs/{question.run_id}")
        await end_run(api, question.run_id)
        gone = await http.delete(f"/v1/runs/{question.run_id}")
        assert (under_way.status_code, gone.status_code) == (409, 204)
        assert (await http.get(f"/v1/runs/{question.run_id}")).status_code == 404
        assert (await http.get(f"/v1/approvals/{question.id}")).status_code == 404
        assert question.run_id in (await http.get("/v1/audit/export")).text


async def test_the_story_shows_plan_and_steps(api: RunningApi) -> None:
    run = await api.client().runs.start(RunRequest(goal="x"))
    async with api.http() as http:
        assert (await http.get(f"/v1/runs/{run.id}/plan")).status_code == 404
        await tell(
            api,
            run.id,
            "plan.accepted",
            data={"plan": {"steps": [{"kind": "tool", "id": "look", "tool": "sys.disk"}]}},
        )
        plan = (await http.get(f"/v1/runs/{run.id}/plan")).json()
        steps = (await http.get(f"/v1/runs/{run.id}/steps")).json()["items"]
        cost = (await http.get(f"/v1/runs/{run.id}/cost")).json()
    assert plan["steps"][0]["tool"] == "sys.disk"
    assert [(step["id"], step["state"]) for step in steps] == [("look", "pending")]
    assert (cost["tool_calls"], cost["spend_usd"]) == (0, 0)
