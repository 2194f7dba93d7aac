"""`holdfast approvals`: read what waits for a person, and decide it."""

import re
from datetime import UTC, datetime, timedelta
from typing import Literal

import click

from holdfast.cli.connection import as_json, ask, print_json, values
from holdfast.cli.plain import plain
from holdfast.cli.terminal import line
from holdfast.client import Holdfast
from schemas.approvals import Approval, ApprovalStatus
from schemas.base import JsonObject
from schemas.brakes import ArgumentRange, ScopeEntry
from schemas.verdicts import ApprovalTerms

_BETWEEN = re.compile(r"(-?\d+(?:\.\d+)?)?\.\.(-?\d+(?:\.\d+)?)?")

comment_option = click.option("--comment", "-m", default="", help="Why; it is kept, and the agent reads it.")


@click.group()
def approvals() -> None:
    """Decide what waits for a person."""


@approvals.command("ls")
@click.option(
    "--status",
    default="pending",
    show_default=True,
    type=click.Choice([*(each.value for each in ApprovalStatus), "any"]),
    help="What became of them.",
)
@click.option("--run", "run_id", help="Only of this run.")
@as_json
def list_approvals(status: str, run_id: str | None, *, as_json: bool) -> None:
    """What waits, the newest first."""
    wanted = None if status == "any" else status
    page = ask(lambda holdfast: holdfast.approvals.page(status=wanted, run_id=run_id))
    if as_json:
        print_json(*page.items)
    elif not page.items:
        click.echo("Nothing waits.")
    for found in () if as_json else page.items:
        line(listed(found, datetime.now(UTC)))


@approvals.command()
@click.argument("approval_id")
@as_json
def show(approval_id: str, *, as_json: bool) -> None:
    """What is asked, why, and what it would do."""
    found = ask(lambda holdfast: holdfast.approvals.read(approval_id))
    if as_json:
        print_json(found)
    else:
        click.echo(told(found))


@approvals.command()
@click.argument("approval_id")
@click.option(
    "--arg", "arguments", multiple=True, metavar="NAME=VALUE", help="Approve it with this argument changed."
)
@click.option(
    "--for-run",
    "ranges",
    multiple=True,
    metavar="NAME=VALUES",
    help="Approve calls like this one for the rest of the run, with this argument: `path=/srv/*` begins so, "
    "`count=1..5` lies between, `mode=a|b` is one of, anything else is exactly that. What is not named stays as asked.",
)
@comment_option
@as_json
def approve(
    approval_id: str, arguments: tuple[str, ...], ranges: tuple[str, ...], comment: str, *, as_json: bool
) -> None:
    """Say yes to exactly what `show` shows, to it with other arguments, or to others like it in this run."""
    changed, wider = values(arguments, "--arg"), dict(named_range(text) for text in ranges)
    if changed and wider:
        raise click.UsageError("Change an argument, or approve a range of them: not both at once.")

    async def decide(holdfast: Holdfast) -> Approval:
        approval = await holdfast.approvals.read(approval_id)
        if wider:
            asked = await _asked_arguments(holdfast, approval)
            exact = {name: ArgumentRange(equals=value) for name, value in asked.items()}
            scope = ScopeEntry(arguments={**exact, **wider})
            return await holdfast.approvals.decide(approval, "approve", comment=comment, scope=[scope])
        if not changed:
            return await holdfast.approvals.decide(approval, "approve", comment=comment)
        whole = {**await _asked_arguments(holdfast, approval), **changed}
        return await holdfast.approvals.decide(approval, "edit", comment=comment, arguments=whole)

    _report(ask(decide), as_json=as_json)


@approvals.command()
@click.argument("approval_id")
@comment_option
@as_json
def reject(approval_id: str, comment: str, *, as_json: bool) -> None:
    """Say no."""

    async def decide(holdfast: Holdfast) -> Approval:
        return await _decided(holdfast, approval_id, "reject", comment)

    _report(ask(decide), as_json=as_json)


@approvals.command("delegate")
@click.argument("approval_id")
@click.argument("to")
@comment_option
@as_json
def delegate_approval(approval_id: str, to: str, comment: str, *, as_json: bool) -> None:
    """Let somebody else decide as well: TO is a role, or one person as `show` names them."""
    found = ask(lambda holdfast: holdfast.approvals.delegate(approval_id, to, comment=comment))
    if as_json:
        print_json(found)
    else:
        click.echo(f"{plain(to)} may decide {approval_id} as well.")


async def _decided(
    holdfast: Holdfast, approval_id: str, decision: Literal["approve", "reject"], comment: str
) -> Approval:
    return await holdfast.approvals.decide(
        await holdfast.approvals.read(approval_id), decision, comment=comment
    )


async def _asked_arguments(holdfast: Holdfast, approval: Approval) -> JsonObject:
    """The arguments of the action in question: what is not changed stays as it was asked."""
    for verdict in await holdfast.runs.verdicts(approval.run_id):
        if verdict.verdict.action_digest == approval.digest:
            return verdict.action.arguments
    raise click.UsageError("Only a question about an action can be approved with other arguments.")


def named_range(text: str) -> tuple[str, ArgumentRange]:
    """`NAME=VALUES` as people write it."""
    name, equals, said = text.partition("=")
    if not name or not equals:
        raise click.BadParameter(f"{text} is not NAME=VALUES", param_hint="--for-run")
    return name, _range(said)


def _range(said: str) -> ArgumentRange:
    between = _BETWEEN.fullmatch(said)
    if between:
        low, high = (float(end) if end else None for end in between.groups())
        return ArgumentRange(minimum=low, maximum=high)
    if said.endswith("*"):
        return ArgumentRange(prefix=said[:-1]) if len(said) > 1 else ArgumentRange(any=True)
    return ArgumentRange(one_of=tuple(said.split("|"))) if "|" in said else ArgumentRange(equals=said)


def _report(approval: Approval, *, as_json: bool) -> None:
    if as_json:
        print_json(approval)
    elif approval.status is ApprovalStatus.PENDING:
        click.echo(f"Kept. It needs {approval.terms.quorum} voices, and has {len(approval.decisions)}.")
    else:
        click.echo(f"{approval.status.value}. The run goes on: holdfast runs watch {approval.run_id}")


def listed(approval: Approval, now: datetime) -> str:
    """One question in a line: how long it has waited, how long it may, and who has spoken."""
    state = approval.status.value
    times = f"{_span(now - approval.created_at)} old"
    if approval.status is ApprovalStatus.PENDING:
        times += f", {_span(approval.expires_at - now)} left"
        said = len(approval.decisions)
        state += f" {said}/{approval.terms.quorum}" if approval.terms.quorum > 1 else ""
    where = approval.summary.where.partition(",")[0]
    return f"{approval.id}  {state:<12} {times:<20} {approval.terms.group:<10} {where:<8} {approval.summary.what}"


def _span(time: timedelta) -> str:
    seconds = max(0, int(time.total_seconds()))
    for unit, size in (("d", 86_400), ("h", 3_600), ("min", 60)):
        if seconds >= 2 * size:
            return f"{seconds // size} {unit}"
    return f"{seconds} s"


def _terms(terms: ApprovalTerms) -> str:
    people = "one" if terms.quorum == 1 else f"{terms.quorum} people"
    needs = f"  needs    {people} of {terms.group}"
    if terms.four_eyes:
        needs += ", but not who asked for the run"
    if terms.escalate_to:
        needs += (
            f"; {terms.escalate_to} as well after {_span(timedelta(seconds=terms.escalate_after_s or 0))}"
        )
    return needs


def told(approval: Approval) -> str:
    summary = approval.summary
    lines = [
        f"{summary.what}",
        f"  status   {approval.status.value}",
        f"  run      {approval.run_id}" + (f", step {approval.step_id}" if approval.step_id else ""),
        f"  where    {summary.where}" if summary.where else "",
        f"  why      {summary.why}" if summary.why else "",
        *(f"  because  {reason}" for reason in summary.reasons),
        f"  reach    {summary.blast_radius}" if summary.blast_radius else "",
        _terms(approval.terms),
        f"  asked    {approval.created_at:%Y-%m-%d %H:%M} UTC",
        f"  expires  {approval.expires_at:%Y-%m-%d %H:%M} UTC",
        f"  digest   {approval.digest}",
        *(f"  passed on to {each.to} by {each.by} {each.comment}".rstrip() for each in approval.delegations),
        *(f"  {vote.decision} by {vote.approver} {vote.comment}".rstrip() for vote in approval.decisions),
        f"\n{summary.detail}" if summary.detail else "",
    ]
    return plain("\n".join(line for line in lines if line))
