"""A person's word on an approval: checked, stored with its event, and only then passed on. The run believes the store,
so a signal that anybody sends changes nothing."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Literal

import structlog

from api.services import Services
from holdfast.adapters.postgres.decisions import Refused, Vote
from holdfast.errors import Conflict, Forbidden, HoldfastError, InvalidInput, NotFound
from holdfast.guardian.envelopes import reach_of
from holdfast.guardian.planned import EVERYBODY
from schemas.access import Principal
from schemas.approvals import Approval, ApprovalStatus
from schemas.base import Digest, JsonObject
from schemas.brakes import EnvelopeEntry, ScopeEntry
from schemas.runs import Run
from schemas.verdicts import ApprovalTerms

log = structlog.get_logger(__name__)

_WHY: dict[Refused, str] = {
    "decided": "It was decided before.",
    "withdrawn": "It was withdrawn: its run has ended, or its step is out of time.",
    "expired": "It has expired.",
    "other_digest": "The digest is of something else than what is asked.",
    "four_eyes": "Who asked for the run may not approve what it does.",
    "voted": "You have decided on it before.",
    "other_edit": "Somebody before you approved other arguments.",
    "other_scope": "Somebody before you approved another scope, or none.",
    "passed_around": "It was passed on too often.",
}


async def readable(held: Services, caller: Principal, approval_id: str) -> Approval:
    """The approval, if the caller may see the run it belongs to."""
    return (await _readable(held, caller, approval_id))[0]


async def _readable(held: Services, caller: Principal, approval_id: str) -> tuple[Approval, Run]:
    approval = await held.approvals.read(caller.tenant, approval_id)
    run = await held.runs.read(caller.tenant, approval.run_id)
    if not caller.may_touch(run.environment):
        raise NotFound(f"There is no approval {approval_id}.", approval_id=approval_id)
    return approval, run


async def decide(
    held: Services,
    caller: Principal,
    approval_id: str,
    *,
    decision: Literal["approve", "edit", "reject"],
    digest: Digest,
    comment: str,
    arguments: JsonObject | None,
    scope: Sequence[ScopeEntry] = (),
) -> Approval:
    approval, run = await _readable(held, caller, approval_id)
    _refuse_outsider(caller, run, approval)
    vote = Vote(
        approver=caller.id,
        decision=decision,
        digest=digest,
        effective=await _effective(held, approval, decision, digest, arguments),
        comment=comment,
        arguments=arguments,
        scope=await _envelope(held, approval, decision, scope),
    )
    refused = await held.decisions.decide(caller.tenant, approval_id, vote)
    _refuse(refused, approval)
    decided = await held.approvals.read(caller.tenant, approval_id)
    if decided.status is not ApprovalStatus.PENDING:
        await _pass_on(held, caller.tenant, decided.run_id, approval_id)
    return decided


async def delegate(held: Services, caller: Principal, approval_id: str, *, to: str, comment: str) -> Approval:
    """Who may decide lets a group, or one person, decide as well. Quorum and four eyes stay what they are."""
    approval, run = await _readable(held, caller, approval_id)
    _refuse_outsider(caller, run, approval)
    refused = await held.decisions.delegate(caller.tenant, approval_id, by=caller.id, to=to, comment=comment)
    _refuse(refused, approval)
    return await held.approvals.read(caller.tenant, approval_id)


def _refuse(refused: Refused | None, approval: Approval) -> None:
    if refused is not None:
        raise Conflict(_WHY[refused], remedy="Read it again: GET /v1/approvals/{id}.", run_id=approval.run_id)


async def pass_on_unheard(held: Services) -> None:
    """Tell runs of decisions they were not told of."""
    for tenant, run_id, approval_id in await held.decisions.unheard():
        await _pass_on(held, tenant, run_id, approval_id)


async def tell_idle(held: Services) -> None:
    """Let whoever follows events hear of questions that nobody answers."""
    if told := await held.decisions.tell_idle(timedelta(seconds=held.settings.api.approval_idle_s)):
        log.info("idle_approvals_told", count=told)


async def _pass_on(held: Services, tenant: str, run_id: str, approval_id: str) -> None:
    """Wake the run. Where Temporal is away, the decision stands all the same, and the run is told later."""
    try:
        await held.engine.signal(run_id, "approval_decided", approval_id)
    except Conflict:
        pass  # the run has ended: there is nobody to tell
    except HoldfastError as error:
        log.warning("approval_not_passed_on", approval_id=approval_id, run_id=run_id, why=error.code)
        return
    await held.decisions.heard(tenant, approval_id)


async def _effective(
    held: Services, approval: Approval, decision: str, digest: Digest, arguments: JsonObject | None
) -> Digest:
    """The digest of what an approval would permit."""
    if decision != "edit":
        if arguments is not None:
            raise InvalidInput("Arguments come with the decision `edit` only.")
        return digest
    action = await held.decisions.action(approval.tenant, approval.id)
    if action is None or arguments is None:
        raise InvalidInput("`edit` needs arguments, and a question about an action.")
    return action.edited(arguments).digest


async def _envelope(
    held: Services, approval: Approval, decision: str, scope: Sequence[ScopeEntry]
) -> tuple[EnvelopeEntry, ...]:
    """The scope, bound to the tool, the environment and the reach of the action that was read."""
    if not scope:
        return ()
    action = await held.decisions.action(approval.tenant, approval.id)
    facts = await held.decisions.facts(approval.tenant, approval.id)
    if decision != "approve" or action is None or facts is None:
        raise InvalidInput("A scope comes with the decision `approve`, and a question about an action.")
    return tuple(
        EnvelopeEntry(
            tool=action.tool,
            step=each.step,
            environment=action.environment,
            arguments=each.arguments,
            reach=reach_of(facts),
        )
        for each in scope
    )


def _refuse_outsider(caller: Principal, run: Run, approval: Approval) -> None:
    groups = asked_groups(approval.terms, approval.created_at, now=datetime.now(UTC))
    groups |= {delegation.to for delegation in approval.delegations}
    if not groups & {EVERYBODY, caller.id, *caller.roles_in(run.environment)}:
        raise Forbidden(
            f"This is for {' or '.join(sorted(groups))} to decide.",
            remedy="Ask an admin for that role, or somebody who has it.",
        )


def asked_groups(terms: ApprovalTerms, since: datetime, *, now: datetime) -> set[str]:
    """Who may decide: the group, and after a while the one it escalates to as well."""
    groups = {terms.group}
    if terms.escalate_to is None or terms.escalate_after_s is None:
        return groups
    escalated = now >= since + timedelta(seconds=terms.escalate_after_s)
    return groups | {terms.escalate_to} if escalated else groups
