"""What `holdfast runbooks` and `holdfast memory` stand on: the database, the embedder, and a line of output."""

import asyncio
import getpass
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TypeVar

import click

from holdfast.adapters.embedding.choice import embedder_for
from holdfast.adapters.postgres.database import Database
from holdfast.adapters.postgres.knowledge import PostgresLibrary
from holdfast.adapters.postgres.memory import PostgresMemory
from holdfast.cli.database import owner_url
from holdfast.knowledge.ports import Embedder
from holdfast.runtime.configuration import load
from schemas.memory import MemoryStatus, RecallSettings

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
    about = settings.knowledge
    key = about.embedding_key.get_secret_value() if about.embedding_key else None
    embedder = embedder_for(about.embedding, key=key)
    database = await Database.open(owner_url(settings), max_size=4)
    library = PostgresLibrary(database=database, embedder=embedder)
    memory = PostgresMemory(
        database=database,
        embedder=embedder,
        library=library,
        settings=RecallSettings(recency_weight=about.recency_weight, half_life_days=about.half_life_days),
        new_lessons=MemoryStatus(about.new_lessons),
    )
    try:
        yield Shelf(library, memory, getpass.getuser(), embedder)
    finally:
        await database.close()
        if embedder is not None:
            await embedder.close()


def using(work: Callable[[Shelf], Awaitable[Result]]) -> Result:
    """Run one piece of work on an open shelf."""

    async def go() -> Result:
        async with opened() as shelf:
            return await work(shelf)

    return asyncio.run(go())
