"""What approving a plan permits, and on which terms. Free of the rule engine, so that workflows may ask."""

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from holdfast.plan.references import ReferenceProblem, references_in, resolve
from schemas.base import JsonObject
from schemas.brakes import ArgumentRange, EnvelopeEntry
from schemas.plans import Plan, ToolStep
from schemas.stages import PlanOutlook
from schemas.verdicts import ApprovalTerms, Decision, VerdictRecord

EVERYBODY = "operators"
"""The group of all who may decide at all."""

_MOST_NAMED = 20

_KNOWN = {"inputs", "run"}


def entries_of_plan(plan: Plan, *, environment: str, known: JsonObject) -> tuple[EnvelopeEntry, ...]:
    """The calls of the plan, each in its own step and with its own arguments. `known` is what references can read already:
    an argument made of that alone is approved as it stands, and asks again where the inputs change.

    One that reads other steps or the item of a list is open, since its value is known only when the step runs; where that
    value comes from outside it is tainted by then, and asks again.
    """
    return tuple(_entry(step, environment, known) for step in plan.steps if isinstance(step, ToolStep))


def _entry(step: ToolStep, environment: str, known: JsonObject) -> EnvelopeEntry:
    return EnvelopeEntry(
        step=step.id,
        tool=step.tool.partition("@")[0],
        environment=environment,
        arguments={name: _range(value, known) for name, value in step.arguments.items()},
    )


def _range(value: Any, known: JsonObject) -> ArgumentRange:
    if any(reference.root not in _KNOWN for reference in references_in(value)):
        return ArgumentRange(any=True)
    try:
        return ArgumentRange(equals=resolve(value, known))
    except ReferenceProblem:
        return ArgumentRange(any=True)


def outlook_on(judged: Mapping[str, Sequence[VerdictRecord]]) -> PlanOutlook:
    """From what the guardian says of each step's calls to the terms of the whole; a step without a word on it is open.

    One approval is one group's. Where steps name several, it is that of the most of them, and the others ask by themselves.
    """
    asking = {name: asks for name, said in judged.items() if (asks := _asks(said))}
    group = _group_of(asking)
    covered = {name: asks for name, asks in asking.items() if _coverable(asks, group)}
    return PlanOutlook(
        terms=_strictest([record.verdict.terms for asks in covered.values() for record in asks], group),
        covered=tuple(covered),
        apart=tuple(name for name in asking if name not in covered),
        denied=tuple(name for name, said in judged.items() if any(_denies(record) for record in said)),
        open=tuple(
            name for name, said in judged.items() if not said or any(_held(record) for record in said)
        ),
    )


def _asks(said: Sequence[VerdictRecord]) -> list[VerdictRecord]:
    return [record for record in said if record.verdict.decision is Decision.REQUIRE_APPROVAL]


def _denies(record: VerdictRecord) -> bool:
    return record.verdict.decision is Decision.DENY and not record.verdict.held


def _held(record: VerdictRecord) -> bool:
    return record.verdict.held


def _group_of(asking: Mapping[str, Sequence[VerdictRecord]]) -> str:
    """The one named by most steps; of equals the first."""
    named = Counter(
        record.verdict.terms.group
        for asks in asking.values()
        for record in asks
        if record.in_advance and record.verdict.terms and record.verdict.terms.group != EVERYBODY
    )
    return named.most_common(1)[0][0] if named else EVERYBODY


def _coverable(asks: Sequence[VerdictRecord], group: str) -> bool:
    return all(
        record.in_advance and (record.verdict.terms or ApprovalTerms()).group in (group, EVERYBODY)
        for record in asks
    )


def _strictest(asked: Sequence[ApprovalTerms | None], group: str) -> ApprovalTerms:
    terms = [each for each in asked if each is not None]
    if not terms:
        return ApprovalTerms()
    named = [each for each in terms if each.group == group] or terms
    escalating = [each for each in named if each.escalate_to and each.escalate_after_s]
    first = min(escalating, key=lambda each: each.escalate_after_s or 0, default=ApprovalTerms())
    return ApprovalTerms(
        group=group,
        quorum=max(each.quorum for each in terms),
        expires_s=min(each.expires_s for each in terms),
        four_eyes=any(each.four_eyes for each in terms),
        escalate_to=first.escalate_to,
        escalate_after_s=first.escalate_after_s,
    )


def reasons_of(outlook: PlanOutlook) -> tuple[str, ...]:
    """In words, for whoever is to approve the plan."""
    terms = outlook.terms
    who = f"{terms.quorum} of {terms.group}" + (", not who asked for the run" if terms.four_eyes else "")
    said = (
        (f"approved with the plan, by {who} as the strictest of them wants", outlook.covered),
        ("asked about again, since no answer in advance counts for it", outlook.apart),
        ("would be denied", outlook.denied),
        ("known only when its turn comes", outlook.open),
    )
    return tuple(f"{what}: {_named(steps)}" for what, steps in said if steps)


def _named(steps: Sequence[str]) -> str:
    more = len(steps) - _MOST_NAMED
    return ", ".join(steps[:_MOST_NAMED]) + (f" and {more} more" if more > 0 else "")
