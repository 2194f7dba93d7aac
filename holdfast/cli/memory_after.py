"""`holdfast memory feedback`, `trace` and `forget`: what became of a memory, and what becomes of it."""

import json
from collections.abc import Sequence

import click

from holdfast.cli.connection import as_json, ask, checked, print_json
from holdfast.cli.plain import plain
from holdfast.client import Holdfast
from schemas.shelf import RunFeedback


@click.command()
@click.argument("what", metavar="ID|RUN")
@click.option("--keep-derived", is_flag=True, help="Leave what was derived from it.")
@click.confirmation_option(prompt="Its words, versions and vectors are deleted for good. Go on?")
@as_json
def forget(what: str, *, keep_derived: bool, as_json: bool) -> None:
    """Really delete an item, or all that a run taught, and everything derived from it.

    `holdfast memory trace ID` shows beforehand what that is.
    """

    async def forgotten(holdfast: Holdfast) -> Sequence[str]:
        if what.startswith("run_"):
            return await holdfast.memory.forget_run(what)
        return await holdfast.memory.forget(what, derived=not keep_derived)

    for item_id in ask(forgotten):
        click.echo(json.dumps({"forgot": item_id}) if as_json else f"forgot {item_id}")


@click.command()
@click.argument("item_id", metavar="ID")
@as_json
def trace(item_id: str, *, as_json: bool) -> None:
    """Show how far an item has reached: what was derived from it, and the runs that were told it."""
    found = ask(lambda holdfast: holdfast.memory.trace(item_id))
    if as_json:
        print_json(found)
        return
    if not found.derived and not found.given:
        click.echo("Nothing was derived from it, and no run was told it.", err=True)
    for derived in found.derived:
        click.echo(f"derived  {derived}")
    for given in found.given:
        click.echo(f"told     {given.run_id}  {given.at:%Y-%m-%d %H:%M}  {given.outcome or '-'}")


@click.command()
@click.argument("run_id", metavar="RUN")
@click.option("--up", "verdict", flag_value="up", help="It did well.")
@click.option("--down", "verdict", flag_value="down", help="It did badly.")
@click.option("--item", help="The memory meant, where it is one.")
@click.option("--comment", default="", help="In your words; kept with the run.")
@click.option("--correction", default="", help="What it should have known.")
@as_json
def feedback(
    run_id: str, verdict: str | None, item: str | None, comment: str, correction: str, *, as_json: bool
) -> None:
    """Say how a run did. It counts for what the run was told. Without options, show what was said."""
    if not (verdict or comment or correction):
        _show_feedback(run_id, as_json=as_json)
        return
    words = {"verdict": verdict, "item": item, "comment": comment, "correction": correction}
    said = checked(RunFeedback, words)
    report = ask(lambda holdfast: holdfast.memory.feedback(run_id, said))
    if as_json:
        print_json(report)
        return
    learned = report.learned or "nothing new"
    click.echo(f"counted for {len(report.credited)}, retired {len(report.retired)}, learned {learned}")


def _show_feedback(run_id: str, *, as_json: bool) -> None:
    for said in ask(lambda holdfast: holdfast.memory.said_of(run_id)):
        if as_json:
            print_json(said)
        else:
            words = plain(" ".join(filter(None, (said.comment, said.correction))))
            click.echo(f"{said.at:%Y-%m-%d %H:%M}  {said.author}  {said.verdict or '-':5}{words}")
