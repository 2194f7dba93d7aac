"""`holdfast runbooks`: put runbooks in, find them, check them, and see what they would do."""

import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

import click

from holdfast.cli.library import Shelf, json_option, tenant_option, using
from holdfast.errors import InvalidInput
from holdfast.knowledge.linting import lint_runbook
from holdfast.knowledge.sources import Found, draft_of, read_path
from schemas.base import JsonObject
from schemas.knowledge import (
    Document,
    DocumentKind,
    IngestReport,
    LintFinding,
    SearchFilter,
    SearchHit,
    SearchRequest,
    SearchResult,
    Severity,
)

_PAGE = 20


@click.group()
def runbooks() -> None:
    """Ingest, search and check runbooks.

    Uses DATABASE_URL, or the stack that runs here.
    """


@runbooks.command()
@click.argument("path", type=click.Path(path_type=Path, allow_dash=True))
@click.option("--id", "document_id", help="The document's id, where it comes from standard input.")
@click.option("--source", default="", help="The collection it belongs to.")
@tenant_option
@json_option
def add(path: Path, document_id: str | None, source: str, tenant: str, *, as_json: bool) -> None:
    """Add a file, a folder, or standard input (-). What stands there already is left alone."""
    found = _from_stdin(document_id, source) if str(path) == "-" else read_path(path, source=source)

    async def work(shelf: Shelf) -> IngestReport:
        return await _ingest(shelf, tenant, found, quiet=as_json)

    _tell(using(work), as_json=as_json)


@runbooks.command()
@click.argument("origin")
@click.option("--source", help="The collection; else the name of the folder or repository.")
@tenant_option
@json_option
def sync(origin: str, source: str | None, tenant: str, *, as_json: bool) -> None:
    """Make a collection hold exactly what a folder or a git repository holds.

    Unchanged texts are not embedded again; moved files are followed; what vanished is removed.
    """
    with tempfile.TemporaryDirectory() as folder:
        path = _checked_out(origin, Path(folder)) if _is_git(origin) else Path(origin)
        name = source or (Path(origin.rstrip("/")).name.removesuffix(".git") or "local")
        found = read_path(path, source=name)

        async def work(shelf: Shelf) -> IngestReport:
            report = await shelf.library.sync(tenant, name, found.drafts, author=shelf.author)
            return report.model_copy(update={"failures": (*found.failures, *report.failures)})

        _tell(using(work), as_json=as_json)


@runbooks.command("ls")
@click.option("--source", help="Only this collection.")
@click.option("--runnable", is_flag=True, help="Only those a machine can run.")
@tenant_option
@json_option
def list_runbooks(source: str | None, tenant: str, *, runnable: bool, as_json: bool) -> None:
    """List what is there."""
    where = SearchFilter(source=source, runnable=True if runnable else None)

    async def work(shelf: Shelf) -> Sequence[Document]:
        return await shelf.library.documents(tenant, where, limit=1000)

    found = using(work)
    for document in found:
        click.echo(document.model_dump_json() if as_json else _line(document))
    if not found and not as_json:
        click.echo("There are none. Add some: holdfast runbooks add FOLDER", err=True)


@runbooks.command()
@click.argument("document_id", metavar="ID")
@click.option("--version", type=int, help="An older version.")
@click.option("--history", is_flag=True, help="List its versions instead.")
@tenant_option
@json_option
def show(document_id: str, version: int | None, tenant: str, *, history: bool, as_json: bool) -> None:
    """Print a document, or its history."""

    async def work(shelf: Shelf) -> Sequence[Document]:
        if history:
            return await shelf.library.versions(tenant, document_id)
        return [await shelf.library.read(tenant, document_id, version)]

    for document in using(work):
        if as_json:
            click.echo(document.model_dump_json())
        else:
            click.echo(
                f"version {document.version}  {document.ingested_at}  {document.author}"
                if history
                else document.text
            )


@runbooks.command()
@click.argument("query", nargs=-1, required=True)
@click.option("--limit", default=5, show_default=True)
@click.option("--source", help="Only this collection.")
@click.option(
    "--signals", type=click.Choice(["hybrid", "lexical", "dense"]), default="hybrid", show_default=True
)
@click.option("--explain", is_flag=True, help="Show what each signal added.")
@tenant_option
@json_option
def search(
    query: tuple[str, ...],
    limit: int,
    source: str | None,
    signals: Literal["hybrid", "lexical", "dense"],
    tenant: str,
    *,
    explain: bool,
    as_json: bool,
) -> None:
    """Find runbooks. Exits with 1 where nothing surely answers."""
    request = SearchRequest(
        query=" ".join(query), limit=limit, where=SearchFilter(source=source), signals=signals
    )

    async def work(shelf: Shelf) -> SearchResult:
        return await shelf.library.search(tenant, request)

    result = using(work)
    if as_json:
        click.echo(result.model_dump_json())
    else:
        _show_result(result, explain=explain)
    sys.exit(0 if result.answered else 1)


@runbooks.command("rm")
@click.argument("ids", nargs=-1, required=True)
@tenant_option
def remove(ids: tuple[str, ...], tenant: str) -> None:
    """Take documents out. Their versions stay: `rollback` brings one back."""

    async def work(shelf: Shelf) -> int:
        return await shelf.library.remove(tenant, ids)

    click.echo(f"removed {using(work)} of {len(ids)}")


@runbooks.command()
@click.argument("document_id", metavar="ID")
@click.argument("version", type=int)
@tenant_option
def rollback(document_id: str, version: int, tenant: str) -> None:
    """Bring back an older version, as a new one."""

    async def work(shelf: Shelf) -> IngestReport:
        return await shelf.library.restore(tenant, document_id, version, author=shelf.author)

    _tell(using(work), as_json=False)


@runbooks.command()
@click.argument("paths", nargs=-1, required=True, type=click.Path(path_type=Path, exists=True))
@json_option
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
@click.option("--env", "environment", default="dev", show_default=True)
@click.pass_context
def run(
    ctx: click.Context, document_id: str, goal: tuple[str, ...], inputs: tuple[str, ...], environment: str
) -> None:
    """Run a runbook, watched: the same as `holdfast run --runbook ID`."""
    from holdfast.cli.runs import run as run_command  # noqa: PLC0415 -- the client is needed for this command alone

    words = [" ".join(goal) or f"Run runbook {document_id}", "--runbook", document_id, "--mode", "runbook"]
    words += ["--env", environment, *(part for each in inputs for part in ("--input", each))]
    with run_command.make_context("run", words, parent=ctx) as inner:
        run_command.invoke(inner)


def _from_stdin(document_id: str | None, source: str) -> Found:
    if not document_id:
        raise InvalidInput("A document from standard input needs an id.", remedy="Add --id NAME.")
    return Found(drafts=[draft_of(sys.stdin.buffer.read(), document_id, media="markdown", source=source)])


async def _ingest(shelf: Shelf, tenant: str, found: Found, *, quiet: bool) -> IngestReport:
    if shelf.embedder is None and not quiet:
        click.echo("No embedding model is at hand: these will be found by words alone.", err=True)
    total: JsonObject = {"failures": tuple(found.failures)}
    for first in range(0, len(found.drafts), _PAGE):
        page = found.drafts[first : first + _PAGE]
        report = await shelf.library.ingest(tenant, page, author=shelf.author)
        for name in IngestReport.model_fields:
            total[name] = total.get(name, () if name == "failures" else 0) + getattr(report, name)
        if not quiet and sys.stderr.isatty():
            click.echo(f"\r{first + len(page)} of {len(found.drafts)} documents", nl=False, err=True)
    if not quiet and sys.stderr.isatty():
        click.echo("", err=True)
    return IngestReport(**total)


def _tell(report: IngestReport, *, as_json: bool) -> None:
    if as_json:
        click.echo(report.model_dump_json())
    else:
        counts = ("added", "changed", "moved", "removed", "unchanged")
        said = ", ".join(f"{getattr(report, name)} {name}" for name in counts if getattr(report, name))
        click.echo(f"{said or 'nothing to do'}; {report.embedded} of {report.chunks} chunks embedded")
        for failure in report.failures:
            click.echo(f"not read: {failure.id}: {failure.message}", err=True)
    sys.exit(1 if report.failures else 0)


def _line(document: Document) -> str:
    marks = "run" if document.runnable else "   "
    return f"{marks}  {document.id:40}  v{document.version}  {document.chunks:4} chunks  {document.title}"


def _show_result(result: SearchResult, *, explain: bool) -> None:
    if not result.answered:
        click.echo(f"Nothing surely answers this (confidence {result.confidence:.2f}). Nearest:")
    for at, hit in enumerate(result.hits, 1):
        click.echo(
            f"{at}. {hit.document.title}  [{hit.document.id} v{hit.document.version}]  {_section(hit)}"
        )
        click.echo("   " + hit.snippet.replace("\n", "\n   "))
        if explain:
            shares = ", ".join(
                f"{signal.name} {signal.raw:.2f} ({signal.share:+.2f})" for signal in hit.signals
            )
            click.echo(f"   score {hit.score:.2f}: {shares}; it {hit.why}")
    if result.note:
        click.echo(result.note, err=True)


def _section(hit: SearchHit) -> str:
    return " > ".join(hit.section)


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
