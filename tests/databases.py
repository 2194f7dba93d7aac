"""Fresh databases for tests: the next one is copied while a test still works in its own, and old ones go meanwhile."""

import asyncio
import itertools
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import psycopg
from psycopg import sql

if TYPE_CHECKING:
    from holdfast.adapters.postgres.database import Connection, Database


class Databases:
    """Copies of one template on one server."""

    def __init__(self, url: str, template: str) -> None:
        self._url = url
        self._template = template
        self._numbers = itertools.count(1)
        self._next: asyncio.Task[str] | None = None
        self._dropping: set[asyncio.Task[None]] = set()

    async def take(self) -> str:
        """The owner's URL of a database that nobody has used."""
        copying = self._next or asyncio.create_task(self._copy())
        self._next = None
        name = await copying
        self._next = asyncio.create_task(self._copy())
        return with_database(self._url, name)

    def give_back(self, url: str) -> None:
        dropping = asyncio.create_task(self._drop(urlsplit(url).path.removeprefix("/")))
        self._dropping.add(dropping)
        dropping.add_done_callback(self._dropping.discard)

    async def close(self) -> None:
        """The server goes away with its data; what is under way only has to end."""
        await asyncio.gather(*self._dropping, *([self._next] if self._next else []), return_exceptions=True)

    async def _copy(self) -> str:
        name = f"test_{next(self._numbers)}"
        copy = sql.SQL("create database {} template {} strategy file_copy")
        await administer(self._url, copy.format(sql.Identifier(name), sql.Identifier(self._template)))
        return name

    async def _drop(self, name: str) -> None:
        drop = sql.SQL("drop database {} with (force)")
        await administer(self._url, drop.format(sql.Identifier(name)))


@asynccontextmanager
async def as_owner(database: "Database") -> AsyncIterator["Connection"]:
    """What no process of ours may: look at everything there is."""
    async with database.statement() as connection, connection.transaction():
        await connection.execute("set local role none")
        yield connection


async def administer(url: str, statement: sql.Composed) -> None:
    async with await psycopg.AsyncConnection.connect(url, autocommit=True) as connection:
        await connection.execute(statement)


def with_database(url: str, name: str) -> str:
    return urlsplit(url)._replace(path=f"/{name}").geturl()
