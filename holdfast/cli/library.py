"""What `holdfast runbooks` and `holdfast memory` stand on: the database, the embedder, and a line of output."""

import asyncio
import getpass
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TypeVar

import click

from holdfast.adapters.postgres.database import Database
from holdfast.adapters.postgres.knowledge import PostgresLibrary
from holdfast.adapters.postgres.memory import PostgresMemory
from holdfast.cli.database import owner_url
from holdfast.knowledge.ports import Embedder
from holdfast.runtime.configuration import load
from holdfast.runtime.shelf import models_of, shelf_of

Result = TypeVar("Result")

tenant_option = click.option("--tenant", default="default", show_default=True, help="Whose.")
json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON, one line for each.")


@dataclass(frozen=True)
class Shelf:
    """A library and a memory, open for one command."""

    library: PostgresLibrary
    memory: PostgresMemory
    author: str
    embedder: Embedder | None


@asynccontextmanager
async def opened() -> AsyncIterator[Shelf]:
    settings = load()
    database = await Database.open(owner_url(settings), max_size=4)
    models = models_of(settings.knowledge)
    shelf = shelf_of(database, settings.knowledge, models)
    try:
        yield Shelf(shelf.library, shelf.memory, getpass.getuser(), models.embedder)
    finally:
        await database.close()
        await models.close()


def using(work: Callable[[Shelf], Awaitable[Result]]) -> Result:
    """Run one piece of work on an open shelf."""

    async def go() -> Result:
        async with opened() as shelf:
            return await work(shelf)

    return asyncio.run(go())
