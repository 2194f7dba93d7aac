"""Following a run: a live picture in a terminal, lines everywhere else. Leaving the picture never stops the run."""

import asyncio
import signal
from collections.abc import Iterator
from contextlib import aclosing
from datetime import UTC, datetime

import click
from rich.console import Console
from rich.live import Live

from holdfast.cli.run_lines import told
from holdfast.cli.run_picture import Picture
from holdfast.cli.run_view import RunView, StepLine
from holdfast.client import Holdfast
from holdfast.errors import NotFound
from schemas.events import EventType, ModelDelta, RunEvent
from schemas.plans import StepState
from schemas.runs import Run, RunStatus

_PICTURES_A_SECOND = 8
_INTERRUPTED = 130
_LOOK_AGAIN_S = 0.3
_LAST_WORDS_S = 2.0


async def follow_lines(holdfast: Holdfast, run: Run, *, as_json: bool, after: int = 0) -> RunStatus:
    """One event a line. Ends with the run, and where the run waits for a person whom nobody here can be; how it stands
    then comes back."""
    view = RunView.of(run)
    if not as_json:
        click.echo(run.id)
    async with aclosing(holdfast.runs.follow(run.id, after=after)) as story:
        async for event in story:
            click.echo(event.model_dump_json() if as_json else told(event))
            view.take(event)
            if view.status is RunStatus.INPUT_REQUIRED and await _is_the_last_word(holdfast, event):
                break
    return view.status


async def _is_the_last_word(holdfast: Holdfast, event: RunEvent) -> bool:
    """An old story tells of questions that were answered long ago."""
    if event.type is not EventType.RUN_STATUS:
        return False
    later = holdfast.runs.follow(event.run_id, after=event.seq, follow=False)
    return not {EventType.RUN_STATUS, EventType.RUN_ENDED} & {each.type async for each in later}


async def follow_live(holdfast: Holdfast, run: Run) -> RunStatus:
    """The plan as a tree that changes under the eyes; how the run ended comes back. Ctrl-C asks what should become of
    it."""
    view, console = RunView.of(run), Console()
    following = asyncio.create_task(Watcher(holdfast).follow(view))
    loop = asyncio.get_running_loop()
    loop.add_signal_handler(signal.SIGINT, following.cancel)
    try:
        with Live(console=console, auto_refresh=False, transient=True) as live:
            while not following.done():
                live.update(Picture(view, now=datetime.now(UTC)), refresh=True)
                await asyncio.wait({following}, timeout=1 / _PICTURES_A_SECOND)
        console.print(Picture(view, now=datetime.now(UTC), whole=view.status.ended))
    finally:
        loop.remove_signal_handler(signal.SIGINT)
    if following.cancelled():
        await _leave(holdfast, run)
    following.result()
    return view.status


class Watcher:
    """Takes the story of a run into its view, and those of the runs that its steps delegate to."""

    def __init__(self, holdfast: Holdfast) -> None:
        self._holdfast = holdfast

    async def follow(self, view: RunView) -> None:
        below: dict[str, asyncio.Task[None]] = {}
        try:
            async for event in self._holdfast.runs.live(view.run_id):
                if isinstance(event, ModelDelta):
                    view.show(event)
                    continue
                view.take(event)
                for line in _delegated(view):
                    if line.child not in below:
                        below[line.child] = asyncio.create_task(self._follow_child(view, line))
            if below:
                await asyncio.wait(below.values(), timeout=_LAST_WORDS_S)
        finally:
            for task in below.values():
                task.cancel()
            await asyncio.gather(*below.values(), return_exceptions=True)

    async def _follow_child(self, view: RunView, line: StepLine) -> None:
        """It is there a moment after its step began, and may be in an environment that this key may not see."""
        child = RunView(line.title, line.child)
        while not await self._exists(child.run_id):
            if line.state is not StepState.RUNNING:
                return
            await asyncio.sleep(_LOOK_AGAIN_S)
        view.children[line.id] = child
        await self.follow(child)

    async def _exists(self, run_id: str) -> bool:
        try:
            await self._holdfast.runs.read(run_id)
        except NotFound:
            return False
        return True


def _delegated(view: RunView) -> Iterator[StepLine]:
    """Steps that another run carries out, and that have begun."""
    return (line for line in view.steps.values() if line.child and line.state is not StepState.PENDING)


async def _leave(holdfast: Holdfast, run: Run) -> None:
    choice = click.prompt(
        "The run goes on. Detach from it, or cancel it?",
        type=click.Choice(["detach", "cancel"]),
        default="detach",
        err=True,
    )
    if choice == "cancel":
        await holdfast.runs.cancel(run.id)
        click.echo("It is being cancelled.", err=True)
    else:
        click.echo(f"Come back with: holdfast runs watch {run.id}", err=True)
    raise click.exceptions.Exit(_INTERRUPTED)
