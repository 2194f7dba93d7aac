"""The guardian: one action in, one verdict with its reasons out. Never an allow that nobody meant.

Order: is the request itself consistent; what does the action do; does a freeze hold it; what do the rules say, those
of the active bundle and those the run started under; has somebody approved this in advance; may a model settle it.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime

from holdfast.errors import NotFound
from holdfast.guardian.bundles import RuleBook
from holdfast.guardian.combining import STRICTNESS, Outcome
from holdfast.guardian.deciding import DEFAULT, Ruling, decide
from holdfast.guardian.envelopes import envelopable, permits
from holdfast.guardian.freezes import held_by
from holdfast.guardian.judge import CautiousJudge
from holdfast.guardian.reading import read_action
from holdfast.guardian.sources import FixedPolicies, InForce, PolicySource
from holdfast.guardian.vocabulary import View
from schemas.base import Digest
from schemas.brakes import Freeze
from schemas.stages import JudgeRequest
from schemas.verdicts import ApprovalTerms, Decision, Reason, Verdict, VerdictRecord

Clock = Callable[[], datetime]


def _now() -> datetime:
    return datetime.now(UTC)


@dataclass(frozen=True)
class _Ruled:
    ruling: Ruling
    book: RuleBook
    judge: str | None = None


class PolicyGuardian:
    """Fulfils the port `Guardian`. Raises only Unavailable, where the rules cannot be had: asking again is safe."""

    def __init__(
        self, *, policies: PolicySource, judge: CautiousJudge | None = None, clock: Clock = _now
    ) -> None:
        self._policies = policies
        self._judge = judge
        self._clock = clock

    @classmethod
    def shipped(cls) -> "PolicyGuardian":
        """With the shipped bundle alone; needs no database."""
        return cls(policies=FixedPolicies())

    async def judge(self, request: JudgeRequest) -> VerdictRecord:
        started = time.perf_counter_ns()
        view, errors = read_action(request)
        in_force = await self._policies.in_force(request.scope.tenant)
        ruled = await self._rule(request, view, in_force, errors)
        record = _record(view, ruled)
        frozen = held_by(in_force.freezes, request.action)
        if frozen:
            record = record.model_copy(update={"verdict": _held(record.verdict, frozen)})
        elapsed_us = (time.perf_counter_ns() - started) // 1000
        return record.model_copy(update={"latency_us": elapsed_us})

    async def _rule(
        self, request: JudgeRequest, view: View, in_force: InForce, errors: tuple[str, ...]
    ) -> _Ruled:
        now, book = self._clock(), in_force.book
        mismatch = _mismatch(request)
        if mismatch:
            return _Ruled(_refusal(Decision.DENY, mismatch), book)
        ruled = _Ruled(_decide_safely(book, view, now), book)
        if request.bundle and request.bundle != book.digest:
            ruled = _stricter(ruled, await self._by_bundle(request.scope.tenant, request.bundle, view, book))
        if in_force.problem:
            said = f"the policies in force cannot be applied: {in_force.problem}"
            ruled = _stricter(ruled, _Ruled(_refusal(Decision.DENY, said), book))
        if errors:
            ruled = _stricter(ruled, _Ruled(_refusal(Decision.REQUIRE_APPROVAL, errors[0]), book))
        return await self._settle(view, ruled, now)

    async def _by_bundle(self, tenant: str, digest: Digest, view: View, active: RuleBook) -> _Ruled:
        """What the bundle says that the run started under; a bundle that is gone, or that no rule of today reads, asks people."""
        try:
            book = await self._policies.book(tenant, digest)
        except (NotFound, ValueError) as error:
            said = f"the policies this run started under cannot be applied: {error}"
            return _Ruled(_refusal(Decision.REQUIRE_APPROVAL, said), active)
        return _Ruled(_decide_safely(book, view, self._clock()), book)

    async def _settle(self, view: View, ruled: _Ruled, now: datetime) -> _Ruled:
        """Where people would be asked: somebody may have answered in advance, or a model may be allowed to."""
        outcome = ruled.ruling.outcome
        if envelopable(view.action, outcome):
            envelopes = await self._policies.envelopes(view.action.tenant, view.action.run_id)
            envelope = permits(envelopes, view.action, outcome, now)
            if envelope:
                said = f"inside what was approved for this run ({envelope.approval_id})"
                return replace(ruled, ruling=_allowed(ruled.ruling, "envelope", said, envelope.expires_at))
        if self._judge is None or not outcome.judgeable:
            return ruled
        opinion = await self._judge.consider(view)
        if opinion.decision == "allow":
            said = f"the model judge sees no harm: {opinion.why}"
            ruled = replace(ruled, ruling=_allowed(ruled.ruling, "judge", said, None))
        return replace(ruled, judge=opinion.model_dump_json())


def _decide_safely(book: RuleBook, view: View, now: datetime) -> Ruling:
    try:
        return decide(book, view, now)
    except Exception as error:  # noqa: BLE001 -- the edge: a defect of the engine asks people, and says so
        return _refusal(Decision.REQUIRE_APPROVAL, f"the rules could not be applied: {type(error).__name__}")


def _mismatch(request: JudgeRequest) -> str:
    """A request whose parts speak of different things is nobody's to allow."""
    action, scope, tool = request.action, request.scope, request.tool
    if (action.tenant, action.run_id, action.environment) != (scope.tenant, scope.run_id, scope.environment):
        return "the action names another run, tenant or environment than the request"
    if (action.tool, action.tool_version) != (tool.name, tool.version):
        return f"the action is about {action.tool}@{action.tool_version}, and the tool given is {tool.key}"
    return ""


def _refusal(decision: Decision, message: str) -> Ruling:
    reason = Reason(policy=DEFAULT, effect=decision, message=message)
    terms = ApprovalTerms() if decision is Decision.REQUIRE_APPROVAL else None
    return Ruling(Outcome(decision, terms=terms, failed=True), (reason,), (reason,), (), (message,), None)


def _allowed(ruling: Ruling, by: str, message: str, until: datetime | None) -> Ruling:
    reason = Reason(policy=by, effect=Decision.ALLOW, message=message)
    ends = [end for end in (ruling.expires_at, until) if end]
    outcome = replace(ruling.outcome, decision=Decision.ALLOW, terms=None)
    return replace(ruling, outcome=outcome, reasons=(reason,), expires_at=min(ends, default=None))


def _stricter(active: _Ruled, other: _Ruled) -> _Ruled:
    """Of two answers the stricter; where they agree, the active bundle's."""
    if STRICTNESS[other.ruling.outcome.decision] > STRICTNESS[active.ruling.outcome.decision]:
        return replace(other, ruling=_with_errors(other.ruling, active.ruling))
    outcome = replace(
        active.ruling.outcome,
        failed=active.ruling.outcome.failed or other.ruling.outcome.failed,
        judgeable=active.ruling.outcome.judgeable and other.ruling.outcome.judgeable,
    )
    return replace(active, ruling=_with_errors(replace(active.ruling, outcome=outcome), other.ruling))


def _with_errors(ruling: Ruling, beside: Ruling) -> Ruling:
    return replace(ruling, errors=tuple(dict.fromkeys((*ruling.errors, *beside.errors))))


def _record(view: View, ruled: _Ruled) -> VerdictRecord:
    ruling = ruled.ruling
    verdict = Verdict(
        action_digest=view.action.digest,
        decision=ruling.outcome.decision,
        reasons=ruling.reasons,
        bundle=ruled.book.digest,
        terms=ruling.outcome.terms,
        expires_at=ruling.expires_at,
    )
    return VerdictRecord(
        verdict=verdict,
        facts=view.facts,
        matches=ruling.matches,
        errors=ruling.errors,
        shadow=ruling.shadow,
        judge=ruled.judge,
    )


def _held(verdict: Verdict, freeze: Freeze) -> Verdict:
    message = f"held by a freeze: {freeze.reason}" if freeze.reason else "held by a freeze"
    reason = Reason(policy=freeze.id, effect=Decision.DENY, message=message)
    return verdict.model_copy(
        update={"decision": Decision.DENY, "held": True, "reasons": (reason,), "terms": None}
    )
