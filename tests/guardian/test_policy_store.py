"""Policies as rows of a real Postgres: versions that never change, a pointer that moves whole, a brake that holds."""

import pytest

from holdfast.adapters.guardian import StoredPolicies
from holdfast.adapters.postgres.approvals import PostgresApprovals
from holdfast.adapters.postgres.brakes import PostgresBrakes
from holdfast.adapters.postgres.database import Database
from holdfast.adapters.postgres.ledger import PostgresLedger
from holdfast.adapters.postgres.policies import PostgresPolicies
from holdfast.adapters.postgres.runs import PostgresRuns
from holdfast.errors import Conflict, NotFound
from holdfast.guardian.admission import admit
from holdfast.guardian.composing import composed
from holdfast.guardian.guardian import PolicyGuardian
from holdfast.guardian.planned import entries_of_plan
from holdfast.guardian.shipped import shipped_book
from holdfast.guardian.trials import request_of
from holdfast.ids import new_id
from schemas.agents import AgentSpec
from schemas.approvals import ApprovalSubject, ApprovalSummary
from schemas.brakes import FreezeDraft, FreezeFilter
from schemas.plans import Plan, ToolStep
from schemas.policies import Example, PolicyDocument, PolicyRef, PolicyVersion
from schemas.policy_desk import Activation
from schemas.runs import RunInput
from schemas.stages import ActRequest, AskRequest, JudgeRequest, RunScope
from schemas.tools import EffectClass
from schemas.verdicts import Decision

LS = Example(arguments={"command": "ls -l"})


class Clock:
    """Time that passes when a test says so."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def policy(version: int = 1, *, name: str = "no-listing", effect: str = "deny") -> PolicyVersion:
    document = PolicyDocument.model_validate(
        {
            "name": name,
            "effect": effect,
            "when": "'ls' in facts.binaries",
            "message": "lists files",
            "examples": {
                "match": [{"arguments": {"command": "ls"}}],
                "not_match": [{"arguments": {"command": "df -h"}}],
            },
        }
    )
    return admit(document, version=version, author="ada")


async def activate(store: PostgresPolicies, tenant: str, *policies: PolicyVersion) -> Activation:
    stored = [await store.add(tenant, each) for each in policies]
    return await store.activate(tenant, composed(stored), by="ada", note="try it")


async def test_a_version_comes_back_as_it_was_stored(store: PostgresPolicies, tenant: str) -> None:
    stored = await store.add(tenant, policy())
    (read,) = await store.versions(tenant, "no-listing")
    assert read == stored
    assert read.checksum == policy().checksum
    assert read.created_at


async def test_a_version_is_stored_once(store: PostgresPolicies, tenant: str) -> None:
    await store.add(tenant, policy())
    with pytest.raises(Conflict):
        await store.add(tenant, policy(effect="allow"))


async def test_a_version_cannot_be_changed_even_by_hand(
    store: PostgresPolicies, tenant: str, module_database: Database
) -> None:
    await store.add(tenant, policy())
    with pytest.raises(Conflict):
        async with module_database.tenant(tenant) as connection:
            await connection.execute("update policies set document = '{}'")


async def test_a_draft_is_deleted_and_a_bundled_version_is_not(store: PostgresPolicies, tenant: str) -> None:
    await activate(store, tenant, policy())
    await store.add(tenant, policy(2))
    await store.discard(tenant, "no-listing", 2)
    with pytest.raises(Conflict):
        await store.discard(tenant, "no-listing", 1)
    with pytest.raises(NotFound):
        await store.discard(tenant, "no-listing", 2)


async def test_a_bundle_keeps_its_digest_through_the_database(store: PostgresPolicies, tenant: str) -> None:
    activation = await activate(store, tenant, policy())
    bundle = await store.bundle(tenant, activation.digest)
    assert bundle.digest == activation.digest
    assert (await store.head(tenant)).digest == activation.digest
    assert await store.in_force(tenant, activation.digest) == [PolicyRef(name="no-listing", version=1)]


async def test_another_tenant_sees_no_policy_of_ours(store: PostgresPolicies, tenant: str) -> None:
    activation = await activate(store, tenant, policy())
    assert await store.newest("default") == []
    assert (await store.head("default")).digest is None
    with pytest.raises(NotFound):
        await store.bundle("default", activation.digest)


async def test_activations_are_numbered_and_remember_what_was_before(
    store: PostgresPolicies, tenant: str
) -> None:
    first = await activate(store, tenant, policy())
    second = await activate(store, tenant, policy(2, effect="require_approval"))
    back = await store.reactivate(tenant, first.digest, by="grace", note="too strict")
    assert [first.number, second.number, back.number] == [1, 2, 3]
    assert (first.previous, second.previous, back.previous) == (None, first.digest, second.digest)
    assert await store.activations(tenant) == [back, second, first]


async def test_the_guardian_judges_by_what_was_activated_and_rolled_back(
    store: PostgresPolicies, brakes: PostgresBrakes, tenant: str
) -> None:
    guardian = PolicyGuardian(policies=StoredPolicies(policies=store, brakes=brakes, max_age_s=0))
    request = request_of(LS, tenant=tenant)
    before = await guardian.judge(request)
    activation = await activate(store, tenant, policy())
    during = await guardian.judge(request)
    await store.activate(tenant, composed([]), by="ada", note="back")
    after = await guardian.judge(request)
    decisions = [record.verdict.decision for record in (before, during, after)]
    assert decisions == [Decision.ALLOW, Decision.DENY, Decision.ALLOW]
    assert during.verdict.bundle == activation.digest
    assert during.verdict.why == "lists files"


async def test_a_fresh_answer_is_not_asked_for_again_and_an_old_one_is(
    store: PostgresPolicies, brakes: PostgresBrakes, tenant: str
) -> None:
    clock = Clock()
    source = StoredPolicies(policies=store, brakes=brakes, max_age_s=0.5, monotonic=clock)
    assert (await source.in_force(tenant)).book is shipped_book()
    activation = await activate(store, tenant, policy())
    clock.now = 0.4
    assert (await source.in_force(tenant)).book is shipped_book()
    clock.now = 0.6
    assert (await source.in_force(tenant)).book.digest == activation.digest


async def test_a_run_keeps_the_stricter_of_its_own_bundle_and_the_active_one(
    store: PostgresPolicies, brakes: PostgresBrakes, tenant: str
) -> None:
    source = StoredPolicies(policies=store, brakes=brakes, max_age_s=0)
    guardian = PolicyGuardian(policies=source)
    lenient = await source.active(tenant)
    strict = (await activate(store, tenant, policy())).digest
    old_run = request_of(LS, tenant=tenant).model_copy(update={"bundle": lenient})
    assert (await guardian.judge(old_run)).verdict.decision is Decision.DENY
    await store.reactivate(tenant, lenient, by="ada", note="")
    strict_run = request_of(LS, tenant=tenant).model_copy(update={"bundle": strict})
    record = await guardian.judge(strict_run)
    assert (record.verdict.decision, record.verdict.bundle) == (Decision.DENY, strict)


async def test_a_bundle_nobody_has_makes_the_answer_an_approval(
    store: PostgresPolicies, brakes: PostgresBrakes, tenant: str
) -> None:
    guardian = PolicyGuardian(policies=StoredPolicies(policies=store, brakes=brakes))
    request = request_of(LS, tenant=tenant).model_copy(update={"bundle": "sha256:" + "0" * 64})
    record = await guardian.judge(request)
    assert record.verdict.decision is Decision.REQUIRE_APPROVAL
    assert record.errors


async def test_a_bundle_that_cannot_be_read_any_more_denies_everything(
    store: PostgresPolicies, brakes: PostgresBrakes, tenant: str
) -> None:
    old = policy()
    broken = old.resolved.model_copy(update={"when": "facts.of_an_older_version == 1"})
    stored = await store.add(tenant, old.model_copy(update={"resolved": broken}))
    bundle = composed([]).model_copy(update={"policies": (*composed([]).policies, stored)})
    await store.activate(tenant, bundle, by="ada", note="")
    guardian = PolicyGuardian(policies=StoredPolicies(policies=store, brakes=brakes, max_age_s=0))
    verdict = (await guardian.judge(request_of(LS, tenant=tenant))).verdict
    assert verdict.decision is Decision.DENY
    assert "no-listing@1" in verdict.why


async def test_a_freeze_holds_what_it_names_and_a_thaw_lets_it_go(
    store: PostgresPolicies, brakes: PostgresBrakes, tenant: str
) -> None:
    guardian = PolicyGuardian(policies=StoredPolicies(policies=store, brakes=brakes, max_age_s=0))
    request = request_of(LS, tenant=tenant)
    await brakes.freeze(tenant, FreezeDraft(environment="prod"), by="ada")
    assert not (await guardian.judge(request)).verdict.held
    where = FreezeDraft(environment="dev", tool="sh*", reason="incident 7")
    await brakes.freeze(tenant, where, by="ada")
    held = (await guardian.judge(request)).verdict
    assert (held.held, held.decision, held.why) == (True, Decision.DENY, "held by a freeze: incident 7")
    (thawed,) = await brakes.thaw(tenant, FreezeFilter(where=where), by="grace")
    assert thawed.thawed_by == "grace"
    assert (await guardian.judge(request)).verdict.decision is Decision.ALLOW
    assert [freeze.environment for freeze in await brakes.freezes(tenant)] == ["prod"]


async def test_an_envelope_counts_once_its_approval_stands_for_its_digest(
    brakes: PostgresBrakes, tenant: str, module_database: Database
) -> None:
    run_id, approval_id = new_id("run"), new_id("apr")
    await PostgresRuns(database=module_database).create(
        RunInput(run_id=run_id, tenant=tenant, goal="build", agent=AgentSpec(name="operator"))
    )
    scope = RunScope(tenant=tenant, run_id=run_id, agent="operator", environment="prod")
    digest = "sha256:" + "1" * 64
    plan = Plan(steps=(ToolStep(id="make", tool="shell", arguments={"command": "mkdir /opt/out"}),))
    entries = entries_of_plan(plan, environment="prod", known={})
    await PostgresApprovals(database=module_database).ask(
        AskRequest(
            scope=scope,
            id=approval_id,
            subject=ApprovalSubject.PLAN,
            digest=digest,
            summary=ApprovalSummary(what="plan"),
            entries=entries,
        )
    )
    assert await brakes.envelopes(tenant, run_id) == []
    await approve(module_database, tenant, approval_id, "sha256:" + "2" * 64)
    assert await brakes.envelopes(tenant, run_id) == []
    await approve(module_database, tenant, approval_id, digest)
    (granted,) = await brakes.envelopes(tenant, run_id)
    assert granted.entries == entries
    assert await brakes.envelopes("default", run_id) == []


async def approve(database: Database, tenant: str, approval_id: str, digest: str) -> None:
    async with database.tenant(tenant) as connection:
        await connection.execute(
            "update approvals set status = 'approved', approved_digest = %s where id = %s",
            (digest, approval_id),
        )


async def judgeable(database: Database, tenant: str) -> JudgeRequest:
    """A request about `ls` in a run that exists."""
    run_id, asked = new_id("run"), request_of(LS, tenant=tenant)
    await PostgresRuns(database=database).create(
        RunInput(run_id=run_id, tenant=tenant, goal="look", agent=AgentSpec(name="operator"))
    )
    action = asked.action.model_copy(update={"run_id": run_id})
    scope = asked.scope.model_copy(update={"run_id": run_id})
    return asked.model_copy(update={"action": action, "scope": scope})


async def test_a_freeze_stops_an_action_that_was_judged_before_it(
    brakes: PostgresBrakes, tenant: str, module_database: Database
) -> None:
    ledger, request = PostgresLedger(database=module_database), await judgeable(module_database, tenant)
    verdict = await ledger.give_verdict(request, await PolicyGuardian.shipped().judge(request))
    assert verdict.decision is Decision.ALLOW
    action, tool = request.action, request.tool.digest
    act = ActRequest(scope=request.scope, action=action, digest=action.digest, tool_digest=tool)
    await brakes.freeze(tenant, FreezeDraft(tool="shell", reason="stop"), by="ada")
    held = await ledger.dispatch(act, effect=EffectClass.IRREVERSIBLE, worker="w")
    assert (held.outcome, held.why) == ("held", "stop")
    await brakes.thaw(tenant, FreezeFilter(), by="ada")
    assert (await ledger.dispatch(act, effect=EffectClass.IRREVERSIBLE, worker="w")).outcome == "go"


async def test_a_held_verdict_gives_way_to_the_one_after_the_thaw(
    store: PostgresPolicies, brakes: PostgresBrakes, tenant: str, module_database: Database
) -> None:
    ledger, request = PostgresLedger(database=module_database), await judgeable(module_database, tenant)
    guardian = PolicyGuardian(policies=StoredPolicies(policies=store, brakes=brakes, max_age_s=0))
    await brakes.freeze(tenant, FreezeDraft(), by="ada")
    assert (await ledger.give_verdict(request, await guardian.judge(request))).held
    await brakes.thaw(tenant, FreezeFilter(), by="ada")
    again = request.model_copy(update={"round": 1})
    verdict = await ledger.give_verdict(again, await guardian.judge(again))
    assert (verdict.held, verdict.decision) == (False, Decision.ALLOW)
