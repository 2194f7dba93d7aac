"""`holdfast models`: what is configured, how it does, what it costs, and why a call went where it went."""

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TYPE_CHECKING, Literal, TypeVar

import click

from holdfast.cli import model_view as view
from holdfast.cli.connection import as_json, print_json
from holdfast.cli.database import owner_url
from holdfast.llm.remarks import decisions_for, remarks_on
from holdfast.runtime.configuration import load
from schemas.models import Price, SpendLimit

if TYPE_CHECKING:
    from holdfast.adapters.postgres.database import Database
    from holdfast.adapters.postgres.models import PostgresSpend

Result = TypeVar("Result")
of_tenant = click.option("--tenant", default="default", show_default=True, envvar="HOLDFAST_TENANT")


@click.group()
def models() -> None:
    """See models, prices and spend, and why a call went where it went.

    Reads the database of the deployment: DATABASE_URL, else the stack that runs here.
    """


@models.command("ls")
def list_models() -> None:
    """Deployments in their routes' order, with prices, and whether they are left alone after failures."""
    from holdfast.adapters.llm.settings import settings_from  # noqa: PLC0415 -- psycopg is slow to import
    from holdfast.adapters.postgres.model_breakers import PostgresBreakers  # noqa: PLC0415

    settings = settings_from(load().models)
    _, breakers = _ask(lambda database: PostgresBreakers(database=database, rule=settings.breaker).read())
    view.deployments(settings, breakers)


@models.command()
@click.argument("file", type=click.Path(path_type=Path, dir_okay=False), required=False)
def check(file: Path | None) -> None:
    """Say what a models file means, or what is wrong with it; without FILE, the settings in force.

    Nothing is called. docs/models.md describes the file; HOLDFAST_MODELS__FILE puts it in force.
    """
    from holdfast.adapters.llm.settings import settings_from, settings_in  # noqa: PLC0415

    section = load().models
    settings = settings_in(file) if file else settings_from(section)
    view.meaning(settings, decisions_for(settings), list(remarks_on(settings, keys=section.api_keys)))


@models.command()
@click.argument("deployment")
def retry(deployment: str) -> None:
    """Let a deployment be called again at once, after mending what made it fail: its key, its account, its server."""
    from holdfast.adapters.llm.settings import settings_from  # noqa: PLC0415
    from holdfast.adapters.postgres.model_breakers import PostgresBreakers  # noqa: PLC0415

    rule = settings_from(load().models).breaker
    _ask(lambda database: PostgresBreakers(database=database, rule=rule).report(deployment, failure=None))
    click.echo(f"{deployment} is called again.")


@models.command()
@of_tenant
@as_json
def records(tenant: str, *, as_json: bool) -> None:
    """How each deployment has done at each kind of task, in the last two weeks: what routes learn from."""
    found = _ask_spend(lambda spend: spend.all_records(tenant))
    print_json(*found) if as_json else view.records(found)


@models.command()
@click.argument("model", required=False)
@click.option("--input", "input_", type=float, help="US dollars for a million input tokens.")
@click.option("--output", type=float, default=0.0, help="US dollars for a million output tokens.")
def prices(model: str | None, input_: float | None, output: float) -> None:
    """Show the prices set here, or set one: `holdfast models prices my-model --input 1 --output 3`.

    Workers read prices when they start.
    """
    if model is not None and input_ is not None:
        price = Price(input=input_, output=output)
        _ask_spend(lambda spend: spend.set_price(model, price, by="command line"))
    view.prices(_ask_spend(lambda spend: spend.prices()), model)


@models.command()
@click.argument("run_id", metavar="RUN")
@of_tenant
@as_json
def explain(run_id: str, tenant: str, *, as_json: bool) -> None:
    """Each call of a run: where it went, why, what it cost, and what was passed over."""
    calls = _ask_spend(lambda spend: spend.calls(tenant, run_id))
    print_json(*calls) if as_json else view.calls(calls)


@models.command()
@click.option("--scope", type=click.Choice(["run", "agent", "tenant"]))
@click.option("--subject", help="One run, agent or tenant.")
@of_tenant
@as_json
def spend(scope: str | None, subject: str | None, tenant: str, *, as_json: bool) -> None:
    """What was spent, what is reserved by calls under way, and the limits."""
    totals = _ask_spend(lambda spend: spend.totals(tenant, scope=scope, subject=subject))
    print_json(*totals) if as_json else view.spend(totals)


@models.command()
@click.argument("scope", type=click.Choice(["agent", "tenant"]))
@click.argument("subject")
@click.argument("usd", type=float)
@click.option("--period", type=click.Choice(["day", "total"]), default="day", show_default=True)
@of_tenant
def limit(
    scope: Literal["agent", "tenant"], subject: str, usd: float, period: Literal["day", "total"], tenant: str
) -> None:
    """Set how much an agent or a tenant may spend. A call that would pass it is not made."""
    wanted = SpendLimit(scope=scope, subject=subject, period=period, limit_usd=usd)
    _ask_spend(lambda spend: spend.set_limit(tenant, wanted))
    click.echo(f"{scope} {subject} may spend {usd:g} USD ({period}).")


@models.command()
@click.argument("name")
@of_tenant
@as_json
def experiment(name: str, tenant: str, *, as_json: bool) -> None:
    """How the arms of an A/B split do, with the confidence there is."""
    arms = _ask_spend(lambda spend: spend.experiment(tenant, name))
    print_json(*arms) if as_json else view.arms(arms)


def _ask_spend(work: Callable[["PostgresSpend"], Awaitable[Result]]) -> Result:
    from holdfast.adapters.postgres.models import PostgresSpend  # noqa: PLC0415

    return _ask(lambda database: work(PostgresSpend(database=database)))


def _ask(work: Callable[["Database"], Awaitable[Result]]) -> Result:
    from holdfast.adapters.postgres.database import Database  # noqa: PLC0415

    async def connected() -> Result:
        database = await Database.open(owner_url(load()), max_size=1, application="holdfast models")
        try:
            return await work(database)
        finally:
            await database.close()

    return asyncio.run(connected())
