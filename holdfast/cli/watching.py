"""Following a run: a live picture in a terminal, lines everywhere else. Leaving the picture never stops the run."""

import asyncio
import signal
from datetime import UTC, datetime

import click
from rich.console import Console
from rich.live import Live

from holdfast.cli.run_view import RunView, told
from holdfast.client import Holdfast
from schemas.events import EventType
from schemas.runs import Run, RunStatus

_PICTURES_A_SECOND = 8
_INTERRUPTED = 130


async def follow_lines(holdfast: Holdfast, run: Run, *, as_json: bool, after: int = 0) -> None:
    """One event a line. Ends with the run, and where the run waits for a person whom nobody here can be."""
    if not as_json:
        click.echo(run.id)
    async for event in holdfast.runs.follow(run.id, after=after):
        click.echo(event.model_dump_json() if as_json else told(event))
        if event.type == EventType.RUN_STATUS and event.data.get("status") == RunStatus.INPUT_REQUIRED:
            return


async def follow_live(holdfast: Holdfast, run: Run) -> None:
    """The plan as a tree that changes under the eyes. Ctrl-C asks what should become of the run."""
    view = RunView.of(run)
    following = asyncio.create_task(_follow(holdfast, view))
    loop = asyncio.get_running_loop()
    loop.add_signal_handler(signal.SIGINT, following.cancel)
    try:
        with Live(console=Console(), refresh_per_second=_PICTURES_A_SECOND) as live:
            while not following.done():
                live.update(view.draw(now=datetime.now(UTC)))
                await asyncio.wait({following}, timeout=1 / _PICTURES_A_SECOND)
            live.update(view.draw())
    finally:
        loop.remove_signal_handler(signal.SIGINT)
    if following.cancelled():
        await _leave(holdfast, run)
    else:
        following.result()


async def _follow(holdfast: Holdfast, view: RunView) -> None:
    async for event in holdfast.runs.follow(view.run_id):
        view.take(event)


async def _leave(holdfast: Holdfast, run: Run) -> None:
    choice = click.prompt(
        "The run goes on. Leave it to itself, or cancel it?",
        type=click.Choice(["leave", "cancel"]),
        default="leave",
        err=True,
    )
    if choice == "cancel":
        await holdfast.runs.cancel(run.id)
        click.echo("It is being cancelled.", err=True)
    else:
        click.echo(f"Come back with: holdfast runs watch {run.id}", err=True)
    raise click.exceptions.Exit(_INTERRUPTED)
