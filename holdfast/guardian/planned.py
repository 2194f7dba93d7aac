"""What approving a plan permits. Free of the rule engine, so that workflows may ask."""

from typing import Any

from holdfast.plan.references import Reference, parse
from schemas.brakes import ArgumentRange, EnvelopeEntry
from schemas.plans import Plan, ToolStep


def entries_of_plan(plan: Plan, *, environment: str) -> tuple[EnvelopeEntry, ...]:
    """The calls of the plan, each in its own step and with its own arguments.

    An argument with references is open, since its value is known only when the step runs; where that value comes from
    outside it is tainted by then, and asks again.
    """
    return tuple(_entry(step, environment) for step in plan.steps if isinstance(step, ToolStep))


def _entry(step: ToolStep, environment: str) -> EnvelopeEntry:
    return EnvelopeEntry(
        step=step.id,
        tool=step.tool.partition("@")[0],
        environment=environment,
        arguments={name: _range(value) for name, value in step.arguments.items()},
    )


def _range(value: Any) -> ArgumentRange:
    return ArgumentRange(any=True) if _refers(value) else ArgumentRange(equals=value)


def _refers(value: Any) -> bool:
    if isinstance(value, str):
        return any(isinstance(part, Reference) for part in parse(value))
    if isinstance(value, dict):
        return any(_refers(each) for each in value.values())
    return isinstance(value, list | tuple) and any(_refers(each) for each in value)
