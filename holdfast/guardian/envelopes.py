"""Envelopes: what was approved in advance, and whether an action stays inside it.

An envelope answers for people, so it can only turn an approval into an allow: never a deny, never a locked rule, and
never where text from outside chose an argument.
"""

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any

from holdfast.guardian.combining import Outcome
from holdfast.guardian.scope import matches_pattern
from holdfast.plan.references import Reference, parse
from schemas.actions import Action
from schemas.base import ApprovalId, RunId
from schemas.policies import ArgumentRange, Envelope, EnvelopeEntry
from schemas.verdicts import Decision


def permits(
    envelopes: Iterable[Envelope], action: Action, outcome: Outcome, now: datetime
) -> Envelope | None:
    """The envelope that answers in the place of people, if one does."""
    if not envelopable(action, outcome):
        return None
    return next((each for each in envelopes if _inside(each, action, now)), None)


def envelopable(action: Action, outcome: Outcome) -> bool:
    if outcome.decision is not Decision.REQUIRE_APPROVAL or outcome.failed or action.tainted:
        return False
    return not any(match.binding for match in outcome.deciding)


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


def _inside(envelope: Envelope, action: Action, now: datetime) -> bool:
    if envelope.run_id != action.run_id or (envelope.expires_at and envelope.expires_at <= now):
        return False
    return any(_entry_covers(entry, action) for entry in envelope.entries)


def _entry_covers(entry: EnvelopeEntry, action: Action) -> bool:
    return (
        matches_pattern(entry.tool, action.tool)
        and entry.environment == action.environment
        and entry.step in (None, action.step_id)
        and all(
            name in entry.arguments and _within(entry.arguments[name], value)
            for name, value in action.arguments.items()
        )
    )


def _within(allowed: ArgumentRange, value: Any) -> bool:
    if allowed.any:
        return True
    if allowed.one_of:
        return any(_same(value, each) for each in allowed.one_of)
    if allowed.prefix is not None:
        return isinstance(value, str) and value.startswith(allowed.prefix) and ".." not in value
    if allowed.minimum is not None or allowed.maximum is not None:
        return _between(value, allowed.minimum, allowed.maximum)
    return _same(value, allowed.equals)


def _same(value: Any, other: Any) -> bool:
    """JSON's equality: `true` is not 1."""
    return value == other and isinstance(value, bool) == isinstance(other, bool)


def _between(value: Any, minimum: float | None, maximum: float | None) -> bool:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return False
    return (minimum is None or value >= minimum) and (maximum is None or value <= maximum)
