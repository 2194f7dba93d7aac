"""`holdfast runbooks add`, `sync` and `progress`: how documents come in."""

import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

import click

from holdfast.cli.connection import as_json, ask, print_json
from holdfast.cli.runbook_following import followed, settled, show, standing_of_workers, tell_failures
from holdfast.client import Holdfast
from holdfast.errors import InvalidInput
from holdfast.knowledge.sources import Found, read_bytes, read_path
from schemas.knowledge import IngestReport
from schemas.shelf import Ingestion


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
@click.option("--follow", is_flag=True, help="Wait until nothing is left.")
@as_json
def progress(ingestion_id: str, *, follow: bool, as_json: bool) -> None:
    """How far workers are with what was put down for them. Exits with 1 where documents could not be read."""

    async def standing_of(holdfast: Holdfast) -> Ingestion:
        if follow:
            return await followed(holdfast, ingestion_id, quiet=as_json)
        return await holdfast.library.ingestion(ingestion_id)

    standing = ask(standing_of)
    if as_json:
        print_json(standing)
    else:
        click.echo(standing_of_workers(standing))
        tell_failures(standing.failures)
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

    async def synced(holdfast: Holdfast) -> IngestReport:
        report = await holdfast.library.sync(name, found.drafts, kept=unread)
        return await settled(holdfast, report, quiet=as_json)

    _tell(IngestReport(failures=tuple(found.failures)).plus(ask(synced)), as_json=as_json)


def _from_stdin(document_id: str | None, source: str) -> Found:
    if not document_id:
        raise InvalidInput("A document from standard input needs an id.", remedy="Add --id NAME.")
    return read_bytes(document_id, sys.stdin.buffer.read(), source=source)


async def _added(holdfast: Holdfast, found: Found, *, quiet: bool) -> IngestReport:
    total = IngestReport(failures=tuple(found.failures))
    async for report in holdfast.library.add(found.drafts):
        total = total.plus(await settled(holdfast, report, quiet=quiet))
        done = total.added + total.changed + total.unchanged + len(total.later)
        show(f"{done} of {len(found.drafts)} documents", quiet=quiet)
    show("", quiet=quiet)
    return total


def _put_down(found: Found, *, as_json: bool) -> None:
    if not found.drafts:
        raise InvalidInput("There is no document to read.", remedy="Name a file or a folder with runbooks.")

    async def put_down(holdfast: Holdfast) -> Sequence[Ingestion]:
        return [standing async for standing in holdfast.library.ingest(found.drafts)]

    for standing in ask(put_down):
        if as_json:
            print_json(standing)
        else:
            click.echo(f"{standing_of_workers(standing)}; see: holdfast runbooks progress {standing.id}")
    tell_failures(found.failures)
    sys.exit(1 if found.failures else 0)


def _tell(report: IngestReport, *, as_json: bool) -> None:
    if as_json:
        click.echo(report.model_dump_json())
    else:
        counts = ("added", "changed", "moved", "removed", "unchanged")
        said = ", ".join(f"{getattr(report, name)} {name}" for name in counts if getattr(report, name))
        if report.later:
            said = ", ".join(filter(None, (said, f"{len(report.later)} read by workers")))
        click.echo(f"{said or 'nothing to do'}; {report.embedded} of {report.chunks} chunks embedded")
        tell_failures(report.failures)
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
