"""Lines as wide as the terminal they are for; whole where the output is a file or another program."""

import shutil
import sys
from collections.abc import AsyncIterator
from typing import TypeVar

import click

from holdfast.cli.plain import plain

Item = TypeVar("Item")


def line(text: str) -> None:
    """One line of a list, without what could take over the terminal."""
    shown = plain(text).rstrip()
    width = shutil.get_terminal_size().columns
    if sys.stdout.isatty() and len(shown) > width:
        shown = f"{shown[: width - 1]}…"
    click.echo(shown)


async def take(items: AsyncIterator[Item], most: int) -> AsyncIterator[Item]:
    """The first of them, and the rest is not asked for; 0 takes all."""
    left = most
    async for item in items:
        yield item
        left -= 1
        if not left:
            return
