"""`holdfast run` and `holdfast runs`: start a run, watch it, and say what it should do."""

import asyncio
import sys
from datetime import UTC, datetime

import click

from holdfast.cli.connection import as_json, ask, checked, connect, pairs, print_json, report, values
from holdfast.cli.plain import plain
from holdfast.cli.run_details import DETAILS
from holdfast.cli.terminal import line, take
from holdfast.client import Holdfast
from schemas.commands import CommandReport
from schemas.runs import Run, RunRequest, RunStatus

ENDED_BADLY = 1
WAITS_FOR_PEOPLE = 3


@click.command()
@click.argument("goal")
@click.option("--agent", default="operator", show_default=True, help="The agent that works on it.")
@click.option("--env", "environment", default="dev", show_default=True, help="Where it works.")
@click.option("--input", "inputs", multiple=True, metavar="NAME=VALUE", help="An input; JSON is understood.")
@click.option("--label", "labels", multiple=True, metavar="NAME=VALUE", help="A label to find it by.")
@click.option("--mode", type=click.Choice(["plan", "react", "runbook"]), help="Instead of the agent's own.")
@click.option("--runbook", help="Run this runbook.")
@click.option("--approve-plan", is_flag=True, help="Ask for the whole plan before its first step.")
@click.option(
    "--thread", metavar="NAME", help="The conversation it belongs to: it is told what the runs before it did."
)
@click.option("--watch/--detach", default=True, help="Follow it to its end, or leave it to itself.")
@as_json
@click.pass_context
def run(ctx: click.Context, /, goal: str, *, watch: bool, as_json: bool, **given: object) -> None:
    """Start a run and watch it.

    \b
    holdfast run "Find what fills the disk" --env staging
    holdfast run "Restart nginx" --agent keeper --input host=web-1 --detach

    Exits with 0 when it succeeded, 1 when it ended otherwise, 3 when it waits for a person and nobody can be asked
    here, 130 after Ctrl-C, which leaves it to itself, or cancels it.
    """
    request = checked(RunRequest, {"goal": goal, **_request(given)})
    ctx.exit(ask(lambda holdfast: _start(holdfast, request, watch=watch, as_json=as_json)))


def _request(given: dict[str, object]) -> dict[str, object]:
    """The options that were given, as the API wants them."""
    inputs, labels = given.pop("inputs"), given.pop("labels")
    assert isinstance(inputs, tuple)  # noqa: S101 - click makes it so
    assert isinstance(labels, tuple)  # noqa: S101
    request = {name: value for name, value in given.items() if value is not None}
    return {**request, "inputs": values(inputs, "--input"), "labels": pairs(labels, "--label")}


async def _start(holdfast: Holdfast, request: RunRequest, *, watch: bool, as_json: bool) -> int:
    started = await holdfast.runs.start(request)
    if watch:
        return await watched(holdfast, started, as_json=as_json)
    if as_json:
        print_json(started)
    else:
        click.echo(started.id)
    return 0


async def watched(holdfast: Holdfast, run: Run, *, as_json: bool, after: int = 0) -> int:
    """Follow a run to its end, in the way the output can show; the exit code comes back."""
    from holdfast.cli.watching import follow_lines, follow_live  # noqa: PLC0415 - rich is slow to import

    if as_json or not sys.stdout.isatty():
        return exit_code(await follow_lines(holdfast, run, as_json=as_json, after=after))
    return exit_code(await follow_live(holdfast, run))


def exit_code(status: RunStatus) -> int:
    if status is RunStatus.INPUT_REQUIRED:
        return WAITS_FOR_PEOPLE
    return ENDED_BADLY if status.ended and status is not RunStatus.SUCCEEDED else 0


@click.group()
def runs() -> None:
    """List, read, pause, resume, cancel and fork runs."""


for _command in DETAILS:
    runs.add_command(_command)


@runs.command("ls")
@click.option(
    "--status",
    multiple=True,
    type=click.Choice([status.value for status in RunStatus]),
    help="In one of these states.",
)
@click.option("--agent", help="Of one agent.")
@click.option("--env", "environment", multiple=True, help="In one of these environments.")
@click.option("--label", multiple=True, metavar="NAME=VALUE", help="With this label; all of several.")
@click.option("--text", help="Part of the goal or the answer.")
@click.option("--thread", metavar="NAME", help="Of one thread.")
@click.option("--parent", metavar="RUN", help="Those that this run delegated.")
@click.option("--since", "created_after", type=click.DateTime(), help="Not before this moment, in UTC.")
@click.option("--until", "created_before", type=click.DateTime(), help="Before this moment, in UTC.")
@click.option(
    "--sort",
    type=click.Choice(["created_at", "ended_at", "status", "spend_usd"]),
    default="created_at",
    show_default=True,
    help="By what; the newest, the last or the most comes first.",
)
@click.option("--oldest", is_flag=True, help="The other way round: the oldest first.")
@click.option("--limit", default=20, show_default=True, type=click.IntRange(1), help="Runs to show.")
@as_json
def list_runs(*, as_json: bool, limit: int, oldest: bool, **filters: object) -> None:
    """The newest runs.

    \b
    holdfast runs ls --status failed --since 2026-03-01
    holdfast runs ls --sort spend_usd --since 2026-03-01
    holdfast runs ls --label team=db --json --limit 1000 | jq -r .id
    """
    asked = {
        name: value.isoformat() if isinstance(value, datetime) else value for name, value in filters.items()
    }

    async def read(holdfast: Holdfast) -> list[Run]:
        found = holdfast.runs.all(filters={**asked, "order": "oldest" if oldest else "newest"})
        return [run async for run in take(found, limit)]

    found = ask(read)
    if as_json:
        print_json(*found)
    elif not found:
        click.echo('No runs. Start one: holdfast run "..."')
    for each in () if as_json else found:
        line(
            f"{each.id}  {each.status.value:<14} {_age(each.created_at):>6}  {each.environment:<8} {each.goal}"
        )


@runs.command()
@click.argument("run_id")
@as_json
def show(run_id: str, *, as_json: bool) -> None:
    """One run: where it stands, and what it answered."""
    found = ask(lambda holdfast: holdfast.runs.read(run_id))
    if as_json:
        print_json(found)
        return
    for name in (
        "id",
        "status",
        "reason",
        "goal",
        "agent",
        "environment",
        "requested_by",
        "created_at",
        "ended_at",
    ):
        value = getattr(found, name)
        if value not in ("", None):
            click.echo(f"{name:<13} {plain(str(value.value if isinstance(value, RunStatus) else value))}")
    if found.answer:
        click.echo(f"\n{plain(found.answer)}")


@runs.command()
@click.argument("run_id")
@as_json
@click.pass_context
def watch(ctx: click.Context, run_id: str, *, as_json: bool) -> None:
    """Follow a run from its beginning to its end."""

    async def follow(holdfast: Holdfast) -> int:
        return await watched(holdfast, await holdfast.runs.read(run_id), as_json=as_json)

    ctx.exit(ask(follow))


@runs.command()
@click.argument("run_id")
@click.option("--follow", "-f", is_flag=True, help="Wait for what is not told yet.")
@click.option("--after", default=0, type=click.IntRange(0), help="Only events after this number.")
@as_json
def logs(run_id: str, *, follow: bool, after: int, as_json: bool) -> None:
    """The story of a run, one event a line."""
    from holdfast.cli.run_lines import told  # noqa: PLC0415 - rich is slow to import

    async def story() -> None:
        async with connect() as holdfast:
            async for event in holdfast.runs.follow(run_id, after=after, follow=follow):
                click.echo(event.model_dump_json() if as_json else told(event))

    asyncio.run(story())


@runs.command()
@click.argument("run_id")
@as_json
def effects(run_id: str, *, as_json: bool) -> None:
    """What a run did to the world, in order."""
    found = ask(lambda holdfast: holdfast.runs.effects(run_id))
    if as_json:
        print_json(*found)
        return
    for effect in found:
        said = effect.result.summary if effect.result else ""
        line(f"{effect.status.value:<11} {effect.tool:<20} {effect.step_id:<20} {' '.join(said.split())}")


@runs.command()
@click.argument("run_id")
@click.confirmation_option(prompt="Forget this run, its events, effects and artifacts?")
@as_json
def rm(run_id: str, *, as_json: bool) -> None:
    """Forget an ended run. The audit log keeps that it was."""
    ask(lambda holdfast: holdfast.runs.delete(run_id))
    report(f"{run_id} is gone.", as_json=as_json, removed=run_id)


@runs.command()
@click.argument("run_id")
@click.option("--reason", default="", help="Why, for its story.")
@as_json
def pause(run_id: str, reason: str, *, as_json: bool) -> None:
    """Start nothing new; what is under way ends."""
    _reported(ask(lambda holdfast: holdfast.runs.pause(run_id, reason=reason)), as_json=as_json)


@runs.command()
@click.argument("run_id")
@click.option("--step", help="The failed step to try again; without it, all that failed.")
@click.option("--arg", "arguments", multiple=True, metavar="NAME=VALUE", help="New arguments for that step.")
@click.option("--skip", is_flag=True, help="Count the step as skipped instead.")
@click.option("--input", "inputs", multiple=True, metavar="NAME=VALUE", help="An input that was missing.")
@click.option(
    "--limit",
    "limits",
    multiple=True,
    metavar="NAME=VALUE",
    help="A limit that was reached, as spend_usd=5; those not named are the usual ones.",
)
@as_json
def resume(
    run_id: str,
    step: str | None,
    arguments: tuple[str, ...],
    *,
    skip: bool,
    inputs: tuple[str, ...],
    limits: tuple[str, ...],
    as_json: bool,
) -> None:
    """Go on: after a pause, after a failed step, or from the last good step of a run that has ended."""
    changes: dict[str, object] = {"skip": skip, "inputs": values(inputs, "--input")}
    if step:
        changes["step"] = step
    if arguments:
        changes["arguments"] = values(arguments, "--arg")
    if limits:
        changes["limits"] = values(limits, "--limit")
    _reported(ask(lambda holdfast: holdfast.runs.resume(run_id, **changes)), as_json=as_json)


@runs.command()
@click.argument("run_id")
@click.option("--force", is_flag=True, help="Without the compensations of its plan.")
@click.option("--reason", default="", help="Why, for its story.")
@as_json
def cancel(run_id: str, *, force: bool, reason: str, as_json: bool) -> None:
    """End a run. It is cancelled once its sandboxes are dead."""
    _reported(ask(lambda holdfast: holdfast.runs.cancel(run_id, force=force, reason=reason)), as_json=as_json)


@runs.command()
@click.argument("run_id")
@click.option("--from", "from_step", help="Do this step and all that depend on it again.")
@click.option(
    "--input",
    "inputs",
    multiple=True,
    metavar="NAME=VALUE",
    help="An input that is another; JSON is understood.",
)
@as_json
def fork(run_id: str, from_step: str | None, inputs: tuple[str, ...], *, as_json: bool) -> None:
    """A new run that begins with what this one has done already."""
    given = values(inputs, "--input")
    forked = ask(lambda holdfast: holdfast.runs.fork(run_id, from_step=from_step, inputs=given))
    if as_json:
        print_json(forked)
    else:
        click.echo(forked.id)


def _reported(answer: CommandReport, *, as_json: bool) -> None:
    if as_json:
        print_json(answer)
    else:
        click.echo(answer.note or answer.status)


def _age(since: datetime) -> str:
    seconds = (datetime.now(UTC) - since).total_seconds()
    for size, unit in ((86_400, "d"), (3600, "h"), (60, "m")):
        if seconds >= size:
            return f"{seconds / size:.0f} {unit}"
    return f"{seconds:.0f} s"
