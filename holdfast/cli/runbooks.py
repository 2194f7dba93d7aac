"""`holdfast runbooks`: put runbooks in, find them, check them, and see what they would do."""

import json
import sys
from collections.abc import Sequence
from pathlib import Path

import click

from holdfast.cli.connection import as_json, ask, print_json
from holdfast.cli.library_work import ask_questions, reembed, state
from holdfast.cli.plain import plain
from holdfast.cli.runbook_intake import add, progress, sync
from holdfast.cli.runbook_search import search
from holdfast.client import Holdfast
from holdfast.knowledge.linting import lint_runbook
from holdfast.knowledge.sources import read_path
from schemas.knowledge import (
    Document,
    DocumentKind,
    LintFinding,
    Severity,
)


@click.group()
def runbooks() -> None:
    """Ingest, search and check runbooks."""


for command in (add, sync, progress, search, state, reembed, ask_questions):
    runbooks.add_command(command)


@runbooks.command("ls")
@click.option("--source", help="Only this collection.")
@click.option("--runnable", is_flag=True, help="Only those a machine can run.")
@as_json
def list_runbooks(source: str | None, *, runnable: bool, as_json: bool) -> None:
    """List what is there."""
    filters = {"source": source, "runnable": "true" if runnable else None}

    async def listed(holdfast: Holdfast) -> Sequence[Document]:
        return [document async for document in holdfast.library.all(filters=filters)]

    found = ask(listed)
    for document in found:
        click.echo(document.model_dump_json() if as_json else plain(_line(document)))
    if not found and not as_json:
        click.echo("There are none. Add some: holdfast runbooks add FOLDER", err=True)


@runbooks.command()
@click.argument("document_id", metavar="ID")
@click.option("--version", type=click.IntRange(1), help="An older version.")
@click.option("--history", is_flag=True, help="List its versions instead.")
@as_json
def show(document_id: str, version: int | None, *, history: bool, as_json: bool) -> None:
    """Print a document, or its history."""
    if history:
        found = ask(lambda holdfast: holdfast.library.versions(document_id))
    else:
        found = [ask(lambda holdfast: holdfast.library.read(document_id, version))]
    for document in found:
        if as_json:
            print_json(document)
        elif history:
            click.echo(f"version {document.version}  {document.ingested_at}  {document.author}")
        else:
            click.echo(plain(document.text))


@runbooks.command("rm")
@click.argument("ids", nargs=-1, required=True)
@as_json
def remove(ids: tuple[str, ...], *, as_json: bool) -> None:
    """Take documents out. Their versions stay: `rollback` brings one back."""

    async def removed(holdfast: Holdfast) -> int:
        return sum([await holdfast.library.remove(each) for each in ids])

    count = ask(removed)
    click.echo(json.dumps({"removed": count}) if as_json else f"removed {count} of {len(ids)}")


@runbooks.command()
@click.argument("document_id", metavar="ID")
@click.argument("version", type=click.IntRange(1))
@as_json
def rollback(document_id: str, version: int, *, as_json: bool) -> None:
    """Bring back an older version, as a new one."""
    document = ask(lambda holdfast: holdfast.library.rollback(document_id, version))
    if as_json:
        print_json(document)
    else:
        click.echo(f"{document.id} is at version {document.version}, with the words of version {version}")


@runbooks.command()
@click.argument("paths", nargs=-1, required=True, type=click.Path(path_type=Path, exists=True))
@as_json
def lint(paths: tuple[Path, ...], *, as_json: bool) -> None:
    """Check runbooks without running anything. Exits with 1 on an error."""
    worst = 0
    for path in paths:
        found = read_path(path)
        for failure in found.failures:
            click.echo(f"{failure.id}: {failure.message}")
            worst = 1
        for draft in (each for each in found.drafts if each.kind is DocumentKind.RUNBOOK):
            for finding in lint_runbook(draft.id, draft.text, media=draft.media):
                click.echo(finding.model_dump_json() if as_json else _finding(draft.id, finding))
                worst = max(worst, int(finding.severity is Severity.ERROR))
    sys.exit(worst)


@runbooks.command()
@click.argument("document_id", metavar="ID")
@click.argument("goal", nargs=-1)
@click.option(
    "--input", "-i", "inputs", multiple=True, metavar="NAME=VALUE", help="A value the runbook needs."
)
@click.option("--env", "environment", default="dev", show_default=True, help="Where it works.")
@as_json
@click.pass_context
def run(
    ctx: click.Context,
    document_id: str,
    goal: tuple[str, ...],
    inputs: tuple[str, ...],
    environment: str,
    *,
    as_json: bool,
) -> None:
    """Run a runbook, watched: the same as `holdfast run --runbook ID`."""
    from holdfast.cli.runs import run as run_command  # noqa: PLC0415 -- the client is needed for this command alone

    words = [" ".join(goal) or f"Run runbook {document_id}", "--runbook", document_id, "--mode", "runbook"]
    words += ["--env", environment, *(part for each in inputs for part in ("--input", each))]
    words += ["--json"] if as_json else []
    with run_command.make_context("run", words, parent=ctx) as inner:
        run_command.invoke(inner)


def _line(document: Document) -> str:
    marks = "run" if document.runnable else "   "
    return f"{marks}  {document.id:40}  v{document.version}  {document.chunks:4} chunks  {document.title}"


def _finding(document_id: str, finding: LintFinding) -> str:
    where = f":{finding.line}" if finding.line else ""
    return f"{document_id}{where}: {finding.severity}: {finding.message} [{finding.code}]"
