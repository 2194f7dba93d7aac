"""Models as lines of a terminal."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import click

from holdfast.llm.showing import views_of
from schemas.chat import TaskClass
from schemas.models import (
    ArmReport,
    Breaker,
    BreakerState,
    DeploymentView,
    ModelSettings,
    PriceView,
    RouteView,
    TrackRecord,
)
from schemas.routing import RouteDecision
from schemas.spend import ModelCall, SpendView

NO_MODEL = (
    "No model is configured: runbooks plan. Set HOLDFAST_MODELS__DEFAULT and the key of its provider, or "
    "HOLDFAST_MODELS__FILE."
)


def deployments(found: Sequence[DeploymentView], routes: Sequence[RouteView]) -> None:
    if not found:
        click.echo(NO_MODEL)
    for each in found:
        click.echo(f"{_line(each)} {_state(each.breaker)}")
    for route in routes:
        if len(route.deployments) > 1:
            click.echo(f"{route.task.value:<10} goes to {', then '.join(route.deployments)}")


@dataclass(frozen=True)
class Meaning:
    """What the router would do with a call of ordinary size, and what to look at."""

    settings: ModelSettings
    decisions: Mapping[TaskClass, RouteDecision]
    remarks: Sequence[str]

    def show(self) -> None:
        if not self.settings.deployments:
            click.echo(NO_MODEL)
            return
        for each in views_of(self.settings, ()):
            click.echo(_line(each).rstrip())
        for task, decision in self.decisions.items():
            _show_route(task, decision)
        for remark in self.remarks:
            click.secho(f"note: {remark}", fg="yellow")

    def as_json(self) -> None:
        """One object: where each kind of task would go, and the remarks."""
        routes = {
            task.value: {
                "order": [each.deployment for each in decision.order],
                "passed_over": {each.deployment: each.why for each in decision.excluded},
            }
            for task, decision in self.decisions.items()
        }
        deployments = [each.model_dump(mode="json") for each in views_of(self.settings, ())]
        click.echo(json.dumps({"deployments": deployments, "routes": routes, "remarks": self.remarks}))


def _show_route(task: TaskClass, decision: RouteDecision) -> None:
    order = ", then ".join(each.deployment for each in decision.order) or "nowhere"
    split = f" (experiment {decision.experiment} decides who is first)" if decision.experiment else ""
    click.echo(f"{task.value:<10} goes to {order}{split}")
    for passed_over in decision.excluded:
        click.echo(f"           ✗ {passed_over.deployment}: {passed_over.why}")


def _line(each: DeploymentView) -> str:
    cost = f"{each.price.input:g}/{each.price.output:g} USD" if each.price else "no price known"
    pace = f"{each.calls_per_s:g} calls/s" if each.calls_per_s else ""
    return f"{each.name:<28} {each.model:<34} {cost:<18} {pace:<12}"


def records(found: Sequence[TrackRecord]) -> None:
    for each in found:
        click.echo(
            f"{each.task.value:<10} {each.deployment:<28} {each.calls} calls, succeeds in {each.at_least:.0%} to {each.at_most:.0%}, "
            f"{_between(each)}, {each.cost_usd:.6f} USD a call"
        )
    if not found:
        click.echo("No model was called in the last two weeks.")


def _between(record: TrackRecord) -> str:
    if not record.timed:
        return "not timed since yesterday"
    return f"{record.latency_at_least_ms:.0f} to {record.latency_at_most_ms:.0f} ms"


def _state(breaker: Breaker | None) -> str:
    if breaker is None or breaker.state is BreakerState.CLOSED:
        return "up"
    until = f" until {breaker.until:%H:%M:%S}" if breaker.until else ""
    return click.style(f"{breaker.state.value}{until}: {breaker.reason}", fg="yellow")


def prices(found: Sequence[PriceView]) -> None:
    for price in found:
        click.echo(f"{price.model:<34} {price.input:g} / {price.output:g} USD for a million tokens in / out")
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
