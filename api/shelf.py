"""Runbooks and memory, opened when they are first asked for: an API that nobody asks about them never loads numpy, nor
the weights of an embedding model."""

import asyncio
from typing import TYPE_CHECKING

import structlog

from holdfast.adapters.postgres.database import Database
from holdfast.errors import Forbidden
from holdfast.runtime.settings import KnowledgeSettings
from schemas.access import Principal
from schemas.memory import MemoryStatus, RecallSettings

if TYPE_CHECKING:
    from holdfast.adapters.postgres.knowledge import PostgresLibrary
    from holdfast.adapters.postgres.memory import PostgresMemory
    from holdfast.knowledge.ports import Embedder

log = structlog.get_logger(__name__)


class Shelf:
    """The library and the memory of one process."""

    def __init__(self, *, database: Database, settings: KnowledgeSettings) -> None:
        self._database = database
        self._settings = settings
        self._lock = asyncio.Lock()
        self._opened: tuple[PostgresLibrary, PostgresMemory] | None = None
        self._embedder: Embedder | None = None

    async def library(self) -> "PostgresLibrary":
        return (await self._open())[0]

    async def memory(self) -> "PostgresMemory":
        return (await self._open())[1]

    async def close(self) -> None:
        if self._embedder is not None:
            await self._embedder.close()

    async def _open(self) -> "tuple[PostgresLibrary, PostgresMemory]":
        async with self._lock:
            if self._opened is None:
                # Importing numpy and reading weights takes a second: requests go on meanwhile.
                self._opened = await asyncio.to_thread(self._build)
            return self._opened

    def _build(self) -> "tuple[PostgresLibrary, PostgresMemory]":
        from holdfast.adapters.embedding.choice import embedder_for  # noqa: PLC0415 -- see above
        from holdfast.adapters.postgres.knowledge import PostgresLibrary  # noqa: PLC0415
        from holdfast.adapters.postgres.memory import PostgresMemory  # noqa: PLC0415

        settings = self._settings
        key = settings.embedding_key.get_secret_value() if settings.embedding_key else None
        self._embedder = embedder_for(settings.embedding, key=key)
        if self._embedder is None and settings.embedding != "none":
            log.warning(
                "embedding_model_missing", model=settings.embedding, effect="search goes by words alone"
            )
        library = PostgresLibrary(database=self._database, embedder=self._embedder)
        memory = PostgresMemory(
            database=self._database,
            embedder=self._embedder,
            library=library,
            settings=RecallSettings(
                recency_weight=settings.recency_weight, half_life_days=settings.half_life_days
            ),
            new_lessons=MemoryStatus(settings.new_lessons),
        )
        return library, memory


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
