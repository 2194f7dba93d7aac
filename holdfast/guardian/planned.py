"""The envelope of a plan: what approving it permits. Free of the rule engine, so that workflows may import it."""

from collections.abc import Iterable, Mapping
from typing import Any

from holdfast.plan.references import Reference, parse
from schemas.base import ApprovalId, RunId
from schemas.policies import ArgumentRange, Envelope, EnvelopeEntry


def envelope_of_plan(
    steps: Iterable[tuple[str, str, Mapping[str, Any]]],
    *,
    run_id: RunId,
    approval_id: ApprovalId,
    environment: str,
) -> Envelope:
    """What approving a plan permits: its calls, as (step, tool, arguments) name them.

    An argument that is a text with references is open, since its value is known only when the step runs; whatever
    comes from outside the run is tainted by then, and asks again.
    """
    entries = tuple(
        EnvelopeEntry(
            step=step,
            tool=tool.partition("@")[0],
            environment=environment,
            arguments={name: _range(value) for name, value in arguments.items()},
        )
        for step, tool, arguments in steps
    )
    return Envelope(approval_id=approval_id, run_id=run_id, entries=entries)


def _range(value: Any) -> ArgumentRange:
    return ArgumentRange(any=True) if _refers(value) else ArgumentRange(equals=value)


def _refers(value: Any) -> bool:
    if isinstance(value, str):
        return any(isinstance(part, Reference) for part in parse(value))
    if isinstance(value, dict):
        return any(_refers(each) for each in value.values())
    return isinstance(value, list | tuple) and any(_refers(each) for each in value)
