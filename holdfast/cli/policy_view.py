"""Policies as lines of a terminal."""

from collections.abc import Iterable, Sequence

import click
import yaml

from schemas.policies import PolicyDocument, PolicyTemplate, PolicyVersion
from schemas.policy_desk import (
    Activation,
    Arm,
    BacktestReport,
    BundleDiff,
    ExperimentReport,
    Explanation,
    FieldChange,
    PolicyDiff,
    PolicyState,
    RuleOpinion,
)
from schemas.verdicts import Decision

_COLOURS = {Decision.ALLOW: "green", Decision.REQUIRE_APPROVAL: "yellow", Decision.DENY: "red"}


def states(found: Iterable[PolicyState]) -> None:
    for each in found:
        where = "retired" if each.retired else f"active {each.active}" if each.active else "draft"
        marks = ("shipped " if each.shipped else "") + ("locked" if each.locked else "")
        click.echo(
            f"{each.name:<34} v{each.newest:<3} {where:<10} {_effect(each.effect, 16)} {each.priority:>5}  {marks}"
        )


def version(found: PolicyVersion) -> None:
    click.echo(
        f"# {found.key} by {found.author or 'unknown'}"
        + (f": {found.change_note}" if found.change_note else "")
    )
    click.echo(as_yaml(found.document), nl=False)


def as_yaml(document: PolicyDocument) -> str:
    """The document as its author wrote it, in the order people read."""
    return str(yaml.safe_dump(document.written(), sort_keys=False, allow_unicode=True, width=100))


def stored(found: PolicyVersion) -> None:
    click.echo(f"stored {found.key}")


def versions(found: Iterable[PolicyVersion]) -> None:
    for each in found:
        when = f"{each.created_at:%Y-%m-%d %H:%M}" if each.created_at else "shipped"
        click.echo(f"v{each.version:<3} {when:<16} {each.author:<20} {each.change_note}")


def activations(found: Sequence[Activation]) -> None:
    if not found:
        click.echo("Nothing was activated yet: what ships is in force.")
    for each in found:
        click.echo(
            f"{each.number:>4}  {each.at:%Y-%m-%d %H:%M}  {each.digest[7:19]}  {each.by:<20} {each.note}"
        )


def activated(move: Activation) -> None:
    click.echo(f"Activation {move.number}: bundle {move.digest[7:19]} is in force.")


def diff(found: PolicyDiff) -> None:
    _changes(found.changes)
    if not found.changes:
        click.echo("They say the same.")


def bundle_diff(found: BundleDiff) -> None:
    click.echo(f"bundle {found.before[7:19]} → {found.after[7:19]}")
    for ref in found.removed:
        click.echo(click.style(f"- {ref.name}@{ref.version}", fg="red"))
    for ref in found.added:
        click.echo(click.style(f"+ {ref.name}@{ref.version}", fg="green"))
    for policy in found.changed:
        click.echo(f"~ {policy.name}@{policy.before} → {policy.name}@{policy.after}")
        _changes(policy.changes, indent="    ")
    _changes(found.settings)
    if not (found.removed or found.added or found.changed or found.settings):
        click.echo("They say the same.")


def _changes(found: Iterable[FieldChange], indent: str = "") -> None:
    for change in found:
        click.echo(click.style(f"{indent}- {change.field}: {change.before}", fg="red"))
        click.echo(click.style(f"{indent}+ {change.field}: {change.after}", fg="green"))


def templates(found: Iterable[PolicyTemplate]) -> None:
    for each in found:
        click.echo(f"{each.name}: {each.document.description}")
        for name, parameter in each.parameters.items():
            click.echo(f"    {name} ({parameter.type.value}): {parameter.description}")


def explanation(found: Explanation, *, everything: bool) -> None:
    verdict = found.record.verdict
    click.echo(f"{_effect(verdict.decision)}: {verdict.why}")
    if verdict.may_settle:
        click.echo(f"a {verdict.may_settle} may settle it, where one is configured")
    facts = found.record.facts
    click.echo(f"facts: {facts.safety}; {', '.join(facts.effects) or 'no effects'}")
    for unknown in facts.unknowns:
        click.echo(f"  not understood: {unknown}")
    for rule in found.rules:
        if everything or rule.word != "out_of_scope":
            click.echo(_opinion(rule))


def _opinion(rule: RuleOpinion) -> str:
    said = f"{_effect(rule.effect)}: {rule.message}" if rule.word in ("matched", "failed") else ""
    marks = (" locked" if rule.locked else "") + ("" if rule.counts else " (only watches)")
    return f"  {rule.word:<13} {rule.policy}@{rule.version} [{rule.priority}]{marks}  {said}".rstrip()


def backtest(found: BacktestReport) -> None:
    click.echo(
        f"{found.decided} actions decided, {found.changed} otherwise: {found.stricter} stricter, {found.looser} looser"
        f" ({found.decisions_per_s:.0f} decisions/s)"
    )
    for before, row in found.matrix.items():
        for after, count in row.items():
            click.echo(f"  {count:>7}  {before.value} → {after.value}")
    for sample in found.samples:
        change = f"{_effect(sample.before)} → {_effect(sample.after)}"
        click.echo(f"  {change}  {sample.tool} in {sample.environment}: {sample.gist} ({sample.why})")
    for name in found.never_matched:
        click.echo(f"  {name} matched nothing on record.")
    for name in found.always_matched:
        click.echo(f"  {name} matched everything on record.")


def experiment(found: ExperimentReport) -> None:
    mode = "" if found.mode == "ab" else f"; its rollout is `{found.mode}`, so there is nothing to compare"
    click.echo(f"{found.policy}@{found.version}, enforced in {found.percent} % of the runs{mode}")
    for name, arm in (("enforced", found.enforced), ("watched", found.watched)):
        click.echo(f"  {name:<9} {_arm(arm)}")


def _arm(arm: Arm) -> str:
    yes = f"{arm.approved_share:.1%} of {arm.answered} answers yes" if arm.answered else "nobody has answered"
    return (
        f"{arm.runs} runs, {arm.actions} actions, {arm.approval_rate:.1%} asked, {yes}, {arm.denied} denied,"
        f" {arm.retried_after_denial} tried again"
    )


def _effect(decision: Decision, width: int = 0) -> str:
    return click.style(f"{decision.value:<{width}}", fg=_COLOURS[decision])
