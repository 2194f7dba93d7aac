"""What people do with policies, on a real Postgres: write, try, activate, go back, and ask what would change."""

import pytest

from holdfast.adapters.postgres.approvals import PostgresApprovals
from holdfast.adapters.postgres.database import Database
from holdfast.adapters.postgres.ledger import PostgresLedger
from holdfast.adapters.postgres.policies import PostgresPolicies
from holdfast.adapters.postgres.runs import PostgresRuns
from holdfast.errors import Conflict, NotFound, Unprocessable
from holdfast.guardian.bundles import RuleBook
from holdfast.guardian.desk import PolicyDesk
from holdfast.guardian.guardian import PolicyGuardian
from holdfast.guardian.rules import arm
from holdfast.guardian.sources import FixedPolicies
from holdfast.guardian.trials import request_of
from holdfast.ids import new_id
from schemas.agents import AgentSpec
from schemas.approvals import ApprovalSubject, ApprovalSummary
from schemas.policies import Example, PolicyRef
from schemas.policy_desk import (
    ActivationRequest,
    BacktestRequest,
    BundleDiff,
    PolicyDraft,
    RollbackRequest,
    TrialRequest,
)
from schemas.runs import RunInput
from schemas.stages import AskRequest, JudgeRequest
from schemas.verdicts import Decision
from tests.guardian.conftest import DocumentMaker

NEWEST = ActivationRequest()
LS = Example(arguments={"command": "ls -l"})


async def judged(
    database: Database, tenant: str, *commands: str, book: RuleBook | None = None
) -> list[JudgeRequest]:
    """A run in which these commands were judged and recorded."""
    run_id = new_id("run")
    await PostgresRuns(database=database).create(
        RunInput(run_id=run_id, tenant=tenant, goal="look", agent=AgentSpec(name="operator"))
    )
    guardian, ledger = PolicyGuardian(policies=FixedPolicies(book)), PostgresLedger(database=database)
    requests = []
    for number, command in enumerate(commands):
        request = request_of(Example(arguments={"command": command}), tenant=tenant)
        action = request.action.model_copy(update={"run_id": run_id, "step_id": f"s{number}"})
        scope = request.scope.model_copy(update={"run_id": run_id})
        requests.append(request.model_copy(update={"action": action, "scope": scope}))
        await ledger.give_verdict(requests[-1], await guardian.judge(requests[-1]))
    return requests


async def test_a_policy_grows_by_versions_and_says_what_changed(
    desk: PolicyDesk, tenant: str, document: DocumentMaker
) -> None:
    await desk.create(tenant, PolicyDraft(document=document(), change_note="first"), author="ada")
    changed = document(effect="require_approval", approval={"quorum": 2})
    second = await desk.update(tenant, "no-listing", PolicyDraft(document=changed), author="grace")
    assert (second.version, second.author) == (2, "grace")
    diff = await desk.diff(tenant, "no-listing", 1, 2)
    assert [(c.field, c.before, c.after) for c in diff.changes] == [
        ("approval.quorum", None, 2),
        ("effect", "deny", "require_approval"),
    ]


async def test_a_policy_is_created_once_and_updated_under_its_own_name(
    desk: PolicyDesk, tenant: str, document: DocumentMaker
) -> None:
    draft = PolicyDraft(document=document())
    with pytest.raises(NotFound):
        await desk.update(tenant, "no-listing", draft, author="ada")
    await desk.create(tenant, draft, author="ada")
    with pytest.raises(Conflict):
        await desk.create(tenant, draft, author="ada")
    with pytest.raises(Unprocessable):
        await desk.update(tenant, "no-listing", PolicyDraft(document=document(name="other")), author="ada")


async def test_activating_puts_the_newest_in_force_and_rolling_back_takes_it_out(
    desk: PolicyDesk, tenant: str, document: DocumentMaker
) -> None:
    await desk.create(tenant, PolicyDraft(document=document()), author="ada")
    before = await desk.active(tenant)
    first = await desk.activate(tenant, NEWEST, by="ada")
    await desk.update(tenant, "no-listing", PolicyDraft(document=document(priority=5)), author="ada")
    second = await desk.activate(tenant, NEWEST, by="ada")
    assert (await desk.active(tenant)).digest == second.digest
    assert (await desk.rollback(tenant, RollbackRequest(), by="ada")).digest == first.digest
    assert (await desk.rollback(tenant, RollbackRequest(to=2), by="ada")).digest == second.digest
    assert before.digest not in {first.digest, second.digest}


async def test_bundles_are_compared_rule_by_rule_and_setting_by_setting(
    desk: PolicyDesk, store: PostgresPolicies, tenant: str, document: DocumentMaker
) -> None:
    shipped = await desk.active(tenant)
    nothing = await desk.diff_bundles(tenant, shipped.digest, shipped.digest)
    assert nothing == BundleDiff(before=shipped.digest, after=shipped.digest)
    await desk.create(tenant, PolicyDraft(document=document()), author="ada")
    foreseen = await desk.diff_bundles(tenant, None, None)
    assert (foreseen.before, foreseen.added) == (shipped.digest, (PolicyRef(name="no-listing", version=1),))
    assert (await desk.activate(tenant, NEWEST, by="ada")).digest == foreseen.after
    older = shipped.model_copy(update={"knowledge": "older", "policies": shipped.policies[1:]})
    await store.keep(tenant, older)
    grown = await desk.diff_bundles(tenant, older.digest, None)
    assert [ref.name for ref in grown.added] == sorted([shipped.policies[0].name, "no-listing"])
    assert [(each.field, each.before) for each in grown.settings] == [("knowledge", "older")]


async def test_a_bundle_of_another_tenant_is_unknown(
    desk: PolicyDesk, tenant: str, document: DocumentMaker
) -> None:
    await desk.create(tenant, PolicyDraft(document=document()), author="ada")
    ours = (await desk.activate(tenant, NEWEST, by="ada")).digest
    with pytest.raises(NotFound):
        await desk.diff_bundles("somebody-else", ours, None)


async def test_of_two_activations_at_once_the_second_is_refused(
    desk: PolicyDesk, store: PostgresPolicies, tenant: str, document: DocumentMaker
) -> None:
    await desk.create(tenant, PolicyDraft(document=document()), author="ada")
    seen = await store.head(tenant)
    await desk.activate(tenant, NEWEST, by="ada")
    with pytest.raises(Conflict):
        await store.activate(tenant, await desk.active(tenant), by="grace", note="", expected=seen)
    assert len(await desk.activations(tenant)) == 1


async def test_rolling_back_the_first_activation_leaves_what_ships(
    desk: PolicyDesk, tenant: str, document: DocumentMaker
) -> None:
    shipped = await desk.active(tenant)
    with pytest.raises(Conflict):
        await desk.rollback(tenant, RollbackRequest(), by="ada")
    await desk.create(tenant, PolicyDraft(document=document()), author="ada")
    await desk.activate(tenant, NEWEST, by="ada")
    await desk.rollback(tenant, RollbackRequest(), by="ada")
    assert (await desk.active(tenant)).digest == shipped.digest


async def test_a_retired_policy_stays_in_force_until_the_next_activation(
    desk: PolicyDesk, tenant: str, document: DocumentMaker
) -> None:
    await desk.create(tenant, PolicyDraft(document=document()), author="ada")
    await desk.activate(tenant, NEWEST, by="ada")
    await desk.retire(tenant, "no-listing", by="ada")
    (state,) = [each for each in await desk.listed(tenant) if not each.shipped]
    assert (state.active, state.retired) == (1, True)
    await desk.activate(tenant, NEWEST, by="ada")
    (state,) = [each for each in await desk.listed(tenant) if not each.shipped]
    assert state.active is None


async def test_an_activation_changes_only_what_it_names(
    desk: PolicyDesk, tenant: str, document: DocumentMaker
) -> None:
    for name in ("one", "two", "three"):
        await desk.create(tenant, PolicyDraft(document=document(name=name)), author="ada")
    await desk.activate(tenant, ActivationRequest(policies=(PolicyRef(name="one", version=1),)), by="ada")
    await desk.activate(tenant, ActivationRequest(policies=(PolicyRef(name="two", version=1),)), by="ada")
    await desk.activate(tenant, ActivationRequest(remove=("one",)), by="ada")
    own = [each.name for each in (await desk.active(tenant)).policies if not each.shipped]
    assert own == ["two"]
    with pytest.raises(NotFound):
        await desk.activate(tenant, ActivationRequest(remove=("three",)), by="ada")


async def test_a_trial_explains_every_rule_that_looked(
    desk: PolicyDesk, tenant: str, document: DocumentMaker
) -> None:
    explained = await desk.trial(tenant, TrialRequest(action=LS, draft=document()))
    assert explained.record.verdict.decision is Decision.DENY
    words = {each.policy: each.word for each in explained.rules}
    assert explained.rules[0].policy == "no-listing"
    assert words["no-listing"] == "matched"
    assert words["holdfast.read-only"] == "matched"
    assert words["holdfast.mutations"] == "silent"
    assert len(words) == len((await desk.active(tenant)).policies) + 1


async def test_a_trial_says_who_may_settle_what_is_unclear(
    desk: PolicyDesk, tenant: str, document: DocumentMaker
) -> None:
    unclear = Example(arguments={"command": "frobnicate"})
    by_one = await desk.trial(tenant, TrialRequest(action=unclear))
    assert by_one.record.verdict.may_settle == "model"
    together = document(
        effect="require_approval", when="'frobnicate' in facts.binaries", judge="panel", examples={}
    )
    by_several = await desk.trial(tenant, TrialRequest(action=unclear, draft=together))
    assert by_several.record.verdict.may_settle == "panel"


async def test_a_backtest_says_what_activating_would_change(
    desk: PolicyDesk, tenant: str, document: DocumentMaker, module_database: Database
) -> None:
    await judged(module_database, tenant, "ls -l", "df -h", "rm -rf /srv", "ls /tmp")
    drafts = (document(), document(name="idle", when="'nothing' in facts.binaries"))
    report = await desk.backtest(tenant, BacktestRequest(drafts=drafts))
    assert (report.decided, report.changed, report.stricter, report.looser) == (4, 2, 2, 0)
    assert report.matrix[Decision.ALLOW] == {Decision.ALLOW: 1, Decision.DENY: 2}
    assert {sample.why for sample in report.samples} == {"lists files"}
    assert report.never_matched == ("idle@1",)


async def test_a_backtest_of_nothing_new_changes_nothing(
    desk: PolicyDesk, tenant: str, module_database: Database
) -> None:
    await judged(module_database, tenant, "ls -l", "mkdir out")
    report = await desk.backtest(tenant, BacktestRequest())
    assert (report.decided, report.changed) == (2, 0)


async def test_an_experiment_compares_the_runs_a_rule_decides_with_those_it_watches(
    desk: PolicyDesk, tenant: str, document: DocumentMaker, module_database: Database
) -> None:
    tried = document(effect="require_approval", rollout={"mode": "ab", "percent": 50, "salt": "x"})
    await desk.create(tenant, PolicyDraft(document=tried), author="ada")
    await desk.activate(tenant, NEWEST, by="ada")
    book = RuleBook(await desk.active(tenant))
    enforced = set()
    for _ in range(8):
        requests = await judged(module_database, tenant, "ls -l", "df -h", book=book)
        if arm("x", requests[0].action.run_id) < 50:
            enforced.add(requests[0].action.run_id)
    report = await desk.experiment(tenant, "no-listing")
    assert report.enforced.runs == len(enforced)
    assert report.watched.runs == 8 - len(enforced)
    assert report.enforced.asked == len(enforced)
    assert report.watched.asked == 0
    assert report.enforced.matched + report.watched.matched == 8


async def test_an_experiment_counts_what_people_answered(
    desk: PolicyDesk, tenant: str, document: DocumentMaker, module_database: Database
) -> None:
    tried = document(effect="require_approval", rollout={"mode": "ab", "percent": 100})
    await desk.create(tenant, PolicyDraft(document=tried), author="ada")
    await desk.activate(tenant, NEWEST, by="ada")
    (request,) = await judged(module_database, tenant, "ls -l", book=RuleBook(await desk.active(tenant)))
    await PostgresApprovals(database=module_database).ask(
        AskRequest(
            scope=request.scope,
            id=new_id("apr"),
            subject=ApprovalSubject.ACTION,
            digest=request.action.digest,
            summary=ApprovalSummary(what="list"),
        )
    )
    async with module_database.tenant(tenant) as connection:
        await connection.execute("update approvals set status = 'approved'")
    report = await desk.experiment(tenant, "no-listing")
    assert (report.enforced.asked, report.enforced.answered, report.enforced.approved_share) == (1, 1, 1.0)
