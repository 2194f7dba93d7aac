"""Where a call goes, and why: a pure choice over what is known, which can be stored and explained."""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from holdfast.errors import Misconfigured
from holdfast.llm.breaker import may_call
from holdfast.llm.prices import PriceBook, cost_of
from holdfast.llm.statistics import interval_of
from schemas.chat import TokenUsage
from schemas.models import Breaker, Deployment, Experiment, ModelSettings, Route, TrackRecord
from schemas.routing import Candidate, Errand, Exclusion, RouteDecision

_ENOUGH_TIMED = 5
_LEAST_ANSWER = 1024
"""Tokens. Where a context leaves less room for an answer than was asked for and than this, another model is better."""


@dataclass(frozen=True)
class Known:
    """What the choice rests on, at one moment."""

    now: datetime
    breakers: Mapping[str, Breaker]
    records: Mapping[str, TrackRecord]
    withdrawn: Mapping[str, str] = field(default_factory=dict)
    """What the run began with and may not be called any more, and why."""
    beside: Route = field(default_factory=Route)
    """What is said of the task now: its limits hold beside those of the run's own route."""


@dataclass(frozen=True)
class Load:
    """The size of the call, as estimated."""

    input_tokens: int
    output_tokens: int

    @property
    def usage(self) -> TokenUsage:
        return TokenUsage(input_tokens=self.input_tokens, output_tokens=self.output_tokens)

    def at(self, deployment: Deployment) -> "Load":
        """As this deployment would have it: its answer ends where its own limit, or its context, does."""
        room = max(0, deployment.context_tokens - self.input_tokens)
        return Load(
            input_tokens=self.input_tokens,
            output_tokens=min(self.output_tokens, deployment.output_tokens, room),
        )


def choose(
    errand: Errand, load: Load, settings: ModelSettings, prices: PriceBook, known: Known
) -> RouteDecision:
    route = settings.routes.get(errand.task, Route())
    arm = _arm_of(route.experiment, errand)
    by_name = {deployment.name: deployment for deployment in settings.deployments}
    kept: list[Deployment] = []
    excluded: list[Exclusion] = []
    for name in _in_order(errand, route, settings, arm, known.withdrawn):
        if name in known.withdrawn:
            excluded.append(Exclusion(deployment=name, code="withdrawn", why=known.withdrawn[name]))
            continue
        deployment = _named(name, by_name)
        reason = _reason_against(deployment, load, route, settings, prices, known)
        if reason is None:
            kept.append(deployment)
        else:
            excluded.append(reason)
    ordered = _rearranged(kept, errand, load, route, prices, known, arm)
    return RouteDecision(
        task=errand.task,
        order=tuple(ordered),
        excluded=tuple(excluded),
        complexity=errand.complexity,
        experiment=route.experiment.name if route.experiment else None,
        arm=arm,
    )


def _in_order(
    errand: Errand, route: Route, settings: ModelSettings, arm: str | None, withdrawn: Mapping[str, str]
) -> Sequence[str]:
    if errand.only:
        return (errand.only,)
    names = [*route.deployments] or [*(each.name for each in settings.deployments), *withdrawn]
    if errand.prefer:
        names = [*_matching(errand.prefer, settings, withdrawn), *names]
    if arm:
        names = [arm, *names]
    return tuple(dict.fromkeys(names))


def _named(name: str, by_name: Mapping[str, Deployment]) -> Deployment:
    if name not in by_name:
        raise Misconfigured(
            f"A route names the model deployment `{name}`, which does not exist.",
            remedy=f"Deployments are: {', '.join(by_name) or 'none'}.",
        )
    return by_name[name]


def _matching(wanted: str, settings: ModelSettings, withdrawn: Mapping[str, str]) -> list[str]:
    """An agent asks by deployment or by model. It cannot bring a model nobody configured."""
    names = [each.name for each in settings.deployments if wanted in (each.name, each.model)]
    if wanted in withdrawn:
        return [*names, wanted]
    if not names:
        raise Misconfigured(
            f"The agent asks for model `{wanted}`, and no deployment serves it.",
            remedy="Add a deployment with this model, or change the agent.",
            model=wanted,
        )
    return names


def _arm_of(experiment: Experiment | None, errand: Errand) -> str | None:
    """The same run always gets the same arm: the choice is a hash, not a draw."""
    if experiment is None or errand.only:
        return None
    subject = errand.run_id or errand.agent or errand.tenant
    digest = hashlib.sha256(f"{experiment.name}\n{subject}".encode()).digest()
    point = int.from_bytes(digest[:8], "big") / 2**64 * sum(arm.weight for arm in experiment.arms)
    for arm in experiment.arms:
        point -= arm.weight
        if point < 0:
            return arm.deployment
    return experiment.arms[-1].deployment


def _reason_against(
    deployment: Deployment, load: Load, route: Route, settings: ModelSettings, prices: PriceBook, known: Known
) -> Exclusion | None:
    name = deployment.name
    price = prices.price_of(deployment)
    breaker = known.breakers.get(name)
    here = load.at(deployment)
    if price is None and not settings.allow_unpriced:
        return Exclusion(deployment=name, code="unpriced", why=f"no price is known for {deployment.model}")
    if here.output_tokens < min(load.output_tokens, deployment.output_tokens, _LEAST_ANSWER):
        why = f"the call has about {load.input_tokens} tokens and it reads {deployment.context_tokens}"
        return Exclusion(deployment=name, code="context", why=why)
    for limits in (route, known.beside):
        outside = _outside(limits, deployment, cost_of(price, here.usage) if price else 0.0, known)
        if outside:
            return outside
    if breaker and not may_call(breaker, known.now):
        return Exclusion(
            deployment=name, code="breaker", why=f"left alone after: {breaker.reason or 'failures'}"
        )
    return None


def _outside(route: Route, deployment: Deployment, cost: float, known: Known) -> Exclusion | None:
    """Which limit of the route does not let the deployment in."""
    name = deployment.name
    latency_s = _latency_s(deployment, known.records.get(name))
    if route.residency and route.residency not in deployment.residency:
        return Exclusion(
            deployment=name, code="residency", why=f"it does not carry the label {route.residency}"
        )
    if route.max_cost_usd is not None and cost > route.max_cost_usd:
        return Exclusion(deployment=name, code="cost", why=f"it may cost more than {route.max_cost_usd} USD")
    if route.max_latency_s is not None and latency_s > route.max_latency_s:
        return Exclusion(deployment=name, code="latency", why=f"it takes about {latency_s:.1f} s")
    return None


def _latency_s(deployment: Deployment, record: TrackRecord | None) -> float:
    """What it takes at least, as measured; a few calls, one of which may have been slow, are no measurement."""
    if record is None or record.timed < _ENOUGH_TIMED:
        return deployment.typical_latency_s
    return record.latency_at_least_ms / 1000


def _rearranged(
    kept: Sequence[Deployment],
    errand: Errand,
    load: Load,
    route: Route,
    prices: PriceBook,
    known: Known,
    arm: str | None,
) -> list[Candidate]:
    """Settled preferences first: an experiment's arm and an agent's own model stay where they are."""
    fixed = [each for each in kept if each.name == arm or errand.prefer in (each.name, each.model)]
    free = [each for each in kept if each not in fixed]
    costs = {each.name: _cost(each, load, prices) for each in kept}
    if route.by_complexity:
        needed = errand.complexity.strength
        free.sort(key=lambda each: (each.strength < needed, costs[each.name] or 0.0))
    if route.learn:
        free = _failing_behind(free, known.records)
    why = {
        each.name: "the experiment's arm" if each.name == arm else "asked for by the agent" for each in fixed
    }
    why |= {each.name: _why(each, known.records, errand, route) for each in free}
    return [
        Candidate(deployment=each.name, cost_usd=costs[each.name], why=why[each.name])
        for each in [*fixed, *free]
    ]


def _failing_behind(ordered: Sequence[Deployment], records: Mapping[str, TrackRecord]) -> list[Deployment]:
    """Puts a deployment behind another only where the two confidence intervals do not even touch."""
    result: list[Deployment] = []
    for deployment in ordered:
        low, _, known = _interval(deployment, records)
        place = len(result)
        while known and place > 0 and _interval(result[place - 1], records)[1] < low:
            place -= 1
        result.insert(place, deployment)
    return result


def _interval(deployment: Deployment, records: Mapping[str, TrackRecord]) -> tuple[float, float, bool]:
    record = records.get(deployment.name)
    if record is None or record.calls == 0:
        return 0.0, 1.0, False
    low, high = interval_of(record.successes, record.calls)
    return low, high, True


def _cost(deployment: Deployment, load: Load, prices: PriceBook) -> float | None:
    price = prices.price_of(deployment)
    return None if price is None else round(cost_of(price, load.at(deployment).usage), 8)


def _why(deployment: Deployment, records: Mapping[str, TrackRecord], errand: Errand, route: Route) -> str:
    low, high, known = _interval(deployment, records)
    parts = ["in the route's order"]
    if route.by_complexity:
        parts = [f"strength {deployment.strength} for a task that needs {errand.complexity.strength}"]
    if known:
        parts.append(f"succeeds in {low:.0%} to {high:.0%} of such calls")
    return ", ".join(parts)
