"""What a person sees of a running stack: a live table in a terminal, plain lines elsewhere."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from typing import TYPE_CHECKING, Protocol

import click

from holdfast.embedded.state import StackState

if TYPE_CHECKING:
    from rich.live import Live
    from rich.table import Table

_COLOURS = {"ready": "green", "restarting": "red", "stopped": "dim"}


class StackView(Protocol):
    def tell(self, part: str, what: str) -> None: ...
    def show(self, state: StackState) -> None: ...


class Lines:
    """For logs and pipes."""

    def tell(self, part: str, what: str) -> None:
        click.echo(f"{datetime.now().astimezone():%H:%M:%S} {part}: {what}")

    def show(self, state: StackState) -> None:
        """The table is for terminals; what happened has been told."""


class LiveTable:
    """What happened scrolls by above; the table below is always of now."""

    def __init__(self, live: "Live") -> None:
        self._live = live

    def tell(self, part: str, what: str) -> None:
        from rich.markup import escape  # noqa: PLC0415 -- for terminals only

        now = datetime.now().astimezone()
        self._live.console.print(f"{now:%H:%M:%S} [bold]{part}[/]: {escape(what)}", highlight=False)

    def show(self, state: StackState) -> None:
        self._live.update(table_of(state), refresh=True)


@contextmanager
def open_view() -> Iterator[StackView]:
    if not sys.stdout.isatty():
        yield Lines()
        return
    from rich.live import Live  # noqa: PLC0415 -- for terminals only

    with Live(auto_refresh=False) as live:
        yield LiveTable(live)


def table_of(state: StackState) -> "Table":
    from rich.markup import escape  # noqa: PLC0415 -- for terminals only
    from rich.table import Table  # noqa: PLC0415

    table = Table("part", "state", "process", "restarts", box=None, pad_edge=False, header_style="dim")
    table.add_column("where", overflow="fold")  # half a path leads nowhere
    for part in state.parts:
        colour = _COLOURS.get(part.status, "yellow")
        where = escape(part.note or part.address)
        table.add_row(
            part.name, f"[{colour}]{part.status}[/]", str(part.pid or ""), str(part.restarts or ""), where
        )
    return table
