"""The circuit breaker of a deployment, as a pure state machine. The adapter that shares it runs each change under a
lock, by one clock.

    closed ── failures in a row, or a refused key ──▶ open ── time is up ──▶ half_open: one caller probes
       ▲                                                ▲                        │
       └───────────────── success ──────────────────────┼──────── failure ◀──────┘  waits twice as long
"""

from datetime import datetime, timedelta

from schemas.models import Breaker, BreakerRule, BreakerState


def may_call(breaker: Breaker, now: datetime) -> bool:
    """Whether a call could go out; for a route's plan, without claiming the probe."""
    if breaker.state is BreakerState.CLOSED:
        return True
    return breaker.until is None or breaker.until <= now


def entered(breaker: Breaker, rule: BreakerRule, now: datetime) -> Breaker | None:
    """The breaker after a call was let in; None where it is not. Letting in a probe keeps all others out."""
    if breaker.state is BreakerState.CLOSED:
        return breaker
    if not may_call(breaker, now):
        return None
    until = now + timedelta(seconds=rule.probe_s)
    return breaker.model_copy(update={"state": BreakerState.HALF_OPEN, "until": until})


def succeeded(breaker: Breaker) -> Breaker:
    return Breaker(deployment=breaker.deployment)


def failed(
    breaker: Breaker,
    rule: BreakerRule,
    now: datetime,
    *,
    reason: str,
    retry_after_s: float | None,
    at_once: bool,
) -> Breaker:
    """After a failure. `at_once`: trying again is known to be useless for a while, as with a refused key or a
    provider that names the time."""
    failures = breaker.failures + 1
    probing = breaker.state is BreakerState.HALF_OPEN
    if not (probing or at_once or failures >= rule.failures):
        return breaker.model_copy(update={"failures": failures, "reason": reason})
    wait = min(rule.longest_s, rule.cool_down_s * 2**breaker.opened)
    until = now + timedelta(seconds=retry_after_s if retry_after_s is not None else wait)
    return breaker.model_copy(
        update={
            "state": BreakerState.OPEN,
            "failures": failures,
            "opened": breaker.opened + 1,
            "until": until,
            "reason": reason,
        }
    )


def released(breaker: Breaker, now: datetime) -> Breaker:
    """A probe that ended without telling anything gives its place back."""
    if breaker.state is not BreakerState.HALF_OPEN:
        return breaker
    return breaker.model_copy(update={"state": BreakerState.OPEN, "until": now})
