"""What to say when no deployment has answered: wait a moment, mend something, or do without a model.

The difference matters: after a blip the same call is made again; only a real outage lets a run go on without a model.
"""

from collections.abc import Sequence

from holdfast.errors import HoldfastError, Misconfigured
from holdfast.llm.failures import (
    ContextOverflow,
    ModelRateLimited,
    ModelUnpriced,
    NoModelAnswers,
)
from holdfast.llm.router import Known
from schemas.routing import Exclusion, RouteDecision

_LONGEST_WAIT_S = 120.0


def nobody_answers(decision: RouteDecision, known: Known, failures: Sequence[HoldfastError]) -> HoldfastError:
    passing = [failure for failure in failures if failure.retryable]
    if passing:
        return min(passing, key=lambda failure: failure.retry_after_s or 0.0)
    overflow = next((failure for failure in failures if isinstance(failure, ContextOverflow)), None)
    if overflow:
        return overflow
    wait_s = _shortest_rate_limit(decision, known)
    if wait_s is not None:
        return ModelRateLimited("Every model that may serve this is rate limited.", retry_after_s=wait_s)
    told = [*(failure.message.rstrip(".") for failure in failures), *map(_told, decision.excluded)]
    return _kind_of(decision, failures)(
        f"No model serves `{decision.task}`: {'; '.join(told) or 'none is configured'}.",
        remedy=_remedy(decision),
    )


def _shortest_rate_limit(decision: RouteDecision, known: Known) -> float | None:
    """A deployment left alone only because it said how long to wait is not away."""
    waits = [
        max(0.0, (breaker.until - known.now).total_seconds())
        for breaker in (
            known.breakers.get(each.deployment) for each in decision.excluded if each.code == "breaker"
        )
        if breaker and breaker.until and breaker.reason == ModelRateLimited.code
    ]
    shortest = min(waits, default=None)
    return shortest if shortest is not None and shortest <= _LONGEST_WAIT_S else None


def _kind_of(decision: RouteDecision, failures: Sequence[HoldfastError]) -> type[HoldfastError]:
    codes = {each.code for each in decision.excluded}
    if failures or not codes or codes & {"breaker", "withdrawn"}:
        return NoModelAnswers
    if "context" in codes:
        return ContextOverflow
    return ModelUnpriced if "unpriced" in codes else Misconfigured


def _remedy(decision: RouteDecision) -> str:
    codes = {each.code for each in decision.excluded}
    if "unpriced" in codes:
        return (
            "Set one with `holdfast models prices`, or allow it: HOLDFAST_MODELS__ALLOW_UNKNOWN_PRICE=true."
        )
    if "withdrawn" in codes:
        return "Put the deployment back into the models file, or fork the run: a fork begins with the models of now."
    if codes & {"cost", "latency", "residency", "context"}:
        return f"Widen the route of `{decision.task}`, or add a deployment that fits it."
    return "Look at `holdfast models` for the state of the deployments."


def _told(exclusion: Exclusion) -> str:
    return f"{exclusion.deployment}: {exclusion.why}"
