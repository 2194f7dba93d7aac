"""Plans kept for reuse: found by the same goal, or by a near one whose parameters can be bound anew, and never on
similarity alone. What comes out of the cache is checked and judged like any other plan."""

import json
import math
from collections.abc import Awaitable, Callable, Sequence
from typing import Literal, Protocol

from holdfast.llm.goal_reading import Reading, normalised, read_goal
from holdfast.llm.goal_standing import days_in, stands_alone
from holdfast.llm.rebinding import NotTheSame, rebound
from holdfast.ports import Planner
from schemas.base import Digest, JsonObject, Payload
from schemas.canonical import digest_of
from schemas.plans import Finding, Plan, PlanSource
from schemas.stages import Answer, AnswerRequest, NextMove, NextRequest, PlanProposal, PlanRequest

Outcome = Literal["exact", "rebound", "miss", "refused"]
Embed = Callable[[str, str], Awaitable[Sequence[float]]]
"""From a tenant and a text to a vector; of whatever model the deployment embeds with."""
Check = Callable[[Plan, PlanRequest], Sequence[Finding]]

_SHIPPED = "as shipped"
"""The policies of a tenant that has activated none of its own."""
NEAR = 0.80
_CANDIDATES = 5
_NEWEST = 100


class KeptPlan(Payload):
    """A plan that was carried out to the end, and the goal it was made for."""

    tenant: str
    space: Digest
    key: Digest
    goal: str
    inputs: JsonObject = {}
    plan: Plan
    run_id: str
    embedding: tuple[float, ...] = ()


class PlanShelf(Protocol):
    async def exact(self, tenant: str, space: Digest, key: Digest) -> KeptPlan | None: ...

    async def near(
        self, tenant: str, space: Digest, embedding: Sequence[float], *, limit: int
    ) -> Sequence[KeptPlan]: ...

    async def newest(self, tenant: str, space: Digest, *, limit: int) -> Sequence[KeptPlan]: ...

    async def keep(self, plan: KeptPlan) -> None:
        """Laid aside until its run has succeeded."""
        ...

    async def used(self, plan: KeptPlan, *, by: str, outcome: Outcome) -> None:
        """Run `by` goes on with this plan: if it fails, the plan is not offered again."""
        ...

    async def count(self, tenant: str, outcome: Outcome) -> None: ...


class CachingPlanner:
    """A planner with a memory for whole plans, in front of one that thinks."""

    def __init__(
        self, *, planner: Planner, shelf: PlanShelf, check: Check, embed: Embed | None = None
    ) -> None:
        self._planner = planner
        self._shelf = shelf
        self._check = check
        self._embed = embed

    async def plan(self, request: PlanRequest) -> PlanProposal:
        if not _is_first(request):
            return await self._planner.plan(request)
        space, key = space_of(request), key_of(request)
        same = await self._shelf.exact(request.scope.tenant, space, key)
        if same and _still_known(same.plan, request) and not self._check(same.plan, request):
            return await self._reused(request, same, same.plan, "exact")
        wanted = read_goal(request.goal)
        vector = await self._vector(request, wanted)
        near = await self._near(request, space, wanted, vector)
        for kept in near:
            plan = self._bound(kept, wanted, request)
            if plan is not None:
                return await self._reused(request, kept, plan, "rebound")
        await self._shelf.count(request.scope.tenant, "refused" if near or same else "miss")
        return await self._thought(request, space, key, vector)

    async def next(self, request: NextRequest) -> NextMove:
        return await self._planner.next(request)

    async def answer(self, request: AnswerRequest) -> Answer:
        return await self._planner.answer(request)

    async def _vector(self, request: PlanRequest, wanted: Reading) -> Sequence[float]:
        """Of the goal without its parameters, as those are compared exactly."""
        return await self._embed(request.scope.tenant, " ".join(wanted.words)) if self._embed else ()

    async def _near(
        self, request: PlanRequest, space: Digest, wanted: Reading, vector: Sequence[float]
    ) -> list[KeptPlan]:
        """Candidates; what they say is compared by whoever binds them. Without an embedding, the newest are looked at."""
        tenant = request.scope.tenant
        if not vector:
            newest = await self._shelf.newest(tenant, space, limit=_NEWEST)
            return [kept for kept in newest if read_goal(kept.goal).words == wanted.words]
        found = await self._shelf.near(tenant, space, vector, limit=_CANDIDATES)
        return [kept for kept in found if _cosine(kept.embedding, vector) >= NEAR]

    async def _reused(
        self, request: PlanRequest, kept: KeptPlan, plan: Plan, outcome: Outcome
    ) -> PlanProposal:
        await self._shelf.used(kept, by=request.scope.run_id, outcome=outcome)
        how = (
            "for the same goal"
            if outcome == "exact"
            else f"for {kept.goal!r}, bound to this goal's parameters"
        )
        cached = plan.model_copy(update={"source": PlanSource.CACHE})
        return PlanProposal(
            plan=cached, by="cache", note=f"The plan that run {kept.run_id} succeeded with {how}."
        )

    def _bound(self, kept: KeptPlan, wanted: Reading, request: PlanRequest) -> Plan | None:
        if kept.inputs != request.inputs or not _still_known(kept.plan, request):
            return None
        try:
            plan = rebound(kept.plan, read_goal(kept.goal), wanted)
        except NotTheSame:
            return None
        return None if self._check(plan, request) else plan

    async def _thought(
        self, request: PlanRequest, space: Digest, key: Digest, vector: Sequence[float]
    ) -> PlanProposal:
        proposal = await self._planner.plan(request)
        if proposal.plan is None or proposal.plan.source is not PlanSource.MODEL:
            return proposal
        if not days_in(proposal.plan.model_dump_json()) <= days_in(_given(request)):
            return proposal
        kept = KeptPlan(
            tenant=request.scope.tenant,
            space=space,
            key=key,
            goal=normalised(request.goal),
            inputs=request.inputs,
            plan=proposal.plan.model_copy(update={"swayed": request.swayed}),
            run_id=request.scope.run_id,
            embedding=tuple(vector),
        )
        await self._shelf.keep(kept)
        return proposal


def space_of(request: PlanRequest) -> Digest:
    """All that must be the same, beside the goal: who plans, with which tools, under which policies, knowing what."""
    runbooks = sorted(
        {
            f"{item.cite.id}@{item.cite.version}"
            for item in request.recalled.items
            if item.cite.source == "runbook"
        }
    )
    return digest_of(
        {
            "agent": request.agent.model_dump(mode="json"),
            "catalogue": request.catalogue.digest,
            "bundle": request.bundle or _SHIPPED,
            "environment": request.scope.environment,
            "runbooks": runbooks,
        }
    )


def key_of(request: PlanRequest) -> Digest:
    return digest_of({"goal": normalised(request.goal), "inputs": request.inputs})


def _is_first(request: PlanRequest) -> bool:
    """A plan that answers to findings, a failure, a conversation or a word from outside is for its own run only."""
    special = (request.previous, request.findings, request.failure, request.done, request.instructions)
    talked = any(
        item.cite.source == "memory" and item.cite.version is None for item in request.recalled.items
    )
    own = any(special) or talked or not stands_alone(request.goal)
    return request.mode == "plan" and not own


def _given(request: PlanRequest) -> str:
    return f"{request.goal} {json.dumps(request.inputs, default=str)}"


def _still_known(plan: Plan, request: PlanRequest) -> bool:
    """What the plan was made of is still recalled, in the version it was made of."""
    known = {(item.cite.source, item.cite.id, item.cite.version) for item in request.recalled.items}
    return all((cite.source, cite.id, cite.version) in known for cite in plan.cites)


def _cosine(one: Sequence[float], other: Sequence[float]) -> float:
    if len(one) != len(other):
        return 0.0
    size = math.sqrt(sum(value * value for value in one) * sum(value * value for value in other))
    return sum(a * b for a, b in zip(one, other, strict=True)) / size if size else 0.0
