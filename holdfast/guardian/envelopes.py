"""Envelopes: what was approved in advance, and whether an action stays inside it.

An envelope answers for people, so it can only turn an approval into an allow: never a deny, never a locked rule, and
never where text from outside chose an argument. Nor for harder terms than those it was given under, and nothing that
reaches further than what people read.
"""

from collections.abc import Iterable
from datetime import datetime
from typing import Any

from holdfast.guardian.combining import Outcome
from holdfast.guardian.facts.paths import within
from holdfast.guardian.planned import EVERYBODY
from holdfast.guardian.rules import Match
from holdfast.guardian.scope import matches_pattern
from schemas.actions import Action
from schemas.brakes import ArgumentRange, Envelope, EnvelopeEntry, Reach
from schemas.facts import Facts
from schemas.verdicts import ApprovalTerms, Decision

_SWAYED = "holdfast.swayed-change"
"""The one locked rule that people answer in advance: a model chose the values, and they said which it may choose."""


def permits(
    envelopes: Iterable[Envelope], action: Action, facts: Facts, outcome: Outcome, now: datetime
) -> Envelope | None:
    """The envelope that answers in the place of people, if one does."""
    if not envelopable(action, outcome):
        return None
    able = (each for each in envelopes if _hard_enough(each.terms, outcome.terms))
    return next((each for each in able if _inside(each, action, facts, now)), None)


def envelopable(action: Action, outcome: Outcome) -> bool:
    if outcome.decision is not Decision.REQUIRE_APPROVAL or outcome.failed or action.tainted:
        return False
    return not any(match.binding and not _is_answerable(match) for match in outcome.deciding)


def _is_answerable(match: Match) -> bool:
    return match.rule.name == _SWAYED and not match.failure


def _hard_enough(met: ApprovalTerms | None, asked: ApprovalTerms | None) -> bool:
    """Two people are asked for what needs two, though one approved the plan."""
    if met is None or asked is None:
        return True
    group = asked.group in {met.group, EVERYBODY}
    return group and met.quorum >= asked.quorum and (met.four_eyes or not asked.four_eyes)


def _inside(envelope: Envelope, action: Action, facts: Facts, now: datetime) -> bool:
    if envelope.run_id != action.run_id or (envelope.expires_at and envelope.expires_at <= now):
        return False
    return any(
        _entry_covers(entry, action) and _reaches_no_further(entry.reach, facts) for entry in envelope.entries
    )


def reach_of(facts: Facts) -> Reach:
    """What people had before them when they approved this."""
    folders = {path.rpartition("/")[0] or "/" for path in facts.outside_workspace}
    return Reach(
        effects=facts.effects,
        binaries=facts.binaries,
        hosts=facts.hosts,
        folders=tuple(sorted(folders)),
        unknowns=facts.unknowns,
    )


def _reaches_no_further(reach: Reach | None, facts: Facts) -> bool:
    """`kubectl get pods; rm -rf /` begins like `kubectl get `, and does more."""
    if reach is None:
        return True
    lists = ((facts.effects, reach.effects), (facts.binaries, reach.binaries), (facts.hosts, reach.hosts))
    return (
        all(set(mine) <= set(theirs) for mine, theirs in lists)
        and set(facts.unknowns) <= set(reach.unknowns)
        and all(any(within(path, folder) for folder in reach.folders) for path in facts.outside_workspace)
        and not facts.sensitive_paths
        and not facts.privileged
    )


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
