"""The spend ledger and the breakers in memory, for one process: the same contract as the Postgres ones, by the same
tests. Only the database's survive a restart and are shared, so nothing but tests and dry runs should hold these."""

from collections import defaultdict
from collections.abc import Sequence
from datetime import UTC, datetime

from holdfast.errors import BudgetExhausted
from holdfast.llm import breaker as states
from holdfast.llm.failures import AT_ONCE
from schemas.chat import TaskClass
from schemas.models import Breaker, BreakerRule, TrackRecord
from schemas.spend import CallOutcome, SpendClaim


class MemorySpend:
    """Limits of runs only, as an agent states them."""

    def __init__(self) -> None:
        self.claims: dict[str, SpendClaim] = {}
        self.outcomes: dict[str, CallOutcome] = {}
        self.graded: dict[str, bool] = {}

    def spent_by(self, run_id: str | None) -> float:
        """Settled, and reserved where not yet settled."""
        return sum(
            self.outcomes[name].cost_usd if name in self.outcomes else claim.amount_usd
            for name, claim in self.claims.items()
            if claim.errand.run_id == run_id
        )

    async def reserve(self, claim: SpendClaim) -> None:
        limit = claim.errand.run_limit_usd
        if claim.call_id in self.claims:
            return
        if limit is not None and self.spent_by(claim.errand.run_id) + claim.amount_usd > limit:
            raise BudgetExhausted(
                f"The budget of run {claim.errand.run_id} does not cover this call.",
                run_id=claim.errand.run_id,
            )
        self.claims[claim.call_id] = claim

    async def settle(self, tenant: str, call_id: str, outcome: CallOutcome) -> None:
        claim = self.claims.get(call_id)
        if claim and claim.errand.tenant == tenant:
            self.outcomes.setdefault(call_id, outcome)

    async def grade(self, tenant: str, call_id: str, *, useful: bool) -> None:
        if self.claims[call_id].errand.tenant == tenant:
            self.graded[call_id] = useful

    async def track_records(self, tenant: str, task: TaskClass) -> Sequence[TrackRecord]:
        calls: defaultdict[str, list[bool]] = defaultdict(list)
        for name, outcome in self.outcomes.items():
            claim = self.claims[name]
            if claim.errand.task is task and claim.errand.tenant == tenant:
                calls[claim.deployment].append(outcome.ok and self.graded.get(name, True))
        return [
            TrackRecord(deployment=name, task=task, calls=len(ended), successes=sum(ended))
            for name, ended in calls.items()
        ]


class MemoryBreakers:
    def __init__(self, *, rule: BreakerRule) -> None:
        self._rule = rule
        self._breakers: dict[str, Breaker] = {}

    async def read(self) -> tuple[datetime, Sequence[Breaker]]:
        return datetime.now(UTC), list(self._breakers.values())

    async def enter(self, deployment: str) -> bool:
        entered = states.entered(self._of(deployment), self._rule, datetime.now(UTC))
        if entered:
            self._breakers[deployment] = entered
        return entered is not None

    async def report(
        self, deployment: str, *, failure: str | None, retry_after_s: float | None = None
    ) -> None:
        before = self._of(deployment)
        if failure is None:
            self._breakers[deployment] = states.succeeded(before)
            return
        at_once = failure in AT_ONCE or retry_after_s is not None
        self._breakers[deployment] = states.failed(
            before,
            self._rule,
            datetime.now(UTC),
            reason=failure,
            retry_after_s=retry_after_s,
            at_once=at_once,
        )

    async def release(self, deployment: str) -> None:
        self._breakers[deployment] = states.released(self._of(deployment), datetime.now(UTC))

    def _of(self, deployment: str) -> Breaker:
        return self._breakers.get(deployment, Breaker(deployment=deployment))
