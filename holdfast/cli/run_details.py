"""What there is to read of one run beside its story, and what may be said to it: `holdfast runs steps`, `cost`, ..."""

import sys

import click

from holdfast.cli.connection import as_json, ask, print_json, report, values
from holdfast.cli.plain import plain
from holdfast.cli.terminal import line
from schemas.reports import RunCost

_run = click.argument("run_id", metavar="RUN")


@click.command()
@_run
@as_json
def steps(run_id: str, *, as_json: bool) -> None:
    """The steps of a run's plan, each with the last word on it."""
    found = ask(lambda holdfast: holdfast.runs.steps(run_id))
    for each in () if as_json else found:
        said = each.outcome.summary if each.outcome else ""
        line(f"{each.id:<24} {each.state.value:<10} {each.tool or each.kind:<18} {' '.join(said.split())}")
    if as_json:
        print_json(*found)


@click.command()
@_run
@as_json
def verdicts(run_id: str, *, as_json: bool) -> None:
    """What the guardian said to each action of a run, and why."""
    found = ask(lambda holdfast: holdfast.runs.verdicts(run_id))
    for each in () if as_json else found:
        line(
            f"{each.verdict.decision.value:<17} {each.action.tool:<18} {each.step_id:<20} {each.verdict.why}"
        )
    if as_json:
        print_json(*found)


@click.command()
@_run
@as_json
def cost(run_id: str, *, as_json: bool) -> None:
    """What a run has cost: models, tool calls, and the share of each step."""
    found = ask(lambda holdfast: holdfast.runs.cost(run_id))
    print_json(found) if as_json else _bill(found)


@click.command()
@_run
@click.argument("digest")
def artifact(run_id: str, digest: str) -> None:
    """Write an output that was too large for the story to standard output, as it is."""
    data = ask(lambda holdfast: holdfast.runs.artifact(run_id, digest))
    sys.stdout.buffer.write(data)
    sys.stdout.buffer.flush()


@click.command()
@_run
@click.argument("text")
@as_json
def instruct(run_id: str, text: str, *, as_json: bool) -> None:
    """Give the agent of a run a further instruction, heeded from its next plan or move on."""
    ask(lambda holdfast: holdfast.runs.instruct(run_id, text))
    report("The run was told.", as_json=as_json, run_id=run_id, instructed=True)


@click.command()
@_run
@click.argument("name")
@click.option("--data", multiple=True, metavar="NAME=VALUE", help="What comes with it; JSON is understood.")
@as_json
def post(run_id: str, name: str, data: tuple[str, ...], *, as_json: bool) -> None:
    """Tell a run that something happened outside; a step may be waiting for it.

    \b
    holdfast runs post RUN deploy.finished --data version=1.4.2
    """
    given = values(data, "--data")
    ask(lambda holdfast: holdfast.runs.post_event(run_id, name, given))
    report("The run was told.", as_json=as_json, run_id=run_id, event=name)


def _bill(found: RunCost) -> None:
    click.echo(f"{found.spend_usd:.6f} USD, {found.tool_calls} tool calls in {found.tool_s:.1f} s")
    for model in found.models:
        line(f"  {model.model:<34} {model.cost_usd:.6f} USD  {model.calls} calls")
    for step in found.steps:
        line(f"  step {plain(step.step_id):<29} {step.cost_usd:.6f} USD  {step.tool_calls} tool calls")


DETAILS = (steps, verdicts, cost, artifact, instruct, post)
