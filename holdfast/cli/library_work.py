"""Work on a whole library: `holdfast runbooks state|reembed|ask`. Workers do it; the library answers as before."""

from typing import Literal

import click

from holdfast.cli.connection import as_json, ask, print_json


@click.command()
@as_json
def state(*, as_json: bool) -> None:
    """Show how large the library is, and how far its models are."""
    found = ask(lambda holdfast: holdfast.library.state())
    if as_json:
        print_json(found)
        return
    click.echo(f"{found.documents} documents, {found.chunks} chunks")
    for model in found.models:
        click.echo(f"{model.state:9} {model.model}  {model.documents} of {found.documents} documents")
    if not found.models:
        click.echo("no embedding model: they are found by words alone")
    click.echo(f"{found.unasked} runbooks have never been read by a model for questions")


@click.command()
@as_json
def reembed(*, as_json: bool) -> None:
    """Move to the embedding model that is set now; the one before answers until all is there."""
    _start("embed", as_json=as_json)


@click.command("ask")
@as_json
def ask_questions(*, as_json: bool) -> None:
    """Have a model think of questions that each passage answers; search uses them."""
    _start("questions", as_json=as_json)


def _start(work: Literal["embed", "questions"], *, as_json: bool) -> None:
    job = ask(lambda holdfast: holdfast.library.start(work))
    if as_json:
        print_json(job)
    else:
        click.echo(f"{job.id} has begun; `holdfast runbooks state` shows how far it is")
