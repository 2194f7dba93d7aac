"""Models as lines of a terminal."""

from collections.abc import Iterator, Mapping, Sequence

import click

from holdfast.llm.configuring import provider_of
from holdfast.llm.prices import PriceBook
from schemas.models import (
    ArmReport,
    Breaker,
    BreakerState,
    ModelCall,
    ModelSettings,
    Price,
    RouteDecision,
    SpendView,
    TaskClass,
    TrackRecord,
)

NO_MODEL = (
    "No model is configured: runbooks plan. Set HOLDFAST_MODELS__DEFAULT and the key of its provider, or "
    "HOLDFAST_MODELS__FILE."
)


def deployments(settings: ModelSettings, breakers: Sequence[Breaker]) -> None:
    if not settings.deployments:
        click.echo(NO_MODEL)
    health = {breaker.deployment: breaker for breaker in breakers}
    for name, line in _lines(settings):
        click.echo(f"{line} {_state(health.get(name))}")
    for task, route in settings.routes.items():
        if len(route.deployments) > 1:
            click.echo(f"{task.value:<10} goes to {', then '.join(route.deployments)}")


def meaning(
    settings: ModelSettings, decisions: Mapping[TaskClass, RouteDecision], remarks: Sequence[str]
) -> None:
    """What the router would do with a call of ordinary size."""
    if not settings.deployments:
        click.echo(NO_MODEL)
        return
    for _, line in _lines(settings):
        click.echo(line)
    for task, decision in decisions.items():
        order = ", then ".join(each.deployment for each in decision.order) or "nowhere"
        split = f" (experiment {decision.experiment} decides who is first)" if decision.experiment else ""
        click.echo(f"{task.value:<10} goes to {order}{split}")
        for passed_over in decision.excluded:
            click.echo(f"           ✗ {passed_over.deployment}: {passed_over.why}")
    for remark in remarks:
        click.secho(f"note: {remark}", fg="yellow")


def _lines(settings: ModelSettings) -> Iterator[tuple[str, str]]:
    book = PriceBook(settings=settings)
    for each in settings.deployments:
        price = book.price_of(each)
        cost = f"{price.input:g}/{price.output:g} USD" if price else "no price known"
        limit = each.calls_per_s or settings.calls_per_s.get(each.provider or provider_of(each.model))
        pace = f"{limit:g} calls/s" if limit else ""
        yield each.name, f"{each.name:<28} {each.model:<34} {cost:<18} {pace:<12}".rstrip()


def records(found: Sequence[TrackRecord]) -> None:
    for each in found:
        click.echo(
            f"{each.task.value:<10} {each.deployment:<28} {each.calls} calls, succeeds in {each.at_least:.0%} to {each.at_most:.0%}, "
            f"{each.latency_ms:.0f} ms, {each.cost_usd:.6f} USD a call"
        )
    if not found:
        click.echo("No model was called in the last two weeks.")


def _state(breaker: Breaker | None) -> str:
    if breaker is None or breaker.state is BreakerState.CLOSED:
        return "up"
    until = f" until {breaker.until:%H:%M:%S}" if breaker.until else ""
    return click.style(f"{breaker.state.value}{until}: {breaker.reason}", fg="yellow")


def prices(found: Mapping[str, Price], model: str | None) -> None:
    for name, price in sorted(found.items()):
        if model in (None, name):
            click.echo(f"{name:<34} {price.input:g} / {price.output:g} USD for a million tokens in / out")
    if not found:
        click.echo("No prices were set here; the list that ships and the settings apply.")


def calls(found: Sequence[ModelCall]) -> None:
    for call in found:
        cost = f"{call.cost_usd:.6f}" if call.cost_usd is not None else f"≤ {call.reserved_usd:.6f}"
        state = "under way" if call.status == "reserved" else "ok" if call.ok else call.failure or call.status
        took = f"{call.latency_ms:.0f} ms" if call.latency_ms is not None else ""
        click.echo(
            f"{call.created_at:%H:%M:%S} {call.task.value:<10} {call.deployment:<28} {cost} USD {took} {state}"
            f"{f' for {call.step_id}' if call.step_id else ''}"
        )
        _why(call)
    if not found:
        click.echo("No model was called.")


def _why(call: ModelCall) -> None:
    hard = call.decision.complexity
    if hard.parts:
        parts = ", ".join(f"{name} {part:.2f}" for name, part in hard.parts.items() if part)
        click.echo(f"      complexity {hard.score:.2f} ({parts})")
    if call.decision.experiment:
        click.echo(f"      experiment {call.decision.experiment}, arm {call.decision.arm}")
    for candidate in call.decision.order:
        mark = "→" if candidate.deployment == call.deployment else " "
        click.echo(f"    {mark} {candidate.deployment}: {candidate.why}")
    for passed_over in call.decision.excluded:
        click.echo(f"    ✗ {passed_over.deployment}: {passed_over.why}")


def spend(found: Sequence[SpendView]) -> None:
    for each in found:
        limit = "no limit" if each.limit_usd is None else f"of {each.limit_usd:g}"
        reserved = f" + {each.reserved_usd:.6f} reserved" if each.reserved_usd else ""
        click.echo(
            f"{each.scope:<7} {each.subject:<36} {each.period:<11} {each.spent_usd:.6f} USD{reserved} {limit}"
        )


def arms(found: Sequence[ArmReport]) -> None:
    for each in found:
        click.echo(
            f"{each.arm:<28} {each.runs} runs, {each.calls} calls, succeeds in {each.at_least:.0%} to {each.at_most:.0%}, "
            f"{each.latency_ms:.0f} ms, {each.cost_usd:.6f} USD a call"
        )
