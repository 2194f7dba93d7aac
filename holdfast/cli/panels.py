"""`holdfast panels`: put a question to several models, read what they said, see how they agree."""

import click

from holdfast.cli import panel_view as view
from holdfast.cli.connection import as_json, ask, checked, print_json
from holdfast.cli.plain import plain
from holdfast.client import Holdfast
from schemas.panels import Consensus, ConsensusRequest, PanelMethod, PanelResult

ENDED_BADLY = 1
WAITS = 3
LONGEST_WAIT_S = 60.0


@click.group()
def panels() -> None:
    """Put a question to several models, and see what they agree on."""


@panels.command("ask")
@click.argument("question")
@click.option("--voice", "models", multiple=True, metavar="MODEL", help="A model that answers; give several.")
@click.option(
    "--role", "roles", multiple=True, metavar="TEXT", help="A voice in a role: 'You guard the network.'"
)
@click.option("--choice", "choices", multiple=True, metavar="TEXT", help="The only answers there may be.")
@click.option("--method", type=click.Choice([*PanelMethod]), help="A vote, where there are choices.")
@click.option("--context", type=click.File(), help="A file the voices are shown; `-` is standard input.")
@click.option("--floor", "live_floor", type=int, help="The fewest voices that must answer.")
@click.option("--threshold", type=float, help="The least consensus that counts, from 0 to 1.")
@click.option("--budget", "budget_usd", type=float, metavar="USD", help="What the whole panel may cost.")
@click.option("--escalate", type=click.Choice(["human", "fail", "none"]), help="Where there is no consensus.")
@click.option("--agent", help="On whose budget they are asked.")
@click.option("--env", "environment", help="Where the question belongs.")
@click.option(
    "--wait",
    type=click.FloatRange(0, 86_400),
    default=300.0,
    show_default=True,
    metavar="SECONDS",
    help="How long to wait for the panel's word.",
)
@as_json
@click.pass_context
def ask_panel(
    ctx: click.Context,
    /,
    *,
    models: tuple[str, ...],
    roles: tuple[str, ...],
    wait: float,
    as_json: bool,
    **given: object,
) -> None:
    """Put QUESTION to a panel and wait for its word.

    Without --voice and --role every model that serves panels is asked. Exits with 0 when it is decided, 1 when it
    ended without an answer, 3 when it waits for people or for time.
    """
    request = checked(ConsensusRequest, _request(given, models, roles))
    found = ask(lambda holdfast: _asked(holdfast, request, wait=wait))
    print_json(found) if as_json else view.consensus(found)
    ctx.exit(_code(found))


def _request(given: dict[str, object], models: tuple[str, ...], roles: tuple[str, ...]) -> dict[str, object]:
    """The options that were given, as the API wants them."""
    voices = [*({"model": model} for model in models), *({"role": role} for role in roles)]
    context = given.pop("context")
    request = {name: value for name, value in given.items() if value not in (None, ())}
    if context is not None:
        request["context"] = context.read()  # type: ignore[attr-defined] # click opened it
    if "choices" in request and "method" not in request:
        request["method"] = PanelMethod.VOTE
    return {**request, "voices": voices}


async def _asked(holdfast: Holdfast, request: ConsensusRequest, *, wait: float) -> Consensus:
    """The API holds a request for a minute at most; the key makes asking again ask about the same question."""
    found = await holdfast.panels.ask(request, wait=min(wait, LONGEST_WAIT_S))
    if _settled(found) or wait <= LONGEST_WAIT_S:
        return found
    click.echo(f"{found.id} goes on", err=True)
    async for _ in holdfast.runs.follow(found.id):
        found = await holdfast.panels.read(found.id)
        if _settled(found):
            break
    return found


def _settled(found: Consensus) -> bool:
    return found.status not in ("queued", "running")


def _code(found: Consensus) -> int:
    if not _settled(found) or found.status in ("input_required", "paused"):
        return WAITS
    return 0 if found.status == "succeeded" else ENDED_BADLY


@panels.command("ls")
@click.option("--run", "run_id", help="Only of this run.")
@click.option("--limit", type=click.IntRange(1, 1000), default=20, show_default=True, help="Panels to show.")
@as_json
def list_panels(run_id: str | None, limit: int, *, as_json: bool) -> None:
    """What panels said, the newest first."""
    found = ask(lambda holdfast: _newest(holdfast, run_id, limit))
    if as_json:
        print_json(*found)
    elif not found:
        click.echo("No panel has sat.")
    for result in () if as_json else found:
        click.echo(
            f"{result.id}  {result.score:.2f}  {result.method.value:<9}  {plain(result.question[:80])}"
        )


async def _newest(holdfast: Holdfast, run_id: str | None, limit: int) -> list[PanelResult]:
    found: list[PanelResult] = []
    async for result in holdfast.panels.all(run_id=run_id):
        found.append(result)
        if len(found) == limit:
            break
    return found


@panels.command()
@click.argument("consensus_id", metavar="ID")
@as_json
def show(consensus_id: str, *, as_json: bool) -> None:
    """Who said what, and who decided. ID is a question's run, or one panel."""
    found = ask(lambda holdfast: holdfast.panels.read(consensus_id))
    print_json(found) if as_json else view.consensus(found)


@panels.command()
@click.option(
    "--days", type=click.IntRange(1, 365), default=90, show_default=True, help="How far to look back."
)
@as_json
def stats(days: int, *, as_json: bool) -> None:
    """Which models agree, how often each stood with consensus, and what each method costs."""
    found = ask(lambda holdfast: holdfast.panels.analytics(days=days))
    print_json(found) if as_json else view.analytics(found)
