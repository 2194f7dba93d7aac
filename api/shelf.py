"""Runbooks and memory, opened when they are first asked for: an API that nobody asks about them never loads numpy, nor
the weights of an embedding model."""

import asyncio
from typing import TYPE_CHECKING

from holdfast.adapters.postgres.database import Database
from holdfast.errors import Forbidden
from holdfast.runtime.settings import KnowledgeSettings
from schemas.access import Principal

if TYPE_CHECKING:
    from holdfast.adapters.postgres.knowledge import PostgresLibrary
    from holdfast.adapters.postgres.memory import PostgresMemory
    from holdfast.adapters.shelf import Shelf as OpenShelf


class Shelf:
    """The library and the memory of one process."""

    def __init__(self, *, database: Database, settings: KnowledgeSettings) -> None:
        self._database = database
        self._settings = settings
        self._lock = asyncio.Lock()
        self._opened: OpenShelf | None = None

    async def library(self) -> "PostgresLibrary":
        return (await self._open()).library

    async def memory(self) -> "PostgresMemory":
        return (await self._open()).memory

    async def close(self) -> None:
        if self._opened is not None:
            await self._opened.models.close()

    async def _open(self) -> "OpenShelf":
        async with self._lock:
            if self._opened is None:
                # Importing numpy and reading weights takes a second: requests go on meanwhile.
                self._opened = await asyncio.to_thread(self._build)
            return self._opened

    def _build(self) -> "OpenShelf":
        from holdfast.adapters.shelf import models_of, shelf_of  # noqa: PLC0415 -- see above

        return shelf_of(self._database, self._settings, models_of(self._settings))


def visible(caller: Principal, environment: str) -> bool:
    """What holds everywhere is for everybody to read."""
    return not environment or caller.may_touch(environment)


def refuse_to_reach_further(caller: Principal, environment: str) -> None:
    """Who may touch some environments only may write nothing that holds in others, or in all of them."""
    if caller.environments is None or (environment and caller.may_touch(environment)):
        return
    raise Forbidden(
        f"{caller.id} may not write what holds in {environment or 'every environment'}.",
        remedy=f"Name one of {', '.join(caller.environments)} as its environment.",
    )
