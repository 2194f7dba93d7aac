"""Approving a scope for a run: others like the approved action go ahead; whatever does more, or stands outside, asks again."""

from dataclasses import dataclass

import pytest

from holdfast.adapters.guardian import StoredPolicies
from holdfast.adapters.postgres.policies import PostgresPolicies
from holdfast.guardian.guardian import PolicyGuardian
from holdfast.ids import new_id
from schemas.actions import Action
from schemas.approvals import ApprovalSubject, ApprovalSummary
from schemas.base import JsonObject
from schemas.brakes import ArgumentRange, ScopeEntry
from schemas.runs import RunRequest
from schemas.stages import AskRequest, JudgeRequest, RunScope
from schemas.tools import ToolSpec
from schemas.verdicts import ApprovalTerms, Decision
from tests.api.conftest import RunningApi

SHELL = ToolSpec(name="shell", description="Runs a command.", payload="shell")
ALLOW, ASK = Decision.ALLOW, Decision.REQUIRE_APPROVAL
MAKES_FOLDERS: JsonObject = {"arguments": {"command": {"prefix": "mkdir /opt/out/"}}}


@dataclass
class Asked:
    """A question about one action of a run, judged and asked as a worker would have done it."""

    api: RunningApi
    scope: RunScope
    id: str
    action: Action

    async def decide(self, key: str, scope: list[JsonObject], decision: str = "approve") -> int:
        body = {"decision": decision, "digest": self.action.digest, "scope": scope}
        async with self.api.http(key) as http:
            answer = await http.post(f"/v1/approvals/{self.id}/decision", json=body)
        return answer.status_code

    async def would(self, command: str, **changes: object) -> Decision:
        """What the guardian says of another command in this run."""
        action = self.action.model_copy(update={"arguments": {"command": command}, **changes})
        policies = StoredPolicies(
            policies=PostgresPolicies(database=self.api.services.database), brakes=self.api.services.brakes
        )
        request = JudgeRequest(scope=self.scope, action=action, tool=SHELL)
        return (await PolicyGuardian(policies=policies).judge(request)).verdict.decision


async def ask(api: RunningApi, command: str = "mkdir /opt/out/a", **terms: object) -> Asked:
    run = await api.client().runs.start(RunRequest(goal="make folders"))
    scope = RunScope(tenant="default", run_id=run.id, agent="operator", environment="dev")
    action = Action(
        tenant="default", run_id=run.id, step_id="make", tool="shell", tool_version=SHELL.version,
        arguments={"command": command}, environment="dev", agent="operator",
    )  # fmt: skip
    request = JudgeRequest(scope=scope, action=action, tool=SHELL)
    await api.services.ledger.give_verdict(request, await PolicyGuardian.shipped().judge(request))
    question = AskRequest(
        scope=scope, id=new_id("apr"), step_id="make", subject=ApprovalSubject.ACTION, digest=action.digest,
        summary=ApprovalSummary(what=command), terms=ApprovalTerms.model_validate(terms), requested_by="key:x",
        action=action,
    )  # fmt: skip
    await api.services.approvals.ask(question)
    return Asked(api, scope, question.id, action)


async def test_calls_inside_the_scope_go_ahead_and_all_others_ask(api: RunningApi) -> None:
    asked, key = await ask(api), await api.new_key("approver")
    assert await asked.would("mkdir /opt/out/b") is ASK
    assert await asked.decide(key, [MAKES_FOLDERS]) == 200
    assert await asked.would("mkdir /opt/out/b") is ALLOW
    assert await asked.would("mkdir /opt/out/c", step_id="later") is ALLOW
    for further in (
        "mkdir /opt/other",
        "mkdir /opt/out/../../etc/x",
        "mkdir /opt/out/b; rm -rf /srv",
        "mkdir /opt/out/b /etc/x",
        "mkdir /opt/out/$(curl -s http://10.0.0.1/x)",
        "mkdir /opt/out/b && touch /opt/out/b/c",
        "mkdir /opt/out/b > /etc/motd",
    ):
        assert await asked.would(further) is not ALLOW, further
    other = await ask(api)
    assert await other.would("mkdir /opt/out/b") is ASK


async def test_a_scope_is_nothing_until_all_who_must_have_granted_the_same(api: RunningApi) -> None:
    asked, first, second = (
        await ask(api, quorum=2),
        await api.new_key("approver"),
        await api.new_key("approver"),
    )
    assert await asked.decide(first, [MAKES_FOLDERS]) == 200
    assert await asked.would("mkdir /opt/out/b") is ASK
    assert await asked.decide(second, []) == 409
    assert await asked.decide(second, [MAKES_FOLDERS]) == 200
    assert await asked.would("mkdir /opt/out/b") is ALLOW


@pytest.mark.parametrize("decision", ["reject", "edit"])
async def test_a_scope_comes_with_a_plain_yes_only(api: RunningApi, decision: str) -> None:
    asked, key = await ask(api), await api.new_key("approver")
    assert await asked.decide(key, [MAKES_FOLDERS], decision) in {400, 422}
    assert await asked.would("mkdir /opt/out/b") is ASK


@pytest.mark.parametrize(
    "scope", [{"arguments": {"command": {}}}, {"arguments": {"command": {"prefx": "x"}}}, {"tool": "git"}]
)
async def test_a_scope_that_says_nothing_or_too_much_is_refused(api: RunningApi, scope: JsonObject) -> None:
    asked, key = await ask(api), await api.new_key("approver")
    assert await asked.decide(key, [scope]) == 422


async def test_the_client_sends_a_scope_as_it_was_meant(api: RunningApi) -> None:
    asked, holdfast = await ask(api), api.client(await api.new_key("approver"))
    scope = ScopeEntry(arguments={"command": ArgumentRange(one_of=("mkdir /opt/out/b", "mkdir /opt/out/c"))})
    await holdfast.approvals.decide(await holdfast.approvals.read(asked.id), "approve", scope=[scope])
    assert await asked.would("mkdir /opt/out/c") is ALLOW
    assert await asked.would("mkdir /opt/out/d") is ASK
