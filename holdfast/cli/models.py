"""`holdfast models`: what is configured, how it does, what it costs, and why a call went where it went."""

from pathlib import Path
from typing import Literal

import click

from holdfast.cli import model_view as view
from holdfast.cli.connection import as_json, ask, print_json
from holdfast.client import Holdfast
from schemas.models import Price, PriceView


@click.group()
def models() -> None:
    """See models, prices and spend, and why a call went where it went.

    docs/models.md describes how models are set up.
    """


@models.command("ls")
@as_json
def list_models(*, as_json: bool) -> None:
    """Deployments in their routes' order, with prices, and whether they are left alone after failures."""

    async def read(holdfast: Holdfast) -> None:
        deployments = await holdfast.models.all()
        if as_json:
            print_json(*deployments)
        else:
            view.deployments(deployments, await holdfast.models.routes())

    ask(read)


@models.command()
@click.argument("file", type=click.Path(path_type=Path, dir_okay=False), required=False)
@as_json
def check(file: Path | None, *, as_json: bool) -> None:
    """Say what a models file means, or what is wrong with it; without FILE, the settings in force here.

    Nothing is called, and no API is needed. docs/models.md describes the file; HOLDFAST_MODELS__FILE puts it in force.
    """
    from holdfast.adapters.llm.settings import settings_from, settings_in  # noqa: PLC0415 -- for this command alone
    from holdfast.llm.remarks import decisions_for, remarks_on  # noqa: PLC0415
    from holdfast.runtime.configuration import load  # noqa: PLC0415

    section = load().models
    settings = settings_in(file) if file else settings_from(section)
    meaning = view.Meaning(
        settings, decisions_for(settings), list(remarks_on(settings, keys=section.api_keys))
    )
    meaning.as_json() if as_json else meaning.show()


@models.command()
@click.argument("deployment")
@as_json
def retry(deployment: str, *, as_json: bool) -> None:
    """Let a deployment be called again at once, after mending what made it fail: its key, its account, its server."""
    breaker = ask(lambda holdfast: holdfast.models.retry(deployment))
    print_json(breaker) if as_json else click.echo(f"{deployment} is called again.")


@models.command()
@as_json
def records(*, as_json: bool) -> None:
    """How each deployment has done at each kind of task, in the last two weeks: what routes learn from."""
    found = ask(lambda holdfast: holdfast.models.records())
    print_json(*found) if as_json else view.records(found)


@models.command()
@click.argument("model", required=False)
@click.option("--input", "input_", type=float, help="US dollars for a million input tokens.")
@click.option("--output", type=float, default=0.0, help="US dollars for a million output tokens.")
@as_json
def prices(model: str | None, input_: float | None, output: float, *, as_json: bool) -> None:
    """Show the prices set here, or set one: `holdfast models prices my-model --input 1 --output 3`.

    Workers read prices when they start.
    """

    async def read(holdfast: Holdfast) -> list[PriceView]:
        if model is not None and input_ is not None:
            await holdfast.models.set_price(model, Price(input=input_, output=output))
        return [price for price in await holdfast.models.prices() if model in (None, price.model)]

    found = ask(read)
    print_json(*found) if as_json else view.prices(found)


@models.command()
@click.argument("run_id", metavar="RUN")
@as_json
def explain(run_id: str, *, as_json: bool) -> None:
    """Each call of a run: where it went, why, what it cost, and what was passed over."""
    calls = ask(lambda holdfast: holdfast.runs.model_calls(run_id))
    print_json(*calls) if as_json else view.calls(calls)


@models.command()
@click.option("--scope", type=click.Choice(["run", "agent", "tenant"]), help="Of runs, agents or the tenant.")
@click.option("--subject", help="One run, agent or tenant.")
@as_json
def spend(scope: str | None, subject: str | None, *, as_json: bool) -> None:
    """What was spent, what is reserved by calls under way, and the limits."""
    totals = ask(lambda holdfast: holdfast.models.spend(scope=scope, subject=subject))
    print_json(*totals) if as_json else view.spend(totals)


@models.command()
@click.argument("agent")
@click.argument("usd", type=click.FloatRange(0))
@click.option(
    "--period",
    type=click.Choice(["day", "total"]),
    default="day",
    show_default=True,
    help="For each day, or for ever.",
)
@as_json
def limit(agent: str, usd: float, period: Literal["day", "total"], *, as_json: bool) -> None:
    """Set how much an agent may spend. A call that would pass it is not made.

    What a whole tenant may spend a day is set by `holdfast tenants limit`.
    """
    stands = ask(lambda holdfast: holdfast.models.limit_agent(agent, usd, period=period))
    print_json(stands) if as_json else click.echo(f"{agent} may spend {usd:g} USD ({period}).")


@models.command()
@click.argument("name")
@as_json
def experiment(name: str, *, as_json: bool) -> None:
    """How the arms of an A/B split do, with the confidence there is."""
    arms = ask(lambda holdfast: holdfast.models.experiment(name))
    print_json(*arms) if as_json else view.arms(arms)
