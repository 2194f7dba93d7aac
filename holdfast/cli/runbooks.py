"""`holdfast runbooks`: put runbooks in, find them, check them, and see what they would do."""

import json
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

import click

from holdfast.cli.connection import as_json, ask, print_json
from holdfast.cli.library_work import ask_questions, reembed, state
from holdfast.cli.plain import plain
from holdfast.cli.runbook_search import search
from holdfast.client import Holdfast
from holdfast.errors import InvalidInput
from holdfast.knowledge.linting import lint_runbook
from holdfast.knowledge.sources import Found, read_bytes, read_path
from schemas.base import JsonObject
from schemas.knowledge import (
    Document,
    DocumentKind,
    IngestReport,
    LintFinding,
    Severity,
)
from schemas.shelf import Ingestion


@click.group()
def runbooks() -> None:
    """Ingest, search and check runbooks."""


for command in (search, state, reembed, ask_questions):
    runbooks.add_command(command)


@runbooks.command()
@click.argument("path", type=click.Path(path_type=Path, allow_dash=True))
@click.option(
    "--id",
    "document_id",
    help="The document's id, where it comes from standard input: notes.html is read as HTML.",
)
@click.option("--source", default="", help="The collection it belongs to.")
@click.option("--later", is_flag=True, help="Put them down for workers to read, and do not wait.")
@as_json
def add(path: Path, document_id: str | None, source: str, *, later: bool, as_json: bool) -> None:
    """Add a file, a folder, or standard input (-). What stands there already is left alone."""
    found = _from_stdin(document_id, source) if str(path) == "-" else read_path(path, source=source)
    if later:
        _put_down(found, as_json=as_json)
    else:
        _tell(ask(lambda holdfast: _added(holdfast, found, quiet=as_json)), as_json=as_json)


@runbooks.command()
@click.argument("ingestion_id", metavar="INGESTION")
@as_json
def progress(ingestion_id: str, *, as_json: bool) -> None:
    """How far workers are with what `add --later` put down. Exits with 1 where documents could not be read."""
    standing = ask(lambda holdfast: holdfast.library.ingestion(ingestion_id))
    if as_json:
        print_json(standing)
    else:
        click.echo(_standing(standing))
    sys.exit(1 if standing.outcomes.get("failed") else 0)


@runbooks.command()
@click.argument("origin")
@click.option("--source", help="The collection; else the name of the folder or repository.")
@as_json
def sync(origin: str, source: str | None, *, as_json: bool) -> None:
    """Make a collection hold exactly what a folder or a git repository holds.

    Unchanged texts are not embedded again; moved files are followed; what vanished is removed.
    """
    with tempfile.TemporaryDirectory() as folder:
        path = _checked_out(origin, Path(folder)) if _is_git(origin) else Path(origin)
        name = source or (Path(origin.rstrip("/")).name.removesuffix(".git") or "local")
        found = read_path(path, source=name)
    # A file that cannot be read just now is no file that vanished.
    unread = [failure.id for failure in found.failures]
    report = ask(lambda holdfast: holdfast.library.sync(name, found.drafts, kept=unread))
    _tell(report.model_copy(update={"failures": (*found.failures, *report.failures)}), as_json=as_json)


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


def _from_stdin(document_id: str | None, source: str) -> Found:
    if not document_id:
        raise InvalidInput("A document from standard input needs an id.", remedy="Add --id NAME.")
    return read_bytes(document_id, sys.stdin.buffer.read(), source=source)


async def _added(holdfast: Holdfast, found: Found, *, quiet: bool) -> IngestReport:
    shown = not quiet and sys.stderr.isatty()
    total: JsonObject = {"failures": tuple(found.failures)}
    async for report in holdfast.library.add(found.drafts):
        for name in IngestReport.model_fields:
            total[name] = total.get(name, () if name == "failures" else 0) + getattr(report, name)
        if shown:
            done = sum(total[name] for name in ("added", "changed", "moved", "unchanged"))
            click.echo(f"\r{done} of {len(found.drafts)} documents", nl=False, err=True)
    if shown:
        click.echo("", err=True)
    return IngestReport(**total)


def _put_down(found: Found, *, as_json: bool) -> None:
    if not found.drafts:
        raise InvalidInput("There is no document to read.", remedy="Name a file or a folder with runbooks.")

    async def put_down(holdfast: Holdfast) -> Sequence[Ingestion]:
        return [standing async for standing in holdfast.library.ingest(found.drafts)]

    for standing in ask(put_down):
        if as_json:
            print_json(standing)
        else:
            click.echo(f"{_standing(standing)}; see: holdfast runbooks progress {standing.id}")
    for failure in found.failures:
        click.echo(plain(f"not read: {failure.id}: {failure.message}").replace("\n", " "), err=True)
    sys.exit(1 if found.failures else 0)


def _standing(standing: Ingestion) -> str:
    failed = standing.outcomes.get("failed", 0)
    return f"{standing.done} read, {standing.left} left" + (f", {failed} failed" if failed else "")


def _tell(report: IngestReport, *, as_json: bool) -> None:
    if as_json:
        click.echo(report.model_dump_json())
    else:
        counts = ("added", "changed", "moved", "removed", "unchanged")
        said = ", ".join(f"{getattr(report, name)} {name}" for name in counts if getattr(report, name))
        click.echo(f"{said or 'nothing to do'}; {report.embedded} of {report.chunks} chunks embedded")
        for failure in report.failures:
            click.echo(plain(f"not read: {failure.id}: {failure.message}").replace("\n", " "), err=True)
    sys.exit(1 if report.failures else 0)


def _line(document: Document) -> str:
    marks = "run" if document.runnable else "   "
    return f"{marks}  {document.id:40}  v{document.version}  {document.chunks:4} chunks  {document.title}"


def _finding(document_id: str, finding: LintFinding) -> str:
    where = f":{finding.line}" if finding.line else ""
    return f"{document_id}{where}: {finding.severity}: {finding.message} [{finding.code}]"


def _is_git(origin: str) -> bool:
    return origin.startswith(("https://", "ssh://", "git@", "file://")) or origin.endswith(".git")


def _checked_out(origin: str, folder: Path) -> Path:
    target = folder / "checkout"
    done = subprocess.run(  # noqa: PLW1510 -- the exit status is read below
        ["git", "clone", "--quiet", "--depth", "1", "--", origin, str(target)], capture_output=True, text=True
    )
    if done.returncode:
        raise InvalidInput(
            f"git cannot clone {origin}: {done.stderr.strip()[:300]}", remedy="Check the address."
        )
    return target
