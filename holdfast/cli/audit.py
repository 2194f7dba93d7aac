"""`holdfast audit`: read the audit log, export it, and check that nobody changed it."""

import asyncio
import json
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path

import click
from pydantic import ValidationError

from holdfast.audit import check_chain
from holdfast.cli.connection import as_json, ask, connect, print_json, report
from holdfast.cli.terminal import take
from schemas.access import AuditCheck, AuditLine

MOMENT = click.DateTime(["%Y-%m-%d", "%Y-%m-%dT%H:%M:%S", "%Y-%m-%dT%H:%M:%S%z"])


@click.group()
def audit() -> None:
    """Read the audit log."""


@audit.command("ls")
@click.option("--actor", help="Only what this one did, such as key:0123456789ab.")
@click.option("--object", "about", help="Only what was done to this, such as /v1/runs/run_…")
@click.option("--since", type=MOMENT, help="Only from then on (UTC, unless it says otherwise).")
@click.option("--action", help="Only this, such as 'POST /v1/runs/{run_id}/cancel'.")
@click.option("--limit", type=click.IntRange(1), help="The first of them only.")
@as_json
def list_lines(
    actor: str | None,
    about: str | None,
    since: datetime | None,
    action: str | None,
    limit: int | None,
    *,
    as_json: bool,
) -> None:
    """Who did what, in order."""
    moment = None if since is None else (since if since.tzinfo else since.replace(tzinfo=UTC))
    filters = {
        "actor": actor,
        "object": about,
        "action": action,
        "created_after": moment and moment.isoformat(),
    }

    async def show() -> None:
        async with connect() as holdfast:
            async for line in take(holdfast.audit.found(filters=filters), limit or 0):
                click.echo(line.entry if as_json else told(line.seq, json.loads(line.entry)))

    asyncio.run(show())


@audit.command()
@click.argument("file", type=click.Path(dir_okay=False, path_type=Path))
@as_json
def export(file: Path, *, as_json: bool) -> None:
    """Write the whole chain to a file, which `verify --file` checks anywhere."""

    async def write() -> int:
        count = 0
        with file.open("x") as out:
            async with connect() as holdfast:
                async for line in holdfast.audit.lines():
                    out.write(line.model_dump_json() + "\n")
                    count += 1
        return count

    try:
        count = asyncio.run(write())
    except FileExistsError as error:
        raise click.UsageError(f"{file} exists already. Choose another name.") from error
    report(f"{count} lines in {file}", as_json=as_json, lines=count, file=str(file))


@audit.command()
@click.option(
    "--file", type=click.Path(exists=True, dir_okay=False, path_type=Path), help="Check an export instead."
)
@as_json
@click.pass_context
def verify(ctx: click.Context, file: Path | None, *, as_json: bool) -> None:
    """Find a line that was changed, removed or moved. Exits with 1 when there is one."""
    check = asyncio.run(check_chain(_lines(file))) if file else ask(lambda holdfast: holdfast.audit.verify())
    if as_json:
        print_json(check)
    else:
        click.echo(result(check))
    ctx.exit(0 if check.ok else 1)


async def _lines(file: Path) -> AsyncIterator[AuditLine]:
    with file.open() as lines:
        for number, line in enumerate(lines, 1):
            try:
                yield AuditLine.model_validate_json(line)
            except ValidationError as error:
                raise click.UsageError(f"{file}, line {number}: this is no line of an audit log.") from error


def result(check: AuditCheck) -> str:
    if check.ok:
        return f"{check.lines} lines, none changed. Head: {check.head[:16] or 'empty'}"
    return f"The chain breaks at line {check.broken_at}: {check.why}."


def told(seq: int, entry: dict[str, object]) -> str:
    return f"{seq:>6} {entry['at']} {entry['status']} {entry['actor']} {entry['action']} {entry['object']}"
