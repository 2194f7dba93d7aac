"""How far documents are that workers read, for whoever put them down and waits."""

import asyncio
import sys
from collections.abc import Sequence

import click

from holdfast.cli.plain import plain
from holdfast.client import Holdfast
from schemas.knowledge import IngestFailure, IngestReport
from schemas.shelf import Ingestion

_PAUSE_S = 1.0


async def settled(holdfast: Holdfast, report: IngestReport, *, quiet: bool) -> IngestReport:
    """The report, once workers have read what it left to them."""
    if report.ingestion is None:
        return report
    if not quiet:
        large = ", ".join(report.later[:3]) + (" …" if len(report.later) > 3 else "")
        click.echo(
            plain(f"{large}: large, so workers read it; holdfast runbooks progress {report.ingestion}"),
            err=True,
        )
    standing = await followed(holdfast, report.ingestion, quiet=quiet)
    return report.plus(IngestReport(failures=standing.failures))


async def followed(holdfast: Holdfast, ingestion_id: str, *, quiet: bool) -> Ingestion:
    """Until nothing is left. Whoever stops waiting stops nothing else."""
    while (standing := await holdfast.library.ingestion(ingestion_id)).left:
        show(standing_of_workers(standing), quiet=quiet)
        await asyncio.sleep(_PAUSE_S)
    show("", quiet=quiet)
    return standing


def standing_of_workers(standing: Ingestion) -> str:
    failed = standing.outcomes.get("failed", 0)
    said = f"{standing.done} read, {standing.left} left" + (f", {failed} failed" if failed else "")
    if standing.passages:
        said += f"; {standing.embedded:,} of {standing.passages:,} passages of those in work embedded"
    return said


def show(text: str, *, quiet: bool) -> None:
    """On the line that stands, where somebody looks at a terminal."""
    if not quiet and sys.stderr.isatty():
        click.echo(f"\r{text}\x1b[K", nl=False, err=True)


def tell_failures(failures: Sequence[IngestFailure]) -> None:
    for failure in failures:
        click.echo(plain(f"not read: {failure.id}: {failure.message}").replace("\n", " "), err=True)
