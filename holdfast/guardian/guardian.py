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
from holdfast.guardian.combining import STRICTNESS, Outcome, both
from holdfast.guardian.deciding import DEFAULT, Ruling, decide
from holdfast.guardian.envelopes import envelopable, permits
from holdfast.guardian.freezes import held_by
from holdfast.guardian.judge import OpinionBook, question_digest
from holdfast.guardian.reading import read_action
from holdfast.guardian.sources import FixedPolicies, InForce, PolicySource
from holdfast.guardian.vocabulary import View
from schemas.base import Digest
from schemas.brakes import Freeze
from schemas.stages import JudgeRequest
from schemas.tools import ToolSpec
from schemas.verdicts import ApprovalTerms, Decision, Opinion, Reason, Settler, Verdict, VerdictRecord

Clock = Callable[[], datetime]

_DEPRECATION = "deprecation"
_PROVISIONAL = datetime(1970, 1, 1, tzinfo=UTC)
"""When a verdict expires that somebody may still settle: long ago, by every clock. The ledger lets nothing go out on it,
and puts the settled one in its place."""

_SILENCE = Opinion(decision="require_approval", why="no answer came in time", usable=False)


def _now() -> datetime:
    return datetime.now(UTC)


@dataclass(frozen=True)
class _Ruled:
    ruling: Ruling
    book: RuleBook
    judge: str | None = None
    may_settle: Settler | None = None


class PolicyGuardian:
    """Fulfils the port `Guardian`. Raises only Unavailable, where the rules cannot be had: asking again is safe.

    Without a book of opinions, people settle what the rules leave unclear. With one, a verdict may name who else may;
    whoever has it asked judges again, and what the book says by then is counted.
    """

    def __init__(
        self, *, policies: PolicySource, opinions: OpinionBook | None = None, clock: Clock = _now
    ) -> None:
        self._policies = policies
        self._opinions = opinions
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
        return await self._settle(view, ruled, now, asked=request.asked)

    async def _by_bundle(self, tenant: str, digest: Digest, view: View, active: RuleBook) -> _Ruled:
        """What the bundle says that the run started under; a bundle that is gone, or that no rule of today reads, asks people."""
        try:
            book = await self._policies.book(tenant, digest)
        except (NotFound, ValueError) as error:
            said = f"the policies this run started under cannot be applied: {error}"
            return _Ruled(_refusal(Decision.REQUIRE_APPROVAL, said), active)
        return _Ruled(_decide_safely(book, view, self._clock()), book)

    async def _settle(self, view: View, ruled: _Ruled, now: datetime, *, asked: bool) -> _Ruled:
        """Where people would be asked: somebody may have answered in advance, or a model may be allowed to."""
        outcome = ruled.ruling.outcome
        if envelopable(view.action, outcome):
            envelopes = await self._policies.envelopes(view.action.tenant, view.action.run_id)
            envelope = permits(envelopes, view.action, view.facts, outcome, now)
            if envelope:
                said = f"inside what was approved for this run ({envelope.approval_id})"
                return replace(ruled, ruling=_allowed(ruled.ruling, "envelope", said, envelope.expires_at))
        return await self._judged(view, ruled, outcome.settler, asked=asked)

    async def _judged(self, view: View, ruled: _Ruled, who: Settler | None, *, asked: bool) -> _Ruled:
        """Text from outside may speak to a judge, so what it has chosen is not for a judge to settle."""
        if self._opinions is None or who is None or view.action.tainted or view.action.swayed:
            return ruled
        question = question_digest(view, who)
        opinion = await self._opinions.find(view.action.tenant, question, unusable=asked)
        if opinion is None and not asked:
            return replace(ruled, may_settle=who)
        opinion = opinion or _SILENCE
        name = f"the {who} judge" if who == "model" else "the panel"
        if opinion.decision == "allow" and opinion.usable:
            said = f"{name} sees no harm: {opinion.why}"
            return replace(
                ruled,
                ruling=_allowed(ruled.ruling, "judge", said, None),
                judge=opinion.model_dump_json(),
            )
        said = f"{name} leaves it to people: {opinion.why}"
        return replace(ruled, ruling=_doubted(ruled.ruling, said), judge=opinion.model_dump_json())


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


def _doubted(ruling: Ruling, message: str) -> Ruling:
    """The rules' own reasons stand; people read beside them what the judge made of it."""
    reason = Reason(policy="judge", effect=Decision.REQUIRE_APPROVAL, message=message)
    return replace(ruling, reasons=(*ruling.reasons, reason))


def _stricter(active: _Ruled, other: _Ruled) -> _Ruled:
    """Of two answers the stricter; where they agree, the active bundle's."""
    if STRICTNESS[other.ruling.outcome.decision] > STRICTNESS[active.ruling.outcome.decision]:
        return replace(other, ruling=_with_errors(other.ruling, active.ruling))
    outcome = replace(
        active.ruling.outcome,
        failed=active.ruling.outcome.failed or other.ruling.outcome.failed,
        settler=both(active.ruling.outcome.settler, other.ruling.outcome.settler),
    )
    return replace(active, ruling=_with_errors(replace(active.ruling, outcome=outcome), other.ruling))


def _with_errors(ruling: Ruling, beside: Ruling) -> Ruling:
    return replace(ruling, errors=tuple(dict.fromkeys((*ruling.errors, *beside.errors))))


def _record(view: View, ruled: _Ruled) -> VerdictRecord:
    ruling = ruled.ruling
    verdict = Verdict(
        action_digest=view.action.digest,
        decision=ruling.outcome.decision,
        reasons=(*ruling.reasons, *_told_of(view.tool)),
        bundle=ruled.book.digest,
        terms=ruling.outcome.terms,
        expires_at=_PROVISIONAL if ruled.may_settle else ruling.expires_at,
        may_settle=ruled.may_settle,
    )
    return VerdictRecord(
        verdict=verdict,
        facts=view.facts,
        matches=ruling.matches,
        errors=ruling.errors,
        shadow=ruling.shadow,
        judge=ruled.judge,
        in_advance=envelopable(view.action, ruling.outcome),
    )


def _told_of(tool: ToolSpec) -> tuple[Reason, ...]:
    """Decides nothing, and is read by whoever reads the verdict."""
    said = Reason(policy=_DEPRECATION, effect=Decision.ALLOW, message=tool.warning)
    return (said,) if tool.deprecated else ()


def _held(verdict: Verdict, freeze: Freeze) -> Verdict:
    message = f"held by a freeze: {freeze.reason}" if freeze.reason else "held by a freeze"
    reason = Reason(policy=freeze.id, effect=Decision.DENY, message=message)
    return verdict.model_copy(
        update={
            "decision": Decision.DENY,
            "held": True,
            "reasons": (reason,),
            "terms": None,
            "may_settle": None,
        }
    )
