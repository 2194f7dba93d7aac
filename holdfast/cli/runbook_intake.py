"""`holdfast runbooks add`, `sync` and `progress`: how documents come in."""

import re
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

import click

from holdfast.cli.connection import as_json, ask, print_json
from holdfast.cli.plain import plain
from holdfast.client import Holdfast
from holdfast.errors import InvalidInput
from holdfast.knowledge.sources import Found, read_bytes, read_path
from schemas.base import JsonObject
from schemas.knowledge import DocumentDraft, IngestReport
from schemas.shelf import Ingestion

LARGE = 300
"""A document of more passages is no matter of one request: embedding them takes minutes."""
_HEADING = re.compile(r"^#|^[=~^-]{3,}\s*$|<h[1-6]", re.MULTILINE | re.IGNORECASE)


@click.command()
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


@click.command()
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


@click.command()
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


def _from_stdin(document_id: str | None, source: str) -> Found:
    if not document_id:
        raise InvalidInput("A document from standard input needs an id.", remedy="Add --id NAME.")
    return read_bytes(document_id, sys.stdin.buffer.read(), source=source)


async def _added(holdfast: Holdfast, found: Found, *, quiet: bool) -> IngestReport:
    shown = not quiet and sys.stderr.isatty()
    total: JsonObject = {"failures": tuple(found.failures)}
    large = [draft for draft in found.drafts if _is_large(draft)]
    async for standing in holdfast.library.ingest(large):
        click.echo(
            f"{standing.left} large, put down for workers to read; see: holdfast runbooks progress {standing.id}",
            err=True,
        )
    async for report in holdfast.library.add([draft for draft in found.drafts if not _is_large(draft)]):
        for name in IngestReport.model_fields:
            total[name] = total.get(name, () if name == "failures" else 0) + getattr(report, name)
        if shown:
            done = sum(total[name] for name in ("added", "changed", "moved", "unchanged"))
            click.echo(f"\r{done} of {len(found.drafts)} documents", nl=False, err=True)
    if shown:
        click.echo("", err=True)
    return IngestReport(**total)


def _is_large(draft: DocumentDraft) -> bool:
    """By a guess: a passage has some thousand characters, or a heading of its own."""
    return len(draft.text) // 1_000 + sum(1 for _ in _HEADING.finditer(draft.text)) > LARGE


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
