"""`holdfast db`: bring the schema up to date, or see where it stands."""

import asyncio
import json

import click

from holdfast.cli.connection import as_json, report
from holdfast.embedded.state import read_state
from holdfast.errors import Misconfigured
from holdfast.runtime.configuration import load
from holdfast.runtime.settings import Settings


@click.group()
def db() -> None:
    """Migrate the database, or see where it stands.

    Uses HOLDFAST_DATABASE__MIGRATE_URL or DATABASE_URL; without either, the stack that runs here.
    """


@db.command()
@as_json
def migrate(*, as_json: bool) -> None:
    """Run what has not run yet. Safe to start several times at once."""
    from holdfast.adapters.postgres import migrate as runner  # noqa: PLC0415 -- psycopg is slow to import

    done = asyncio.run(runner.migrate(owner_url(load())))
    for name in () if as_json else done:
        click.echo(f"ran {name}")
    report("The database is up to date.", as_json=as_json, ran=list(done))


@db.command()
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@click.pass_context
def status(ctx: click.Context, *, as_json: bool) -> None:
    """List migrations. Exits with 1 while some have not run."""
    from holdfast.adapters.postgres import migrate as runner  # noqa: PLC0415

    found = asyncio.run(runner.status(owner_url(load())))
    if as_json:
        click.echo(json.dumps({"applied": found.applied, "pending": found.pending}))
    else:
        for name in found.applied:
            click.echo(f"applied  {name}")
        for name in found.pending:
            click.echo(f"pending  {name}")
    ctx.exit(1 if found.pending else 0)


def owner_url(settings: Settings) -> str:
    owner = settings.database.migrate_url
    return owner.get_secret_value() if owner is not None else service_url(settings)


def service_url(settings: Settings) -> str:
    """The login of the API and the workers. The schema's owner has no part in their role, and cannot take it on."""
    given = settings.database.url
    if given is not None:
        return given.get_secret_value()
    running = read_state(settings.data_dir)
    if running is None:
        raise Misconfigured(
            "No database is known.", remedy="Set DATABASE_URL, or start the stack: holdfast up"
        )
    return running.database_url
